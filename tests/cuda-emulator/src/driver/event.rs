//! Events. What was recorded has always happened; times are the CPU's.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use super::{
    Error, Status, failed, open, put, status,
    stream::{Capture, Stream, forbid_unsafe},
};
use crate::trace::trace;

/// An event.
#[derive(Debug, Default)]
pub struct Event {
    recorded: Mutex<(Option<Instant>, Option<Arc<Capture>>)>,
}

impl Event {
    /// The capture it was last recorded in, if it was.
    pub fn capture(&self) -> Option<Arc<Capture>> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    fn time(&self) -> Option<Instant> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner).0
    }
}

#[unsafe(no_mangle)]
extern "C" fn cuEventCreate(event: *mut *mut Event, _flags: u32) -> Status {
    status(put(event, Box::into_raw(Box::default())))
}

#[unsafe(no_mangle)]
extern "C" fn cuEventDestroy_v2(event: *mut Event) -> Status {
    if !event.is_null() {
        // SAFETY: made by `cuEventCreate`, and destroyed once.
        drop(unsafe { Box::from_raw(event) });
    }
    0
}

#[unsafe(no_mangle)]
extern "C" fn cuEventRecord(event: *mut Event, stream: usize) -> Status {
    // SAFETY: a handle from `cuEventCreate`.
    status(unsafe { open(event) }.map(|event| {
        let recorded = (Some(Instant::now()), Stream::of(stream).capture());
        *event.recorded.lock().unwrap_or_else(PoisonError::into_inner) = recorded;
    }))
}

fn wait(event: *mut Event, call: &str) -> Result<(), Error> {
    // SAFETY: a handle from `cuEventCreate`.
    match unsafe { open(event) }?.capture() {
        // An event of a capture that has ended is no harm, so the question is whether one goes on.
        Some(_) => forbid_unsafe(call),
        None => Ok(()),
    }
}

#[unsafe(no_mangle)]
extern "C" fn cuEventSynchronize(event: *mut Event) -> Status {
    trace(|| "sync (event)".to_owned());
    status(wait(event, "cuEventSynchronize"))
}

#[unsafe(no_mangle)]
extern "C" fn cuEventQuery(event: *mut Event) -> Status {
    status(wait(event, "cuEventQuery"))
}

#[unsafe(no_mangle)]
extern "C" fn cuEventElapsedTime_v2(milliseconds: *mut f32, start: *mut Event, end: *mut Event) -> Status {
    // SAFETY: handles from `cuEventCreate`.
    let times = unsafe { open(start) }.and_then(|start| unsafe { open(end) }.map(|end| (start.time(), end.time())));
    status(times.and_then(|times| match times {
        (Some(start), Some(end)) => put(milliseconds, 1e3 * end.saturating_duration_since(start).as_secs_f32()),
        _ => Err(failed(Error::InvalidValue, "cuEventElapsedTime: an event was never recorded")),
    }))
}

#[unsafe(no_mangle)]
extern "C" fn cuEventElapsedTime(milliseconds: *mut f32, start: *mut Event, end: *mut Event) -> Status {
    cuEventElapsedTime_v2(milliseconds, start, end)
}
