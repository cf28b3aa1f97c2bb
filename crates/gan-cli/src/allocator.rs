//! The allocator: one that keeps its pages, and packs large blocks densely.
//!
//! A training step allocates and frees the same large tensors again and again. Given back to the system in between, their
//! pages are zeroed and mapped anew every time: more than half of the processor time of a pix2pixHD step, measured. Kept, they
//! had better be used again: mimalloc, made for many small blocks and many threads, spreads large ones so that a fifth
//! more memory is resident than is ever in use. On Linux they are served by a pool of their own.
//!
//! Memory that the system does not give ends the program with a sentence and exit code 5.

#[cfg(target_os = "linux")]
mod large;
#[cfg(unix)]
mod or_exit;

#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: or_exit::OrExit<large::LargeApart<mimalloc::MiMalloc>> =
    or_exit::OrExit(large::LargeApart::new(mimalloc::MiMalloc));

#[cfg(all(unix, not(target_os = "linux")))]
#[global_allocator]
static ALLOCATOR: or_exit::OrExit<mimalloc::MiMalloc> = or_exit::OrExit(mimalloc::MiMalloc);

#[cfg(not(unix))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Number of mimalloc's option `purge_delay` in its public header; the bindings leave this one out.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Never give pages back. An explicit `MIMALLOC_PURGE_DELAY` wins.
#[allow(unsafe_code)] // the allocator is written in C
pub(crate) fn keep_pages() {
    if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
        // SAFETY: sets an integer option that exists in both major versions of the library; no other thread runs yet.
        unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) };
    }
}
