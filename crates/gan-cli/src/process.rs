//! What the program makes of its surroundings before anything else runs.

/// Settles what the process inherits; called first, while there is one thread.
///
/// - Errors of libraries carry no backtraces, which would end up in messages: `RUST_BACKTRACE=1`, which many have set, is
///   about panics. `RUST_LIB_BACKTRACE=1` asks for them.
/// - A limit on the size of files makes a write fail instead of ending the process without a word.
#[allow(unsafe_code)] // environment and signals belong to the whole process
pub(crate) fn prepare() {
    if std::env::var_os("RUST_LIB_BACKTRACE").is_none() {
        // SAFETY: no other thread runs yet that could read the environment.
        unsafe { std::env::set_var("RUST_LIB_BACKTRACE", "0") };
    }
    #[cfg(unix)]
    // SAFETY: ignoring a signal installs no code.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}

/// The command line for the record; what is not Unicode in it is replaced.
pub(crate) fn command_line() -> Vec<String> {
    std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    const CHILD: &str = "PROCESS_TEST_CHILD";

    /// Runs in a process of its own, below.
    #[test]
    fn child() {
        if std::env::var_os(CHILD).is_some_and(|how| how == "prepared") {
            super::prepare();
        }
        let error = candle_core::Error::Msg("a shape".into()).bt();
        std::fs::write(std::env::var_os("PROCESS_TEST_OUT").unwrap_or("/dev/null".into()), error.to_string()).unwrap();
    }

    #[test]
    fn library_errors_are_a_sentence() {
        let said = |how: &str| {
            let out = tempfile::NamedTempFile::new().unwrap();
            let mut again = std::process::Command::new(std::env::current_exe().unwrap());
            again.args(["process::tests::child", "--exact"]).env("RUST_BACKTRACE", "1").env(CHILD, how);
            let ran = again.env_remove("RUST_LIB_BACKTRACE").env("PROCESS_TEST_OUT", out.path()).output().unwrap();
            assert!(ran.status.success(), "{ran:?}");
            std::fs::read_to_string(out.path()).unwrap()
        };
        assert_eq!(said("prepared"), "a shape");
        assert!(said("as it is").lines().count() > 1, "without it, frames follow");
    }
}
