//! How fast training goes and how long it will take.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A clock that never goes back.
pub trait Clock: Send {
    /// Time since an arbitrary origin.
    fn now(&self) -> Duration;
}

/// The monotonic clock of the machine: setting the date does not move it.
#[derive(Debug, Clone, Copy)]
pub struct Monotonic(Instant);

impl Default for Monotonic {
    fn default() -> Self {
        Monotonic(Instant::now())
    }
}

impl Clock for Monotonic {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Steps that the estimate looks back on.
const WINDOW: usize = 64;

/// Pace of the last steps.
///
/// The slowest and fastest eighth are left out: a suspended machine, or a step that also saved, says nothing about the
/// steps to come.
pub struct Pace {
    clock: Box<dyn Clock>,
    last: Option<Duration>,
    recent: VecDeque<f64>,
}

impl Pace {
    /// Starts to measure; the first [`step`](Pace::step) sets the origin.
    pub fn new(clock: Box<dyn Clock>) -> Self {
        Pace { clock, last: None, recent: VecDeque::with_capacity(WINDOW) }
    }

    /// Call at the end of each step (and once before the first).
    pub fn step(&mut self) {
        let now = self.clock.now();
        if let Some(last) = self.last.replace(now) {
            if self.recent.len() == WINDOW {
                self.recent.pop_front();
            }
            self.recent.push_back(now.saturating_sub(last).as_secs_f64());
        }
    }

    /// Seconds a step takes, once one was measured.
    pub fn seconds_per_step(&self) -> Option<f64> {
        let mut sorted: Vec<f64> = self.recent.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let cut = sorted.len().div_ceil(8).min(sorted.len().saturating_sub(1) / 2);
        let middle = &sorted[cut..sorted.len() - cut];
        (!middle.is_empty()).then(|| middle.iter().sum::<f64>() / middle.len() as f64)
    }

    /// Images a second at `batch` images a step.
    pub fn images_per_s(&self, batch: usize) -> Option<f64> {
        self.seconds_per_step().filter(|&s| s > 0.0).map(|s| batch as f64 / s)
    }

    /// Time that `steps` more steps will take.
    pub fn eta(&self, steps: u64) -> Option<Duration> {
        Duration::try_from_secs_f64(self.seconds_per_step()? * steps as f64).ok()
    }
}

/// Says when an interval has passed, by the monotonic clock.
pub struct Interval {
    clock: Box<dyn Clock>,
    every: Duration,
    last: Duration,
}

impl Interval {
    /// Due for the first time `every` from now.
    pub fn new(clock: Box<dyn Clock>, every: Duration) -> Self {
        let last = clock.now();
        Interval { clock, every, last }
    }

    /// Whether the interval has passed since it was last due; if so, the next one begins.
    pub fn due(&mut self) -> bool {
        let now = self.clock.now();
        // A clock that went back starts a new interval rather than a day of silence.
        let passed = now < self.last || now - self.last >= self.every;
        if passed {
            self.last = now;
        }
        passed
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[derive(Clone)]
    struct Fake(Arc<AtomicU64>);

    impl Fake {
        fn new() -> Self {
            Fake(Arc::new(AtomicU64::new(200_000_000)))
        }
        fn advance(&self, ms: u64) {
            self.0.fetch_add(ms, Ordering::SeqCst);
        }
        fn back(&self, ms: u64) {
            self.0.fetch_sub(ms, Ordering::SeqCst);
        }
    }

    impl Clock for Fake {
        fn now(&self) -> Duration {
            Duration::from_millis(self.0.load(Ordering::SeqCst))
        }
    }

    const DAY: u64 = 86_400_000;

    #[test]
    fn pace_and_eta() {
        let clock = Fake::new();
        let mut pace = Pace::new(Box::new(clock.clone()));
        assert_eq!(pace.eta(10), None);
        pace.step();
        assert_eq!(pace.eta(10), None);
        for _ in 0..100 {
            clock.advance(250);
            pace.step();
        }
        assert_eq!(pace.eta(40), Some(Duration::from_secs(10)));
        assert_eq!(pace.images_per_s(2), Some(8.0));
        // The pace changes: after a window the old one is forgotten.
        for _ in 0..WINDOW {
            clock.advance(500);
            pace.step();
        }
        assert_eq!(pace.seconds_per_step(), Some(0.5));
    }

    #[test]
    fn jumps_and_pauses_do_not_matter() {
        for jump in [true, false] {
            let clock = Fake::new();
            let mut pace = Pace::new(Box::new(clock.clone()));
            pace.step();
            for i in 0..40 {
                if i == 20 {
                    if jump { clock.advance(DAY) } else { clock.back(DAY) }
                }
                clock.advance(100);
                pace.step();
            }
            let eta = pace.eta(100).map(|eta| eta.as_secs_f64());
            assert!(eta.is_some_and(|eta| (9.99..10.01).contains(&eta)), "{eta:?}");
        }
    }

    #[test]
    fn intervals() {
        let clock = Fake::new();
        let mut interval = Interval::new(Box::new(clock.clone()), Duration::from_secs(60));
        let mut due = 0;
        for _ in 0..600 {
            clock.advance(1000);
            due += usize::from(interval.due());
        }
        assert_eq!(due, 10);
        clock.back(DAY);
        assert!(interval.due());
        assert!(!interval.due());
        clock.advance(DAY);
        assert!(interval.due());
        assert!(!interval.due());
    }
}
