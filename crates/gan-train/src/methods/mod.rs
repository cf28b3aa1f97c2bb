//! The methods, one file each.

pub mod cyclegan;
pub mod pix2pix;
pub mod pix2pixhd;

use crate::method::{Direction, MethodSpec, Place, StepCx, TranslateOptions, Translator};
use crate::{Error, Result, TrainConfig, Trained, smallest_side};
use candle_core::Tensor;
use candle_nn::VarBuilder;
use gan_data::Batch;
use gan_layers::{Ctx, Weights};
use gan_nets::{CapturedGenerator, Generator, GeneratorConfig};
use gan_rng::Purpose;

/// All methods. Help, configuration, smoke tests and documentation iterate this list: a new method is a file here and a
/// line in it.
pub const METHODS: &[MethodSpec] = &[pix2pix::SPEC, pix2pixhd::SPEC, cyclegan::SPEC];

/// The method of this name.
///
/// # Errors
/// [`Error::Config`] with the names of all methods.
pub fn find(name: &str) -> Result<&'static MethodSpec> {
    METHODS.iter().find(|m| m.name == name).ok_or_else(|| {
        let names: Vec<_> = METHODS.iter().map(|m| m.name).collect();
        contradiction(format!("there is no method `{name}`; the methods are {}", names.join(", ")))
    })
}

/// A configuration that cannot be.
fn contradiction(message: impl Into<String>) -> Error {
    Error::Config { origin: "configuration".into(), message: message.into() }
}

/// What is said to who asks for the styles of a model that has none.
pub(crate) const NO_ENCODER: &str = "this model has no styles: they need an instance feature encoder (pix2pixhd trained with encoder.instance_feat=true)";

/// The contexts of a step: of networks that are being trained, and of those that are held fixed meanwhile.
fn contexts(train: &TrainConfig, cx: &StepCx) -> (Ctx, Ctx) {
    let TrainConfig { checkpointing, precision, .. } = *train;
    let ctx = Ctx { checkpointing, precision, math: train.math_mode(), ..Ctx::train(cx.key(Purpose::Dropout)) };
    (ctx, Ctx { weights: Weights::Frozen, ..ctx })
}

/// The context of previews.
fn preview_context(train: &TrainConfig) -> Ctx {
    Ctx { precision: train.precision, math: train.math_mode(), ..Ctx::translate() }
}

/// The target of a training batch.
fn target(batch: &Batch) -> Result<&Tensor> {
    batch
        .b
        .as_ref()
        .ok_or_else(|| contradiction("this dataset has no targets (domain B): it can be translated, not trained on"))
}

/// A generator loaded for translation.
fn load_generator(config: &GeneratorConfig, trained: &Trained, name: &str, place: &Place) -> Result<Generator> {
    Ok(config.build(weights(trained, name, place)?)?)
}

/// The tensors of one network of a checkpoint.
fn weights(trained: &Trained, name: &str, place: &Place) -> Result<VarBuilder<'static>> {
    let tensors = trained.network(name)?.into_iter().map(|(k, t)| Ok((k, t.to_device(&place.device)?)));
    Ok(VarBuilder::from_tensors(tensors.collect::<Result<_>>()?, place.dtype, &place.device))
}

/// Picture in, picture out.
struct Plain(CapturedGenerator);

impl Plain {
    fn load(
        config: &GeneratorConfig,
        trained: &Trained,
        name: &str,
        options: &TranslateOptions,
        place: &Place,
    ) -> Result<Self> {
        if options.direction == Direction::BToA && name == "g" {
            return Err(contradiction("this model translates from A to B only"));
        }
        if options.style.is_some() {
            return Err(contradiction(NO_ENCODER));
        }
        Ok(Plain(options.prepare(load_generator(config, trained, name, place)?)))
    }
}

impl Translator for Plain {
    fn translate(&self, batch: &Batch) -> Result<Tensor> {
        Ok(self.0.forward(&batch.a)?)
    }
    fn size_multiple(&self) -> usize {
        self.0.config().size_multiple()
    }
    fn smallest_side(&self) -> usize {
        smallest_side(self.0.config())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Building a context changes nothing of the program: two runs of different modes can share a process.
    #[test]
    fn contexts_carry_the_math_mode_of_their_run() {
        let cx = StepCx { epoch: 1, step: 0, lr: 1e-3, seed: 0 };
        for (tf32, deterministic) in [(true, false), (false, true)] {
            let train = TrainConfig { tf32, deterministic, ..TrainConfig::default() };
            let (trained, frozen) = contexts(&train, &cx);
            for ctx in [trained, frozen, preview_context(&train)] {
                assert_eq!((ctx.math.tf32, ctx.math.deterministic), (tf32, deterministic));
            }
        }
    }
}
