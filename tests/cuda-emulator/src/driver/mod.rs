//! The driver API (`cu*`). Everything happens at once, in the order of the calls, except what a capturing stream records.

mod context;
mod event;
mod graph;
mod launch;
mod memory;
mod module;
pub mod stream;

#[cfg(test)]
pub use module::Loaded;

use crate::trace::report;

/// A `CUresult`.
pub type Status = i32;

/// Errors of the driver, by their number in CUDA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Error {
    InvalidValue = 1,
    OutOfMemory = 2,
    InvalidDevice = 101,
    InvalidPtx = 218,
    NotFound = 500,
    IllegalAddress = 700,
    LaunchFailed = 719,
    CaptureUnsupported = 900,
    CaptureInvalidated = 901,
    CaptureUnmatched = 903,
}

/// The number that a C function returns.
pub fn status(result: Result<(), Error>) -> Status {
    result.map_or_else(|error| error as Status, |()| 0)
}

/// Reports a failure and gives its error.
pub fn failed(error: Error, message: &str) -> Error {
    report(message);
    error
}

/// Writes a result through a C caller's pointer.
pub fn put<T>(to: *mut T, value: T) -> Result<(), Error> {
    if to.is_null() {
        return Err(Error::InvalidValue);
    }
    // SAFETY: the caller passes a valid pointer, as the API demands, or null.
    unsafe { to.write(value) };
    Ok(())
}

/// What an opaque handle that this library made points to.
///
/// # Safety
/// `handle` came from `Box::into_raw` and is not freed, or it is null.
pub unsafe fn open<T>(handle: *mut T) -> Result<&'static T, Error> {
    // SAFETY: as above.
    unsafe { handle.as_ref() }.ok_or(Error::InvalidValue)
}
