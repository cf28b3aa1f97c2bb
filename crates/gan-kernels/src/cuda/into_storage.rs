//! Taking a tensor's memory out of it.
#![allow(unsafe_code)]
use candle_core::cuda::{CudaStorage, CudaStorageSlice};
use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Tensor, bail};
use std::cell::Cell;

struct Take(Cell<Option<CudaStorage>>);

impl InplaceOp1 for Take {
    fn name(&self) -> &'static str {
        "take storage"
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout) -> Result<()> {
        bail!("expected a tensor on CUDA, this one is on the CPU")
    }

    fn cuda_fwd(&self, storage: &mut CudaStorage, _: &Layout) -> Result<()> {
        let device = storage.device.clone();
        // SAFETY: nobody reads it; any byte is a U8.
        let slice = CudaStorageSlice::U8(unsafe { device.alloc::<u8>(1) }?);
        self.0.set(Some(std::mem::replace(storage, CudaStorage { slice, device })));
        Ok(())
    }
}

/// The storage of a tensor on CUDA, without a copy. Other tensors that share it are left without values: the caller must
/// hold the only one.
///
/// # Errors
/// The tensor is on the CPU, or CUDA has no memory left.
pub fn into_storage(tensor: Tensor) -> Result<CudaStorage> {
    let take = Take(Cell::new(None));
    tensor.detach().inplace_op1(&take)?;
    match take.0.take() {
        Some(storage) => Ok(storage),
        None => bail!("the storage was not taken"),
    }
}
