//! Devices: opening one by name, and the memory it took.

pub use gan_kernels::{DeviceError, device_name, open_device, peak_memory, reset_peak_memory};
