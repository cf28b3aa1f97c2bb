//! What precision a run computes with, and where that is possible.

use crate::{Error, Place, Result, TrainConfig};
use gan_layers::Precision;

/// How products of f32 tensors are formed on CUDA devices, for the whole program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Products {
    /// Convolutions may round factors to TF32's 10 bits of mantissa.
    pub tf32: bool,
    /// Only algorithms that give the same bits in every run on the same GPU model.
    pub deterministic: bool,
}

impl Products {
    /// From now on, for all convolutions of this program. Without effect on the CPU.
    pub fn set(self) {
        gan_kernels::set_tf32(self.tf32);
        gan_kernels::set_deterministic(self.deterministic);
    }
}

/// Refuses a precision that the device does not have.
///
/// # Errors
/// [`Error::Config`] for BF16 on the CPU.
pub fn check(precision: Precision, place: &Place) -> Result<()> {
    if precision == Precision::Bf16 && place.device.is_cpu() {
        return Err(Error::Config {
            origin: "precision".into(),
            message: "bf16 needs a CUDA device: the operators for the CPU have no bf16 arithmetic; train with --device cuda, or set precision=f32 (a run may be resumed with it)".into(),
        });
    }
    Ok(())
}

/// Takes over the numerical settings of a run on this place, for the whole program. Callers that run a method call it
/// ([`train`](crate::train) does); building one changes nothing.
///
/// # Errors
/// As [`check`].
pub fn apply(train: &TrainConfig, place: &Place) -> Result<()> {
    check(train.precision, place)?;
    Products { tf32: train.tf32, deterministic: train.deterministic }.set();
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::Layer;
    use crate::methods::METHODS;

    #[test]
    fn every_method_refuses_bf16_on_the_cpu() {
        for method in METHODS {
            let layers: Vec<_> =
                method.debug.iter().chain(&["precision=bf16"]).map(|s| Layer::Setting(s.to_string())).collect();
            let config = (method.resolve)(&layers).unwrap();
            assert_eq!(config.train().precision, Precision::Bf16);
            let Err(error) = config.build(&Place::cpu()) else { panic!("{} was built", method.name) };
            let text = error.to_string();
            assert!(
                text.contains("bf16") && text.contains("--device cuda") && text.contains("precision=f32"),
                "{text}"
            );
        }
    }
}
