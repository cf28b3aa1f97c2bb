//! `--device` and `--precision`.

use crate::ranks;
use crate::wording::worded;
use clap::{Args, ValueEnum};
use gan_layers::{MathMode, Precision};
use gan_translate::device::DeviceError;
use gan_translate::{DeviceConfig, check_precision};

#[derive(Args, Clone)]
pub(crate) struct DeviceArgs {
    /// Device: cpu, cuda (the first GPU; of processes that were started together, each takes its own) or cuda:N
    #[arg(long, default_value = "cpu")]
    pub(crate) device: String,
}

impl DeviceArgs {
    pub(crate) fn open(&self) -> Result<DeviceConfig, DeviceError> {
        DeviceConfig::open(&ranks::device(&self.device))
    }
}

/// How a translation computes on a CUDA device; the CPU computes in f32.
#[derive(Args, Clone)]
pub(crate) struct PrecisionArgs {
    /// Arithmetic of the networks on a CUDA device
    #[arg(long, value_enum, default_value_t = Arithmetic::F32)]
    precision: Arithmetic,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Arithmetic {
    /// f32 throughout
    F32,
    /// TF32 convolutions (10-bit mantissa): faster
    Tf32,
    /// bf16 activations: fastest, half the memory
    Bf16,
}

impl PrecisionArgs {
    /// The element type of activations.
    pub(crate) fn activations(&self) -> Precision {
        match self.precision {
            Arithmetic::Bf16 => Precision::Bf16,
            Arithmetic::F32 | Arithmetic::Tf32 => Precision::F32,
        }
    }

    /// What convolutions may trade for speed.
    pub(crate) fn math(&self) -> MathMode {
        MathMode { tf32: self.precision == Arithmetic::Tf32, deterministic: false }
    }

    /// Refuses a precision that the device does not have.
    pub(crate) fn check(&self, device: &DeviceConfig) -> anyhow::Result<()> {
        check_precision(self.activations(), device).map_err(worded)
    }
}
