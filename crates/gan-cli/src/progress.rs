//! What a user sees while training: a bar on a terminal, a line now and then elsewhere.

use gan_train::events::{Event, Observer};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Seconds between lines where there is no terminal.
const QUIET: Duration = Duration::from_secs(10);

/// The observer of a run.
pub(crate) struct Progress {
    bar: ProgressBar,
    terminal: bool,
    spoken: Option<Instant>,
    total: u64,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos}/{len} {msg}") {
            bar.set_style(style);
        }
        Progress { bar, terminal, spoken: None, total: 0 }
    }

    fn say(&self, text: &str) {
        if self.terminal { self.bar.println(text) } else { eprintln!("{text}") }
    }
}

impl Observer for Progress {
    fn on(&mut self, event: &Event) -> gan_train::Result<()> {
        match event {
            Event::Started { method, step, total_steps, device } => {
                self.total = *total_steps;
                self.bar.set_length(*total_steps);
                self.bar.set_position(*step);
                let from = if *step > 0 { format!(" from step {step}") } else { String::new() };
                self.say(&format!("training {method} on {device}{from}: {total_steps} steps"));
            }
            Event::Progress { step, epoch, losses, images_per_s, data_wait, eta_s, .. } => {
                let losses: Vec<_> = losses.iter().map(|(name, value)| format!("{name} {value:.3}")).collect();
                let rate = format!("{images_per_s:.2} img/s, waits for data {:.0} %", data_wait * 100.0);
                let left = eta_s.map(|s| format!(", {} left", human(s))).unwrap_or_default();
                self.bar.set_message(format!("epoch {epoch}  {}  {rate}{left}", losses.join(" ")));
                let due = self.spoken.is_none_or(|t| t.elapsed() >= QUIET) || *step == self.total;
                if !self.terminal && due {
                    self.spoken = Some(Instant::now());
                    self.say(&format!(
                        "step {step}/{} epoch {epoch}: {}  ({rate}{left})",
                        self.total,
                        losses.join(" ")
                    ));
                }
            }
            Event::Warning { message, .. } => self.say(&format!("note: {message}")),
            Event::Saved { step, path, .. } if *step == self.total => self.say(&format!("saved {}", path.display())),
            Event::Finished { .. } => self.bar.finish(),
            _ => {}
        }
        Ok(())
    }

    fn step(&mut self, step: u64, _: Option<f64>) {
        self.bar.set_position(step);
    }
}

/// A duration as a person says it.
pub(crate) fn human(seconds: f64) -> String {
    let s = seconds.round() as u64;
    match (s / 3600, s / 60 % 60, s % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s:02} s"),
        (h, m, _) => format!("{h} h {m:02} min"),
    }
}

/// A plain bar for work of a known length.
pub(crate) fn bar(length: usize, what: &str) -> ProgressBar {
    let bar = ProgressBar::new(length as u64);
    if let Ok(style) = ProgressStyle::with_template("{msg} {bar:24} {pos}/{len}, {eta} left") {
        bar.set_style(style);
    }
    bar.set_message(what.to_string());
    bar
}
