//! Streams, and the capturing of what they do.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread::ThreadId,
};

use super::{Error, Status, event::Event, failed, graph::Graph, open, put, status};
use crate::trace::{report, trace};

/// Something a stream does; repeatable, for graphs.
pub type Work = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// A stream.
#[derive(Debug, Default)]
pub struct Stream {
    capture: Mutex<Option<Arc<Capture>>>,
    /// Held by the work that runs: threads that share a stream take turns.
    turn: Mutex<()>,
}

/// What is being captured, by one stream or several that wait for one another.
#[derive(Debug)]
pub struct Capture {
    pub graph: Mutex<Graph>,
    /// Why it cannot become a graph any more.
    broken: Mutex<Option<String>>,
    mode: i32,
    thread: ThreadId,
    origin: usize,
}

const GLOBAL: i32 = 0;
const THREAD: i32 = 1;

/// Captures under way.
static CAPTURES: AtomicUsize = AtomicUsize::new(0);
static LIST: Mutex<Vec<Arc<Capture>>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Capture {
    /// Makes the capture worthless, as CUDA does after a call that is not allowed meanwhile.
    fn break_off(&self, why: &str) -> Error {
        let message = format!("{why} while a stream captures: the capture is broken");
        report(&message);
        lock(&self.broken).get_or_insert(message);
        Error::CaptureUnsupported
    }
}

/// Refuses a call that no stream of the context may be capturing for.
pub fn forbid_while_capturing(call: &str) -> Result<(), Error> {
    match lock(&LIST).first() {
        Some(capture) => Err(capture.break_off(call)),
        None => Ok(()),
    }
}

/// Refuses a call that the capture modes deem unsafe.
pub fn forbid_unsafe(call: &str) -> Result<(), Error> {
    if CAPTURES.load(Ordering::Relaxed) == 0 {
        return Ok(());
    }
    let current = std::thread::current().id();
    let found = lock(&LIST).iter().find(|c| c.mode == GLOBAL || (c.mode == THREAD && c.thread == current)).cloned();
    found.map_or(Ok(()), |capture| Err(capture.break_off(call)))
}

impl Stream {
    /// The stream of a handle; null and the special handles 1 and 2 are one stream here.
    pub fn of(handle: usize) -> &'static Self {
        static DEFAULT: OnceLock<Stream> = OnceLock::new();
        if handle <= 2 {
            return DEFAULT.get_or_init(Self::default);
        }
        // SAFETY: any other handle came from `cuStreamCreate…`.
        unsafe { &*(handle as *const Self) }
    }

    /// What it is capturing, if it is.
    pub fn capture(&self) -> Option<Arc<Capture>> {
        if CAPTURES.load(Ordering::Relaxed) == 0 {
            return None;
        }
        lock(&self.capture).clone()
    }

    /// Does `work` now, or notes it while capturing. `error`: what a failure counts as.
    pub fn submit(&self, error: Error, work: Work) -> Result<(), Error> {
        if let Some(capture) = self.capture() {
            lock(&capture.graph).nodes.push(work);
            return Ok(());
        }
        let _turn = lock(&self.turn);
        work().map_err(|message| failed(error, &message))
    }

    /// Refuses a call that waits for this stream while it captures.
    pub fn forbid(&self, call: &str) -> Result<(), Error> {
        self.capture().map_or(Ok(()), |capture| Err(capture.break_off(call)))
    }

    /// Waiting for an event that a capturing stream recorded makes this stream capture too.
    pub fn join(&self, capture: Arc<Capture>) {
        lock(&self.capture).get_or_insert(capture);
    }
}

fn create(stream: *mut usize) -> Status {
    status(put(stream, Box::into_raw(Box::<Stream>::default()) as usize))
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamCreate(stream: *mut usize, _flags: u32) -> Status {
    create(stream)
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamCreateWithPriority(stream: *mut usize, _flags: u32, _priority: i32) -> Status {
    create(stream)
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamDestroy_v2(_stream: usize) -> Status {
    // Kept: few are made, and library handles may still name them.
    0
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamSynchronize(stream: usize) -> Status {
    trace(|| "sync (stream)".to_owned());
    status(Stream::of(stream).forbid("cuStreamSynchronize"))
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamQuery(stream: usize) -> Status {
    status(Stream::of(stream).forbid("cuStreamQuery"))
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamWaitEvent(stream: usize, event: *mut Event, _flags: u32) -> Status {
    // SAFETY: a handle from `cuEventCreate`.
    status(unsafe { open(event) }.map(|event| {
        if let Some(capture) = event.capture() {
            Stream::of(stream).join(capture);
        }
    }))
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamBeginCapture_v2(stream: usize, mode: i32) -> Status {
    trace(|| format!("begin capture (mode {mode})"));
    if stream <= 1 {
        return failed(Error::CaptureUnsupported, "the legacy default stream cannot be captured") as Status;
    }
    let mut slot = lock(&Stream::of(stream).capture);
    if slot.is_some() {
        return failed(Error::InvalidValue, "the stream captures already") as Status;
    }
    let thread = std::thread::current().id();
    let capture = Capture { graph: Mutex::default(), broken: Mutex::default(), mode, thread, origin: stream };
    let capture = Arc::new(capture);
    *slot = Some(Arc::clone(&capture));
    lock(&LIST).push(capture);
    CAPTURES.fetch_add(1, Ordering::Relaxed);
    0
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamEndCapture(stream: usize, graph: *mut *mut Arc<Graph>) -> Status {
    let Some(capture) = lock(&Stream::of(stream).capture).take() else {
        return failed(Error::CaptureUnmatched, "cuStreamEndCapture: the stream does not capture") as Status;
    };
    if capture.origin != stream {
        return failed(Error::CaptureUnmatched, "cuStreamEndCapture: another stream began this capture") as Status;
    }
    lock(&LIST).retain(|other| !Arc::ptr_eq(other, &capture));
    CAPTURES.fetch_sub(1, Ordering::Relaxed);
    let broken = lock(&capture.broken).take();
    let result = if broken.is_some() {
        put(graph, std::ptr::null_mut()).and(Err(Error::CaptureInvalidated))
    } else {
        let captured = std::mem::take(&mut *lock(&capture.graph));
        trace(|| format!("end capture: {} nodes", captured.nodes.len()));
        put(graph, Box::into_raw(Box::new(Arc::new(captured))))
    };
    status(result)
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamIsCapturing(stream: usize, state: *mut i32) -> Status {
    let found = match Stream::of(stream).capture() {
        None => 0,
        Some(capture) if lock(&capture.broken).is_some() => 2,
        Some(_) => 1,
    };
    status(put(state, found))
}

#[unsafe(no_mangle)]
extern "C" fn cuThreadExchangeStreamCaptureMode(_mode: *mut i32) -> Status {
    0
}

/// A C function to be called by a stream.
type HostFn = extern "C" fn(*mut std::ffi::c_void);

#[unsafe(no_mangle)]
extern "C" fn cuLaunchHostFunc(stream: usize, function: Option<HostFn>, data: usize) -> Status {
    let Some(function) = function else { return Error::InvalidValue as Status };
    let work = Box::new(move || {
        function(data as *mut _);
        Ok(())
    });
    status(Stream::of(stream).submit(Error::LaunchFailed, work))
}
