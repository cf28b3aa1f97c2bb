//! How ranks find one another where no MPI connects them: rank 0 listens at the launcher's `MASTER_ADDR` and `MASTER_PORT`,
//! and hands the identifier of NCCL's communicator to all others.
//!
//! Anyone may connect to the port. So nothing that comes is taken for more than bytes until it says the magic word, the run and
//! the number of ranks, nobody is waited for alone, and what is read has a fixed length.

mod guest;
mod peers;

use crate::{Error, Launch, Launcher, Result};
use guest::{Guest, Hello, REPLY, Reply, reply};
pub use peers::Peers;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// The identifier of a communicator, which NCCL makes on rank 0.
pub type Id = [u8; 128];

/// How long a connection may be about saying who it is.
const HELLO: Duration = Duration::from_secs(10);

/// Connections that have not said who they are, at most; the oldest gives way.
const GUESTS: usize = 256;

/// How long one attempt to connect takes at most, and the time between two.
const CONNECT: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(100);

/// How long rank 0 tries to have its port, which a run that has just ended may still hold.
const BIND: Duration = Duration::from_secs(3);

/// Where the ranks of a run meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendezvous {
    /// The machine of rank 0, by name or address.
    pub host: String,
    /// The port that rank 0 listens at.
    pub port: u16,
    /// Tells runs apart that meet at one place by mistake.
    pub run: u64,
    /// How long the ranks wait for one another.
    pub timeout: Duration,
}

impl Rendezvous {
    /// The place that the launcher names in the environment.
    ///
    /// # Errors
    /// [`Error::Rendezvous`] if it names none.
    pub fn of_environment(launch: &Launch) -> Result<Self> {
        Self::of(launch, |name| std::env::var(name).ok())
    }

    /// The place that these variables name: `MASTER_ADDR` and `MASTER_PORT`, and how many seconds the ranks wait, `GAN_COMM_TIMEOUT` (300).
    ///
    /// At `MASTER_PORT` of `torchrun` its own store listens, if `TORCHELASTIC_USE_AGENT_STORE` says so: then the next port is taken.
    ///
    /// # Errors
    /// [`Error::Rendezvous`] if one is missing or no number.
    pub fn of(launch: &Launch, variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let named = |name: &str| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let (Some(host), Some(port)) = (named("MASTER_ADDR"), named("MASTER_PORT")) else {
            return Err(Error::Rendezvous {
                reason: format!(
                    "{} started {} processes; set MASTER_ADDR to the machine of the first one and MASTER_PORT to a free port of it, for all of them",
                    launch.launcher, launch.size
                ),
            });
        };
        let number = |name: &str, value: &str| {
            let reason = || format!("{name}={value} is no number that it could be; set another one, for all processes");
            value.parse().ok().filter(|&n: &u16| n > 0).ok_or_else(|| Error::Rendezvous { reason: reason() })
        };
        let mut at = number("MASTER_PORT", &port)?;
        let store = named("TORCHELASTIC_USE_AGENT_STORE").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        if launch.launcher == Launcher::Torchrun && store {
            at = at.checked_add(1).ok_or_else(|| Error::Rendezvous {
                reason: format!(
                    "MASTER_PORT={port} is torchrun's own, and there is no port after it; choose a lower one"
                ),
            })?;
        }
        let seconds = match named("GAN_COMM_TIMEOUT") {
            Some(value) => number("GAN_COMM_TIMEOUT", &value)?,
            None => 300,
        };
        let names =
            ["TORCHELASTIC_RUN_ID", "SLURM_JOB_ID", "SLURM_STEP_ID"].map(|name| named(name).unwrap_or_default());
        // FNV-1a: the same in every build of the program.
        let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        let run = names.join("/").bytes().fold(0xCBF2_9CE4_8422_2325, hash);
        Ok(Rendezvous { host, port: at, run, timeout: Duration::from_secs(seconds.into()) })
    }

    /// Waits until all ranks are there. Rank 0 calls `make`; every rank returns what it made, and its connections.
    ///
    /// # Errors
    /// [`Error::Rendezvous`] names the place, what was met there and what helps; as `make`.
    pub fn meet(&self, rank: usize, size: usize, make: impl FnOnce() -> Result<Id>) -> Result<(Id, Peers)> {
        match rank {
            0 => self.receive(size, make()?),
            _ => self.visit(rank, size),
        }
    }

    fn failed<T>(&self, reason: impl std::fmt::Display) -> Result<T> {
        Err(Error::Rendezvous { reason: format!("{}, port {}: {reason}", self.host, self.port) })
    }

    /// Rank 0: hands out the identifier when all others are there.
    fn receive(&self, size: usize, id: Id) -> Result<(Id, Peers)> {
        let deadline = Instant::now() + self.timeout;
        let listener = self.listen()?;
        let mut ranks: Vec<Option<TcpStream>> = (0..size).map(|_| None).collect();
        let mut came = vec![false; size];
        let mut guests: Vec<Guest> = Vec::new();
        loop {
            // One that is gone again may come once more.
            ranks.iter_mut().filter(|rank| rank.as_ref().is_some_and(guest::is_gone)).for_each(|rank| *rank = None);
            let missing: Vec<usize> = (1..size).filter(|&rank| ranks[rank].is_none()).collect();
            if missing.is_empty() {
                break;
            }
            if Instant::now() >= deadline {
                let seconds = self.timeout.as_secs();
                let (left, absent): (Vec<usize>, Vec<usize>) = missing.into_iter().partition(|&rank| came[rank]);
                let lists = [(left, "came and left"), (absent, "did not come")];
                let lists = lists.iter().filter(|(ranks, _)| !ranks.is_empty());
                let lists: Vec<_> = lists.map(|(ranks, what)| format!("{ranks:?} {what}")).collect();
                return self.failed(format_args!(
                    "of {size} ranks, {} within {seconds} seconds; do their own messages say why, and can their machines reach this port? GAN_COMM_TIMEOUT is the number of seconds",
                    lists.join(", ")
                ));
            }
            // Any other failure is that of one connection, or passes.
            match listener.accept() {
                Ok((stream, _)) => guests.extend(Guest::new(stream)),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
            if guests.len() > GUESTS {
                guests.remove(0);
            }
            for mut guest in std::mem::take(&mut guests) {
                match guest.hear() {
                    None if guest.since.elapsed() < HELLO => guests.push(guest),
                    None | Some(Err(_)) => {}
                    Some(Ok(hello)) if (hello.size, hello.run) != (size as u32, self.run) => guest.answer(Reply::Other),
                    Some(Ok(hello)) => match ranks.get_mut(hello.rank as usize) {
                        // Whom it took may have left meanwhile.
                        Some(place) if hello.rank > 0 && place.as_ref().is_none_or(guest::is_gone) => {
                            *place = Some(guest.stream);
                            came[hello.rank as usize] = true;
                        }
                        _ => guest.answer(Reply::Taken),
                    },
                }
            }
        }
        let here = ranks.into_iter().enumerate().filter_map(|(rank, stream)| Some((rank, stream?)));
        let here: Vec<_> = here.collect();
        for (rank, stream) in &here {
            // It fits into the buffer of a connection that nothing was sent to.
            let mut stream = stream;
            stream.write_all(&reply(Reply::Welcome, &id)).map_err(|_| Error::Gone { rank: *rank })?;
        }
        Ok((id, Peers::new(0, here)?))
    }

    /// Open to other machines, unless the name is that of this machine alone.
    fn listen(&self) -> Result<TcpListener> {
        let local = match self.host.parse::<IpAddr>() {
            Ok(address) => Some(address).filter(IpAddr::is_loopback),
            Err(_) => (self.host == "localhost").then_some(Ipv4Addr::LOCALHOST.into()),
        };
        let all = [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()];
        let addresses = local.as_ref().map_or(&all[..], std::slice::from_ref);
        let addresses: Vec<_> = addresses.iter().map(|&address| SocketAddr::new(address, self.port)).collect();
        let since = Instant::now();
        loop {
            let failed = match TcpListener::bind(&addresses[..]) {
                Ok(listener) => match listener.set_nonblocking(true) {
                    Ok(()) => return Ok(listener),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            if failed.kind() != ErrorKind::AddrInUse || since.elapsed() > BIND.min(self.timeout) {
                return self.failed(format_args!(
                    "rank 0 cannot listen there ({failed}); set another MASTER_PORT, for all processes"
                ));
            }
            std::thread::sleep(AGAIN);
        }
    }

    /// Another rank: asks rank 0, which may come later.
    fn visit(&self, rank: usize, size: usize) -> Result<(Id, Peers)> {
        let deadline = Instant::now() + self.timeout;
        let hello = Hello { rank: rank as u32, size: size as u32, run: self.run };
        loop {
            let met = match self.ask(hello, deadline) {
                Ok((answer, stream)) => match Reply::of(&answer) {
                    Some((Reply::Welcome, id)) => return Ok((id, Peers::new(rank, vec![(0, stream)])?)),
                    Some((Reply::Other, _)) => {
                        return self.failed(format_args!(
                            "there is a run of another number of processes than {size}, or another job; give each run a MASTER_PORT of its own"
                        ));
                    }
                    Some((Reply::Taken, _)) => {
                        return self.failed(format_args!(
                            "there is a rank {rank} already; give each run a MASTER_PORT of its own, and each process another rank"
                        ));
                    }
                    None => {
                        return self.failed(
                            "what answers there is no rank 0 of this program; set MASTER_PORT to a port that nothing else uses",
                        );
                    }
                },
                Err(met) => met,
            };
            if Instant::now() + AGAIN >= deadline {
                let seconds = self.timeout.as_secs();
                return self.failed(format_args!(
                    "rank 0 did not answer within {seconds} seconds ({met}); does it run on that machine, and can this one reach the port? GAN_COMM_TIMEOUT is the number of seconds"
                ));
            }
            std::thread::sleep(AGAIN);
        }
    }

    /// The answer, whole or as far as it cannot be one.
    fn ask(&self, hello: Hello, deadline: Instant) -> std::io::Result<(Vec<u8>, TcpStream)> {
        let left = || deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let mut stream = None;
        let mut failed = ErrorKind::AddrNotAvailable.into();
        for address in (self.host.as_str(), self.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, left().min(CONNECT)) {
                // Where nobody listens, a connection within one machine can meet itself.
                Ok(own) if own.local_addr()? == own.peer_addr()? => failed = ErrorKind::ConnectionRefused.into(),
                Ok(connected) => {
                    stream = Some(connected);
                    break;
                }
                Err(error) => failed = error,
            }
        }
        let Some(mut stream) = stream else { return Err(failed) };
        stream.set_write_timeout(Some(left().min(CONNECT)))?;
        stream.write_all(&hello.bytes())?;
        let mut answer = Vec::with_capacity(REPLY);
        let mut piece = [0; REPLY];
        while answer.len() < REPLY && Reply::may_begin(&answer) {
            if Instant::now() >= deadline {
                return Err(ErrorKind::TimedOut.into());
            }
            stream.set_read_timeout(Some(left()))?;
            match stream.read(&mut piece[..REPLY - answer.len()]) {
                Ok(0) => return Err(ErrorKind::ConnectionReset.into()),
                Ok(n) => answer.extend(&piece[..n]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok((answer, stream))
    }
}

#[cfg(test)]
mod tests;
