//! What a rank and rank 0 say to one another at the rendezvous.

use super::Id;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

/// What a rank begins with, and what rank 0 does: two words, for a connection may meet itself.
const RANK: [u8; 8] = *b"GANrank1";
const FIRST: [u8; 8] = *b"GANzero1";

/// Bytes of what a rank says, and of the answer.
const HELLO: usize = 8 + 4 + 4 + 8;
pub(super) const REPLY: usize = 8 + 1 + size_of::<Id>();

/// Who a rank says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) rank: u32,
    pub(super) size: u32,
    pub(super) run: u64,
}

impl Hello {
    pub(super) fn bytes(self) -> Vec<u8> {
        let numbers = [&self.rank.to_le_bytes()[..], &self.size.to_le_bytes(), &self.run.to_le_bytes()].concat();
        [&RANK[..], &numbers].concat()
    }

    fn of(bytes: &[u8; HELLO]) -> Option<Self> {
        let rest = bytes.strip_prefix(&RANK)?;
        let (rank, rest) = rest.split_first_chunk()?;
        let (size, rest) = rest.split_first_chunk()?;
        let (run, _) = rest.split_first_chunk()?;
        Some(Hello { rank: u32::from_le_bytes(*rank), size: u32::from_le_bytes(*size), run: u64::from_le_bytes(*run) })
    }
}

/// What rank 0 answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    /// The identifier follows.
    Welcome = 1,
    /// It waits for the ranks of another run.
    Other = 2,
    /// This rank is there.
    Taken = 3,
}

impl Reply {
    /// Whether the beginning of an answer can be rank 0's.
    pub(super) fn may_begin(answer: &[u8]) -> bool {
        answer.iter().zip(&FIRST).all(|(had, known)| had == known)
    }

    pub(super) fn of(answer: &[u8]) -> Option<(Self, Id)> {
        let (code, id) = answer.strip_prefix(&FIRST)?.split_first()?;
        let known = [Reply::Welcome, Reply::Other, Reply::Taken];
        Some((known.into_iter().find(|reply| *reply as u8 == *code)?, id.try_into().ok()?))
    }
}

/// The bytes of an answer.
pub(super) fn reply(reply: Reply, id: &Id) -> Vec<u8> {
    [&FIRST[..], &[reply as u8], id].concat()
}

/// A connection that has not said yet who it is.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) stream: TcpStream,
    pub(super) since: Instant,
    said: [u8; HELLO],
    len: usize,
}

impl Guest {
    pub(super) fn new(stream: TcpStream) -> Option<Self> {
        stream.set_nonblocking(true).ok()?;
        Some(Guest { stream, since: Instant::now(), said: [0; HELLO], len: 0 })
    }

    /// What it has said: `None` if more has to come, an error if it is no rank. Does not wait.
    pub(super) fn hear(&mut self) -> Option<Result<Hello, ()>> {
        match self.stream.read(&mut self.said[self.len..]) {
            Ok(0) => return Some(Err(())),
            Ok(n) => self.len += n,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return None,
            Err(_) => return Some(Err(())),
        }
        let begun = self.said[..self.len].iter().zip(&RANK).all(|(had, known)| had == known);
        match (begun, self.len) {
            (false, _) => Some(Err(())),
            (true, HELLO) => Some(Hello::of(&self.said).ok_or(())),
            (true, _) => None,
        }
    }

    /// Answers, as far as that can be done without waiting, and closes the connection.
    pub(super) fn answer(mut self, what: Reply) {
        let _ = self.stream.write_all(&reply(what, &[0; size_of::<Id>()]));
    }
}

/// Whether the other end of a connection, which must not say more yet, has closed it.
pub(super) fn is_gone(stream: &TcpStream) -> bool {
    match stream.peek(&mut [0]) {
        Ok(n) => n == 0,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
    }
}
