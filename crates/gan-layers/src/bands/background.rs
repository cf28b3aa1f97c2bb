//! Reading and writing files while the processors compute.

use candle_core::{Result, bail};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

type Job = Box<dyn FnOnce() + Send>;

/// A thread that carries out jobs one after the other, in the order in which it gets them. Dropping it waits for all of them.
pub(super) struct Background {
    jobs: Option<Sender<Job>>,
    worker: Option<JoinHandle<()>>,
}

/// The result of a job.
pub(super) struct Pending<T>(Receiver<T>);

impl Background {
    /// Starts the thread. If the system gives none, jobs are carried out where they are given.
    pub(super) fn start() -> Self {
        let (jobs, queue) = channel::<Job>();
        let work = move || queue.into_iter().for_each(|job| job());
        match thread::Builder::new().name("files".into()).spawn(work) {
            Ok(worker) => Background { jobs: Some(jobs), worker: Some(worker) },
            Err(_) => Background::none(),
        }
    }

    /// No thread: jobs are carried out where they are given.
    pub(super) fn none() -> Self {
        Background { jobs: None, worker: None }
    }

    /// Hands a job over.
    pub(super) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Pending<T> {
        let (result, pending) = channel();
        let job: Job = Box::new(move || {
            // Without a receiver, nobody wants the result any more.
            let _ = result.send(job());
        });
        match &self.jobs {
            // A thread that ended has dropped the job, which those who wait for it learn.
            Some(jobs) => drop(jobs.send(job)),
            None => job(),
        }
        Pending(pending)
    }
}

impl<T> Pending<T> {
    /// Waits for the result.
    pub(super) fn wait(self) -> Result<T> {
        match self.0.recv() {
            Ok(result) => Ok(result),
            Err(_) => bail!("the thread that reads and writes files has ended"),
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(worker) = self.worker.take() {
            // What panicked has told those who wait for it.
            let _ = worker.join();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use std::sync::{Arc, Mutex};

    #[test]
    fn jobs_keep_their_order() {
        for background in [Background::start(), Background::none()] {
            let seen = Arc::new(Mutex::new(Vec::new()));
            let pending: Vec<_> = (0..50)
                .map(|i| {
                    let seen = seen.clone();
                    background.run(move || {
                        seen.lock().unwrap().push(i);
                        2 * i
                    })
                })
                .collect();
            for (i, pending) in pending.into_iter().enumerate() {
                assert_eq!(pending.wait().unwrap(), 2 * i);
            }
            drop(background.run({
                let seen = seen.clone();
                move || seen.lock().unwrap().push(50)
            }));
            drop(background);
            assert_eq!(*seen.lock().unwrap(), (0..=50).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_thread_that_ended_is_an_error() {
        let background = Background::start();
        assert!(background.run(|| panic!("a test")).wait().is_err());
        assert!(background.run(|| 1).wait().unwrap_err().to_string().contains("has ended"));
    }
}
