//! Ctrl-C, SIGTERM and SIGHUP, and SIGUSR1 in training: there, the first finishes the step and saves, the second leaves at once; elsewhere the first leaves.

use crate::output::clear_bar;
use crate::{live, ranks, screen};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that the first signal sets.
pub(crate) fn flag() -> Arc<AtomicBool> {
    flag_saying("finishing this step and saving a checkpoint; press Ctrl-C again to quit now")
}

/// A flag that the first signal sets, with what is said then. Signals that the process was started to ignore (`nohup`, `&` in a
/// script) stay ignored.
pub(crate) fn flag_saying(text: &'static str) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let seen = stop.clone();
    handle(move || {
        if seen.swap(true, Ordering::Relaxed) || ranks::waits() {
            live::end();
            screen::restore();
            std::process::exit(130); // checkpoints are written so that this leaves a valid one
        }
        if ranks::speaks() {
            note!("{text}");
        }
    });
    #[cfg(unix)]
    usr1::sets(&stop);
    stop
}

/// From now on a signal ends the program at once, with this note: for what can be left at any moment.
pub(crate) fn leave_with(said: String) {
    handle(move || {
        clear_bar();
        note!("{said}");
        std::process::exit(130);
    });
}

/// Leaves at the first signal, and takes files along that are not complete.
pub(crate) fn leave_nothing_behind() {
    handle(|| {
        gan_fs::remove_temporaries();
        std::process::exit(130);
    });
}

/// Has signals handled. Those that the process was started to ignore (`nohup`, `&` in a script) stay ignored.
fn handle(handler: impl FnMut() + Send + 'static) {
    #[cfg(unix)]
    let before = disposition::Inherited::read();
    // Fails if there is no thread to be had for it; nothing else sets a handler.
    let set = ctrlc::set_handler(handler);
    #[cfg(unix)]
    before.restore(set.is_err());
    #[cfg(not(unix))]
    drop(set);
}

/// What the process was started to do about a signal.
#[cfg(unix)]
#[allow(unsafe_code)] // signals are the system's
mod disposition {
    use std::mem::MaybeUninit;
    use std::ptr;

    /// The signals that `ctrlc` takes over.
    const SIGNALS: [libc::c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

    /// Dispositions on entry.
    pub(super) struct Inherited(Vec<(libc::c_int, libc::sigaction)>);

    impl Inherited {
        pub(super) fn read() -> Self {
            let read = |signal| {
                let mut action = MaybeUninit::<libc::sigaction>::uninit();
                // SAFETY: without a new action the call only writes the current one, and does so if it returns 0.
                let action = unsafe {
                    (libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) == 0).then(|| action.assume_init())
                }?;
                Some((signal, action))
            };
            Inherited(SIGNALS.into_iter().filter_map(read).collect())
        }

        /// Puts back the signals that were ignored, or all of them: without a thread that listens, a handler would
        /// swallow the signal.
        pub(super) fn restore(&self, all: bool) {
            for (signal, action) in &self.0 {
                if all || action.sa_sigaction == libc::SIG_IGN {
                    // SAFETY: the action is one that the system gave for this signal.
                    unsafe { libc::sigaction(*signal, action, ptr::null_mut()) };
                }
            }
        }
    }
}

/// SIGUSR1, with which batch systems announce that time is up (`sbatch --signal=USR1@120`).
#[cfg(unix)]
#[allow(unsafe_code)] // signals are the system's
mod usr1 {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, OnceLock};

    static STOP: OnceLock<Arc<AtomicBool>> = OnceLock::new();

    extern "C" fn stop(_: libc::c_int) {
        // Loads and stores are all that a handler may do here.
        if let Some(stop) = STOP.get() {
            stop.store(true, Ordering::Relaxed);
        }
    }

    /// Lets the signal set this flag; the first flag of a process counts.
    pub(super) fn sets(flag: &Arc<AtomicBool>) {
        STOP.get_or_init(|| flag.clone());
        // SAFETY: the handler touches nothing but atomics.
        unsafe { libc::signal(libc::SIGUSR1, stop as *const () as libc::sighandler_t) };
    }
}
