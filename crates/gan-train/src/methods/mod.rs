//! The methods, a folder each, and what they share.

mod contradictions;
pub mod cut;
pub mod cyclegan;
pub mod pix2pix;
pub mod pix2pixhd;

use crate::method::StepContext;
use crate::{Error, MethodSpec, Result, TrainConfig};
use candle_core::Tensor;
use gan_data::Batch;
use gan_layers::{Ctx, NormMode, Weights};
use gan_rng::Purpose;

/// The methods of this crate. Only programs look a method up here: [`train`](crate::train) takes any.
pub const METHODS: &[MethodSpec] = &[pix2pix::SPEC, pix2pixhd::SPEC, cyclegan::SPEC, cut::SPEC];

/// The contexts of a step: of networks that are being trained, and of those that are held fixed meanwhile.
pub fn contexts(train: &TrainConfig, cx: &StepContext) -> (Ctx, Ctx) {
    let (checkpointing, precision) = (train.checkpointing.is_on(), train.precision);
    let ctx = Ctx { checkpointing, precision, math: train.math_mode(), ..Ctx::train(cx.key(Purpose::Dropout)) };
    (ctx, Ctx { weights: Weights::Frozen, ..ctx })
}

/// The context of a pass whose results were computed before: running statistics have moved already.
pub fn again(ctx: Ctx) -> Ctx {
    Ctx { norm: NormMode::Batch { update: false }, ..ctx }
}

/// The context of previews.
pub fn preview_context(train: &TrainConfig) -> Ctx {
    Ctx { precision: train.precision, math: train.math_mode(), ..Ctx::translate() }
}

/// The target `[N, C, H, W]` of a training batch.
///
/// # Errors
/// [`Error::Config`] if it has none.
pub fn target(batch: &Batch) -> Result<&Tensor> {
    batch.b.as_ref().ok_or_else(|| Error::Config {
        origin: "configuration".into(),
        message: "this dataset has no targets (domain B): it can be translated, not trained on".into(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Every folder here is a method of that name.
    #[test]
    fn every_method_is_listed() {
        let here = concat!(env!("CARGO_MANIFEST_DIR"), "/src/methods");
        let entries = std::fs::read_dir(here).unwrap().map(|entry| entry.unwrap());
        let folders = entries.filter(|entry| entry.file_type().unwrap().is_dir());
        let mut folders: Vec<String> = folders.map(|folder| folder.file_name().into_string().unwrap()).collect();
        let mut names: Vec<&str> = METHODS.iter().map(|method| method.name).collect();
        folders.sort();
        names.sort_unstable();
        assert_eq!(folders, names);
    }

    /// Building a context changes nothing of the program: two runs of different modes can share a process.
    #[test]
    fn contexts_carry_the_math_mode_of_their_run() {
        let cx = StepContext { epoch: 1, step: 0, update: 0, lr: 1e-3, seed: 0 };
        for (tf32, deterministic) in [(true, false), (false, true)] {
            let train = TrainConfig { tf32, deterministic, ..TrainConfig::default() };
            let (trained, frozen) = contexts(&train, &cx);
            for ctx in [trained, frozen, preview_context(&train)] {
                assert_eq!((ctx.math.tf32, ctx.math.deterministic), (tf32, deterministic));
            }
        }
    }
}
