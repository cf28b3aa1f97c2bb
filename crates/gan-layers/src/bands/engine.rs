//! What computes the rows of a flow.

use candle_core::Device;

/// What computes the rows of a [`Dataflow`](super::Dataflow).
#[derive(Debug, Clone, Default)]
pub enum Engine {
    /// The kernels of the CPU, with the bits of the whole.
    #[default]
    Exact,
    /// The operators of a device, with results that are those of the whole but for rounding. What is kept in files leaves it.
    Device(Device),
}

impl Engine {
    /// The one for networks on a device: [`Engine::Exact`] on the CPU.
    pub fn of(device: &Device) -> Self {
        if device.is_cpu() { Engine::Exact } else { Engine::Device(device.clone()) }
    }

    /// Whether it computes the bits of the whole.
    pub fn is_exact(&self) -> bool {
        matches!(self, Engine::Exact)
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        match self {
            Engine::Exact => &Device::Cpu,
            Engine::Device(device) => device,
        }
    }
}
