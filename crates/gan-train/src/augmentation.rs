//! Augmentation of what a discriminator sees: the `[augment]` table, and the state of an adaptive probability.

use crate::consistency::Contradiction;
use crate::{DeviceConfig, Result};
use candle_core::{DType, Device, Tensor};
use gan_kernels::augment::{ADA_STATE, Ada, Probability, draws, observe};
use gan_kernels::dropout::MaskKey;
use gan_losses::{AugmentPolicy, GanMode};
use gan_range::{Range, documented};
use gan_rng::Key;
use serde::{Deserialize, Serialize};

/// Steps between changes of an adaptive probability.
const INTERVAL: u32 = 4;

documented! {
    /// The `[augment]` table.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct AugmentConfig {
        /// What is changed at random in everything that a discriminator sees, in this order: some of color, translation and
        /// cutout; empty: nothing.
        pub policy: AugmentPolicy,
        /// Probability of each change, for each image.
        pub p: f64,
        /// Whether the probability starts at 0 and adapts to how surely the discriminator knows the real images.
        pub adaptive: bool,
        /// Mean sign of the scores of real images above which the probability rises.
        pub ada_target: f64,
        /// Thousands of images in which the probability goes from 0 to 1.
        pub ada_kimg: f64,
    }
}

impl AugmentConfig {
    /// The ranges of the numeric keys.
    pub const RANGES: &'static [Range] =
        &[Range::real("p", 0.0, 1.0), Range::real("ada_target", 0.0, 1.0), Range::positive("ada_kimg", 1e9)];

    /// A probability that adapts has changes to make, and is not fixed.
    pub(crate) fn contradiction(&self) -> Option<Contradiction> {
        let (what, remedy) = match (self.policy.is_empty(), self.p == 1.0) {
            (true, _) => ("augment.policy names no changes", "augment.policy = \"color,translation,cutout\""),
            (false, false) => ("augment.p fixes it", "augment.p = 1"),
            (false, true) => return None,
        };
        let what = format!("augment.adaptive adapts the probability of changes, and {what}");
        self.adaptive.then(|| Contradiction::new(what, &[&[remedy], &["augment.adaptive = false"]]))
    }
}

impl Default for AugmentConfig {
    fn default() -> Self {
        let policy = AugmentPolicy::default();
        AugmentConfig { policy, p: 1.0, adaptive: false, ada_target: 0.6, ada_kimg: 500.0 }
    }
}

/// What changes the inputs of one discriminator, the real images' and the fakes' (Zhao et al., 2020), with a probability that
/// may adapt (Karras et al., 2020).
#[derive(Debug)]
pub struct Augmentation {
    config: AugmentConfig,
    name: &'static str,
    /// Channels of the condition in front of the image.
    condition_nc: usize,
    ada: Ada,
    /// F64 `[ADA_STATE]`, if the probability adapts. It stays where it is: a captured step finds it there.
    state: Option<Tensor>,
    /// Element type of losses.
    dtype: DType,
}

impl Augmentation {
    /// For a discriminator that sees `condition_nc` channels of a condition in front of the image. Under `name` the probability
    /// is logged and saved.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor) if the device fails.
    pub fn new(
        config: &AugmentConfig,
        name: &'static str,
        condition_nc: usize,
        mode: GanMode,
        device_config: &DeviceConfig,
    ) -> Result<Self> {
        let ada = Ada {
            // Least squares puts "real" at 1 and "fake" at 0.
            threshold: if mode == GanMode::Lsgan { 0.5 } else { 0.0 },
            target: config.ada_target,
            images: config.ada_kimg * 1000.0,
            interval: INTERVAL,
        };
        let state = config.adaptive.then(|| Tensor::zeros(ADA_STATE, DType::F64, &device_config.device)).transpose()?;
        let dtype = if device_config.dtype == DType::F64 { DType::F64 } else { DType::F32 };
        Ok(Augmentation { config: config.clone(), name, condition_nc, ada, state, dtype })
    }

    /// An input of the discriminator `[N, C, H, W]`, changed; differentiable. Inputs of one `part` of a step are changed alike.
    /// `key` is that of the step's masks of dropout, which a captured step finds anew at every launch.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor) if the input is no batch of images.
    pub fn apply(&self, x: &Tensor, key: Key, part: &str) -> Result<Tensor> {
        if self.config.policy.is_empty() {
            return Ok(x.clone());
        }
        let (n, _, h, w) = x.dims4()?;
        let key = MaskKey::named(key, &format!("augment.{}.{part}", self.name));
        let probability = self.state.as_ref().map_or(Probability::Fixed(self.config.p), Probability::Adaptive);
        let draws = draws(x.device(), key, [n, h, w], probability)?;
        Ok(self.config.policy.apply(x, &draws, self.condition_nc)?)
    }

    /// Takes note of the scores of real images, scale by scale; the last stage of each is its score map.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor) if there are none.
    pub fn observe(&self, scales: &[Vec<Tensor>]) -> Result<()> {
        if let Some(state) = &self.state {
            let scores: Vec<&Tensor> = scales.iter().filter_map(|stages| stages.last()).collect();
            observe(&scores, state, &self.ada)?;
        }
        Ok(())
    }

    /// The probability, if it adapts, as a loss is logged.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor) if the device fails.
    pub fn probability(&self) -> Result<Option<(&'static str, Tensor)>> {
        let state = self.state.as_ref();
        // A copy: the state changes in place before the losses are read.
        let value = state.map(|state| state.get(0)?.copy()?.to_dtype(self.dtype)).transpose()?;
        Ok(value.map(|value| (self.name, value)))
    }

    /// Whether its probability adapts.
    pub(crate) fn is_adaptive(&self) -> bool {
        self.state.is_some()
    }

    /// What a checkpoint keeps of it.
    pub(crate) fn save(&self) -> Option<(String, Tensor)> {
        self.state.clone().map(|state| (self.name.to_owned(), state))
    }

    /// Checks that a checkpoint's file holds a state for it, if it needs one.
    ///
    /// # Errors
    /// The reason, in words.
    pub(crate) fn check(&self, saved: &[(String, Tensor)]) -> std::result::Result<(), String> {
        if self.state.is_none() {
            return Ok(());
        }
        let Some(state) = self.find(saved) else { return Err(format!("it has no {}", self.name)) };
        if state.dims() != [ADA_STATE] || state.dtype() != DType::F64 {
            return Err(format!("{} is {:?} {:?}, no state of a probability", self.name, state.dims(), state.dtype()));
        }
        let values = state.to_device(&Device::Cpu).and_then(|state| state.to_vec1::<f64>());
        match values.map_err(|error| error.to_string())?[..] {
            [p, signs, judged, images, steps]
                if p >= 0.0 && signs.abs() <= judged && images >= steps && steps >= 0.0 =>
            {
                Ok(())
            }
            _ => Err(format!("{} holds numbers that cannot be", self.name)),
        }
    }

    /// Takes its state from a checkpoint's file that [`check`](Self::check) accepts.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor) if the device fails.
    pub(crate) fn restore(&self, saved: &[(String, Tensor)]) -> Result<()> {
        if let (Some(state), Some(saved)) = (&self.state, self.find(saved)) {
            state.slice_set(&saved.to_device(state.device())?, 0, 0)?;
        }
        Ok(())
    }

    fn find<'a>(&self, saved: &'a [(String, Tensor)]) -> Option<&'a Tensor> {
        saved.iter().find(|(name, _)| name == self.name).map(|(_, state)| state)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_no_state_is_refused() {
        let config = AugmentConfig { adaptive: true, ..AugmentConfig::default() };
        let of = |config: &AugmentConfig| {
            Augmentation::new(config, "ada_p", 3, GanMode::Hinge, &DeviceConfig::cpu()).unwrap()
        };
        let augmentation = of(&config);
        let saved = |values: &[f64]| vec![("ada_p".to_owned(), Tensor::new(values, &Device::Cpu).unwrap())];
        let good = saved(&[0.25, -1.5, 2.0, 4.0, 2.0]);
        augmentation.check(&good).unwrap();
        augmentation.restore(&good).unwrap();
        assert_eq!(augmentation.save().unwrap().1.to_vec1::<f64>().unwrap(), [0.25, -1.5, 2.0, 4.0, 2.0]);
        assert_eq!(augmentation.probability().unwrap().unwrap().1.to_scalar::<f32>().unwrap(), 0.25);
        for bad in [
            Vec::new(),
            saved(&[0.25]),
            saved(&[-0.25, 0.0, 0.0, 0.0, 0.0]),
            saved(&[0.25, 3.0, 2.0, 4.0, 2.0]),
            saved(&[0.25, 0.0, 2.0, 1.0, 2.0]),
        ] {
            augmentation.check(&bad).unwrap_err();
        }
        of(&AugmentConfig::default()).check(&[]).unwrap();
    }
}
