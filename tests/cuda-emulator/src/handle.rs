//! What the libraries hand out: opaque pointers to things made here.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::driver::{Error, put, stream::Stream};

/// Makes something and hands out its pointer.
///
/// # Errors
/// If there is nowhere to write it to.
pub fn create<T: Default>(out: *mut *mut T) -> Result<(), Error> {
    put(out, Box::into_raw(Box::default()))
}

/// Destroys it.
///
/// # Safety
/// It came from [`create`], and is destroyed once; or it is null.
pub unsafe fn destroy<T>(handle: *mut T) -> i32 {
    if !handle.is_null() {
        // SAFETY: as above.
        drop(unsafe { Box::from_raw(handle) });
    }
    0
}

/// A library's handle: the stream that works for it.
#[derive(Debug, Default)]
pub struct Handle {
    stream: AtomicUsize,
}

impl Handle {
    /// Gives it another stream.
    pub fn set_stream(&self, stream: usize) {
        self.stream.store(stream, Ordering::Relaxed);
    }

    /// The stream's pointer.
    pub fn stream_pointer(&self) -> usize {
        self.stream.load(Ordering::Relaxed)
    }

    /// The stream.
    pub fn stream(&self) -> &'static Stream {
        Stream::of(self.stream_pointer())
    }
}
