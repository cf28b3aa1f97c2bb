//! Launching kernels.
#![allow(unsafe_code)]

use crate::cuda::module::{Module, kernel};
use candle_core::cuda::cudarc::driver::{CudaFunction, DeviceRepr, LaunchConfig, PushKernelArg};
use candle_core::cuda::{CudaDevice, WrapErr};
use candle_core::{Result, bail};

/// Threads of a block where a kernel does not ask for another number.
pub(crate) const BLOCK: u32 = 256;

/// One argument of a kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Arg {
    /// An address in device memory, 0 for none.
    Pointer(u64),
    /// `unsigned long long`.
    U64(u64),
    /// `unsigned`.
    U32(u32),
    /// `int`.
    I32(i32),
    /// `double`.
    F64(f64),
}

impl From<u64> for Arg {
    fn from(address: u64) -> Self {
        Arg::Pointer(address)
    }
}
impl From<Option<u64>> for Arg {
    fn from(address: Option<u64>) -> Self {
        Arg::Pointer(address.unwrap_or(0))
    }
}
impl From<u32> for Arg {
    fn from(x: u32) -> Self {
        Arg::U32(x)
    }
}
impl From<i32> for Arg {
    fn from(x: i32) -> Self {
        Arg::I32(x)
    }
}
impl From<bool> for Arg {
    fn from(x: bool) -> Self {
        Arg::I32(x.into())
    }
}
impl From<f64> for Arg {
    fn from(x: f64) -> Self {
        Arg::F64(x)
    }
}

/// A size as kernels take it. They count elements with 31 bits.
pub(crate) fn size(n: usize) -> Result<u32> {
    match i32::try_from(n) {
        Ok(n) => Ok(n.unsigned_abs()),
        Err(_) => bail!("CUDA kernels take at most 2^31 - 1 elements, not {n}"),
    }
}

/// A structure of words as the first parameter of a kernel: addresses and numbers of many tensors, without a copy to the
/// device. (All parameters of a kernel together have 4 KiB.)
#[repr(transparent)]
pub(crate) struct Table(pub(crate) [u64; Table::WORDS]);

impl Table {
    /// Its length.
    pub(crate) const WORDS: usize = 320;

    /// Zeros.
    pub(crate) fn new() -> Box<Self> {
        Box::new(Table([0; Self::WORDS]))
    }
}

// SAFETY: words without padding, which mean the same to the device.
unsafe impl DeviceRepr for Table {}

/// A kernel with its arguments, to be launched on the device's stream.
pub(crate) struct Launch<'a> {
    device: &'a CudaDevice,
    function: CudaFunction,
    table: Option<Box<Table>>,
    args: Vec<Arg>,
}

impl<'a> Launch<'a> {
    /// The kernel `name` of `module`, without arguments yet.
    pub(crate) fn new(device: &'a CudaDevice, module: &Module, name: &'static str) -> Result<Self> {
        Ok(Launch { device, function: kernel(device, module, name)?, table: None, args: Vec::with_capacity(16) })
    }

    /// Puts a table in front of all arguments.
    pub(crate) fn table(self, table: Box<Table>) -> Self {
        Launch { table: Some(table), ..self }
    }

    /// Adds the next argument.
    pub(crate) fn arg(mut self, arg: impl Into<Arg>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds a size as `unsigned`.
    pub(crate) fn size(self, n: usize) -> Result<Self> {
        Ok(self.arg(size(n)?))
    }

    /// Launches at least `n` threads, in blocks of [`BLOCK`]; nothing for 0.
    pub(crate) fn threads(self, n: usize) -> Result<()> {
        self.grid((size(n.div_ceil(BLOCK as usize))?, 1), BLOCK)
    }

    /// Launches a grid of blocks (width, height) with `threads` threads each; nothing if it has no blocks.
    pub(crate) fn grid(self, (width, height): (u32, u32), threads: u32) -> Result<()> {
        if width == 0 || height == 0 {
            return Ok(());
        }
        if height > 65_535 {
            bail!("a CUDA grid is at most 65535 blocks high, not {height}")
        }
        let stream = self.device.cuda_stream();
        let mut builder = stream.launch_builder(&self.function);
        if let Some(table) = &self.table {
            builder.arg(&**table);
        }
        for arg in &self.args {
            match arg {
                Arg::Pointer(address) => builder.arg(address),
                Arg::U64(x) => builder.arg(x),
                Arg::U32(x) => builder.arg(x),
                Arg::I32(x) => builder.arg(x),
                Arg::F64(x) => builder.arg(x),
            };
        }
        let config = LaunchConfig { grid_dim: (width, height, 1), block_dim: (threads, 1, 1), shared_mem_bytes: 0 };
        // SAFETY: each operator of this folder passes what its kernel declares, addresses of allocations that are
        // large enough and are freed on this same stream, thus after the kernel has run.
        unsafe { builder.launch(config) }.w()?;
        Ok(())
    }
}
