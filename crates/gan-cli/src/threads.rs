//! The threads that share the work of operators: as many as asked for, or as many as the system gives.

use anyhow::Context;
use rayon::{ThreadBuilder, ThreadPoolBuilder};
use std::io;
use std::num::NonZero;
use std::sync::mpsc::{Sender, channel};
use std::thread;

/// The most threads that `RAYON_NUM_THREADS` can ask for. The stacks of many more would take all memory.
const MOST: usize = 1024;

/// Makes rayon's pool. Must be called before anything else uses rayon, from the thread that computes.
///
/// rayon makes the pool by itself at its first use, but panics if the system refuses a single one of its threads. Here the
/// threads come first, and the pool gets those that came. If there are none, the calling thread does all the work. Results do
/// not depend on the number of threads.
///
/// # Errors
/// If there is a pool already.
pub(crate) fn start() -> anyhow::Result<()> {
    let wanted = wanted(std::env::var("RAYON_NUM_THREADS").ok().as_deref());
    let threads = few_or_all(wanted, spawn);
    let count = threads.len();
    if count < wanted {
        let used = if count == 0 { "the main thread alone".into() } else { format!("{count}") };
        note!("note: the system does not allow {wanted} threads; using {used}");
    }
    let pool = ThreadPoolBuilder::new();
    if count == 0 {
        pool.num_threads(1).use_current_thread().build_global()
    } else {
        pool.num_threads(count).spawn_handler(hand_over(threads)).build_global()
    }
    .context("cannot start the threads that compute")
}

/// The number of threads asked for by `RAYON_NUM_THREADS`; without a sensible one, that of the processors.
fn wanted(asked: Option<&str>) -> usize {
    let asked = asked.and_then(|text| text.trim().parse().ok()).filter(|n| *n > 0);
    asked.unwrap_or_else(|| thread::available_parallelism().map_or(1, NonZero::get)).min(MOST)
}

/// `wanted` threads, or else half of those that can be had: the others are left for reading data and for signals, and their stacks
/// for the images.
fn few_or_all<T>(wanted: usize, spawn: impl FnMut(usize) -> io::Result<T>) -> Vec<T> {
    let mut threads: Vec<T> = (0..wanted).map(spawn).map_while(Result::ok).collect();
    if threads.len() < wanted {
        threads.truncate(threads.len() / 2);
    }
    threads
}

/// A thread that waits to be told which worker of the pool it is. If nobody can tell it any more, it ends.
fn spawn(number: usize) -> io::Result<Sender<ThreadBuilder>> {
    let (work, worker) = channel::<ThreadBuilder>();
    thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
        if let Ok(worker) = worker.recv() {
            worker.run();
        }
    })?;
    Ok(work)
}

/// What gives the waiting threads of `threads` their work.
fn hand_over(threads: Vec<Sender<ThreadBuilder>>) -> impl FnMut(ThreadBuilder) -> io::Result<()> {
    let mut threads = threads.into_iter();
    move |worker| {
        let thread = threads.next().ok_or(io::ErrorKind::WouldBlock)?;
        thread.send(worker).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_asked_for() {
        let processors = thread::available_parallelism().unwrap().get().min(MOST);
        for nonsense in [None, Some(""), Some("0"), Some("many"), Some("-1"), Some("99999999999999999999999")] {
            assert_eq!(wanted(nonsense), processors, "{nonsense:?}");
        }
        assert_eq!(wanted(Some(" 3 ")), 3);
        assert_eq!(wanted(Some("1000000000")), MOST);
    }

    #[test]
    fn half_of_what_there_is() {
        let given =
            |have| few_or_all(6, |n| if n < have { Ok(n) } else { Err(io::ErrorKind::WouldBlock.into()) }).len();
        assert_eq!([0, 1, 2, 5, 6, 9].map(given), [0, 0, 1, 2, 6, 6]);
    }

    #[test]
    fn a_pool_of_waiting_threads() {
        let mut threads: Vec<_> = (0..3).map(|n| spawn(n).unwrap()).collect();
        drop(threads.pop());
        let pool = ThreadPoolBuilder::new().num_threads(2).spawn_handler(hand_over(threads)).build().unwrap();
        let mut names = pool.broadcast(|_| thread::current().name().map(str::to_owned));
        names.sort();
        assert_eq!(names, ["worker-0", "worker-1"].map(|name| Some(name.to_owned())));
    }
}
