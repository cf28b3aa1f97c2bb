//! The full-screen view of a run: progress, curves, the last lines of the log, keys.

mod curves;
mod draw;

use crate::output;
use curves::Curves;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::crossterm::{cursor, execute};
use std::collections::VecDeque;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a key is waited for before the screen is drawn anew.
const PAUSE: Duration = Duration::from_millis(150);

/// Lines of the log that are kept.
const LINES: usize = 200;

/// Whether the terminal is as the view needs it, and not as it was.
static OPEN: AtomicBool = AtomicBool::new(false);

/// What is shown.
#[derive(Default)]
struct State {
    title: String,
    /// How far the run is: done, of all, and the facts beside it.
    progress: (u64, u64, String),
    curves: Curves,
    log: VecDeque<String>,
    /// The curve that is drawn.
    chosen: usize,
    log_scale: bool,
    paused: bool,
    stopping: bool,
    closed: bool,
}

/// The view, from when training begins to its end.
pub(crate) struct Screen {
    state: Arc<Mutex<State>>,
    thread: Option<JoinHandle<()>>,
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Screen {
    /// Whether keys can be read and lines drawn: standard input and standard error are terminals.
    pub(crate) fn is_possible() -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Takes over the terminal. Notes are shown in it until it is closed; `stop` is set by keys.
    ///
    /// # Errors
    /// What the terminal refuses.
    pub(crate) fn open(title: &str, stop: Arc<AtomicBool>) -> io::Result<Self> {
        enable_raw_mode()?;
        OPEN.store(true, Ordering::SeqCst);
        let opened = execute!(io::stderr(), EnterAlternateScreen, cursor::Hide)
            .and_then(|()| Terminal::new(CrosstermBackend::new(io::stderr())));
        let mut terminal = opened.inspect_err(|_| restore())?;
        let state = Arc::new(Mutex::new(State { title: title.to_owned(), ..State::default() }));
        let shared = state.clone();
        output::divert(move |text| {
            let mut state = locked(&shared);
            state.log.extend(text.lines().map(str::to_owned));
            let more = state.log.len().saturating_sub(LINES);
            state.log.drain(..more);
        });
        let shared = state.clone();
        let follow = move || {
            loop {
                let key = event::poll(PAUSE).and_then(|any| if any { event::read().map(Some) } else { Ok(None) });
                let mut state = locked(&shared);
                if state.closed {
                    return;
                }
                match key {
                    Ok(Some(Event::Key(key))) if key.kind == KeyEventKind::Press => state.press(key, &stop),
                    Ok(_) => {}
                    // A terminal that is gone tells no keys; training goes on.
                    Err(_) => std::thread::sleep(PAUSE),
                }
                if !state.paused {
                    let _ = terminal.draw(|frame| draw::draw(frame, &state));
                }
            }
        };
        let thread = std::thread::Builder::new().name("screen".into()).spawn(follow);
        let thread = thread.inspect_err(|_| restore())?;
        Ok(Screen { state, thread: Some(thread) })
    }

    /// Adds the log points that a run has already.
    pub(crate) fn load(&self, events: &Path) {
        let mut state = locked(&self.state);
        // Curves without their beginning are better than none.
        let _ = gan_train::events::read_progress(&gan_train::storage::Disk, events, |record| {
            for (name, value) in record.losses {
                state.curves.push(&name, record.step, value.unwrap_or(f64::NAN));
            }
        });
    }

    pub(crate) fn progress(&self, step: u64, total: u64, facts: String) {
        locked(&self.state).progress = (step, total, facts);
    }

    pub(crate) fn point(&self, name: &str, step: u64, value: f64) {
        locked(&self.state).curves.push(name, step, value);
    }

    /// Drops what curves have of steps after `step`.
    pub(crate) fn rewind(&self, step: u64) {
        locked(&self.state).curves.cut(step);
    }
}

impl Drop for Screen {
    /// Gives the terminal back, with the last lines of the log on it.
    fn drop(&mut self) {
        locked(&self.state).closed = true;
        // It ends within a pause.
        let _ = self.thread.take().map(JoinHandle::join);
        restore();
        let state = locked(&self.state);
        let (step, total, facts) = &state.progress;
        let lines: Vec<_> = state.log.iter().cloned().collect();
        output::undivert();
        for line in lines {
            note!("{line}");
        }
        note!("step {step}/{total}  {facts}");
    }
}

/// Gives the terminal back, if it was taken.
pub(crate) fn restore() {
    if OPEN.swap(false, Ordering::SeqCst) {
        // Nobody is there to be told.
        let _ = execute!(io::stderr(), LeaveAlternateScreen, cursor::Show);
        let _ = disable_raw_mode();
    }
}

impl State {
    /// What a key does.
    fn press(&mut self, key: KeyEvent, stop: &AtomicBool) {
        let curves = self.curves.names().count();
        match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => self.stop(stop),
            KeyCode::Char('q') => self.stop(stop),
            KeyCode::Char(' ') => self.paused = !self.paused,
            KeyCode::Char('l') => self.log_scale = !self.log_scale,
            KeyCode::Tab | KeyCode::Right | KeyCode::Down if curves > 0 => self.chosen = (self.chosen + 1) % curves,
            KeyCode::BackTab | KeyCode::Left | KeyCode::Up if curves > 0 => {
                self.chosen = (self.chosen + curves - 1) % curves;
            }
            _ => {}
        }
    }

    /// The first time, training stops after the step and saves; the second time, the program ends.
    fn stop(&mut self, stop: &AtomicBool) {
        if stop.swap(true, Ordering::Relaxed) {
            restore();
            std::process::exit(130); // checkpoints are written so that this leaves a valid one
        }
        (self.stopping, self.paused) = (true, false);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ratatui::backend::TestBackend;

    fn pressed(state: &mut State, code: KeyCode, stop: &AtomicBool) {
        state.press(KeyEvent::new(code, KeyModifiers::NONE), stop);
    }

    fn drawn(state: &State, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw::draw(frame, state)).unwrap();
        let buffer = terminal.backend().buffer();
        let row = |y: u16| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..height).map(row).collect::<Vec<_>>().join("\n")
    }

    fn state() -> State {
        let mut state = State {
            title: "pix2pix · runs/photos · cpu".into(),
            progress: (30, 120, "epoch 1/4  15.0 img/s  6 s left".into()),
            ..State::default()
        };
        for step in 1..=30 {
            state.curves.push("G_GAN", step, 1.0 / step as f64);
            state.curves.push("G_L1", step, 40.0 - step as f64);
        }
        state.log.extend(["14:03:27 saved runs/photos/checkpoints/30".to_owned()]);
        state
    }

    #[test]
    fn everything_is_on_the_screen() {
        let text = drawn(&state(), 80, 24);
        for words in [
            "pix2pix · runs/photos · cpu",
            "step 30/120",
            "6 s left",
            "G_GAN",
            "0.0333",
            "G_L1",
            "10.00",
            "saved runs",
            "q ",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(text.chars().any(|c| ('\u{2801}'..='\u{28ff}').contains(&c)), "a curve: {text}");
        // However small it is, nothing goes wrong.
        for (width, height) in [(1, 1), (10, 3), (40, 10), (200, 60)] {
            drawn(&state(), width, height);
            drawn(&State::default(), width, height);
        }
    }

    #[test]
    fn keys_choose_pause_and_stop() {
        let (mut state, stop) = (state(), AtomicBool::new(false));
        pressed(&mut state, KeyCode::Tab, &stop);
        assert_eq!(state.chosen, 1);
        pressed(&mut state, KeyCode::Right, &stop);
        pressed(&mut state, KeyCode::Left, &stop);
        assert_eq!(state.chosen, 1);
        let linear = drawn(&state, 80, 24);
        pressed(&mut state, KeyCode::Char('l'), &stop);
        assert_ne!(drawn(&state, 80, 24), linear);
        pressed(&mut state, KeyCode::Char(' '), &stop);
        assert!(state.paused && !stop.load(Ordering::Relaxed));
        pressed(&mut state, KeyCode::Char('q'), &stop);
        assert!(state.stopping && !state.paused && stop.load(Ordering::Relaxed));
        assert!(drawn(&state, 80, 24).contains("saving"));
    }
}
