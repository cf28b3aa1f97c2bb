//! `out!` and `note!`: answers on standard output, notes on standard error.
//!
//! The standard macros panic when nobody listens any more. Training must outlive the terminal or the pipe that it talks
//! to, and `gan-cli summary … | head` is no failure.

use crate::live;
use indicatif::{ProgressBar, WeakProgressBar};
use std::fmt::Arguments;
use std::io::{ErrorKind, Write};
use std::sync::{Mutex, PoisonError};

/// Writes an answer to standard output. A reader that has seen enough ends the program quietly.
macro_rules! out {
    ($($text:tt)*) => { $crate::output::answer(format_args!("{}\n", format_args!($($text)*)).to_string().as_bytes()) };
}

/// Writes a note to standard error, where somebody listens.
macro_rules! note {
    ($($text:tt)*) => { $crate::output::note(format_args!($($text)*)) };
}

pub(crate) fn answer(text: &[u8]) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = out.write_all(text).and_then(|()| out.flush()) {
        if error.kind() == ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        note(format_args!("error: cannot write to standard output: {error}"));
        std::process::exit(1);
    }
}

/// The bar that is on the terminal.
static BAR: Mutex<Option<WeakProgressBar>> = Mutex::new(None);

/// From now on notes are written above this bar. Without it, the bar would paint over them when it is drawn again.
pub(crate) fn above(bar: &ProgressBar) {
    *BAR.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.downgrade());
}

/// What takes notes instead of standard error.
#[cfg(feature = "tui")]
type Taker = Box<dyn Fn(&str) + Send>;
#[cfg(feature = "tui")]
static TAKER: Mutex<Option<Taker>> = Mutex::new(None);

/// From now on `take` gets the notes, whole lines.
#[cfg(feature = "tui")]
pub(crate) fn divert(take: impl Fn(&str) + Send + 'static) {
    *TAKER.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(take));
}

/// From now on notes go to standard error again.
#[cfg(feature = "tui")]
pub(crate) fn undivert() {
    *TAKER.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

#[cfg(feature = "tui")]
fn diverted(text: &str) -> bool {
    let taker = TAKER.lock().unwrap_or_else(PoisonError::into_inner);
    taker.as_ref().map(|take| take(text)).is_some()
}

/// Takes the bar off the terminal, for a note that is the last.
pub(crate) fn clear_bar() {
    let bar = BAR.lock().unwrap_or_else(PoisonError::into_inner).take().and_then(|bar| bar.upgrade());
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

pub(crate) fn note(text: Arguments<'_>) {
    // One write, so that lines of several threads do not mix.
    let text = format!("{text}\n");
    #[cfg(feature = "tui")]
    if diverted(&text) {
        return;
    }
    if live::above(&text) {
        return;
    }
    let write = || {
        let _ = std::io::stderr().write_all(text.as_bytes());
    };
    let bar = BAR.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(WeakProgressBar::upgrade);
    match bar.filter(|bar| !bar.is_finished()) {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}
