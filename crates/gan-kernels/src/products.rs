//! Switches of the whole program for products on CUDA devices. The CPU's products are neither rounded nor in doubt.

use std::sync::atomic::{AtomicBool, Ordering};

static TF32: AtomicBool = AtomicBool::new(false);
static DETERMINISTIC: AtomicBool = AtomicBool::new(false);

/// Whether convolutions of F32 tensors on CUDA devices may round factors to TF32's 10 bits of mantissa, from now on. At
/// the start of a program they may not.
pub fn set_tf32(allowed: bool) {
    TF32.store(allowed, Ordering::Relaxed);
}

/// What [`set_tf32`] said last.
pub fn tf32() -> bool {
    TF32.load(Ordering::Relaxed)
}

/// Whether convolutions on CUDA devices use only algorithms that give the same bits in every run on the same GPU model,
/// from now on. At the start of a program they use the fastest.
pub fn set_deterministic(wanted: bool) {
    DETERMINISTIC.store(wanted, Ordering::Relaxed);
}

/// What [`set_deterministic`] said last.
pub fn deterministic() -> bool {
    DETERMINISTIC.load(Ordering::Relaxed)
}
