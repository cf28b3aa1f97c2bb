//! From candle tensors to device addresses and back.
//!
//! An address is taken under the storage's lock and used after it: all work of a device goes through candle's one
//! stream, freeing included, so what is launched while the tensor lives finds its memory. That also lets several views of
//! one storage be read and written by one kernel, where locks held at the same time would wait for each other.
#![allow(unsafe_code)]

use crate::cuda::layout;
use candle_core::backend::BackendStorage;
use candle_core::cuda::cudarc::driver::{CudaSlice, DevicePtr};
use candle_core::cuda::{CudaDevice, CudaStorage, CudaStorageSlice};
use candle_core::op::BackpropOp;
use candle_core::{DType, Device, Layout, Result, Storage, Tensor, bail};

/// How the elements of a tensor lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum MemoryFormat {
    /// Row-major: an image is a plane a channel.
    Nchw,
    /// Channels last: the strides of a contiguous `[N, H, W, C]` (four dimensions only).
    Nhwc,
}

impl MemoryFormat {
    /// The order of a dense layout; `None` if it has gaps or another order. Where both fit (one channel, or one pixel),
    /// `prefer_pixels` decides.
    fn of(layout: &Layout, prefer_pixels: bool) -> Option<MemoryFormat> {
        let pixels = match (layout.dims(), layout.stride()) {
            (&[n, c, h, w], &[sn, sc, sh, sw]) => [(n, sn, h * w * c), (h, sh, w * c), (w, sw, c), (c, sc, 1)]
                .iter()
                .all(|&(d, s, dense)| d <= 1 || s == dense),
            _ => false,
        };
        match (layout.is_contiguous(), pixels) {
            (true, true) => Some(if prefer_pixels { MemoryFormat::Nhwc } else { MemoryFormat::Nchw }),
            (true, false) => Some(MemoryFormat::Nchw),
            (false, true) => Some(MemoryFormat::Nhwc),
            (false, false) => None,
        }
    }
}

/// The type of statistics, parameters and accumulators that go with elements of a type.
pub(crate) fn statistics(dtype: DType) -> DType {
    match dtype {
        DType::F64 => DType::F64,
        _ => DType::F32,
    }
}

/// The device of a tensor on CUDA.
pub(crate) fn device(t: &Tensor) -> Result<CudaDevice> {
    match t.device() {
        Device::Cuda(device) => Ok(device.clone()),
        other => bail!("expected a tensor on CUDA, this one is on {:?}", other.location()),
    }
}

/// The address of a tensor's first element.
fn address(t: &Tensor) -> Result<u64> {
    let (storage, layout) = t.storage_and_layout();
    let Storage::Cuda(cuda) = &*storage else { bail!("expected a tensor on CUDA, this one is elsewhere") };
    let stream = cuda.device.cuda_stream();
    let (start, width) = match &cuda.slice {
        CudaStorageSlice::U8(s) => (s.device_ptr(&stream).0, 1),
        CudaStorageSlice::U32(s) => (s.device_ptr(&stream).0, 4),
        CudaStorageSlice::BF16(s) => (s.device_ptr(&stream).0, 2),
        CudaStorageSlice::F32(s) => (s.device_ptr(&stream).0, 4),
        CudaStorageSlice::F64(s) => (s.device_ptr(&stream).0, 8),
        _ => bail!("operators on CUDA take U8, U32, BF16, F32 and F64, not {:?}", cuda.dtype()),
    };
    Ok(start + (layout.start_offset() * width) as u64)
}

/// An input: dense device memory, kept alive.
#[derive(Debug, Clone)]
pub(crate) struct Operand {
    tensor: Tensor,
    /// Where it lies.
    pub(crate) device: CudaDevice,
    /// Address of the first element.
    pub(crate) address: u64,
    /// How its elements lie.
    pub(crate) order: MemoryFormat,
}

impl Operand {
    /// The tensor as it lies if it is dense, else a dense copy. Only BF16 comes in pixels.
    pub(crate) fn new(t: &Tensor) -> Result<Self> {
        let bf16 = t.dtype() == DType::BF16;
        match MemoryFormat::of(t.layout(), bf16) {
            Some(order) if bf16 => Self::dense(t.detach(), order),
            _ => Self::ordered(t, MemoryFormat::Nchw),
        }
    }

    /// The tensor in a given order.
    pub(crate) fn ordered(t: &Tensor, order: MemoryFormat) -> Result<Self> {
        let t = t.detach();
        match MemoryFormat::of(t.layout(), order == MemoryFormat::Nhwc) {
            Some(found) if found == order => Self::dense(t, order),
            Some(found) => {
                let x = Self::dense(t, found)?;
                Self::dense(layout::moved(&x, x.dtype(), order)?, order)
            }
            None => Self::ordered(&t.contiguous()?, order),
        }
    }

    fn dense(tensor: Tensor, order: MemoryFormat) -> Result<Self> {
        Ok(Operand { device: device(&tensor)?, address: address(&tensor)?, tensor, order })
    }

    /// Element type.
    pub(crate) fn dtype(&self) -> DType {
        self.tensor.dtype()
    }

    /// Shape.
    pub(crate) fn dims(&self) -> &[usize] {
        self.tensor.dims()
    }

    /// Shape of images.
    pub(crate) fn dims4(&self) -> Result<[usize; 4]> {
        let (n, c, h, w) = self.tensor.dims4()?;
        Ok([n, c, h, w])
    }

    /// Number of elements.
    pub(crate) fn len(&self) -> usize {
        self.tensor.elem_count()
    }

    /// Elements that one access of 16 bytes moves.
    pub(crate) fn pack(&self) -> usize {
        16 / self.dtype().size_in_bytes()
    }

    /// Whether this is `t`'s own memory and not a copy.
    pub(crate) fn is(&self, t: &Tensor) -> bool {
        address(t).is_ok_and(|a| a == self.address)
    }

    /// The tensor, without its graph.
    pub(crate) fn tensor(self) -> Tensor {
        self.tensor
    }
}

/// The address of a contiguous tensor or view that an operator adds to or changes in place.
pub(crate) fn accumulator(into: &Tensor, dtype: DType) -> Result<u64> {
    if into.dtype() != dtype {
        bail!("expected an accumulator of type {dtype:?}, got {:?}", into.dtype())
    }
    if !into.is_contiguous() {
        bail!("expected a contiguous accumulator, got strides {:?}", into.stride())
    }
    address(into)
}

/// A result on its way: device memory of arbitrary content that a kernel will fill.
#[derive(Debug)]
pub(crate) struct Output {
    tensor: Tensor,
    /// Address of the first element.
    pub(crate) address: u64,
}

impl Output {
    /// Room for a tensor of this shape.
    pub(crate) fn new(device: &CudaDevice, dtype: DType, dims: &[usize], order: MemoryFormat) -> Result<Self> {
        // The driver refuses to allocate nothing.
        let n = dims.iter().product::<usize>().max(1);
        // SAFETY: all these types take every bit pattern, and every element is written before it is read.
        let slice = unsafe {
            match dtype {
                DType::U8 => CudaStorageSlice::U8(device.alloc(n)?),
                DType::U32 => CudaStorageSlice::U32(device.alloc(n)?),
                DType::BF16 => CudaStorageSlice::BF16(device.alloc(n)?),
                DType::F32 => CudaStorageSlice::F32(device.alloc(n)?),
                DType::F64 => CudaStorageSlice::F64(device.alloc(n)?),
                other => bail!("operators on CUDA make U8, U32, BF16, F32 and F64, not {other:?}"),
            }
        };
        let storage = Storage::Cuda(CudaStorage { slice, device: device.clone() });
        let tensor = match (order, dims) {
            (MemoryFormat::Nhwc, &[n, c, h, w]) => {
                Tensor::from_storage(storage, (n, h, w, c), BackpropOp::none(), false).permute((0, 3, 1, 2))?
            }
            _ => Tensor::from_storage(storage, dims, BackpropOp::none(), false),
        };
        Ok(Output { address: address(&tensor)?, tensor })
    }

    /// Room for a tensor of this shape, of `x`'s type, device and order.
    pub(crate) fn like(x: &Operand, dims: &[usize]) -> Result<Self> {
        Output::new(&x.device, x.dtype(), dims, x.order)
    }

    /// The finished tensor.
    pub(crate) fn tensor(self) -> Tensor {
        self.tensor
    }
}

/// Working memory between the launches of one operator.
#[derive(Debug)]
pub(crate) struct Scratch {
    _bytes: CudaSlice<u8>,
    /// Where it starts.
    pub(crate) address: u64,
}

impl Scratch {
    /// Arbitrary bytes.
    pub(crate) fn new(device: &CudaDevice, bytes: usize) -> Result<Self> {
        // SAFETY: bytes take every pattern, and kernels write before they read.
        let bytes = unsafe { device.alloc::<u8>(bytes.max(1))? };
        Ok(Self::of(device, bytes))
    }

    /// Zeros.
    pub(crate) fn zeroed(device: &CudaDevice, bytes: usize) -> Result<Self> {
        Ok(Self::of(device, device.alloc_zeros::<u8>(bytes.max(1))?))
    }

    fn of(device: &CudaDevice, bytes: CudaSlice<u8>) -> Self {
        let address = bytes.device_ptr(&device.cuda_stream()).0;
        Scratch { _bytes: bytes, address }
    }
}
