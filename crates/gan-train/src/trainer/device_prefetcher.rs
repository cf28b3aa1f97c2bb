//! Batches on their way to the networks.

use crate::{DeviceConfig, Result};
use candle_core::DType;
use gan_data::Batch;
use gan_kernels::upload::Uploader;
use gan_translate::move_batch;

/// Moves one batch after the other, without waiting for the device.
pub(super) struct DevicePrefetcher {
    uploader: Uploader,
    dtype: DType,
}

impl DevicePrefetcher {
    pub(super) fn new(device_config: &DeviceConfig) -> Result<Self> {
        Ok(DevicePrefetcher { uploader: Uploader::new(&device_config.device)?, dtype: device_config.dtype })
    }

    pub(super) fn take(&mut self, batch: Batch) -> Result<Batch> {
        Ok(move_batch(batch, self.dtype, |tensors| self.uploader.upload(tensors))?)
    }
}
