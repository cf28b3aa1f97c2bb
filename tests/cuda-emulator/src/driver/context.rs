//! Devices and contexts: one device, one context. With `EMULATOR_DEVICES=N` the device has N numbers.

use std::ffi::{CStr, c_char, c_void};

use super::{Error, Status, put, status, stream};
use crate::trace::trace;

/// The one context.
const CONTEXT: usize = 0x1000;

/// Of an H100, where it matters.
fn attribute(number: i32) -> i32 {
    match number {
        1..=3 => 1024,                // threads of a block; x, y
        4 => 64,                      // z
        5 => i32::MAX,                // grid x
        6 | 7 => 65535,               // y, z
        8 => 48 << 10,                // shared memory of a block
        97 => 227 << 10,              // the same, when asked for
        81 => 228 << 10,              // of a multiprocessor
        9 => 64 << 10,                // constant memory
        10 => 32,                     // warp
        12 | 82 => 65536,             // registers
        13 => 1_000_000,              // kHz
        16 => 4,                      // multiprocessors: few, so that grids sized by them stay small
        38 => 50 << 20,               // L2
        39 => 2048,                   // threads of a multiprocessor
        106 => 32,                    // blocks of a multiprocessor
        75 => 9,                      // compute capability
        31 | 40 | 41 | 83 | 115 => 1, // concurrent kernels, async engines, unified addressing, managed memory, pools
        _ => 0,
    }
}

#[unsafe(no_mangle)]
extern "C" fn cuInit(_flags: u32) -> Status {
    0
}

#[unsafe(no_mangle)]
extern "C" fn cuDriverGetVersion(version: *mut i32) -> Status {
    status(put(version, 13000))
}

fn devices() -> i32 {
    std::env::var("EMULATOR_DEVICES").ok().and_then(|count| count.parse().ok()).unwrap_or(1)
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetCount(count: *mut i32) -> Status {
    status(put(count, devices()))
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGet(device: *mut i32, ordinal: i32) -> Status {
    status(if (0..devices()).contains(&ordinal) { put(device, ordinal) } else { Err(Error::InvalidDevice) })
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetAttribute(value: *mut i32, number: i32, _device: i32) -> Status {
    status(put(value, attribute(number)))
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetName(name: *mut c_char, len: i32, _device: i32) -> Status {
    let text = c"CUDA emulator".to_bytes_with_nul();
    if name.is_null() || (len as usize) < text.len() {
        return Error::InvalidValue as Status;
    }
    // SAFETY: the caller's buffer has `len` bytes.
    unsafe { name.copy_from_nonoverlapping(text.as_ptr().cast(), text.len()) };
    0
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetUuid_v2(uuid: *mut [u8; 16], _device: i32) -> Status {
    status(put(uuid, *b"cuda-emulator---"))
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetUuid(uuid: *mut [u8; 16], device: i32) -> Status {
    cuDeviceGetUuid_v2(uuid, device)
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceTotalMem_v2(bytes: *mut usize, _device: i32) -> Status {
    status(put(bytes, 16 << 30))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> Status {
    let (used, _) = crate::memory::usage();
    status(put(free, (16_usize << 30).saturating_sub(used)).and_then(|()| put(total, 16 << 30)))
}

#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxRetain(context: *mut usize, _device: i32) -> Status {
    status(put(context, CONTEXT))
}

#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxRelease_v2(_device: i32) -> Status {
    0
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxGetCurrent(context: *mut usize) -> Status {
    status(put(context, CONTEXT))
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxSetCurrent(_context: usize) -> Status {
    0
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxGetDevice(device: *mut i32) -> Status {
    status(put(device, 0))
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxSynchronize() -> Status {
    trace(|| "sync (context)".to_owned());
    status(stream::forbid_while_capturing("cuCtxSynchronize"))
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxSetLimit(_limit: i32, _value: usize) -> Status {
    0
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxGetLimit(value: *mut usize, _limit: i32) -> Status {
    status(put(value, 0))
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxSetCacheConfig(_config: i32) -> Status {
    0
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxGetStreamPriorityRange(least: *mut i32, greatest: *mut i32) -> Status {
    status(put(least, 0).and_then(|()| put(greatest, -5)))
}

#[unsafe(no_mangle)]
extern "C" fn cuProfilerStart() -> Status {
    0
}

#[unsafe(no_mangle)]
extern "C" fn cuProfilerStop() -> Status {
    0
}

/// Name and description of an error.
fn words(status: Status) -> (&'static CStr, &'static CStr) {
    match status {
        0 => (c"CUDA_SUCCESS", c"no error"),
        1 => (c"CUDA_ERROR_INVALID_VALUE", c"invalid argument"),
        2 => (c"CUDA_ERROR_OUT_OF_MEMORY", c"out of memory"),
        101 => (c"CUDA_ERROR_INVALID_DEVICE", c"invalid device ordinal (the emulator has one device)"),
        218 => (c"CUDA_ERROR_INVALID_PTX", c"a PTX text could not be read"),
        500 => (c"CUDA_ERROR_NOT_FOUND", c"named symbol not found"),
        600 => (c"CUDA_ERROR_NOT_READY", c"device not ready"),
        700 => (c"CUDA_ERROR_ILLEGAL_ADDRESS", c"a kernel failed (the emulator has said why on stderr)"),
        719 => (c"CUDA_ERROR_LAUNCH_FAILED", c"unspecified launch failure"),
        900 => (c"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", c"operation not permitted when stream is capturing"),
        901 => (c"CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", c"operation failed due to a previous error during capture"),
        903 => (c"CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", c"the stream does not capture"),
        _ => (c"CUDA_ERROR_UNKNOWN", c"unknown error"),
    }
}

#[unsafe(no_mangle)]
extern "C" fn cuGetErrorName(error: Status, text: *mut *const c_char) -> Status {
    status(put(text, words(error).0.as_ptr()))
}

#[unsafe(no_mangle)]
extern "C" fn cuGetErrorString(error: Status, text: *mut *const c_char) -> Status {
    status(put(text, words(error).1.as_ptr()))
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetDefaultMemPool(pool: *mut usize, _device: i32) -> Status {
    status(put(pool, CONTEXT))
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetMemPool(pool: *mut usize, _device: i32) -> Status {
    status(put(pool, CONTEXT))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemPoolSetAttribute(_pool: usize, _attribute: i32, _value: *mut c_void) -> Status {
    0
}

#[unsafe(no_mangle)]
extern "C" fn cuMemPoolGetAttribute(_pool: usize, attribute: i32, value: *mut u64) -> Status {
    let (used, peak) = crate::memory::usage();
    let found = match attribute {
        4 => u64::MAX,
        5 | 7 => used as u64,
        6 | 8 => peak as u64,
        // The first three are 32-bit switches.
        _ => return status(put(value.cast::<i32>(), 1)),
    };
    status(put(value, found))
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGetGraphMemAttribute(_device: i32, _attribute: i32, value: *mut u64) -> Status {
    // The pool's figures hold everything.
    status(put(value, 0))
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceSetGraphMemAttribute(_device: i32, _attribute: i32, _value: *mut c_void) -> Status {
    0
}

#[unsafe(no_mangle)]
extern "C" fn cuDeviceGraphMemTrim(_device: i32) -> Status {
    0
}

#[unsafe(no_mangle)]
extern "C" fn cuMemPoolTrimTo(_pool: usize, _keep: usize) -> Status {
    0
}
