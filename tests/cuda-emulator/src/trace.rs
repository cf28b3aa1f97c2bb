//! Messages: failures always, each call with `EMULATOR_TRACE=1`.

use std::sync::OnceLock;

/// Says what went wrong, or what a program should not rely on.
#[allow(clippy::print_stderr)] // C callers only get a number.
pub fn report(message: &str) {
    eprintln!("cuda-emulator: {message}");
}

/// Says what is called, if wanted.
pub fn trace(message: impl FnOnce() -> String) {
    static WANTED: OnceLock<bool> = OnceLock::new();
    if *WANTED.get_or_init(|| std::env::var_os("EMULATOR_TRACE").is_some_and(|value| value != "0")) {
        report(&message());
    }
}
