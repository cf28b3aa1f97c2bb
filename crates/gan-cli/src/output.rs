//! `out!` and `note!`: answers on standard output, notes on standard error.
//!
//! The standard macros panic when nobody listens any more. Training must outlive the terminal or the pipe that it talks
//! to, and `gan-cli summary … | head` is no failure.

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
    let write = || {
        let _ = std::io::stderr().write_all(text.as_bytes());
    };
    let bar = BAR.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(WeakProgressBar::upgrade);
    match bar.filter(|bar| !bar.is_finished()) {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}
