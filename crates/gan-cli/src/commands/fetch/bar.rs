//! How far a fetch has got: a bar on a terminal, a line now and then elsewhere.

use crate::output::above;
use gan_fetch::{Meter, Progress};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Pause between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// The bar of one entry.
pub(super) struct Bar {
    bar: Option<ProgressBar>,
    last_line: Instant,
}

impl Bar {
    pub(super) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(ProgressBar::no_length);
        if let Some(bar) = &bar {
            // Nothing is known yet of which a bar could be drawn.
            if let Ok(style) = ProgressStyle::with_template("{msg}") {
                bar.set_style(style);
            }
            above(bar);
        }
        Self { bar, last_line: Instant::now() }
    }
}

impl Progress for Bar {
    fn note(&mut self, text: &str) {
        note!("{text}");
    }

    fn moved(&mut self, meter: &Meter) {
        let Some(bar) = &self.bar else {
            if self.last_line.elapsed() >= LINE_EVERY {
                self.last_line = Instant::now();
                note!("{meter}");
            }
            return;
        };
        if bar.prefix() != meter.what() || bar.length() != meter.total() {
            let shape = if meter.total().is_some() { "{prefix} {bar:16} {wide_msg}" } else { "{prefix} {wide_msg}" };
            if let Ok(style) = ProgressStyle::with_template(shape) {
                bar.set_style(style);
            }
            bar.set_prefix(meter.what());
            match meter.total() {
                Some(total) => bar.set_length(total),
                None => bar.unset_length(),
            }
        }
        bar.set_position(meter.position());
        bar.set_message(meter.amount());
    }

    fn end(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
