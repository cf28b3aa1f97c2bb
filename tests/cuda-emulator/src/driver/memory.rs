//! Allocating, copying, filling.

use std::{collections::BTreeMap, ffi::c_void, sync::Mutex};

use super::{Error, Status, failed, put, status, stream, stream::Stream};
use crate::{memory, trace::trace};

/// Pinned host memory: start and size.
static PINNED: Mutex<BTreeMap<usize, usize>> = Mutex::new(BTreeMap::new());

fn is_pinned(at: usize) -> bool {
    let pinned = PINNED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    pinned.range(..=at).next_back().is_some_and(|(start, size)| at < start + size)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemAlloc_v2(out: *mut u64, bytes: usize) -> Status {
    trace(|| format!("alloc {bytes} (synchronous)"));
    status(stream::forbid_unsafe("cuMemAlloc").and_then(|()| {
        if bytes == 0 {
            return Err(Error::InvalidValue);
        }
        put(out, memory::allocate(bytes, false).ok_or(Error::OutOfMemory)?)
    }))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemFree_v2(at: u64) -> Status {
    trace(|| "free (synchronous)".to_owned());
    if at == 0 || memory::free(at) { 0 } else { failed(Error::InvalidValue, "cuMemFree: no such allocation") as Status }
}

#[unsafe(no_mangle)]
extern "C" fn cuMemAllocAsync(out: *mut u64, bytes: usize, stream: usize) -> Status {
    trace(|| format!("alloc {bytes}"));
    let capture = Stream::of(stream).capture();
    let Some(at) = memory::allocate(bytes, capture.is_some()) else { return Error::OutOfMemory as Status };
    if let Some(capture) = capture {
        let mut graph = capture.graph.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        graph.allocated.push(at);
        graph.nodes.push(Box::new(move || {
            memory::set_live(at, true);
            Ok(())
        }));
    }
    status(put(out, at))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemAllocFromPoolAsync(out: *mut u64, bytes: usize, _pool: usize, stream: usize) -> Status {
    cuMemAllocAsync(out, bytes, stream)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemFreeAsync(at: u64, stream: usize) -> Status {
    trace(|| "free".to_owned());
    if at == 0 {
        return 0;
    }
    let Some(of_graph) = memory::is_graph(at) else {
        return failed(Error::InvalidValue, "cuMemFreeAsync: no such allocation (or freed already)") as Status;
    };
    match Stream::of(stream).capture() {
        Some(capture) => {
            let mut graph = capture.graph.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if !graph.allocated.contains(&at) {
                let message = "cuMemFreeAsync while capturing: this memory was not allocated in the capture";
                return failed(Error::InvalidValue, message) as Status;
            }
            graph.freed.push(at);
            graph.nodes.push(Box::new(move || {
                memory::set_live(at, false);
                Ok(())
            }));
        }
        // A graph's memory keeps its place for further launches.
        None if of_graph => drop(memory::set_live(at, false)),
        None => drop(memory::free(at)),
    }
    0
}

#[unsafe(no_mangle)]
extern "C" fn cuMemHostAlloc(out: *mut *mut c_void, bytes: usize, _flags: u32) -> Status {
    trace(|| format!("alloc pinned {bytes}"));
    status(stream::forbid_unsafe("cuMemHostAlloc").and_then(|()| {
        let at = Box::leak(vec![u128::MAX; bytes.div_ceil(16).max(1)].into_boxed_slice()).as_mut_ptr();
        PINNED.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(at as usize, bytes);
        put(out, at.cast())
    }))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemFreeHost(at: *mut c_void) -> Status {
    let size = PINNED.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&(at as usize));
    match size {
        Some(bytes) => {
            let words = std::ptr::slice_from_raw_parts_mut(at.cast::<u128>(), bytes.div_ceil(16).max(1));
            // SAFETY: leaked by `cuMemHostAlloc` as a slice of this length, and freed once.
            drop(unsafe { Box::from_raw(words) });
            0
        }
        None => failed(Error::InvalidValue, "cuMemFreeHost: not pinned memory") as Status,
    }
}

/// Where one end of a copy lies.
#[derive(Clone, Copy)]
enum End {
    Device(u64),
    Host(usize),
}

impl End {
    fn address(self) -> usize {
        match self {
            Self::Device(at) => at as usize,
            Self::Host(at) => at,
        }
    }

    fn check(self, bytes: usize, what: &str) -> Result<(), String> {
        match self {
            Self::Device(at) => memory::check(at, bytes).map_err(|e| format!("copy: {what}: {e}")),
            Self::Host(_) => Ok(()),
        }
    }
}

/// Copies now or at each launch of the graph that is being captured.
fn copy(stream: usize, to: End, from: End, bytes: usize) -> Status {
    let stream = Stream::of(stream);
    for end in [to, from] {
        if let End::Host(at) = end
            && bytes > 0
            && !is_pinned(at)
            // CUDA takes the address down. When the graph runs, something else may be there.
            && let Err(error) = stream.forbid("a copy of pageable host memory")
        {
            return error as Status;
        }
    }
    let work = Box::new(move || {
        to.check(bytes, "destination")?;
        from.check(bytes, "source")?;
        let (target, source) = (to.address() as *mut u8, from.address() as *const u8);
        // SAFETY: device ranges have been checked; host ranges are the caller's, who vouches for them.
        unsafe { source.copy_to(target, bytes) };
        Ok(())
    });
    status(stream.submit(Error::IllegalAddress, work))
}

/// A synchronous copy.
fn copy_now(call: &str, to: End, from: End, bytes: usize) -> Status {
    trace(|| format!("{call} {bytes} (synchronous)"));
    match stream::forbid_unsafe(call) {
        Ok(()) => copy(0, to, from, bytes),
        Err(error) => error as Status,
    }
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyHtoDAsync_v2(to: u64, from: usize, bytes: usize, stream: usize) -> Status {
    trace(|| format!("h2d {bytes}{}", if is_pinned(from) { " (pinned)" } else { "" }));
    copy(stream, End::Device(to), End::Host(from), bytes)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyDtoHAsync_v2(to: usize, from: u64, bytes: usize, stream: usize) -> Status {
    trace(|| format!("d2h {bytes}{}", if is_pinned(to) { " (pinned)" } else { "" }));
    copy(stream, End::Host(to), End::Device(from), bytes)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: usize) -> Status {
    trace(|| format!("d2d {bytes}"));
    copy(stream, End::Device(to), End::Device(from), bytes)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyPeerAsync(to: u64, _: usize, from: u64, _: usize, bytes: usize, stream: usize) -> Status {
    copy(stream, End::Device(to), End::Device(from), bytes)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyHtoD_v2(to: u64, from: usize, bytes: usize) -> Status {
    copy_now("h2d", End::Device(to), End::Host(from), bytes)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyDtoH_v2(to: usize, from: u64, bytes: usize) -> Status {
    copy_now("d2h", End::Host(to), End::Device(from), bytes)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyDtoD_v2(to: u64, from: u64, bytes: usize) -> Status {
    copy_now("d2d", End::Device(to), End::Device(from), bytes)
}

/// Fills `count` elements with a pattern.
fn fill<T: Copy + Send + Sync + 'static>(at: u64, value: T, count: usize, stream: usize) -> Status {
    trace(|| format!("memset {}", count * size_of::<T>()));
    let work = Box::new(move || {
        memory::check(at, count * size_of::<T>()).map_err(|e| format!("memset: {e}"))?;
        if !at.is_multiple_of(align_of::<T>() as u64) {
            return Err("memset: not aligned".to_owned());
        }
        // SAFETY: checked just now.
        unsafe { std::slice::from_raw_parts_mut(at as *mut T, count) }.fill(value);
        Ok(())
    });
    status(Stream::of(stream).submit(Error::InvalidValue, work))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemsetD8Async(at: u64, value: u8, count: usize, stream: usize) -> Status {
    fill(at, value, count, stream)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemsetD16Async(at: u64, value: u16, count: usize, stream: usize) -> Status {
    fill(at, value, count, stream)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemsetD32Async(at: u64, value: u32, count: usize, stream: usize) -> Status {
    fill(at, value, count, stream)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemsetD8_v2(at: u64, value: u8, count: usize) -> Status {
    fill(at, value, count, 0)
}

#[unsafe(no_mangle)]
extern "C" fn cuMemsetD32_v2(at: u64, value: u32, count: usize) -> Status {
    fill(at, value, count, 0)
}
