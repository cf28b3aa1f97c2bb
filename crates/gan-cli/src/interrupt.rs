//! Ctrl-C and SIGTERM: the first finishes the step and saves, the second leaves at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that the first signal sets.
pub(crate) fn flag() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let seen = stop.clone();
    // Fails only if a handler was set before, and this is the only place.
    let _ = ctrlc::set_handler(move || {
        if seen.swap(true, Ordering::Relaxed) {
            std::process::exit(130); // checkpoints are written so that this leaves a valid one
        }
        eprintln!("\nfinishing this step and saving; press Ctrl-C again to leave at once");
    });
    stop
}
