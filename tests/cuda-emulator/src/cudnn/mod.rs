//! cuDNN's convolutions (the API of version 7), computed naively.

mod algorithms;
mod convolve;
mod descriptors;
mod run;

use std::ffi::{c_char, c_void};

pub use crate::handle::{Handle, destroy};
use crate::{
    driver::{open, put},
    numbers::Element,
    trace::report,
};

/// What a function refuses or fails with, by its number in cuDNN 9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Refusal {
    BadParam = 2000,
    NotSupported = 3000,
    ExecutionFailed = 5000,
}

/// Says why, and gives the refusal.
pub fn refuse(refusal: Refusal, message: &str) -> Refusal {
    report(&format!("cuDNN: {message}"));
    refusal
}

/// The number that a C function returns.
pub fn status(result: Result<(), Refusal>) -> i32 {
    result.map_or_else(|refusal| refusal as i32, |()| 0)
}

/// What a handle of this library points to.
///
/// # Safety
/// It was made here and is not destroyed.
pub unsafe fn get<T>(handle: *mut T) -> Result<&'static T, Refusal> {
    // SAFETY: as above.
    unsafe { open(handle) }.map_err(|_| refuse(Refusal::BadParam, "a null handle"))
}

/// Creates something with a handle.
pub fn create<T: Default>(out: *mut *mut T) -> i32 {
    status(crate::handle::create(out).map_err(|_| Refusal::BadParam))
}

#[unsafe(no_mangle)]
extern "C" fn cudnnCreate(out: *mut *mut Handle) -> i32 {
    create(out)
}

#[unsafe(no_mangle)]
extern "C" fn cudnnDestroy(handle: *mut Handle) -> i32 {
    // SAFETY: the caller destroys what it created.
    unsafe { destroy(handle) }
}

#[unsafe(no_mangle)]
extern "C" fn cudnnSetStream(handle: *mut Handle, stream: usize) -> i32 {
    // SAFETY: a handle from `cudnnCreate`.
    status(unsafe { get(handle) }.map(|handle| handle.set_stream(stream)))
}

#[unsafe(no_mangle)]
extern "C" fn cudnnGetStream(handle: *mut Handle, stream: *mut usize) -> i32 {
    // SAFETY: a handle from `cudnnCreate`.
    status(
        unsafe { get(handle) }.and_then(|handle| put(stream, handle.stream_pointer()).map_err(|_| Refusal::BadParam)),
    )
}

#[unsafe(no_mangle)]
extern "C" fn cudnnGetVersion() -> usize {
    91900
}

#[unsafe(no_mangle)]
extern "C" fn cudnnGetCudartVersion() -> usize {
    13000
}

macro_rules! version_checks {
    ($($name:ident),*) => {
        $(#[unsafe(no_mangle)]
        extern "C" fn $name() -> i32 {
            0
        })*
    };
}

version_checks!(cudnnOpsVersionCheck, cudnnCnnVersionCheck, cudnnAdvVersionCheck, cudnnGraphVersionCheck);

#[unsafe(no_mangle)]
extern "C" fn cudnnGetErrorString(status: i32) -> *const c_char {
    match status {
        0 => c"CUDNN_STATUS_SUCCESS",
        2000 => c"CUDNN_STATUS_BAD_PARAM",
        3000 => c"CUDNN_STATUS_NOT_SUPPORTED",
        5000 => c"CUDNN_STATUS_EXECUTION_FAILED",
        _ => c"CUDNN_STATUS_UNKNOWN",
    }
    .as_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn cudnnGetLastErrorString(message: *mut c_char, size: usize) {
    if !message.is_null() && size > 0 {
        // SAFETY: the caller's buffer has `size` bytes.
        unsafe { message.write(0) };
    }
}

/// Reads a factor, f64 for f64 tensors and f32 otherwise.
///
/// # Safety
/// It points to such a number of the host.
pub unsafe fn factor(at: *const c_void, double: bool) -> f64 {
    // SAFETY: as above.
    unsafe { if double { Element::F64 } else { Element::F32 }.read(at as u64, 0) }
}
