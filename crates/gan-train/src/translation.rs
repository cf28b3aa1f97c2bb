//! Translation of the networks that a run left.

use crate::config::read;
use crate::method::{Direction, Place, TranslateOptions, Translator};
use crate::methods::{cyclegan, pix2pixhd};
use crate::{Error, Result, Trained, smallest_side};
use candle_core::Tensor;
use candle_nn::VarBuilder;
use gan_data::Batch;
use gan_nets::{CapturedGenerator, Generator, GeneratorConfig};

pub(crate) const NO_ENCODER: &str = "this model has no styles: they need an instance feature encoder (pix2pixhd trained with encoder.instance_feat=true)";

pub(crate) fn contradiction(message: impl Into<String>) -> Error {
    Error::Config { origin: "configuration".into(), message: message.into() }
}

pub(crate) fn load_generator(
    config: &GeneratorConfig,
    trained: &Trained,
    name: &str,
    place: &Place,
) -> Result<Generator> {
    Ok(config.build(weights(trained, name, place)?)?)
}

pub(crate) fn weights(trained: &Trained, name: &str, place: &Place) -> Result<VarBuilder<'static>> {
    let tensors = trained.network(name)?.into_iter().map(|(k, t)| Ok((k, t.to_device(&place.device)?)));
    Ok(VarBuilder::from_tensors(tensors.collect::<Result<_>>()?, place.dtype, &place.device))
}

pub(crate) fn translator(trained: &Trained, options: &TranslateOptions, place: &Place) -> Result<Box<dyn Translator>> {
    if trained.method().name == pix2pixhd::SPEC.name {
        return pix2pixhd::translate::translator(trained, options, place);
    }
    if trained.method().name == cyclegan::SPEC.name {
        let model = crate::method_config::MethodConfig::model(&read::<cyclegan::Config>(trained.config())?);
        let generator = &model.generators[usize::from(options.direction == Direction::BToA)];
        return Ok(Box::new(Plain::load(&generator.config, trained, &generator.network, options, place)?));
    }
    Ok(Box::new(Plain::load(&trained.model().generators[0].config, trained, "g", options, place)?))
}

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
