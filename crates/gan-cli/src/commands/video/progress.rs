//! How far it is: a bar on a terminal, a line now and then elsewhere.

use crate::output::above;
use crate::progress::human;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Time between lines where there is no terminal.
const QUIET: Duration = Duration::from_secs(10);

/// Frames translated.
pub(super) struct Progress {
    bar: ProgressBar,
    total: Option<u64>,
    before: u64,
    done: u64,
    began: Instant,
    spoken: Instant,
    terminal: bool,
}

impl Progress {
    /// Of so many frames, if that is known, `before` of which were translated by an earlier call.
    pub(super) fn new(total: Option<u64>, before: u64) -> Self {
        let bar = match total {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::new_spinner(),
        };
        let template =
            if total.is_some() { "{bar:24} frame {pos} of {len}{msg}" } else { "{spinner} frame {pos}{msg}" };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_position(before);
        above(&bar);
        let now = Instant::now();
        let terminal = std::io::stderr().is_terminal();
        Progress { bar, total, before, done: before, began: now, spoken: now, terminal }
    }

    /// One frame more.
    pub(super) fn advance(&mut self) {
        self.done += 1;
        // A video may have more frames than it says.
        let total = self.total.map(|total| total.max(self.done));
        self.total = total;
        if let Some(total) = total {
            self.bar.set_length(total);
        }
        let pace = self.rate();
        let left = total.map(|total| (total - self.done) as f64 / pace.max(1e-9)).filter(|left| *left >= 1.0);
        let left = left.map_or(String::new(), |left| format!(", {} left", human(left)));
        self.bar.set_message(format!(", {}{left}", fps(pace)));
        self.bar.set_position(self.done);
        if !self.terminal && self.spoken.elapsed() >= QUIET {
            self.spoken = Instant::now();
            let of = total.map_or(String::new(), |total| format!(" of {total}"));
            note!("frame {}{of}, {}{left}", self.done, fps(pace));
        }
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }

    fn rate(&self) -> f64 {
        (self.done - self.before) as f64 / self.began.elapsed().as_secs_f64().max(1e-9)
    }

    /// The time that it took, and the pace.
    pub(super) fn pace(&self) -> String {
        let seconds = self.began.elapsed().as_secs_f64();
        if self.done == self.before {
            String::new()
        } else {
            format!(", {}, {}", human(seconds.max(1.0)), fps(self.rate()))
        }
    }
}

fn fps(rate: f64) -> String {
    if rate >= 1.0 { format!("{rate:.1} fps") } else { format!("{:.1} s a frame", 1.0 / rate.max(1e-9)) }
}
