//! A storage whose N-th operation fails.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Entry, Files, Storage, StorageFile};

/// How the chosen operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The device reports an error.
    Eio,
    /// No space: a write stores half of its bytes first.
    Enospc,
    /// Permission denied.
    Eacces,
    /// A write stores half of its bytes and says so. This is legal: the caller has to write the rest.
    ShortWrite,
}

impl Fault {
    fn error(self) -> Option<io::Error> {
        match self {
            Fault::Eio => Some(io::Error::other("simulated device error")),
            Fault::Enospc => Some(io::ErrorKind::StorageFull.into()),
            Fault::Eacces => Some(io::ErrorKind::PermissionDenied.into()),
            Fault::ShortWrite => None,
        }
    }
}

#[derive(Debug)]
struct Plan {
    fault: Fault,
    /// The operation that fails, counted from 1; with `forever` also every later one.
    at: u64,
    forever: bool,
    done: AtomicU64,
}

impl Plan {
    /// Counts one operation; the fault if it is this one's turn.
    fn strike(&self) -> Option<Fault> {
        let n = self.done.fetch_add(1, Ordering::SeqCst) + 1;
        (n == self.at || self.forever && n > self.at).then_some(self.fault)
    }

    fn check(&self) -> io::Result<()> {
        self.strike().and_then(Fault::error).map_or(Ok(()), Err)
    }
}

/// Passes everything on to another storage, except the operation that is to fail.
#[derive(Debug)]
pub(crate) struct FaultyStorage<S> {
    inner: S,
    plan: Arc<Plan>,
}

impl<S: Storage> FaultyStorage<S> {
    /// Fails operation number `at` (1 is the first).
    pub(crate) fn once(inner: S, fault: Fault, at: u64) -> Self {
        FaultyStorage { inner, plan: Arc::new(Plan { fault, at, forever: false, done: AtomicU64::new(0) }) }
    }

    /// Fails operation number `at` and all after it, as a dead disk does.
    pub(crate) fn from(inner: S, fault: Fault, at: u64) -> Self {
        FaultyStorage { inner, plan: Arc::new(Plan { fault, at, forever: true, done: AtomicU64::new(0) }) }
    }

    /// Whether the chosen operation was reached.
    pub(crate) fn struck(&self) -> bool {
        self.plan.done.load(Ordering::SeqCst) >= self.plan.at
    }
}

struct FaultyFile {
    inner: Box<dyn StorageFile>,
    plan: Arc<Plan>,
}

impl Write for FaultyFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self.plan.strike() {
            Some(fault) => {
                let half = match fault {
                    Fault::Enospc | Fault::ShortWrite => &buf[..buf.len().div_ceil(2)],
                    Fault::Eio | Fault::Eacces => &buf[..0],
                };
                self.inner.write_all(half)?;
                fault.error().map_or(Ok(half.len()), Err)
            }
            None => self.inner.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl StorageFile for FaultyFile {
    fn sync(&mut self) -> io::Result<()> {
        self.plan.check()?;
        self.inner.sync()
    }
}

impl<S: Storage> Files for FaultyStorage<S> {
    fn open(&self, file: &Path) -> io::Result<Box<dyn Read + Send>> {
        self.plan.check()?;
        self.inner.open(file)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.plan.check()?;
        self.inner.list(dir)
    }
}

impl<S: Storage> Storage for FaultyStorage<S> {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.plan.check()?;
        self.inner.create_dir_all(dir)
    }

    fn create(&self, file: &Path) -> io::Result<Box<dyn StorageFile>> {
        self.plan.check()?;
        Ok(Box::new(FaultyFile { inner: self.inner.create(file)?, plan: self.plan.clone() }))
    }

    fn append(&self, file: &Path, length: u64) -> io::Result<Box<dyn StorageFile>> {
        self.plan.check()?;
        Ok(Box::new(FaultyFile { inner: self.inner.append(file, length)?, plan: self.plan.clone() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.plan.check()?;
        self.inner.rename(from, to)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.plan.check()?;
        self.inner.sync_dir(dir)
    }

    fn remove_file(&self, file: &Path) -> io::Result<()> {
        self.plan.check()?;
        self.inner.remove_file(file)
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.plan.check()?;
        self.inner.remove_dir_all(dir)
    }
}
