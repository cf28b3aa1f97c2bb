//! What an image is expected to take, before it is begun.

use std::time::Duration;

/// Pixels of the smallest image that is measured: smaller ones say little about large ones.
const SMALLEST: u64 = 4096;

/// Seconds that a pixel takes.
///
/// The machine may have been busy, or paused, while they were measured. So that images are not refused for ever, each one that is refused
/// takes some of that back, down to the fastest that was seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    expected: f64,
    fastest: f64,
}

impl Pace {
    /// Before the first pass.
    pub(crate) fn unknown() -> Self {
        Pace { expected: f64::INFINITY, fastest: f64::INFINITY }
    }

    /// A pass over an empty image: the fastest counts, since it may take a millisecond where the machine pauses for many.
    pub(crate) fn warmed_up(&mut self, pixels: u64, took: Duration) {
        self.fastest = self.fastest.min(took.as_secs_f64() / pixels as f64);
        self.expected = self.fastest;
    }

    /// An image that was translated.
    pub(crate) fn translated(&mut self, pixels: u64, took: Duration) {
        if pixels >= SMALLEST {
            let took = took.as_secs_f64() / pixels as f64;
            self.expected = (3.0 * self.expected + took) / 4.0;
            self.fastest = self.fastest.min(took);
        }
    }

    /// An image that was refused because it would have taken too long.
    pub(crate) fn refused(&mut self) {
        self.expected = (0.75 * self.expected).max(self.fastest);
    }

    /// Seconds that so many pixels are expected to take.
    pub(crate) fn expected(&self, pixels: u64) -> f64 {
        pixels as f64 * self.expected
    }

    /// Pixels of the largest image that is expected to take no longer.
    pub(crate) fn most(&self, time: Duration) -> u64 {
        (time.as_secs_f64() / self.expected.max(1e-12)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn one_pause_of_the_machine_refuses_nothing_for_ever() {
        // While it warms up.
        let mut pace = Pace::unknown();
        for took in [1000, 1, 2] {
            pace.warmed_up(1000, took * SECOND / 1000);
        }
        assert_eq!(pace.most(SECOND), 1_000_000);
        // While it translates: what is asked for again and again is taken at last, whatever becomes of other images.
        pace.translated(10_000, 100 * SECOND);
        assert!(pace.most(SECOND) < 1000 && pace.expected(1000) > 1.0);
        let mut refusals = 0;
        while pace.most(SECOND) < 500_000 {
            pace.refused();
            refusals += 1;
        }
        assert!((1..40).contains(&refusals), "{refusals}");
        // What is truly too large stays so.
        (0..100).for_each(|_| pace.refused());
        assert_eq!(pace.most(SECOND), 1_000_000);
    }

    #[test]
    fn small_images_say_nothing() {
        let mut pace = Pace::unknown();
        pace.warmed_up(1000, SECOND / 1000);
        pace.translated(SMALLEST - 1, SECOND);
        assert_eq!(pace.most(SECOND), 1_000_000);
    }
}
