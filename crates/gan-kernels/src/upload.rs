//! From host memory to a device, beside what the device is computing.

#[cfg(feature = "cuda")]
mod cuda;
#[cfg(any(feature = "cuda", test))]
mod levels;

use candle_core::{Device, Result, Tensor};

/// Carries batches to a device.
///
/// On a CUDA device the copy runs on a stream of its own from page-locked memory: neither the host nor the device's
/// work waits for it, unless two batches are under way already. F32 tensors that hold nothing but the 256 values of 8-bit
/// images travel as bytes and arrive with the same bits.
pub struct Uploader {
    device: Device,
    #[cfg(feature = "cuda")]
    lane: Option<cuda::Lane>,
}

impl std::fmt::Debug for Uploader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Uploader").field("device", &self.device).finish_non_exhaustive()
    }
}

impl Uploader {
    /// To this device.
    ///
    /// # Errors
    /// CUDA's.
    pub fn new(device: &Device) -> Result<Self> {
        Ok(Uploader {
            device: device.clone(),
            #[cfg(feature = "cuda")]
            lane: device.as_cuda_device().ok().map(cuda::Lane::new).transpose()?,
        })
    }

    /// Tensors on the host (any shape; F32, F64, U8, U32 or I64), on the device: contiguous, without a graph. They can be
    /// used at once: the device waits for them.
    ///
    /// # Errors
    /// CUDA's, and another element type.
    pub fn upload(&mut self, tensors: &[&Tensor]) -> Result<Vec<Tensor>> {
        #[cfg(feature = "cuda")]
        if let Some(lane) = &mut self.lane {
            return lane.upload(tensors);
        }
        tensors.iter().map(|t| t.detach().to_device(&self.device)).collect()
    }
}
