//! Progress on standard error: a bar on a terminal, plain lines now and then elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use gan_fetch::{Meter, Progress};
use indicatif::{ProgressBar, ProgressStyle};

/// Pause between two plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// The progress of one file.
pub(crate) struct Terminal {
    bar: Option<ProgressBar>,
    last_line: Instant,
}

impl Default for Terminal {
    fn default() -> Self {
        let bar = std::io::stderr().is_terminal().then(ProgressBar::no_length);
        // Nothing is known yet of which a bar could be drawn.
        if let (Some(bar), Ok(style)) = (&bar, ProgressStyle::with_template("{msg}")) {
            bar.set_style(style);
        }
        Self { bar, last_line: Instant::now() }
    }
}

impl Progress for Terminal {
    fn note(&mut self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    fn moved(&mut self, meter: &Meter) {
        let Some(bar) = &self.bar else {
            if self.last_line.elapsed() >= PLAIN_EVERY {
                self.last_line = Instant::now();
                eprintln!("{meter}");
            }
            return;
        };
        if bar.prefix() != meter.what() || bar.length() != meter.total() {
            let shape = if meter.total().is_some() { "{prefix} [{bar:20}] {msg}" } else { "{prefix} {spinner} {msg}" };
            if let Ok(style) = ProgressStyle::with_template(shape) {
                bar.set_style(style.progress_chars("=> "));
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
