//! Which ranks have ended: the connections of the rendezvous stay open, and close when a process ends, however it does.
//!
//! NCCL notices a process that has ended on another machine, and not always one on the same machine.

use crate::{Error, Result};
use socket2::{SockRef, TcpKeepalive};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What a rank says that has come to its end as all others have. Any other number is that of a rank that has failed.
const DONE: u32 = u32::MAX;

/// The connections of a rank: rank 0 has one to each, the others have one to rank 0.
#[derive(Debug, Default)]
pub struct Peers {
    rank: usize,
    open: Mutex<Vec<(usize, TcpStream)>>,
}

impl Peers {
    pub(super) fn new(rank: usize, open: Vec<(usize, TcpStream)>) -> Result<Self> {
        // A machine that has stopped says nothing: the system asks.
        let ask = TcpKeepalive::new().with_time(Duration::from_secs(30)).with_interval(Duration::from_secs(10));
        for (other, stream) in &open {
            let set = stream.set_nonblocking(true).and_then(|()| SockRef::from(stream).set_tcp_keepalive(&ask));
            set.and_then(|()| stream.set_nodelay(true)).map_err(|_| Error::Gone { rank: *other })?;
        }
        Ok(Peers { rank, open: Mutex::new(open) })
    }

    /// Checks that no other rank has ended. Does not wait. Rank 0 tells the others which one it was.
    ///
    /// # Errors
    /// [`Error::Gone`].
    pub fn check(&self) -> Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut gone = None;
        open.retain_mut(|(rank, stream)| {
            let mut said = [0; 4];
            match stream.read(&mut said) {
                Ok(4) if u32::from_le_bytes(said) == DONE => return false,
                Ok(4) => gone = Some(u32::from_le_bytes(said) as usize),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return true,
                _ => gone = Some(*rank),
            }
            false
        });
        let Some(rank) = gone else { return Ok(()) };
        drop(open);
        self.close(rank as u32);
        Err(Error::Gone { rank })
    }

    /// Says that this rank has come to its end as all others have.
    pub fn done(&self) {
        self.close(DONE);
    }

    /// Says that this rank has failed, which ends the others.
    pub fn failed(&self) {
        self.close(self.rank as u32);
    }

    fn close(&self, last: u32) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, mut stream) in open.drain(..) {
            // One that has ended cannot be told.
            let _ = stream.write_all(&last.to_le_bytes());
            let _ = stream.shutdown(Shutdown::Write);
        }
    }
}
