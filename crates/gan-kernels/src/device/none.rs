//! Without CUDA.

use super::DeviceError;
use candle_core::{Device, Result};

pub(super) fn open(name: &str, _: usize) -> std::result::Result<Device, DeviceError> {
    Err(DeviceError::NotBuilt(name.to_owned()))
}

pub(super) fn name(_: &Device) -> Option<String> {
    None
}

pub(super) fn peak_memory(_: &Device) -> Result<Option<u64>> {
    Ok(None)
}

pub(super) fn free_memory(_: &Device) -> Result<Option<u64>> {
    Ok(None)
}

pub(super) fn graphs_leave_room(_: &Device) -> Result<bool> {
    Ok(true)
}

pub(super) fn reset_peak_memory(_: &Device) -> Result<()> {
    Ok(())
}
