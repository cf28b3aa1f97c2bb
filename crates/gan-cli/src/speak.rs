//! `println!` and `eprintln!` for this program.
//!
//! The standard ones panic when nobody listens any more. Training must outlive the terminal or the pipe that it talks
//! to, and `gan-cli summary … | head` is no failure.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

/// Writes an answer to standard output. A reader that has seen enough ends the program quietly.
macro_rules! println {
    ($($text:tt)*) => { $crate::speak::answer(format_args!("{}\n", format_args!($($text)*)).to_string().as_bytes()) };
}

/// Writes a note to standard error, where somebody listens.
macro_rules! eprintln {
    ($($text:tt)*) => { $crate::speak::note(format_args!($($text)*)) };
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

pub(crate) fn note(text: Arguments<'_>) {
    // One write, so that lines of several threads do not mix.
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}
