//! What precision a run computes with, and where that is possible.

use crate::{DeviceConfig, Error, Result, TrainConfig};
use gan_layers::{MathMode, Precision};

impl TrainConfig {
    /// What convolutions of a run may trade for speed on CUDA devices.
    pub fn math_mode(&self) -> MathMode {
        MathMode { tf32: self.tf32, deterministic: self.deterministic }
    }
}

/// Refuses a precision that the device does not have.
///
/// # Errors
/// [`Error::NoBf16`] for BF16 on the CPU.
pub fn check(precision: Precision, device_config: &DeviceConfig) -> Result<()> {
    if precision == Precision::Bf16 && device_config.device.is_cpu() {
        return Err(Error::NoBf16);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::ConfigSource;
    use crate::methods::METHODS;

    #[test]
    fn every_method_refuses_bf16_on_the_cpu() {
        for method in METHODS {
            let layers: Vec<_> = method
                .smoke_overrides
                .iter()
                .chain(&["precision=bf16"])
                .map(|s| ConfigSource::Setting(s.to_string()))
                .collect();
            let config = (method.resolve)(&layers).unwrap();
            assert_eq!(config.train().precision, Precision::Bf16);
            let Err(error) = config.build(&DeviceConfig::cpu()) else { panic!("{} was built", method.name) };
            assert!(matches!(error, crate::Error::NoBf16), "{error}");
        }
    }
}
