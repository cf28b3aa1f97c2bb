//! What a fetch tells while it runs.

use std::fmt;
use std::time::{Duration, Instant};

use crate::human;

/// An observer of what happens: a bar on a terminal, lines in a log, or nobody ([`Silent`]).
pub trait Progress {
    /// A remark in one line, beginning with the entry's name: the licence, a try that failed and what is done next.
    fn note(&mut self, text: &str);
    /// A transfer or a check began, or got on by some bytes.
    fn moved(&mut self, meter: &Meter);
    /// The entry is done with, well or not: a bar can go.
    fn end(&mut self) {}
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn note(&mut self, _: &str) {}
    fn moved(&mut self, _: &Meter) {}
}

/// How far the work on one file has got. As text: `facades: 12 MB of 29 MB (41 %), 3.0 MB/s, 6 s left`.
#[derive(Debug, Clone)]
pub struct Meter {
    name: String,
    doing: &'static str,
    total: Option<u64>,
    position: u64,
    began: Instant,
    began_at: u64,
}

impl Meter {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), doing: "", total: None, position: 0, began: Instant::now(), began_at: 0 }
    }

    /// The entry's name, and what is done with it unless it is fetched: `facades (checking)`.
    #[must_use]
    pub fn what(&self) -> String {
        format!("{}{}", self.name, self.doing)
    }

    /// Bytes so far, with those of earlier calls.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Bytes in all, where they are known.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// Amount, speed and time left, without the name. The speed is that of this transfer alone.
    fn rest(&self, elapsed: Duration) -> String {
        let fetched = self.position.saturating_sub(self.began_at);
        let speed = fetched as f64 / elapsed.as_secs_f64().max(1e-3);
        let rate = format!("{}/s", human::bytes(speed as u64));
        let here = human::bytes(self.position);
        match self.total {
            Some(total) if total > 0 => {
                let percent = 100 * self.position.min(total) / total;
                let left = total.saturating_sub(self.position) as f64 / speed.max(1.0);
                let left = Duration::from_secs_f64(left.min(1e9));
                format!("{here} of {} ({percent} %), {rate}, {} left", human::bytes(total), human::duration(left))
            }
            _ => format!("{here}, {rate}"),
        }
    }

    /// The text without the name: `12 MB of 29 MB (41 %), 3.0 MB/s, 6 s left`.
    #[must_use]
    pub fn amount(&self) -> String {
        self.rest(self.began.elapsed())
    }
}

impl fmt::Display for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what(), self.amount())
    }
}

/// The meter of one entry, and its observer.
pub(crate) struct Reporter<'a> {
    meter: Meter,
    to: &'a mut dyn Progress,
}

impl<'a> Reporter<'a> {
    pub(crate) fn new(name: &str, to: &'a mut dyn Progress) -> Self {
        Self { meter: Meter::new(name), to }
    }

    /// A transfer begins (or goes on) at `position` of `total`.
    pub(crate) fn begin(&mut self, total: Option<u64>, position: u64) {
        self.restart(total, position, "");
    }

    /// The file is here, and `total` bytes are about to be hashed.
    pub(crate) fn begin_check(&mut self, total: u64) {
        self.restart(Some(total), 0, " (checking)");
    }

    /// An archive is about to be unpacked; `total` bytes come out of it, where the catalogue knows.
    pub(crate) fn begin_unpacking(&mut self, total: Option<u64>) {
        self.restart(total, 0, " (unpacking)");
    }

    fn restart(&mut self, total: Option<u64>, position: u64, doing: &'static str) {
        let name = std::mem::take(&mut self.meter.name);
        self.meter = Meter { name, doing, total, position, began: Instant::now(), began_at: position };
        self.to.moved(&self.meter);
    }

    /// Another `n` bytes have come.
    pub(crate) fn advance(&mut self, n: u64) {
        self.meter.position += n;
        self.to.moved(&self.meter);
    }

    /// A remark about the entry.
    pub(crate) fn note(&mut self, text: &str) {
        self.to.note(&format!("{}: {text}", self.meter.name));
    }
}

impl Drop for Reporter<'_> {
    fn drop(&mut self) {
        self.to.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after_ten_seconds(name: &str, position: u64, total: Option<u64>, fetched: u64) -> String {
        let meter = Meter { position, total, began_at: position - fetched, ..Meter::new(name) };
        format!("{}: {}", meter.what(), meter.rest(Duration::from_secs(10)))
    }

    #[test]
    fn the_speed_is_that_of_this_transfer() {
        assert_eq!(
            after_ten_seconds("facades", 60_000_000, Some(120_000_000), 10_000_000),
            "facades: 60 MB of 120 MB (50 %), 1.0 MB/s, 1 min 00 s left"
        );
        assert_eq!(after_ten_seconds("mini", 2_000_000, None, 2_000_000), "mini: 2.0 MB, 200 kB/s");
        assert!(after_ten_seconds("stuck", 0, Some(1), 0).contains("left"));
    }

    #[test]
    fn each_phase_begins_its_own_count() {
        struct Seen(Vec<String>);
        impl Progress for Seen {
            fn note(&mut self, text: &str) {
                self.0.push(text.to_owned());
            }
            fn moved(&mut self, meter: &Meter) {
                self.0.push(format!("{} {} {:?}", meter.what(), meter.position(), meter.total()));
            }
            fn end(&mut self) {
                self.0.push("end".into());
            }
        }
        let mut seen = Seen(Vec::new());
        let mut reporter = Reporter::new("a", &mut seen);
        reporter.begin(Some(10), 4);
        reporter.advance(6);
        reporter.note("hm");
        reporter.begin_check(10);
        drop(reporter);
        assert_eq!(seen.0, ["a 4 Some(10)", "a 10 Some(10)", "a: hm", "a (checking) 0 Some(10)", "end"]);
    }
}
