//! One validation: translate held-out images, measure.

use super::ValidationConfig;
use super::checks::possible;
use super::held_out::{configure, images_of_domains, open};
use super::measure::Measure;
use super::metric::{Compares, Metric};
use super::shares::{Gathered, Share};
use crate::method::Method;
use crate::{Error, Result, WayBack};
use candle_core::{Device, Tensor};
use gan_data::{Batch, DataConfig, Dataset, Depth, Image, Loader, Quantize, Raster, image_from_lab, image_from_tensor};
use gan_translate::{Model, ModelConfig, Options, OutputKind, TrainedModel};
use gan_weights::StateDict;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// The held-out images of a run and the metrics that are measured on them.
pub(crate) struct Validator {
    config: ValidationConfig,
    loader: Loader,
    /// Images of their own of the input's domain and of the target's.
    domains: (usize, usize),
    model: ModelConfig,
    options: Options,
    metrics: Vec<(&'static Metric, Box<dyn Measure>)>,
    deciding: &'static Metric,
    run: PathBuf,
}

/// What a validation found.
pub(crate) struct Scores {
    /// Images that were translated, or pairs.
    pub(crate) images: u64,
    /// The metrics by name, in the order of the configuration.
    pub(crate) values: Vec<(String, f64)>,
}

impl Validator {
    /// Opens the held-out part of the dataset that `data` describes, and the metrics; `None` where validation is off. `training`
    /// is what is trained on, `options` how `model` translates.
    ///
    /// # Errors
    /// [`Error::Data`] and [`Error::Config`] if there are no such images, or if they are trained on; those of the metrics.
    pub(crate) fn open(
        config: ValidationConfig,
        data: &DataConfig,
        training: &dyn Dataset,
        model: ModelConfig,
        options: Options,
        run: &Path,
    ) -> Result<Option<Self>> {
        if !config.is_on() {
            return Ok(None);
        }
        let data = configure(data, &config);
        let measured = config.measured(&possible(&data, &model));
        let none = || Error::Config { origin: "configuration".into(), message: "validation has no metric".into() };
        let deciding = config.deciding(&measured).ok_or_else(none)?;
        let pairs = measured.iter().any(|metric| metric.compares == Compares::Targets);
        let dataset = open(&data, training, pairs)?;
        let domains = images_of_domains(&*dataset);
        let files = config.weight_files();
        let metrics = measured.into_iter().map(|metric| Ok((metric, (metric.open)(&options.device, &files)?)));
        let metrics = metrics.collect::<Result<Vec<_>>>()?;
        // The images are the same in every run and every epoch.
        let loader = Loader::new(dataset, data.loader(0))?;
        let run = run.to_owned();
        Ok(Some(Validator { config, loader, domains, model, options, metrics, deciding, run }))
    }

    /// The table of the configuration.
    pub(crate) fn config(&self) -> &ValidationConfig {
        &self.config
    }

    /// The metric that decides which checkpoint is the best.
    pub(crate) fn deciding(&self) -> &'static Metric {
        self.deciding
    }

    /// The held-out images.
    pub(crate) fn dataset(&self) -> &dyn Dataset {
        &**self.loader.dataset()
    }

    /// Translates part `rank` of `size` of the images with copies of the networks as they are, and looks at the results. `None` if
    /// `stop` is set meanwhile.
    ///
    /// # Errors
    /// [`Error::Data`] for an image that cannot be read, [`Error::Diverged`] if weights or results are not finite,
    /// [`Error::Tensor`] if the device has no memory for the copies.
    pub(crate) fn share(
        &mut self,
        method: &mut dyn Method,
        (rank, size): (usize, usize),
        stop: &AtomicBool,
    ) -> Result<Option<Share>> {
        // What a validation left that did not come to its end.
        self.metrics.iter_mut().for_each(|(_, measure)| measure.clear());
        method.make_room();
        let networks = copies(method, &self.model)?;
        let trained = TrainedModel::in_memory(&self.run, self.model.clone(), networks).map_err(diverged)?;
        let measured: Vec<Compares> = self.metrics.iter().map(|(metric, _)| metric.compares).collect();
        let needed = if measured.contains(&Compares::Cycles) { 2 } else { 1 };
        let models = self.model.generators.iter().take(needed).map(|generator| {
            let options = Options { direction: Some(generator.direction), ..self.options.clone() };
            Model::load(&trained, options).map_err(diverged)
        });
        let models = models.collect::<Result<Vec<_>>>()?;
        let mut pairs = vec![Vec::new(); self.metrics.len()];
        for (batch, i) in self.loader.every(size, 0, rank).zip((rank..).step_by(size)) {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let batch = batch?;
            let item = Item { batch: &batch, models: &models, colour: self.model.output == OutputKind::Colour };
            let (inputs, targets) = self.domains;
            let fresh = (i < inputs, i < targets);
            let mut of_item = vec![0; self.metrics.len()];
            for Pair { compares, made, real } in
                item.compare(&measured, fresh).map_err(|error| of_image(error, &batch))?
            {
                for ((metric, measure), of_item) in self.metrics.iter_mut().zip(&mut of_item) {
                    if metric.compares == compares {
                        measure.add(&made, &real)?;
                        *of_item += 1;
                    }
                }
            }
            pairs.iter_mut().zip(of_item).for_each(|(pairs, of_item)| pairs.push(of_item));
        }
        let rows = self.metrics.iter_mut().zip(pairs).map(|((_, measure), pairs)| {
            let mut rows = measure.take()?.into_iter();
            Ok(pairs.into_iter().map(|of_item| rows.by_ref().take(of_item).collect()).collect())
        });
        Ok(Some(Share { rows: rows.collect::<Result<_>>()? }))
    }

    /// The values of the metrics, from what all ranks found.
    ///
    /// # Errors
    /// Those of the arithmetic.
    pub(crate) fn scores(&self, gathered: Gathered) -> Result<Scores> {
        let values = self.metrics.iter().zip(gathered.rows);
        let values = values.map(|((metric, measure), rows)| Ok((metric.name.to_owned(), measure.value(rows)?)));
        Ok(Scores { images: gathered.items, values: values.collect::<Result<_>>()? })
    }
}

/// The networks that translate, on the CPU, averaged where averages are tracked. Nothing that is done with them reaches those in training.
fn copies(method: &mut dyn Method, model: &ModelConfig) -> Result<Vec<(String, StateDict)>> {
    let mut found = Vec::new();
    for (_, optimizer, networks) in method.state().optimizers {
        for network in networks.into_iter().filter(|network| model.network_names().any(|wanted| wanted == *network)) {
            let prefix = format!("{network}.");
            let tensors = match optimizer.averaged_state_dict(&prefix)? {
                Some(averages) => averages,
                None => optimizer.store().state_dict(&prefix)?,
            };
            let tensors = tensors.into_iter().map(|(name, tensor)| Ok((name, tensor.to_device(&Device::Cpu)?)));
            found.push((network.to_owned(), tensors.collect::<Result<StateDict>>()?));
        }
    }
    Ok(found)
}

/// Two images that a metric is given.
struct Pair {
    compares: Compares,
    made: Raster<u8>,
    real: Raster<u8>,
}

/// An item of the held-out dataset.
struct Item<'a> {
    batch: &'a Batch,
    /// The first one translates `batch.a`, the second one back.
    models: &'a [Model],
    /// Whether the model makes the colours of a lightness.
    colour: bool,
}

impl Item<'_> {
    /// Pairs of images, made and real, for every kind of comparison in `wanted`. `fresh` says of both domains whether the
    /// item's image has not been there before.
    fn compare(&self, wanted: &[Compares], fresh: (bool, bool)) -> Result<Vec<Pair>> {
        let Item { batch, models, .. } = self;
        let mut pairs = Vec::new();
        let pair = |compares, made: &Tensor, real: &Tensor| -> Result<Pair> {
            Ok(Pair { compares, made: self.image(made)?, real: self.image(real)? })
        };
        let forward = models[0].translate_batch(batch)?;
        if let Some(target) = &batch.b {
            for compares in [Compares::Targets, Compares::Domains] {
                let counts = compares == Compares::Targets || (fresh.0 && fresh.1);
                if wanted.contains(&compares) && counts {
                    pairs.push(pair(compares, &forward, target)?);
                }
            }
        }
        if wanted.contains(&Compares::Cycles)
            && let [there, back, ..] = models
        {
            if fresh.0 {
                pairs.push(pair(Compares::Cycles, &back.translate(&forward)?, &batch.a)?);
            }
            if let Some(other) = batch.b.as_ref().filter(|_| fresh.1) {
                let cycled = there.translate(&back.translate(other)?)?;
                pairs.push(pair(Compares::Cycles, &cycled, other)?);
            }
        }
        Ok(pairs)
    }

    /// The image that `translate` would write, of 8 bits a sample.
    fn image(&self, tensor: &Tensor) -> Result<Raster<u8>> {
        let image = match self.colour {
            true => image_from_lab(&self.batch.a.squeeze(0)?, &tensor.squeeze(0)?)?,
            false => image_from_tensor(tensor, Depth::U8, Quantize::Round)?,
        };
        match image {
            Image::U8(levels) => Ok(levels),
            Image::U16(_) => {
                let what = "a held-out image".into();
                Err(Error::Shape { what, got: "16 bits a sample".into(), expected: "8" })
            }
        }
    }
}

/// What is no number in weights means that training has diverged.
fn diverged(error: gan_translate::Error) -> Error {
    let text = match &error {
        gan_translate::Error::Unusable { source, .. } => match &**source {
            gan_nets::Error::Weights(gan_weights::Error::NonFinite { tensor, .. }) => format!("the weight {tensor}"),
            _ => return error.into(),
        },
        _ => return error.into(),
    };
    Error::Diverged { what: text, way_back: WayBack::Unknown }
}

/// What is no number in a result does as well.
fn of_image(error: Error, batch: &Batch) -> Error {
    let non_finite = match &error {
        Error::Data(gan_data::Error::NonFinite { .. }) => true,
        Error::Translate(error) => matches!(**error, gan_translate::Error::Data(gan_data::Error::NonFinite { .. })),
        _ => false,
    };
    if non_finite {
        let what = format!("the translation of the held-out image {}", batch.names.join(", "));
        return Error::Diverged { what, way_back: WayBack::Unknown };
    }
    error.in_validation(batch)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::shares::gather;
    use super::*;
    use crate::config::ConfigSource;
    use crate::{DeviceConfig, METHODS, MethodConfig, find};
    use candle_core::DType;
    use gan_layers::Missing;

    fn cyclegan(run: &Path) -> (Box<dyn Method>, Validator) {
        let spec = find(METHODS, "cyclegan").unwrap();
        let own = ["data.mode=unpaired", "max_dataset_size=2", "workers=0", "validation.every=1"];
        let settings = spec.smoke_overrides.iter().chain(&own).map(|s| ConfigSource::Setting((*s).into()));
        let config: Box<dyn MethodConfig> = (spec.resolve)(&settings.collect::<Vec<_>>()).unwrap();
        let (data, device_config) = (config.data(), DeviceConfig::cpu());
        let training = gan_data::open(&data).unwrap();
        let options = Options { device: device_config.clone(), ..Options::default() };
        let validator = Validator::open(config.validation(), &data, &*training, config.model(), options, run);
        (config.build(&device_config).unwrap(), validator.unwrap().unwrap())
    }

    #[test]
    fn every_image_of_a_domain_counts_once() {
        let (mut method, validator) = cyclegan(Path::new("run"));
        let networks = copies(&mut *method, &validator.model).unwrap();
        let trained = TrainedModel::in_memory(&validator.run, validator.model.clone(), networks).unwrap();
        let load = |direction| Model::load(&trained, Options { direction: Some(direction), ..Options::default() });
        let models = [load(gan_data::Direction::A2b).unwrap(), load(gan_data::Direction::B2a).unwrap()];
        let batch = validator.loader.epoch(0, 0).next().unwrap().unwrap();
        let item = Item { batch: &batch, models: &models, colour: false };
        let kinds = |wanted: &[Compares], fresh| -> Vec<Compares> {
            item.compare(wanted, fresh).unwrap().iter().map(|pair| pair.compares).collect()
        };
        use Compares::{Cycles, Domains, Targets};
        for (fresh, domains, cycles) in [((true, true), 1, 2), ((true, false), 0, 1), ((false, true), 0, 1)] {
            assert_eq!(kinds(&[Domains], fresh).len(), domains);
            assert_eq!(kinds(&[Cycles], fresh), vec![Cycles; cycles]);
            assert_eq!(kinds(&[Targets], fresh), [Targets]);
        }
        // The inputs are real, and what comes back is made.
        let pairs = item.compare(&[Cycles], (true, true)).unwrap();
        assert_eq!(pairs[0].real, item.image(&batch.a).unwrap());
        assert_eq!(pairs[1].real, item.image(batch.b.as_ref().unwrap()).unwrap());
        assert!(pairs.iter().all(|pair| pair.made != pair.real && pair.made.size() == pair.real.size()));
    }

    /// A validation of one process.
    fn measure(validator: &mut Validator, method: &mut dyn Method, stop: bool) -> Result<Option<Scores>> {
        let share = validator.share(method, (0, 1), &AtomicBool::new(stop));
        gather(&gan_comm::Single, share)?.map(|gathered| validator.scores(gathered)).transpose()
    }

    #[test]
    fn weights_that_are_not_finite_are_a_divergence() {
        let (mut method, mut validator) = cyclegan(Path::new("run"));
        let first = measure(&mut validator, &mut *method, false).unwrap().unwrap();
        assert_eq!(first.images, 2);
        assert_eq!(first.values, measure(&mut validator, &mut *method, false).unwrap().unwrap().values);
        for (_, optimizer, _) in method.state().optimizers.into_iter().take(1) {
            let mut tensors = optimizer.store().state_dict("g_b.").unwrap();
            let (name, tensor) = &mut tensors[0];
            assert_eq!((tensor.dtype(), name.ends_with("weight")), (DType::F32, true));
            *tensor = (tensor.ones_like().unwrap() * f64::NAN).unwrap();
            optimizer.store().load("g_b.", &tensors, Missing::Refuse).unwrap();
        }
        match measure(&mut validator, &mut *method, false) {
            Err(Error::Diverged { what, .. }) => assert!(what.contains("weight"), "{what}"),
            other => panic!("{:?}", other.map(|scores| scores.map(|scores| scores.values))),
        }
    }

    #[test]
    fn a_stop_ends_it() {
        let (mut method, mut validator) = cyclegan(Path::new("run"));
        assert!(measure(&mut validator, &mut *method, true).unwrap().is_none());
    }
}
