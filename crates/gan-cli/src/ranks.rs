//! The ranks of a launch: processes that `mpirun` and its like started together.

mod library;

use crate::exit::{Coded, USAGE};
use gan_comm::{Communicator, Launch, Single};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What this process says to the others, once it has joined them.
static JOINED: OnceLock<Arc<dyn Communicator>> = OnceLock::new();

/// Whether this process has failed and waits for another one to say why.
static WAITS: AtomicBool = AtomicBool::new(false);

/// The place of this process among those that were started with it.
pub(crate) fn launch() -> Launch {
    Launch::of_environment()
}

/// Joins the other processes, those that compute on GPUs through NCCL; called by the main thread, once. `device` is what the command line names.
///
/// # Errors
/// [`Coded`]: there are others, and this program was built for one, or they do not find one another.
pub(crate) fn join(device: &str) -> anyhow::Result<Arc<dyn Communicator>> {
    let launch = launch();
    let Some(library) = library::of_launch(&launch, device).map_err(|message| Coded(USAGE, message))? else {
        return Ok(Arc::new(Single));
    };
    let ranks = library.connect(&launch, device)?;
    Ok(JOINED.get_or_init(|| ranks).clone())
}

/// Whether this process says what all do: it is the first of them.
pub(crate) fn speaks() -> bool {
    JOINED.get().is_none_or(|ranks| ranks.rank() == 0)
}

/// Whether a signal is to end this process at once: another one says why all fail.
pub(crate) fn waits() -> bool {
    WAITS.load(Ordering::Relaxed)
}

/// Waits a moment before a rank reports its error. Where all have the same, the first rank says it and ends the others; a rank that
/// knows only that another has failed leaves the word to that one.
pub(crate) fn before_report(error: &anyhow::Error) {
    let Some(ranks) = JOINED.get() else { return };
    let of_another = |cause: &(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref(), Some(gan_train::Error::Elsewhere { .. }))
            || matches!(cause.downcast_ref(), Some(gan_comm::Error::Gone { .. }))
    };
    let seconds = match error.chain().any(of_another) {
        true => 5,
        false if ranks.rank() > 0 => 3,
        false => 0,
    };
    WAITS.store(true, Ordering::Relaxed);
    std::thread::sleep(Duration::from_secs(seconds));
    WAITS.store(false, Ordering::Relaxed);
    if ranks.rank() > 0 {
        note!("rank {} of {}:", ranks.rank(), ranks.size());
    }
}

/// The device of this name; of several processes on a machine, each takes a GPU of its own unless one is named.
pub(crate) fn device(name: &str) -> String {
    let launch = launch();
    if name == "cuda" && launch.size > 1 { format!("cuda:{}", launch.local_rank) } else { name.to_owned() }
}

/// The end of this process, all of which has been said: the others end with it if it failed.
pub(crate) fn end(failed_with: Option<u8>) {
    let Some(ranks) = JOINED.get() else { return };
    match failed_with {
        Some(code) => ranks.abort(code),
        None => ranks.finalize(),
    }
}
