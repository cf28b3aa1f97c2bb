//! Devices: opening one by name, moving batches to it, and its memory.

use candle_core::{DType, Device, Tensor};
use gan_data::Batch;
use std::error::Error;

pub use gan_kernels::device::{DeviceError, device_name, open_device, peak_memory, reset_peak_memory};
pub use gan_kernels::tuning;

/// Where networks live, and as what.
#[derive(Debug, Clone)]
pub struct DeviceConfig {
    /// Device.
    pub device: Device,
    /// Element type of parameters and activations: F32, or F64 on the CPU.
    pub dtype: DType,
}

impl Default for DeviceConfig {
    fn default() -> Self {
        Self::cpu()
    }
}

impl DeviceConfig {
    /// F32 on the CPU.
    #[must_use]
    pub fn cpu() -> Self {
        DeviceConfig { device: Device::Cpu, dtype: DType::F32 }
    }

    /// F32 on the device of this name: `cpu`, `cuda` (the first GPU) or `cuda:N`.
    ///
    /// # Errors
    /// [`DeviceError`] if there is no such device, or not in this build.
    pub fn open(name: &str) -> Result<Self, DeviceError> {
        Ok(DeviceConfig { device: open_device(name)?, dtype: DType::F32 })
    }
}

/// Moves a batch to where the networks are. Label and instance maps stay integers.
///
/// # Errors
/// The device fails or has no memory for the batch.
pub fn to_device(batch: Batch, to: &DeviceConfig) -> candle_core::Result<Batch> {
    move_batch(batch, to.dtype, |tensors| tensors.iter().map(|t| t.to_device(&to.device)).collect())
}

/// Moves the tensors of a batch by `to`, which takes all of them at once and returns as many; images then become tensors of
/// `dtype`.
///
/// # Errors
/// Those of `to`, and of a conversion.
pub fn move_batch(
    batch: Batch,
    dtype: DType,
    to: impl FnOnce(&[&Tensor]) -> candle_core::Result<Vec<Tensor>>,
) -> candle_core::Result<Batch> {
    let Batch { a, b, inst, names } = batch;
    let present: Vec<&Tensor> = [Some(&a), b.as_ref(), inst.as_ref()].into_iter().flatten().collect();
    let mut moved = to(&present)?
        .into_iter()
        .map(|t| if t.dtype() == DType::F32 { t.to_dtype(dtype) } else { Ok(t) })
        .collect::<candle_core::Result<Vec<_>>>()?
        .into_iter();
    let mut next = |part: &Option<Tensor>| if part.is_some() { moved.next() } else { None };
    // The first part is always there.
    let a = next(&Some(a.clone())).unwrap_or(a);
    Ok(Batch { a, b: next(&b), inst: next(&inst), names })
}

/// Whether an operation failed because the device has no more memory.
///
/// CUDA's libraries report it by the name of a status, which candle passes on as text.
#[must_use]
pub fn is_out_of_memory(error: &(dyn Error + 'static)) -> bool {
    let text = error.to_string();
    ["CUDA_ERROR_OUT_OF_MEMORY", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED"]
        .iter()
        .any(|status| text.contains(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lack_of_memory_is_told_from_other_failures() {
        let error = |text: &str| crate::Error::Tensor(candle_core::Error::Cuda(text.into()));
        assert!(is_out_of_memory(&error(r#"DriverError(CUDA_ERROR_OUT_OF_MEMORY, "out of memory")"#)));
        assert!(!is_out_of_memory(&error(r#"DriverError(CUDA_ERROR_ILLEGAL_ADDRESS, "an illegal address")"#)));
    }
}
