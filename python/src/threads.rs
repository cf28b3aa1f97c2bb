//! The threads that compute. Results do not depend on their number.

use crate::errors;
use pyo3::PyResult;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::{Mutex, PoisonError};

/// Those of models that ask for no number of their own: `RAYON_NUM_THREADS`, or one a processor.
pub(crate) static SHARED: Threads = Threads::new(None);

/// Threads that are started at their first use, and anew in a process that was forked since: a fork has none of its parent's.
#[derive(Debug)]
pub(crate) struct Threads {
    count: Option<usize>,
    /// With the process that started them.
    pool: Mutex<Option<(u32, ThreadPool)>>,
}

impl Threads {
    pub(crate) const fn new(count: Option<usize>) -> Self {
        Threads { count, pool: Mutex::new(None) }
    }

    /// Does `work` on these threads, after what others have asked of them: a thread that waits for a part of its own work must not begin
    /// with that of another caller. The caller holds no GIL.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> PyResult<T> {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        let process = std::process::id();
        // Ending threads that this process does not have would wait for them.
        std::mem::forget(pool.take_if(|(by, _)| *by != process));
        let (_, threads) = match &mut *pool {
            Some(started) => started,
            none => none.insert((process, self.start()?)),
        };
        Ok(threads.install(work))
    }

    fn start(&self) -> PyResult<ThreadPool> {
        let threads = ThreadPoolBuilder::new().num_threads(self.count.unwrap_or(0)).build();
        threads.map_err(|error| errors::other(format!("cannot start threads: {error}")))
    }
}
