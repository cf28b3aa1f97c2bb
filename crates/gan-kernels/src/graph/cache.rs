//! When repeated work is captured, and how long its graph is kept.

use super::warm_up;
use crate::device::graphs_leave_room;
use candle_core::Device;
use std::fmt::Display;

/// Runs of one kind in a row before the next one is captured. They make what is made when it is first needed.
pub const WARMUP_STEPS: u32 = 2;
/// The same while there is a graph of another kind. That graph is dropped for the new one, so the change has to last.
const PATIENCE: u32 = 8;

/// Work that can be run kernel by kernel, or captured as a graph and launched, with the same results.
pub trait Capturable {
    /// What decides whether a graph fits. Two runs with equal keys issue identical kernels.
    type Key: PartialEq;
    /// A graph, and what it reads and leaves at fixed addresses.
    type Captured;
    /// What a run or a launch returns.
    type Output;
    /// What can go wrong.
    type Error: Display;

    /// A launch that fails changes nothing, so a run may take its place.
    const REPEATABLE: bool;

    /// Does the work kernel by kernel.
    ///
    /// # Errors
    /// Those of the work.
    fn run(&mut self) -> Result<Self::Output, Self::Error>;

    /// Captures the work by [`Graph::capture`](super::Graph::capture). Nothing is done or counted, whether it succeeds or not.
    /// The runs before it had the same key, without other work in between.
    ///
    /// # Errors
    /// Why the work cannot be captured.
    fn capture(&mut self) -> Result<Self::Captured, Self::Error>;

    /// Does the work by launching a graph that was captured under the same key.
    ///
    /// # Errors
    /// CUDA's.
    fn launch(&mut self, captured: &Self::Captured) -> Result<Self::Output, Self::Error>;
}

/// Holds one captured graph, and decides for each piece of work: run, capture or launch.
///
/// After [`WARMUP_STEPS`] runs of one key in a row, the next one is captured and launched. Work of another key is run. The
/// graph is replaced when another key has come 8 times in a row, and dropped when it takes the memory of other work.
/// After a failure nothing is captured any more.
#[derive(Debug)]
pub struct GraphCache<K, C> {
    captured: Option<(K, C)>,
    last: Option<Last<K>>,
    off: bool,
    failure: Option<String>,
}

/// Runs of one key in a row.
#[derive(Debug)]
struct Last<K> {
    key: K,
    count: u32,
    /// The last one was a warm-up, so the next one can be captured.
    warm: bool,
}

impl<K, C> Default for GraphCache<K, C> {
    fn default() -> Self {
        GraphCache { captured: None, last: None, off: false, failure: None }
    }
}

impl<K: PartialEq, C> GraphCache<K, C> {
    /// A cache that never captures.
    pub fn off() -> Self {
        GraphCache { off: true, ..Self::default() }
    }

    /// Whether nothing is captured any more.
    pub fn is_off(&self) -> bool {
        self.off
    }

    /// Whether there is a graph.
    pub fn is_captured(&self) -> bool {
        self.captured.is_some()
    }

    /// Why capturing or launching failed, in one line, once.
    pub fn take_failure(&mut self) -> Option<String> {
        self.failure.take()
    }

    /// Drops the graph: what it reads or leaves is not where it was.
    pub fn invalidate(&mut self) {
        self.captured = None;
    }

    /// To be called before other work: drops the graph where its memory leaves too little.
    pub fn make_room(&mut self, device: &Device) {
        if self.is_captured() && !graphs_leave_room(device).unwrap_or(true) {
            self.captured = None;
        }
    }

    /// Does the work, by whichever way is due.
    ///
    /// # Errors
    /// Those of [`Capturable::run`], and of [`Capturable::launch`] where it is not [`Capturable::REPEATABLE`]. Work that
    /// cannot be captured is run.
    pub fn call<W>(&mut self, device: &Device, key: K, work: &mut W) -> Result<W::Output, W::Error>
    where
        W: Capturable<Key = K, Captured = C>,
    {
        if self.off {
            return work.run();
        }
        if self.captured.as_ref().is_some_and(|(captured, _)| *captured == key) {
            self.last = None;
            return self.launch(work);
        }
        self.make_room(device);
        let last = self.last.take().filter(|last| last.key == key);
        if last.as_ref().is_some_and(|last| last.warm) {
            // Two graphs would take twice the memory, and the new one takes over what the old one reads.
            self.captured = None;
            return match work.capture() {
                Ok(captured) => {
                    self.captured = Some((key, captured));
                    self.launch(work)
                }
                Err(error) => {
                    self.give_up(&error);
                    work.run()
                }
            };
        }
        let count = 1 + last.map_or(0, |last| last.count);
        let warm = count >= if self.is_captured() { PATIENCE } else { WARMUP_STEPS };
        let output = if warm { warm_up(device, || work.run()) } else { work.run() }?;
        self.last = Some(Last { key, count, warm });
        Ok(output)
    }

    /// Does work that is never captured.
    ///
    /// # Errors
    /// Those of the work.
    pub fn call_uncaptured<T, E>(&mut self, device: &Device, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.last = None;
        self.make_room(device);
        work()
    }

    fn launch<W>(&mut self, work: &mut W) -> Result<W::Output, W::Error>
    where
        W: Capturable<Key = K, Captured = C>,
    {
        let Some((_, captured)) = &self.captured else { return work.run() };
        match work.launch(captured) {
            Err(error) if W::REPEATABLE => {
                self.give_up(&error);
                work.run()
            }
            done => done,
        }
    }

    fn give_up(&mut self, why: &impl Display) {
        self.captured = None;
        self.off = true;
        // Later lines are a backtrace.
        self.failure = Some(why.to_string().lines().next().unwrap_or_default().to_owned());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Writes down what it is asked for.
    struct Work {
        key: u64,
        log: String,
        run_fails: bool,
        capture_fails: bool,
        launch_fails: bool,
    }

    impl Work {
        fn new() -> Self {
            Work { key: 0, log: String::new(), run_fails: false, capture_fails: false, launch_fails: false }
        }

        fn answer(&mut self, what: char, fails: bool) -> Result<u64, String> {
            self.log.push(what);
            if fails { Err(format!("{what} failed\nbacktrace")) } else { Ok(self.key) }
        }
    }

    impl Capturable for Work {
        type Key = u64;
        type Captured = u64;
        type Output = u64;
        type Error = String;
        const REPEATABLE: bool = true;

        fn run(&mut self) -> Result<u64, String> {
            self.answer('r', self.run_fails)
        }
        fn capture(&mut self) -> Result<u64, String> {
            self.answer('c', self.capture_fails)
        }
        /// What is launched is what was captured, stale or not.
        fn launch(&mut self, captured: &u64) -> Result<u64, String> {
            self.answer('l', self.launch_fails).map(|_| *captured)
        }
    }

    /// Calls with these keys; every result has to be that of its own key.
    fn call(cache: &mut GraphCache<u64, u64>, work: &mut Work, keys: &[u64]) -> String {
        for &key in keys {
            work.key = key;
            assert_eq!(cache.call(&Device::Cpu, key, work).unwrap(), key);
        }
        std::mem::take(&mut work.log)
    }

    #[test]
    fn the_third_in_a_row_is_captured() {
        let (mut cache, mut work) = (GraphCache::default(), Work::new());
        assert_eq!(call(&mut cache, &mut work, &[1, 1, 1, 1, 2, 1]), "rrcllrl");
        assert!(cache.is_captured() && cache.take_failure().is_none());
    }

    #[test]
    fn other_work_breaks_a_row() {
        let (mut cache, mut work) = (GraphCache::default(), Work::new());
        assert_eq!(call(&mut cache, &mut work, &[1, 2, 1, 2, 1, 2, 2]), "rrrrrrr");
        assert_eq!(cache.call_uncaptured(&Device::Cpu, || Ok::<_, String>(5)), Ok(5));
        assert_eq!(call(&mut cache, &mut work, &[2, 2, 2]), "rrcl");
    }

    #[test]
    fn a_key_that_lasts_takes_over() {
        let (mut cache, mut work) = (GraphCache::default(), Work::new());
        call(&mut cache, &mut work, &[1, 1, 1]);
        assert_eq!(call(&mut cache, &mut work, &[2; 7]), "rrrrrrr");
        assert_eq!(call(&mut cache, &mut work, &[1]), "l", "the old graph is still there");
        assert_eq!(call(&mut cache, &mut work, &[2; 10]), "rrrrrrrrcll");
        assert_eq!(call(&mut cache, &mut work, &[1]), "r");
    }

    #[test]
    fn an_invalid_graph_is_never_launched() {
        let (mut cache, mut work) = (GraphCache::default(), Work::new());
        call(&mut cache, &mut work, &[1, 1, 1]);
        cache.invalidate();
        assert_eq!(call(&mut cache, &mut work, &[1, 1, 1]), "rrcl");
    }

    #[test]
    fn a_run_that_fails_is_no_warm_up() {
        let (mut cache, mut work) = (GraphCache::default(), Work::new());
        call(&mut cache, &mut work, &[1]);
        work.run_fails = true;
        assert!(cache.call(&Device::Cpu, 1, &mut work).is_err());
        (work.run_fails, work.log) = (false, String::new());
        assert_eq!(call(&mut cache, &mut work, &[1, 1, 1]), "rrcl");
    }

    #[test]
    fn after_a_failure_everything_is_run() {
        let (mut cache, mut work) = (GraphCache::default(), Work { capture_fails: true, ..Work::new() });
        assert_eq!(call(&mut cache, &mut work, &[1, 1, 1, 1]), "rrcrr");
        assert_eq!(cache.take_failure().as_deref(), Some("c failed"));
        assert_eq!(cache.take_failure(), None);
        assert!(cache.is_off());

        let (mut cache, mut work) = (GraphCache::default(), Work::new());
        call(&mut cache, &mut work, &[1, 1, 1]);
        work.launch_fails = true;
        assert_eq!(call(&mut cache, &mut work, &[1, 1]), "lrr");
        assert_eq!(cache.take_failure().as_deref(), Some("l failed"));

        let (mut cache, mut work) = (GraphCache::off(), Work::new());
        assert_eq!(call(&mut cache, &mut work, &[1; 4]), "rrrr");
    }
}
