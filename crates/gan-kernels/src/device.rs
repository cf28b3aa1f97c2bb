//! Where tensors live: the names of devices, and the one place where a CUDA device is made.

#[cfg(feature = "cuda")]
#[path = "device/cuda.rs"]
mod on;
#[cfg(not(feature = "cuda"))]
#[path = "device/none.rs"]
mod on;

use candle_core::{Device, Result};
#[cfg(feature = "cuda")]
pub(crate) use on::give_back_graph_memory;

/// Why a device cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceError {
    /// There is no device of this name.
    Name(String),
    /// This program was built without CUDA.
    NotBuilt(String),
    /// CUDA did not give the device.
    Unavailable {
        /// Its name.
        device: String,
        /// What CUDA answered.
        reason: String,
    },
}

impl std::fmt::Display for DeviceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DeviceError::Name(name) => {
                write!(f, "there is no device `{name}`; the devices are cpu, cuda and cuda:N (the GPU of number N)")
            }
            DeviceError::NotBuilt(name) => {
                write!(f, "device {name}: this program was built without CUDA (the cargo feature `cuda`)")
            }
            DeviceError::Unavailable { device, reason } => write!(
                f,
                "device {device}: no such GPU can be used ({reason}); check with `nvidia-smi` that there is one and that its driver is loaded"
            ),
        }
    }
}

impl std::error::Error for DeviceError {}

/// The device of this name: `cpu`, `cuda` (the first GPU) or `cuda:N`. The same name gives the same device, however
/// often it is asked for: candle takes two devices on one GPU for different ones.
///
/// # Errors
/// [`DeviceError`] for another name, in a program without CUDA, and where there is no such GPU or no driver.
pub fn open_device(name: &str) -> std::result::Result<Device, DeviceError> {
    match gpu_number(name) {
        _ if name == "cpu" => Ok(Device::Cpu),
        Some(number) => on::open(name, number),
        None => Err(DeviceError::Name(name.to_owned())),
    }
}

/// The device that tests run on: that of the name in `GAN_TEST_DEVICE`, without it the CPU.
///
/// # Errors
/// As [`open_device`].
pub fn test_device() -> std::result::Result<Device, DeviceError> {
    match std::env::var("GAN_TEST_DEVICE") {
        Ok(name) if !name.is_empty() => open_device(&name),
        _ => Ok(Device::Cpu),
    }
}

/// In words, for a run's record: `cpu`, or `cuda:0 NVIDIA H200`.
pub fn device_name(device: &Device) -> String {
    on::name(device).unwrap_or_else(|| format!("{:?}", device.location()).to_lowercase())
}

/// The most device memory that tensors and working buffers ever took at a time since the start or [`reset_peak_memory`],
/// in bytes; `None` on the CPU.
///
/// # Errors
/// CUDA's.
pub fn peak_memory(device: &Device) -> Result<Option<u64>> {
    on::peak_memory(device)
}

/// Device memory that can still be had, in bytes: free, or held in reserve by the device's pool. `None` on the CPU.
///
/// # Errors
/// CUDA's.
pub fn free_memory(device: &Device) -> Result<Option<u64>> {
    on::free_memory(device)
}

/// Lets [`peak_memory`] begin anew.
///
/// # Errors
/// CUDA's.
pub fn reset_peak_memory(device: &Device) -> Result<()> {
    on::reset_peak_memory(device)
}

/// Whether work that is not part of a graph finds as much memory as graphs take: free, or held in reserve by the
/// device's pool. What a graph takes stays its own between launches, until the graph is dropped.
///
/// # Errors
/// CUDA's.
pub(crate) fn graphs_leave_room(device: &Device) -> Result<bool> {
    on::graphs_leave_room(device)
}

/// Gives memory that the device's pool holds in reserve back to the system, for who gets it elsewhere. Waits for the device.
#[cfg(feature = "cuda")]
pub(crate) fn give_back_memory(device: &Device) -> Result<()> {
    on::give_back_memory(device)
}

/// N of `cuda:N`, 0 of `cuda`.
fn gpu_number(name: &str) -> Option<usize> {
    match name.strip_prefix("cuda")? {
        "" => Some(0),
        rest => rest.strip_prefix(':').filter(|n| n.bytes().all(|b| b.is_ascii_digit()))?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names() {
        assert!(open_device("cpu").unwrap().is_cpu());
        assert_eq!(device_name(&Device::Cpu), "cpu");
        assert_eq!(peak_memory(&Device::Cpu).unwrap(), None);
        for (name, number) in [("cuda", Some(0)), ("cuda:0", Some(0)), ("cuda:17", Some(17))] {
            assert_eq!(gpu_number(name), number);
        }
        for name in ["", "gpu", "cuda:", "cuda:-1", "cuda:+1", "cuda:x", "cuda0", "CPU", "cuda:99999999999999999999"] {
            let error = open_device(name).unwrap_err();
            assert_eq!(error, DeviceError::Name(name.to_owned()));
            assert!(error.to_string().contains("cpu, cuda and cuda:N"));
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_build_without_cuda_says_so() {
        let error = open_device("cuda:1").unwrap_err().to_string();
        assert!(error.contains("cuda:1") && error.contains("feature `cuda`"), "{error}");
    }
}
