//! Launching kernels.

use std::{ffi::c_void, sync::atomic::Ordering};

use super::{Error, Status, failed, module::Kernel, open, put, status, stream::Stream};
use crate::{
    exec::{Launch, launch},
    trace::trace,
};

/// What CUDA refuses.
fn check(kernel: &Kernel, grid: [u32; 3], block: [u32; 3], shared: usize) -> Result<(), String> {
    let threads: u64 = block.iter().map(|n| u64::from(*n)).product();
    let most = u64::from(kernel.code().map_err(|_| "not decoded")?.max_threads.unwrap_or(1024));
    if grid.contains(&0) || block.contains(&0) {
        return Err(format!("grid {grid:?} of blocks {block:?}: empty"));
    }
    if threads > most || block[2] > 64 {
        return Err(format!("block {block:?}: more than {most} threads, or 64 in z"));
    }
    if grid[0] > i32::MAX as u32 || grid[1] > 65535 || grid[2] > 65535 {
        return Err(format!("grid {grid:?}: more than 65535 blocks in y or z"));
    }
    let may = kernel.dynamic.load(Ordering::Relaxed);
    if shared > may {
        return Err(format!("{shared} bytes of dynamic shared memory: {may} allowed (cuFuncSetAttribute)"));
    }
    Ok(())
}

/// Parameters as the kernel's code lays them out.
///
/// # Safety
/// `values` points to a pointer for each parameter.
unsafe fn parameters(kernel: &Kernel, values: *mut *mut c_void) -> Result<Vec<u8>, Error> {
    let code = kernel.code()?;
    let mut out = vec![0; code.param_bytes];
    for (number, (at, size)) in code.params.iter().enumerate() {
        if values.is_null() {
            return Err(failed(Error::InvalidValue, &format!("{}: no parameters", kernel.name)));
        }
        // SAFETY: as above; each value has the size of its parameter.
        unsafe {
            let value = (*values.add(number)).cast::<u8>();
            value.copy_to_nonoverlapping(out[*at..].as_mut_ptr(), *size);
        }
    }
    Ok(out)
}

#[unsafe(no_mangle)]
extern "C" fn cuLaunchKernel(
    kernel: *mut Kernel,
    grid_x: u32,
    grid_y: u32,
    grid_z: u32,
    block_x: u32,
    block_y: u32,
    block_z: u32,
    shared: u32,
    stream: usize,
    values: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> Status {
    let (grid, block, shared) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z], shared as usize);
    // SAFETY: a handle from `cuModuleGetFunction`.
    status(unsafe { open(kernel) }.and_then(|kernel| {
        trace(|| format!("launch {} {grid:?} × {block:?}, {shared} shared", kernel.name));
        let code = kernel.code()?;
        check(kernel, grid, block, shared)
            .map_err(|message| failed(Error::InvalidValue, &format!("kernel {}: {message}", kernel.name)))?;
        if !extra.is_null() {
            return Err(failed(Error::InvalidValue, "parameters in a buffer (`extra`) are not supported"));
        }
        // SAFETY: the caller passes a pointer for each parameter.
        let params = unsafe { parameters(kernel, values) }?;
        let what = Launch { grid, block, shared, params };
        Stream::of(stream).submit(Error::IllegalAddress, Box::new(move || launch(code, &what)))
    }))
}

/// Blocks of so many threads that a multiprocessor takes.
fn blocks(kernel: &Kernel, threads: i32, shared: usize) -> Result<i32, Error> {
    let shared = shared + kernel.code()?.shared + 1024;
    Ok((2048 / threads.max(1)).min(32).min(((228 << 10) / shared) as i32))
}

#[unsafe(no_mangle)]
extern "C" fn cuOccupancyMaxActiveBlocksPerMultiprocessor(
    out: *mut i32,
    kernel: *mut Kernel,
    threads: i32,
    shared: usize,
) -> Status {
    // SAFETY: a handle from `cuModuleGetFunction`.
    status(unsafe { open(kernel) }.and_then(|kernel| put(out, blocks(kernel, threads, shared)?)))
}

#[unsafe(no_mangle)]
extern "C" fn cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    out: *mut i32,
    kernel: *mut Kernel,
    threads: i32,
    shared: usize,
    _flags: u32,
) -> Status {
    cuOccupancyMaxActiveBlocksPerMultiprocessor(out, kernel, threads, shared)
}

#[unsafe(no_mangle)]
extern "C" fn cuOccupancyMaxPotentialBlockSize(
    grid: *mut i32,
    block: *mut i32,
    kernel: *mut Kernel,
    _shared_of: usize,
    _shared: usize,
    limit: i32,
) -> Status {
    // SAFETY: a handle from `cuModuleGetFunction`.
    status(unsafe { open(kernel) }.and_then(|kernel| {
        let most = kernel.code()?.max_threads.unwrap_or(1024) as i32;
        let threads = if limit > 0 { most.min(limit) } else { most };
        put(block, threads)?;
        put(grid, 4 * blocks(kernel, threads, 0)?)
    }))
}
