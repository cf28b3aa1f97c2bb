//! A method of one's own, in one file: a U-Net that learns from L1 and squared error, without a discriminator. It is trained
//! on drawn facades, resumed, and translates.
//!
//! ```text
//! cargo run --release --example own_method
//! ```

use candle_core::{DType, Device, Tensor};
use gan_data::{Batch, DataConfig, DataMode};
use gan_layers::{Init, Optimizer, ParamStore};
use gan_losses::l1;
use gan_nets::{Arch, Generator, GeneratorConfig};
use gan_range::{Range, documented};
use gan_rng::{Key, Purpose};
use gan_train::config::{ConfigSource, Ranged, Tables};
use gan_train::consistency::Network;
use gan_train::methods::{contexts, preview_context, target};
use gan_train::{
    DeviceConfig, Job, Losses, Method, MethodConfig, MethodSpec, MethodState, Outcome, Panels, Result, StepContext,
    TrainConfig, backward, data_of, image_model, one_generator, resume_config, train, validate,
};
use gan_translate::{Model, ModelConfig};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What the trainer knows of the method: its name, and how its configuration is read.
pub(crate) static REGRESSION: MethodSpec = MethodSpec::new::<Config>(
    "regression",
    "aligned pairs: a U-Net, L1 and squared error",
    &["ngf=4", "load_size=36", "crop_size=32", "n_epochs=2", "n_epochs_decay=0"],
);

/// The whole configuration: tables that exist already, and one of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    train: TrainConfig,
    data: DataConfig,
    generator: GeneratorConfig,
    loss: LossConfig,
}

documented! {
    /// The `[loss]` table.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub(crate) struct LossConfig {
        /// Weight of the mean absolute error.
        lambda_l1: f64,
        /// Weight of the mean squared error.
        lambda_l2: f64,
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            train: TrainConfig::default(),
            data: DataConfig { mode: DataMode::Facades, ..DataConfig::default() },
            generator: GeneratorConfig { arch: Arch::Unet, num_downs: 5, ..GeneratorConfig::default() },
            loss: LossConfig::default(),
        }
    }
}

impl Default for LossConfig {
    fn default() -> Self {
        LossConfig { lambda_l1: 1.0, lambda_l2: 1.0 }
    }
}

impl Ranged for Config {
    const TABLES: Tables = &[
        ("train", TrainConfig::RANGES, TrainConfig::DOCS),
        ("data", DataConfig::RANGES, DataConfig::DOCS),
        ("generator", GeneratorConfig::RANGES, GeneratorConfig::DOCS),
        ("loss", &[Range::real("lambda_l1", 0.0, 1e6), Range::real("lambda_l2", 0.0, 1e6)], LossConfig::DOCS),
    ];
}

impl MethodConfig for Config {
    fn train(&self) -> &TrainConfig {
        &self.train
    }

    fn data(&self) -> DataConfig {
        data_of(&self.data, &self.generator)
    }

    fn networks(&self) -> Vec<Box<dyn Network>> {
        vec![Box::new(self.generator.clone())]
    }

    fn model(&self) -> ModelConfig {
        let data = self.data();
        image_model(REGRESSION.name, one_generator(self.generator.clone(), &data), &data)
    }

    fn build(&self, device_config: &DeviceConfig) -> Result<Box<dyn Method>> {
        validate(self)?;
        let generator = &self.generator;
        let (store, g) = ParamStore::build(device_config.dtype, &device_config.device, |b| generator.build(b.pp("g")))?;
        let init = Init { init_type: generator.init_type, init_gain: generator.init_gain, ..Init::default() };
        store.init(&init, Key::new(self.train.seed, Purpose::Init))?;
        Ok(Box::new(Regression { g, optimizer: Optimizer::new(store, self.train.beta1)?, config: self.clone() }))
    }
}

/// The method in training.
struct Regression {
    g: Generator,
    optimizer: Optimizer,
    config: Config,
}

impl Method for Regression {
    fn step(&mut self, batch: &Batch, cx: &StepContext) -> Result<Losses> {
        let real = target(batch)?;
        let (train, _) = contexts(&self.config.train, cx);
        let LossConfig { lambda_l1, lambda_l2 } = self.config.loss;
        self.optimizer.zero_grad()?;
        let fake = self.g.forward(&batch.a, &train)?;
        let absolute = (l1(&fake, real)? * lambda_l1)?;
        let squared = ((&fake - real)?.sqr()?.mean_all()? * lambda_l2)?;
        backward(&(&absolute + &squared)?)?;
        self.optimizer.update(cx.lr)?;
        Ok(vec![("L1", absolute.detach()), ("L2", squared.detach())])
    }

    fn preview(&self, batch: &Batch) -> Result<Panels> {
        let output = self.g.forward(&batch.a, &preview_context(&self.config.train))?;
        Ok(vec![("input".into(), batch.a.clone()), ("output".into(), output)])
    }

    fn state(&mut self) -> MethodState<'_> {
        MethodState { optimizers: vec![("g", &mut self.optimizer, vec!["g"])], ..MethodState::default() }
    }
}

/// Trains two steps, then resumes for two more.
pub(crate) fn run(folder: &Path) -> Result<[Outcome; 2]> {
    let set = |setting: &str| ConfigSource::Setting(setting.into());
    let tiny =
        REGRESSION.smoke_overrides.iter().copied().chain(["max_dataset_size=4", "workers=0", "loss.lambda_l2=0.5"]);
    let settings: Vec<ConfigSource> = tiny.map(set).chain([set("max_steps=2")]).collect();
    let launch = |config: Box<dyn MethodConfig>, resume: bool| {
        train(Job {
            method: &REGRESSION,
            config,
            dataset: None,
            run: folder.join("run"),
            resume,
            device_config: DeviceConfig::cpu(),
            argv: Vec::new(),
            version: "example".into(),
            revision: None,
            stop: Default::default(),
            observers: Vec::new(),
            ranks: std::sync::Arc::new(gan_train::Single),
        })
    };
    let first = launch((REGRESSION.resolve)(&settings)?, false)?;
    let longer = |saved: &dyn MethodConfig| (REGRESSION.resolve)(&[ConfigSource::saved(saved)?, set("max_steps=4")]);
    let second = launch(resume_config(&folder.join("run"), &REGRESSION, longer)?, true)?;
    Ok([first, second])
}

#[allow(clippy::print_stdout, dead_code)] // a test includes this file
fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let [first, second] = run(folder.path())?;
    println!("trained {} steps, resumed to {}", first.step, second.step);
    let model = Model::open(folder.path().join("run"))?;
    let image = Tensor::zeros((1, 3, 40, 50), DType::F32, &Device::Cpu)?;
    println!("translated an image to {:?}", model.translate(&image)?.dims());
    Ok(())
}
