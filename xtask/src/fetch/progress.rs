//! Progress on standard error: a bar on a terminal, plain lines now and then elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::human;

/// Pause between two plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// The progress of one file.
pub(crate) struct Progress {
    name: String,
    doing: &'static str,
    bar: Option<ProgressBar>,
    total: Option<u64>,
    position: u64,
    began: Instant,
    began_at: u64,
    last_line: Instant,
}

impl Progress {
    pub(crate) fn new(name: &str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::no_length();
            bar.set_style(
                ProgressStyle::with_template("{prefix}").unwrap_or_else(|_| ProgressStyle::default_spinner()),
            );
            bar.set_prefix(name.to_owned());
            bar
        });
        let now = Instant::now();
        Self {
            name: name.to_owned(),
            doing: "",
            bar,
            total: None,
            position: 0,
            began: now,
            began_at: 0,
            last_line: now,
        }
    }

    /// A transfer begins (or goes on) at `position` of `total`.
    pub(crate) fn begin(&mut self, total: Option<u64>, position: u64) {
        self.restart(total, position, "");
    }

    /// The file is here, and `total` bytes are about to be hashed.
    pub(crate) fn begin_check(&mut self, total: u64) {
        self.restart(Some(total), 0, " (checking)");
    }

    fn restart(&mut self, total: Option<u64>, position: u64, doing: &'static str) {
        self.doing = doing;
        (self.total, self.position, self.began_at, self.began) = (total, position, position, Instant::now());
        if let Some(bar) = &self.bar {
            let shape = match total {
                _ if !doing.is_empty() => "{prefix} [{wide_bar}] {percent} %",
                Some(_) => {
                    "{prefix} [{wide_bar}] {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta} left"
                }
                None => "{prefix} {spinner} {decimal_bytes} {decimal_bytes_per_sec}",
            };
            bar.set_prefix(format!("{}{doing}", self.name));
            if let Ok(style) = ProgressStyle::with_template(shape) {
                bar.set_style(style.progress_chars("=> "));
            }
            if let Some(total) = total {
                bar.set_length(total);
            }
            bar.set_position(position);
            bar.reset_eta();
        }
    }

    /// Another `n` bytes have come.
    pub(crate) fn advance(&mut self, n: u64) {
        self.position += n;
        match &self.bar {
            Some(bar) => bar.inc(n),
            None if self.last_line.elapsed() >= PLAIN_EVERY => {
                self.last_line = Instant::now();
                eprintln!("{}", self.line());
            }
            None => {}
        }
    }

    fn line(&self) -> String {
        let fetched = self.position.saturating_sub(self.began_at);
        plain(&format!("{}{}", self.name, self.doing), self.position, self.total, fetched, self.began.elapsed())
    }

    /// A line of its own: what is about to happen, what went wrong.
    pub(crate) fn say(&self, text: &str) {
        let line = format!("{}: {text}", self.name);
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// `facades: 12 of 29 MB (41 %), 3.0 MB/s, 6 s left`; the speed is that of this transfer alone.
fn plain(name: &str, position: u64, total: Option<u64>, fetched: u64, elapsed: Duration) -> String {
    let speed = fetched as f64 / elapsed.as_secs_f64().max(1e-3);
    let rate = format!("{}/s", human::bytes(speed as u64));
    match total {
        Some(total) if total > 0 => {
            let percent = 100 * position.min(total) / total;
            let left = Duration::from_secs_f64((total.saturating_sub(position) as f64 / speed.max(1.0)).min(1e9));
            let (here, all) = (human::bytes(position), human::bytes(total));
            format!("{name}: {here} of {all} ({percent} %), {rate}, {} left", human::duration(left))
        }
        _ => format!("{name}: {}, {rate}", human::bytes(position)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_lines_count_only_this_transfer() {
        let ten = Duration::from_secs(10);
        assert_eq!(
            plain("facades", 60_000_000, Some(120_000_000), 10_000_000, ten),
            "facades: 60 MB of 120 MB (50 %), 1.0 MB/s, 1 min 00 s left"
        );
        assert_eq!(plain("mini", 2_000_000, None, 2_000_000, ten), "mini: 2.0 MB, 200 kB/s");
        assert!(plain("stuck", 0, Some(1), 0, ten).contains("left"));
    }
}
