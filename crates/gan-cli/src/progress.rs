//! What a user sees while training: lines that are drawn anew on a terminal, lines of a log elsewhere.

mod view;

use crate::clock::time_of_day;
use crate::exit::{Coded, USAGE};
use crate::live;
use crate::output::above;
use crate::screen::Screen;
use crate::start::Start;
use anyhow::bail;
use gan_train::events::{Busy, Event, Finish, Observer};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use view::View;
pub(crate) use view::significant;

/// Seconds between lines of the same kind: of a log with losses and without, of epochs and checkpoints.
const QUIET: Duration = Duration::from_secs(10);
const SILENT: Duration = Duration::from_secs(60);

/// How much is said while training.
#[derive(clap::Args, Clone, Copy)]
pub(crate) struct Said {
    /// Say nothing but warnings, errors and how to resume
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// Show the run on the full screen: curves, progress, the log; q saves and stops. Needs a program that was built with the feature `tui`
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) tui: bool,
}

impl Said {
    /// Refuses what cannot be shown.
    ///
    /// # Errors
    /// Without a terminal, or without the feature.
    pub(crate) fn check(self) -> anyhow::Result<()> {
        let lacking = match (self.tui, cfg!(feature = "tui"), Screen::is_possible()) {
            (false, ..) | (_, true, true) => return Ok(()),
            (_, false, _) => {
                "--tui: this program was built without the full-screen view; build it with `--features tui`"
            }
            (_, true, false) => "--tui: there is no terminal to show it on; leave it out",
        };
        bail!(Coded(USAGE, lacking.into()))
    }
}

/// The observer of a run.
pub(crate) struct Progress {
    start: Start,
    shown: Shown,
    /// The full-screen view, while it is open, and how to stop from it.
    screen: Option<Screen>,
    stop: Arc<AtomicBool>,
    view: View,
    /// Steps done when this launch began; none before it does.
    first: Option<u64>,
    began: Instant,
    epoch_began: Instant,
    line: Pause,
    epoch_line: Pause,
    saved_line: Pause,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// The full screen.
    Screen,
    /// Lines that are drawn anew.
    Live,
    /// A line now and then.
    Log,
    /// Warnings alone.
    Quiet,
}

/// When a kind of line was written last.
#[derive(Default)]
struct Pause(Option<Instant>);

impl Pause {
    /// Whether such a line is due; if so, it counts as written.
    fn due(&mut self, after: Duration) -> bool {
        let due = self.0.is_none_or(|at| at.elapsed() >= after);
        if due {
            self.0 = Some(Instant::now());
        }
        due
    }
}

impl Progress {
    /// Of a run that `stop` ends.
    pub(crate) fn new(start: Start, said: Said, stop: Arc<AtomicBool>) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let shown = match std::io::stderr().is_terminal() && !dumb {
            _ if said.quiet => Shown::Quiet,
            _ if said.tui => Shown::Screen,
            true => Shown::Live,
            false => Shown::Log,
        };
        let now = Instant::now();
        Progress {
            start,
            shown,
            screen: None,
            stop,
            view: View::default(),
            first: None,
            began: now,
            epoch_began: now,
            line: Pause::default(),
            epoch_line: Pause::default(),
            saved_line: Pause::default(),
        }
    }

    fn begin(&mut self, method: &str, device: &str, step: u64, total: u64) {
        let (epochs, per_epoch) = (self.start.epochs(total), self.start.steps_per_epoch());
        self.view = View { step, total, epoch: (step / per_epoch + 1).min(epochs), epochs, ..View::default() };
        self.first = Some(step);
        self.began = Instant::now();
        self.epoch_began = self.began;
        if step < total && self.shown == Shown::Screen {
            self.open(method, device, step);
        }
        if step < total && self.shown != Shown::Quiet {
            for line in self.start.lines(method, device, step, total) {
                note!("{line}");
            }
        }
        self.draw();
    }

    /// Opens the full-screen view; a terminal that cannot have it gets lines.
    fn open(&mut self, method: &str, device: &str, step: u64) {
        let run = self.start.run.display();
        match Screen::open(&format!("{method} · {run} · {device}"), self.stop.clone()) {
            Ok(screen) => {
                if step > 0 {
                    screen.load(&self.start.run.join("events.jsonl"));
                }
                self.screen = Some(screen);
            }
            Err(error) => {
                self.shown = Shown::Live;
                note!("note: no full-screen view: {error}");
            }
        }
    }

    /// Shows the view, where lines are drawn anew.
    fn draw(&self) {
        if let Some(screen) = &self.screen {
            screen.progress(self.view.step, self.view.total, self.view.facts());
        }
        if self.shown == Shown::Live && self.first.is_some() {
            let view = self.view.clone();
            live::show(move |columns| view.lines(columns));
        }
    }

    /// A line of the log: with the time of day once training has begun.
    fn say(&self, text: &str) {
        match self.first {
            Some(_) => note!("{} {text}", time_of_day()),
            None => note!("{text}"),
        }
    }

    /// The same, where more than warnings are said.
    fn tell(&self, text: &str) {
        if self.shown != Shown::Quiet {
            self.say(text);
        }
    }

    /// A line about where the run is, where there are no others.
    fn log(&mut self, after: Duration) {
        let last = self.view.step == self.view.total;
        if self.shown == Shown::Log && (self.line.due(after) || last) {
            self.say(&self.view.line());
        }
    }

    fn end(&mut self, reason: Finish) {
        self.view.state = Some(match reason {
            Finish::Complete => format!("took {}", human(self.began.elapsed().as_secs_f64())),
            other => other.to_string(),
        });
        self.draw();
        self.screen = None;
        live::end();
    }
}

/// A run that ends with an error leaves the lines as they are.
impl Drop for Progress {
    fn drop(&mut self) {
        live::end();
    }
}

impl Observer for Progress {
    fn on(&mut self, event: &Event) -> gan_train::Result<()> {
        self.view.state = None;
        match event {
            Event::Started { method, step, total_steps, device } => self.begin(method, device, *step, *total_steps),
            Event::Progress { step, epoch, losses, images_per_s, data_wait, eta_s, .. } => {
                let view = &mut self.view;
                (view.step, view.epoch, view.wait) = (*step, *epoch, *data_wait);
                view.losses.clone_from(losses);
                view.images_per_s = (*images_per_s > 0.0).then_some(*images_per_s).or(view.images_per_s);
                view.left = eta_s.filter(|_| *step < view.total);
                for (name, value) in losses {
                    self.screen.iter().for_each(|screen| screen.point(name, *step, *value));
                }
                self.draw();
                self.log(QUIET);
            }
            Event::Validated { step, epoch, metrics, best_step, .. } => {
                for (name, value) in metrics {
                    let name = format!("validation {name}");
                    self.screen.iter().for_each(|screen| screen.point(&name, *step, *value));
                }
                let metrics: Vec<_> = metrics.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
                let best = best_step.map_or(String::new(), |best| match best == *step {
                    true => ", the best so far".into(),
                    false => format!(", the best is of step {best}"),
                });
                self.tell(&format!("validation after epoch {epoch}, step {step}: {}{best}", metrics.join(" ")));
            }
            Event::Warning { message, .. } => self.say(&format!("note: {message}")),
            Event::Rewound { step, from, rewinds, reason } => {
                self.view.step = *step;
                self.screen.iter().for_each(|screen| screen.rewind(*step));
                self.say(&format!(
                    "training diverged after step {from}: {reason} is not finite; rewound to step {step}, from where the images come in another order (rewind {rewinds})"
                ));
            }
            Event::Saved { step, path, .. } if self.saved_line.due(QUIET) || *step == self.view.total => {
                self.tell(&format!("saved {}", path.display()));
            }
            Event::Finished { reason, .. } => self.end(*reason),
            _ => {}
        }
        Ok(())
    }

    fn step(&mut self, step: u64, eta_s: Option<f64>) {
        self.view.step = step;
        self.view.state = None;
        let done = step.saturating_sub(self.first.unwrap_or(step));
        // The first step of a launch also allocates; it says little about the next.
        if let (2.., Some(eta), left @ 1..) = (done, eta_s, self.view.total.saturating_sub(step)) {
            self.view.images_per_s = Some(self.start.images_per_step() as f64 * left as f64 / eta.max(1e-9));
            self.view.left = Some(eta);
            self.log(SILENT);
        }
        self.draw();
    }

    fn end_epoch(&mut self, epoch: u64, _step: u64) {
        let took = self.epoch_began.elapsed().as_secs_f64();
        self.epoch_began = Instant::now();
        if self.epoch_line.due(QUIET) || epoch >= self.view.epochs {
            // On a terminal they stand below.
            let losses = self.view.losses.iter().filter(|_| self.shown != Shown::Live);
            let losses: String = losses.map(|(name, value)| format!(" {name} {}", significant(*value))).collect();
            let colon = if losses.is_empty() { "" } else { ":" };
            self.tell(&format!("epoch {epoch}/{} done in {}{colon}{losses}", self.view.epochs, human(took)));
        }
        self.view.epoch = (epoch + 1).min(self.view.epochs.max(epoch));
    }

    fn busy(&mut self, with: Busy) {
        let doing = match with {
            Busy::Validating => "validating",
            Busy::Saving => "saving",
            _ => return,
        };
        self.view.state = Some(doing.to_owned());
        self.draw();
    }
}

/// A duration as a person says it.
pub(crate) fn human(seconds: f64) -> String {
    let s = seconds.round() as u64;
    match (s / 3600, s / 60 % 60, s % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s:02} s"),
        (h, m, _) if h < 48 => format!("{h} h {m:02} min"),
        (h, ..) => format!("{} d {:02} h", h / 24, h % 24),
    }
}

/// A plain bar for work of a known length; elsewhere than on a terminal, a line now and then.
pub(crate) fn bar(length: usize, what: &str) -> ProgressBar {
    let bar = ProgressBar::new(length as u64);
    if let Ok(style) = ProgressStyle::with_template("{msg} {bar:24} {pos}/{len}, {eta} left") {
        bar.set_style(style);
    }
    bar.set_message(what.to_string());
    above(&bar);
    if !std::io::stderr().is_terminal() {
        let (watched, what) = (bar.downgrade(), what.to_owned());
        let speak = move || {
            let mut spoken = Instant::now();
            while let Some(bar) = watched.upgrade().filter(|bar| !bar.is_finished()) {
                if spoken.elapsed() >= QUIET {
                    note!("{} {what}: {}/{length}", time_of_day(), bar.position());
                    spoken = Instant::now();
                }
                drop(bar);
                std::thread::sleep(Duration::from_millis(200));
            }
        };
        // Without a thread to be had, nothing is said until the end.
        drop(std::thread::Builder::new().name("progress".into()).stack_size(1 << 18).spawn(speak));
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_a_person_says_them() {
        let said = [0.4, 59.6, 61.0, 3600.0, 100.0 * 3600.0].map(human);
        assert_eq!(said, ["0 s", "1 min 00 s", "1 min 01 s", "1 h 00 min", "4 d 04 h"]);
    }

    #[test]
    fn lines_of_a_kind_keep_their_distance() {
        let mut pause = Pause::default();
        assert!(pause.due(QUIET) && !pause.due(QUIET) && pause.due(Duration::ZERO));
    }
}
