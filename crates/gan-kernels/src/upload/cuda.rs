//! Two pairs of buffers, one page-locked on the host and one on the device, filled in turn.
//!
//! Order, for one pair: the host writes the locked buffer once its last copy has been made (`copied`); the upload stream
//! copies it into the device's buffer once the main stream has read that (`read`); the main stream waits for the copy and
//! moves the bytes into tensors of its own. Tensors are therefore made, used and freed on the main stream alone.
//!
//! Images of 8 bits travel as bytes and become the same numbers again on the device ([`levels`]).
#![allow(unsafe_code)] // page-locked memory, bytes taken for elements

use super::levels;
use crate::cuda::launch::Launch;
use crate::cuda::module::{Module, module};
use crate::cuda::operand::{MemoryFormat, Output};
use candle_core::cuda::cudarc::driver::{CudaEvent, CudaSlice, CudaStream, DevicePtr, DeviceRepr, PinnedHostSlice};
use candle_core::cuda::{CudaDType, WrapErr};
use candle_core::op::BackpropOp;
use candle_core::{CpuStorage, CudaDevice, CudaStorage, DType, Result, Shape, Storage, Tensor, bail};
use std::ops::Range;
use std::sync::Arc;

const UPLOAD: Module = module!("upload");

/// Every tensor of a batch begins at a multiple of this, as device memory does.
const ALIGNMENT: usize = 256;

/// The way from the host to one device.
pub(super) struct Lane {
    device: CudaDevice,
    main: Arc<CudaStream>,
    upload: Arc<CudaStream>,
    pairs: [Option<Pair>; 2],
    turn: usize,
}

struct Pair {
    host: PinnedHostSlice<u8>,
    device: CudaSlice<u8>,
    /// The copy from the host has been made.
    copied: CudaEvent,
    /// The main stream has taken the bytes.
    read: CudaEvent,
}

impl Lane {
    pub(super) fn new(device: &CudaDevice) -> Result<Self> {
        let main = device.cuda_stream();
        let upload = main.context().new_stream().w()?;
        Ok(Lane { device: device.clone(), main, upload, pairs: [None, None], turn: 0 })
    }

    pub(super) fn upload(&mut self, tensors: &[&Tensor]) -> Result<Vec<Tensor>> {
        let tensors: Vec<Tensor> = tensors.iter().map(|t| t.detach().contiguous()).collect::<Result<_>>()?;
        let room = |t: &Tensor| (t.elem_count() * t.dtype().size_in_bytes()).next_multiple_of(ALIGNMENT);
        self.turn = 1 - self.turn;
        let pair = self.pair(tensors.iter().map(room).sum())?;
        pair.copied.synchronize().w()?;
        let host = pair.host.as_mut_slice().w()?;
        let mut places = Vec::with_capacity(tensors.len());
        let mut end = 0;
        for t in &tensors {
            let (bytes, levels) = write(t, &mut host[end..])?;
            places.push(Place { range: end..end + bytes, levels });
            end = (end + bytes).next_multiple_of(ALIGNMENT);
        }
        let Lane { device, main, upload, pairs, turn } = self;
        let Some(pair) = &mut pairs[*turn] else { bail!("the buffers are gone") };
        upload.wait(&pair.read).w()?;
        if end > 0 {
            // Page-locked all the same: nobody waits for this copy but who looks at the event behind it.
            let host = &pair.host.as_slice().w()?[..end];
            upload.memcpy_htod(host, &mut pair.device.slice_mut(..end)).w()?;
        }
        pair.copied.record(upload).w()?;
        main.wait(&pair.copied).w()?;
        let take = |(t, place): (&Tensor, &Place)| take(device, main, &pair.device, place, t.dtype(), t.shape());
        let made = tensors.iter().zip(&places).map(take).collect::<Result<_>>()?;
        pair.read.record(main).w()?;
        Ok(made)
    }

    /// The pair whose turn it is, of at least this many bytes.
    fn pair(&mut self, bytes: usize) -> Result<&mut Pair> {
        let old = self.pairs[self.turn].take();
        let pair = match old {
            Some(pair) if pair.host.len() >= bytes => pair,
            old => {
                drop_pair(old, &self.upload)?;
                let context = self.main.context();
                let bytes = bytes.max(ALIGNMENT);
                // SAFETY: the bytes are written before they are read; an event that was never recorded holds nobody up.
                let host = unsafe { context.alloc_pinned::<u8>(bytes) }.w()?;
                let device = self.upload.alloc_zeros::<u8>(bytes).w()?;
                Pair { host, device, copied: context.new_event(None).w()?, read: context.new_event(None).w()? }
            }
        };
        Ok(self.pairs[self.turn].insert(pair))
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        for pair in &mut self.pairs {
            // The device is unusable if this fails, and its memory is gone with it.
            let _ = drop_pair(pair.take(), &self.upload);
        }
    }
}

/// Frees buffers once nobody reads them any more. The host's is read by the copy, the device's by the main stream.
fn drop_pair(pair: Option<Pair>, upload: &CudaStream) -> Result<()> {
    let Some(pair) = pair else { return Ok(()) };
    pair.copied.synchronize().w()?;
    // The device's buffer is freed in the order of the upload stream, where it was made.
    upload.wait(&pair.read).w()
}

/// Where a tensor lies in the buffer.
struct Place {
    range: Range<usize>,
    /// Its values are there as levels of 8 bits.
    levels: bool,
}

/// A tensor of its own with the bytes at a place of the buffer.
fn take(
    device: &CudaDevice,
    main: &Arc<CudaStream>,
    from: &CudaSlice<u8>,
    Place { range: place, levels }: &Place,
    dtype: DType,
    shape: &Shape,
) -> Result<Tensor> {
    if *levels {
        let y = Output::new(device, DType::F32, shape.dims(), MemoryFormat::Nchw)?;
        Launch::new(device, &UPLOAD, "values_of_levels")?
            .arg(from.device_ptr(main).0 + place.start as u64)
            .arg(y.address)
            .size(place.len())?
            .threads(place.len().div_ceil(4))?;
        return Ok(y.tensor());
    }
    let storage = match dtype {
        DType::F32 => elements::<f32>(device, main, from, place)?,
        DType::F64 => elements::<f64>(device, main, from, place)?,
        DType::U8 => elements::<u8>(device, main, from, place)?,
        DType::U32 => elements::<u32>(device, main, from, place)?,
        DType::I64 => elements::<i64>(device, main, from, place)?,
        other => bail!("upload: tensors of type {other:?} are not carried"),
    };
    Ok(Tensor::from_storage(Storage::Cuda(storage), shape.clone(), BackpropOp::none(), false))
}

fn elements<T: CudaDType + DeviceRepr>(
    device: &CudaDevice,
    main: &Arc<CudaStream>,
    from: &CudaSlice<u8>,
    place: &Range<usize>,
) -> Result<CudaStorage> {
    let n = place.len() / size_of::<T>();
    // SAFETY: all of it is written by the copy below, which is ordered before every use on the same stream.
    let mut to = unsafe { main.alloc::<T>(n) }.w()?;
    if n > 0 {
        // SAFETY: the place holds `n` elements of this type, aligned to more than their size; every bit pattern is one.
        let Some(mut bytes) = (unsafe { to.transmute_mut::<u8>(place.len()) }) else {
            bail!("upload: {} bytes for {n} elements", place.len())
        };
        main.memcpy_dtod(&from.slice(place.clone()), &mut bytes).w()?;
    }
    Ok(CudaStorage::wrap_cuda_slice(to, device.clone()))
}

/// Writes a contiguous tensor on the host to the beginning of the buffer. Returns how many bytes that took, and whether they
/// are levels of 8 bits.
fn write(t: &Tensor, to: &mut [u8]) -> Result<(usize, bool)> {
    let (storage, layout) = t.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else { bail!("upload: a tensor is on a device already") };
    let Some((from, end)) = layout.contiguous_offsets() else { bail!("upload: a tensor is not contiguous") };
    let bytes = match storage {
        CpuStorage::F32(v) if levels::pack(&v[from..end], &mut to[..end - from]) => return Ok((end - from, true)),
        CpuStorage::F32(v) => bytes(&v[from..end]),
        CpuStorage::F64(v) => bytes(&v[from..end]),
        CpuStorage::U8(v) => &v[from..end],
        CpuStorage::U32(v) => bytes(&v[from..end]),
        CpuStorage::I64(v) => bytes(&v[from..end]),
        _ => bail!("upload: tensors of type {:?} are not carried", t.dtype()),
    };
    to[..bytes.len()].copy_from_slice(bytes);
    Ok((bytes.len(), false))
}

fn bytes<T: Copy>(elements: &[T]) -> &[u8] {
    // SAFETY: called with numbers only, which have no padding; a byte needs no alignment.
    unsafe { std::slice::from_raw_parts(elements.as_ptr().cast(), size_of_val(elements)) }
}
