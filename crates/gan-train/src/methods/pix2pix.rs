//! pix2pix (Isola et al., 2017): a conditional GAN with an L1 term on aligned pairs.

use crate::backprop::backward;
use crate::config::{Ranged, Tables, read};
use crate::consistency::{self, Contradiction, MethodConfig, Network, no_penalty};
use crate::method::{
    Losses, Method, MethodSpec, Panels, Parts, Place, StepCx, TranslateOptions, Translator, keys, resolve,
};
use crate::methods::{self, Plain, contexts, preview_context};
use crate::pool::ImagePool;
use crate::{Result, TrainConfig, Trained, numerics};
use candle_core::Tensor;
use gan_data::{Batch, DataConfig, DataMode, picture_from_lab};
use gan_layers::{Init, NormKind, Optimizer, ParamStore};
use gan_losses::{GanMode, l1};
use gan_nets::{Arch, Discriminator, DiscriminatorConfig, Generator, GeneratorConfig};
use gan_range::Range;
use gan_rng::{Key, Purpose};
use serde::{Deserialize, Serialize};

/// The entry of [`METHODS`](crate::METHODS).
pub const SPEC: MethodSpec = MethodSpec {
    name: "pix2pix",
    about: "aligned pairs: U-Net or ResNet generator, PatchGAN on (input, output), L1",
    ranges: Config::TABLES,
    resolve: resolve::<Config>,
    keys: keys::<Config>,
    check: |table| consistency::check(&read::<Config>(table)?),
    build: |table, place| Ok(Box::new(Pix2Pix::new(&read(table)?, place)?)),
    generator: |table| Ok(read::<Config>(table)?.generator),
    verify: |table, weights| Ok(read::<Config>(table)?.generator.build(weights("g")?).map(drop)?),
    translator,
    encoder: None,
    debug: &[
        "generator.arch=unet",
        "generator.num_downs=5",
        "ngf=4",
        "ndf=4",
        "load_size=36",
        "crop_size=32",
        "n_epochs=2",
        "n_epochs_decay=1",
    ],
};

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Training loop.
    pub train: TrainConfig,
    /// Dataset.
    pub data: DataConfig,
    /// Generator.
    pub generator: GeneratorConfig,
    /// Discriminator; sees input and output picture.
    pub discriminator: DiscriminatorConfig,
    /// Losses.
    pub loss: LossConfig,
}

/// The `[loss]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossConfig {
    /// Adversarial objective.
    pub gan_mode: GanMode,
    /// Weight of the L1 term.
    pub lambda_l1: f64,
    /// Weight of a gradient penalty; only 0 is possible.
    pub lambda_gp: f64,
}

impl Ranged for Config {
    const TABLES: Tables = &[
        ("train", TrainConfig::RANGES),
        ("data", DataConfig::RANGES),
        ("generator", GeneratorConfig::RANGES),
        ("discriminator", DiscriminatorConfig::RANGES),
        ("loss", LossConfig::RANGES),
    ];

    fn refusal(&self) -> Option<(String, String)> {
        consistency::first_refusal(&self.networks())
    }
}

impl MethodConfig for Config {
    fn train(&self) -> &TrainConfig {
        &self.train
    }

    fn data(&self) -> DataConfig {
        consistency::data_of(&self.data, &self.generator)
    }

    fn networks(&self) -> Vec<Network> {
        let gc = &self.generator;
        let seen = gc.input_nc + gc.output_nc;
        vec![Network::Generator(gc.clone()), Network::Discriminator(self.discriminator.clone(), seen)]
    }

    fn contradictions(&self) -> Vec<Contradiction> {
        let images = consistency::images_only("pix2pix", &self.data, "aligned", "facades");
        no_penalty(self.loss.lambda_gp).into_iter().chain(images).collect()
    }
}

impl LossConfig {
    /// The ranges of the numeric keys.
    pub const RANGES: &'static [Range] = &[consistency::weight("lambda_l1"), consistency::weight("lambda_gp")];
}

impl Default for Config {
    fn default() -> Self {
        Config {
            train: TrainConfig::default(),
            data: DataConfig { mode: DataMode::Aligned, ..DataConfig::default() },
            generator: GeneratorConfig {
                arch: Arch::Unet256,
                norm: NormKind::Batch,
                dropout: true,
                ..GeneratorConfig::default()
            },
            discriminator: DiscriminatorConfig { norm: NormKind::Batch, ..DiscriminatorConfig::default() },
            loss: LossConfig::default(),
        }
    }
}

impl Default for LossConfig {
    fn default() -> Self {
        LossConfig { gan_mode: GanMode::Vanilla, lambda_l1: 100.0, lambda_gp: 0.0 }
    }
}

/// The method in training.
pub struct Pix2Pix {
    g: Generator,
    d: Discriminator,
    opt_g: Optimizer,
    opt_d: Optimizer,
    pool: ImagePool,
    loss: LossConfig,
    train: TrainConfig,
    colorization: bool,
}

impl Pix2Pix {
    /// Builds the networks with fresh weights.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a configuration that contradicts itself and for a precision that
    /// the device does not have; [`Error::Tensor`](crate::Error::Tensor) if the device has no memory for the networks.
    pub fn new(config: &Config, place: &Place) -> Result<Self> {
        consistency::check(config)?;
        numerics::check(config.train.precision, place)?;
        let (gc, dc) = (&config.generator, &config.discriminator);
        let (g_store, g) = ParamStore::build(place.dtype, &place.device, |b| gc.build(b.pp("g")))?;
        let (d_store, d) =
            ParamStore::build(place.dtype, &place.device, |b| dc.build(gc.input_nc + gc.output_nc, b.pp("d")))?;
        let key = Key::new(config.train.seed, Purpose::Init);
        g_store.init(&Init { init_type: gc.init_type, init_gain: gc.init_gain, ..Init::default() }, key)?;
        d_store.init(&Init { init_type: dc.init_type, init_gain: dc.init_gain, ..Init::default() }, key)?;
        Ok(Pix2Pix {
            g,
            d,
            opt_g: Optimizer::new(g_store, config.train.beta1)?,
            opt_d: Optimizer::new(d_store, config.train.beta1)?,
            pool: ImagePool::new(config.train.pool_size).of_channels(gc.input_nc + gc.output_nc),
            loss: config.loss.clone(),
            train: config.train.clone(),
            colorization: config.data.mode == DataMode::Colorization,
        })
    }
}

impl Method for Pix2Pix {
    /// D first, on (A, fake B) and (A, B); then G through the updated D, with the same fake.
    fn step(&mut self, batch: &Batch, cx: &StepCx) -> Result<Losses> {
        let (a, b) = (&batch.a, methods::target(batch)?);
        let mode = self.loss.gan_mode;
        let (train, frozen) = contexts(&self.train, cx);
        // G's gradients of the step before give way to D's passes.
        self.opt_g.zero_grad()?;
        let fake = self.g.forward(a, &train)?;

        self.opt_d.zero_grad()?;
        let pooled = self.pool.query(&Tensor::cat(&[a, &fake.detach()], 1)?, cx.key(Purpose::Pool))?;
        let d_fake = mode.loss_over_scales(&self.d.scores(&pooled, &train)?, false)?;
        backward(&(&d_fake * 0.5)?)?;
        let d_real = mode.loss_over_scales(&self.d.scores(&Tensor::cat(&[a, b], 1)?, &train)?, true)?;
        backward(&(&d_real * 0.5)?)?;
        self.opt_d.update(cx.lr)?;

        let g_gan = mode.loss_over_scales(&self.d.scores(&Tensor::cat(&[a, &fake], 1)?, &frozen)?, true)?;
        let g_l1 = (l1(&fake, b)? * self.loss.lambda_l1)?;
        backward(&(&g_gan + &g_l1)?)?;
        self.opt_g.update(cx.lr)?;

        Ok(vec![
            ("G_GAN", g_gan.detach()),
            ("G_L1", g_l1.detach()),
            ("D_real", d_real.detach()),
            ("D_fake", d_fake.detach()),
        ])
    }

    fn preview(&self, batch: &Batch) -> Result<Panels> {
        let fake = self.g.forward(&batch.a, &preview_context(&self.train))?;
        // Colour is shown with the lightness that it belongs to.
        let shown = |t: Tensor| if self.colorization { in_colour(&batch.a, &t).unwrap_or(t) } else { t };
        let mut panels = vec![("input".into(), batch.a.clone()), ("output".into(), shown(fake))];
        panels.extend(batch.b.clone().map(|b| ("target".into(), shown(b))));
        Ok(panels)
    }

    fn parts(&mut self) -> Parts<'_> {
        Parts {
            optimizers: vec![("g", &mut self.opt_g, vec!["g"]), ("d", &mut self.opt_d, vec!["d"])],
            pools: vec![("fake", &mut self.pool)],
        }
    }

    /// Every step with batches of one shape does the same.
    fn graph_key(&self, _: &StepCx) -> Option<u64> {
        Some(0)
    }
}

/// RGB `[N, 3, H, W]` of lightness `[N, 1, H, W]` and colour `[N, 2, H, W]`. Fails where a value is not finite.
fn in_colour(lightness: &Tensor, colour: &Tensor) -> Result<Tensor> {
    let images = (0..colour.dim(0)?).map(|n| Ok(picture_from_lab(&lightness.get(n)?, &colour.get(n)?)?.to_tensor()?));
    Ok(Tensor::stack(&images.collect::<Result<Vec<_>>>()?, 0)?)
}

fn translator(trained: &Trained, options: &TranslateOptions, place: &Place) -> Result<Box<dyn Translator>> {
    let config: Config = read(trained.config())?;
    Ok(Box::new(Plain::load(&config.generator, trained, "g", options, place)?))
}
