//! Devices: opening one by name, and its memory.

use std::error::Error;

pub use gan_kernels::device::{DeviceError, device_name, open_device, peak_memory, reset_peak_memory};

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
