//! What a user sees while training: a bar on a terminal, a line now and then elsewhere.

use crate::output::above;
use crate::start::Start;
use gan_train::events::{Event, Finish, Observer};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Seconds between lines where there is no terminal: with losses, and without.
const QUIET: Duration = Duration::from_secs(10);
const SILENT: Duration = Duration::from_secs(60);

/// Share of the time spent waiting for data from which on it is worth a word.
const NOTABLE_WAIT: f64 = 0.05;

/// The observer of a run.
pub(crate) struct Progress {
    start: Start,
    bar: ProgressBar,
    terminal: bool,
    spoken: Option<Instant>,
    first: u64,
    total: u64,
    /// Epoch and losses of the last log point.
    losses: String,
    /// The wait for data, if notable.
    wait: String,
}

impl Progress {
    pub(crate) fn new(start: Start) -> Self {
        let terminal = std::io::stderr().is_terminal();
        // Hidden until training begins. A run that ends early, for whatever reason, leaves the bar where it is.
        let hidden = ProgressDrawTarget::hidden();
        let bar = ProgressBar::with_draw_target(None, hidden).with_finish(ProgressFinish::Abandon);
        if let Ok(style) = ProgressStyle::with_template("{bar:16} {pos}/{len} {wide_msg}") {
            bar.set_style(style);
        }
        above(&bar);
        Progress { start, bar, terminal, spoken: None, first: 0, total: 0, losses: String::new(), wait: String::new() }
    }

    /// Whether a line is due where there is no terminal; if so, it counts as spoken.
    fn due(&mut self, after: Duration) -> bool {
        let due = !self.terminal && self.spoken.is_none_or(|t| t.elapsed() >= after);
        if due {
            self.spoken = Some(Instant::now());
        }
        due
    }

    fn begin(&mut self, method: &str, device: &str, step: u64, total: u64) {
        self.first = step;
        self.total = total;
        self.bar.set_length(total);
        self.bar.set_position(step);
        if step < total {
            for line in self.start.lines(method, device, step, total) {
                note!("{line}");
            }
            if self.terminal {
                self.bar.set_draw_target(ProgressDrawTarget::stderr());
            }
        }
    }
}

impl Observer for Progress {
    fn on(&mut self, event: &Event) -> gan_train::Result<()> {
        match event {
            Event::Started { method, step, total_steps, device } => self.begin(method, device, *step, *total_steps),
            Event::Progress { step, epoch, losses, images_per_s, data_wait, eta_s, .. } => {
                let losses: Vec<_> = losses.iter().map(|(name, value)| format!("{name} {value:.3}")).collect();
                self.losses = format!("epoch {epoch}: {}", losses.join(" "));
                self.wait = wait(*data_wait);
                let pace = pace(*images_per_s, *eta_s);
                self.bar.set_message(format!("{pace}{}  {}", self.wait, self.losses));
                if self.due(QUIET) || (!self.terminal && *step == self.total) {
                    note!("step {step}/{} {}  ({pace}{})", self.total, self.losses, self.wait);
                }
            }
            Event::Validated { step, epoch, metrics, best_step, .. } => {
                let metrics: Vec<_> = metrics.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
                let best = best_step.map_or(String::new(), |best| match best == *step {
                    true => ", the best so far".into(),
                    false => format!(", the best is of step {best}"),
                });
                note!("validation after epoch {epoch}, step {step}: {}{best}", metrics.join(" "));
            }
            Event::Warning { message, .. } => note!("note: {message}"),
            Event::Rewound { step, from, rewinds, reason } => {
                self.bar.set_position(*step);
                note!(
                    "training diverged after step {from}: {reason} is not finite; rewound to step {step}, from where the images come in another order (rewind {rewinds})"
                );
            }
            Event::Saved { step, path, .. } if *step == self.total => note!("saved {}", path.display()),
            Event::Finished { reason: Finish::Complete, .. } => self.bar.finish(),
            Event::Finished { .. } => self.bar.abandon(),
            _ => {}
        }
        Ok(())
    }

    fn step(&mut self, step: u64, eta_s: Option<f64>) {
        self.bar.set_position(step);
        let done = step.saturating_sub(self.first);
        // The first step of a launch also allocates; it says little about the next.
        let (2.., Some(eta), left @ 1..) = (done, eta_s, self.total.saturating_sub(step)) else { return };
        let pace = pace(self.start.images_per_step() as f64 * left as f64 / eta.max(1e-9), eta_s);
        self.bar.set_message(format!("{pace}{}  {}", self.wait, self.losses));
        if self.due(SILENT) {
            note!("step {step}/{}  ({pace}{})", self.total, self.wait);
        }
    }
}

/// Speed and time left.
fn pace(images_per_s: f64, eta_s: Option<f64>) -> String {
    let speed = match images_per_s {
        r if r >= 1.0 => format!("{r:.1} img/s"),
        r if r > 0.0 => format!("{:.1} s/img", 1.0 / r),
        _ => "speed not known yet".into(),
    };
    speed + &eta_s.map(|s| format!(", {} left", human(s))).unwrap_or_default()
}

fn wait(share: f64) -> String {
    if share > NOTABLE_WAIT { format!(", data wait {:.0} %", share * 100.0) } else { String::new() }
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
    above(&bar);
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_keep_their_digits() {
        assert_eq!(pace(15.04, Some(11.0)), "15.0 img/s, 11 s left");
        assert_eq!(pace(0.0109, Some(3.0 * 3600.0)), "91.7 s/img, 3 h 00 min left");
        assert_eq!(pace(0.0, None), "speed not known yet");
        assert_eq!((wait(0.05), wait(0.061)), (String::new(), ", data wait 6 %".into()));
    }
}
