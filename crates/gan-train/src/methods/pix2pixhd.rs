//! pix2pixHD (Wang et al., 2018): label maps to large photographs, coarse to fine.

mod translate;

use crate::backprop::{Junction, backward};
use crate::conditioning::Condition;
use crate::config::{Ranged, Tables, read};
use crate::consistency::{self, Contradiction, MethodConfig, Network, no_penalty};
use crate::method::{Losses, Method, MethodSpec, Panels, Parts, Place, StepCx, keys, resolve};
use crate::methods::{contexts, preview_context, target};
use crate::palette::colours;
use crate::pool::ImagePool;
use crate::{Result, TrainConfig, Trained, numerics};
use candle_core::{DType, Tensor};
use gan_data::{Batch, DataConfig, DataMode};
use gan_layers::{BiasInit, Ctx, Init, Missing, NormKind, Optimizer, ParamStore, Sequence, instance_mean};
use gan_losses::{GanMode, PerceptualLoss, Vgg19, feature_matching};
use gan_nets::{Arch, Discriminator, DiscriminatorConfig, EncoderConfig, Generator, GeneratorConfig, NetD};
use gan_range::Range;
use gan_rng::{Key, Purpose};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The entry of [`METHODS`](crate::METHODS).
pub const SPEC: MethodSpec = MethodSpec {
    name: "pix2pixhd",
    about: "label maps to photographs up to 2048x1024: enhancers, multi-scale discriminators, feature matching, VGG19",
    ranges: Config::TABLES,
    resolve: resolve::<Config>,
    keys: keys::<Config>,
    check: |table| consistency::check(&read::<Config>(table)?),
    build: |table, place| Ok(Box::new(Pix2PixHd::new(&read(table)?, place)?)),
    generator: |table| Ok(read::<Config>(table)?.generator()),
    verify: |table, weights| {
        let config: Config = read(table)?;
        config.generator().build(weights("g")?)?;
        if config.encoder.instance_feat {
            config.encoder().build(weights("e")?)?;
        }
        Ok(())
    },
    translator: translate::translator,
    encoder: Some(|trained, place| Ok(Box::new(translate::Encoder::load(&read(trained.config())?, trained, place)?))),
    debug: &[
        "generator.arch=local",
        "ngf=4",
        "ndf=4",
        "n_downsample_global=2",
        "n_blocks_global=1",
        "n_blocks_local=1",
        "num_d=2",
        "load_size=64",
        "crop_size=32",
        "perceptual=none",
        "instance_feat=true",
        "nef=4",
        "n_downsample_e=2",
        "n_epochs=2",
        "n_epochs_decay=1",
        "n_epochs_fix_global=1",
    ],
};

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Training loop.
    pub train: TrainConfig,
    /// Dataset: labels, instances, photographs.
    pub data: DataConfig,
    /// Generator. Its input channels follow from the labels, edges and features.
    pub generator: GeneratorConfig,
    /// Discriminators; they see the condition and the picture.
    pub discriminator: DiscriminatorConfig,
    /// Losses.
    pub loss: LossConfig,
    /// Instance feature encoder.
    pub encoder: FeatureConfig,
    /// Coarse to fine.
    pub enhancer: EnhancerConfig,
}

/// The `[loss]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossConfig {
    /// Adversarial objective.
    pub gan_mode: GanMode,
    /// Weight of feature matching and of the perceptual loss.
    pub lambda_feat: f64,
    /// Whether the discriminators' features are matched.
    pub feature_matching: bool,
    /// Perceptual loss.
    pub perceptual: Perceptual,
    /// File of VGG19's weights; empty = where `cargo xtask fetch-data vgg19` puts them.
    pub vgg19: PathBuf,
    /// Weight of a gradient penalty; only 0 is possible.
    pub lambda_gp: f64,
}

/// Which perceptual loss is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Perceptual {
    /// VGG19's features.
    Vgg19,
    /// None.
    None,
}

/// The `[encoder]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeatureConfig {
    /// Whether the generator gets instance features from a trained encoder.
    pub instance_feat: bool,
    /// Channels of the features.
    pub feat_num: usize,
    /// Width of the encoder.
    pub nef: usize,
    /// Halvings of the encoder.
    pub n_downsample_e: usize,
    /// Clusters per label for sampling styles.
    pub n_clusters: usize,
}

/// The `[enhancer]` table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnhancerConfig {
    /// Epochs in which only the outermost enhancer (and the encoder) is trained.
    pub n_epochs_fix_global: u64,
    /// Run or checkpoint folder whose networks are the starting point, as far as names and shapes agree.
    pub load_pretrain: PathBuf,
}

impl Ranged for Config {
    const TABLES: Tables = &[
        ("train", TrainConfig::RANGES),
        ("data", DataConfig::RANGES),
        ("generator", GeneratorConfig::RANGES),
        ("discriminator", DiscriminatorConfig::RANGES),
        ("loss", LossConfig::RANGES),
        ("encoder", FeatureConfig::RANGES),
        ("enhancer", EnhancerConfig::RANGES),
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
        consistency::data_of(&self.data, &GeneratorConfig { input_nc: self.generator.input_nc, ..self.generator() })
    }

    fn networks(&self) -> Vec<Network> {
        let seen = self.condition_nc() + self.generator.output_nc;
        let mut networks =
            vec![Network::Generator(self.generator()), Network::Discriminator(self.discriminator.clone(), seen)];
        networks.extend(self.encoder.instance_feat.then(|| Network::Encoder(self.encoder())));
        networks.extend((self.loss.perceptual == Perceptual::Vgg19).then_some(Network::Perceptual));
        networks
    }

    fn contradictions(&self) -> Vec<Contradiction> {
        let Config { data, generator, encoder, enhancer, .. } = self;
        let mut found: Vec<_> = no_penalty(self.loss.lambda_gp).into_iter().collect();
        let mut say = |what: String, remedies: &[&[&str]]| found.push(Contradiction::new(what, remedies));
        let mode = consistency::mode_name(data.mode);
        match data.mode {
            DataMode::Single => {
                say(format!("data.mode = \"{mode}\" has no targets to train on"), &[&["data.mode = \"labelled\""]])
            }
            DataMode::Streets if !data.instances => {
                say("streets come with instance maps".into(), &[&["data.instances = true"]]);
            }
            DataMode::Labelled | DataMode::Streets => {}
            _ if data.label_nc > 0 || data.instances => say(
                format!("data.mode = \"{mode}\" has neither labels nor instance maps"),
                &[&["data.mode = \"labelled\""], &["data.label_nc = 0", "data.instances = false"]],
            ),
            _ => {}
        }
        if encoder.instance_feat && !data.instances {
            say(
                "instance features (encoder.instance_feat) need instance maps".into(),
                &[&["data.instances = true"], &["encoder.instance_feat = false"]],
            );
        }
        if self.loss.perceptual == Perceptual::Vgg19 && generator.output_nc != 3 {
            let what = format!("VGG19 looks at images of 3 channels; generator.output_nc is {}", generator.output_nc);
            say(what, &[&["loss.perceptual = \"none\""]]);
        }
        if self.loss.feature_matching && self.discriminator.arch == NetD::Pixel {
            let what = "feature matching needs layers to match, and discriminator.arch = \"pixel\" has one stage";
            say(what.into(), &[&["loss.feature_matching = false"], &["discriminator.arch = \"multiscale\""]]);
        }
        if enhancer.n_epochs_fix_global > 0 && generator.arch != Arch::Local {
            let arch = generator.arch.name();
            let what = format!(
                "enhancer.n_epochs_fix_global trains an enhancer alone, and generator.arch = \"{arch}\" has none"
            );
            say(what, &[&["enhancer.n_epochs_fix_global = 0"], &["generator.arch = \"local\""]]);
        }
        found
    }
}

impl LossConfig {
    /// The ranges of the numeric keys.
    pub const RANGES: &'static [Range] = &[consistency::weight("lambda_feat"), consistency::weight("lambda_gp")];
}

impl FeatureConfig {
    /// The ranges of the numeric keys.
    pub const RANGES: &'static [Range] = &[
        EncoderConfig::RANGES[0],
        EncoderConfig::RANGES[1],
        EncoderConfig::RANGES[2],
        Range::whole("n_clusters", 1, 65_536),
    ];
}

impl EnhancerConfig {
    /// The ranges of the numeric keys.
    pub const RANGES: &'static [Range] = &[Range::whole("n_epochs_fix_global", 0, 1_000_000_000)];
}

impl Default for Config {
    fn default() -> Self {
        Config {
            train: TrainConfig::default(),
            data: DataConfig { mode: DataMode::Labelled, ..DataConfig::default() },
            generator: GeneratorConfig { arch: Arch::Global, ..GeneratorConfig::default() },
            discriminator: DiscriminatorConfig {
                arch: NetD::Multiscale,
                norm: NormKind::Instance,
                ..DiscriminatorConfig::default()
            },
            loss: LossConfig::default(),
            encoder: FeatureConfig::default(),
            enhancer: EnhancerConfig::default(),
        }
    }
}

impl Default for LossConfig {
    fn default() -> Self {
        LossConfig {
            gan_mode: GanMode::Lsgan,
            lambda_feat: 10.0,
            feature_matching: true,
            perceptual: Perceptual::Vgg19,
            vgg19: PathBuf::new(),
            lambda_gp: 0.0,
        }
    }
}

impl Default for FeatureConfig {
    fn default() -> Self {
        FeatureConfig { instance_feat: false, feat_num: 3, nef: 16, n_downsample_e: 4, n_clusters: 10 }
    }
}

impl Config {
    /// Planes of the one-hot labels; 0 for pictures as input.
    pub fn classes(&self) -> usize {
        if self.data.label_nc == 0 { 0 } else { self.data.label_nc + usize::from(self.data.dont_care.is_some()) }
    }

    /// Channels of the condition: labels (or the picture) and edges.
    pub fn condition_nc(&self) -> usize {
        let base = if self.data.label_nc == 0 { self.generator.input_nc } else { self.classes() };
        base + usize::from(self.data.instances)
    }

    /// The generator with the input channels that follow.
    pub fn generator(&self) -> GeneratorConfig {
        let features = if self.encoder.instance_feat { self.encoder.feat_num } else { 0 };
        GeneratorConfig { input_nc: self.condition_nc() + features, ..self.generator.clone() }
    }

    /// The encoder.
    pub fn encoder(&self) -> EncoderConfig {
        EncoderConfig {
            input_nc: self.generator.output_nc,
            feat_num: self.encoder.feat_num,
            nef: self.encoder.nef,
            n_downsample: self.encoder.n_downsample_e,
            norm: self.generator.norm,
        }
    }

    fn perceptual(&self, place: &Place) -> Result<Option<PerceptualLoss>> {
        if self.loss.perceptual == Perceptual::None {
            return Ok(None);
        }
        let default = gan_data::data_dir().join("weights/vgg19.safetensors");
        let path = if self.loss.vgg19.as_os_str().is_empty() { &default } else { &self.loss.vgg19 };
        let vgg = Vgg19::load(path, place.dtype, &place.device)?.with_precision(self.train.precision);
        let vgg = vgg.with_math(self.train.math_mode());
        Ok(Some(PerceptualLoss::new(vgg)))
    }
}

/// The method in training.
pub struct Pix2PixHd {
    g: Generator,
    d: Discriminator,
    e: Option<Sequence>,
    opt_g: Optimizer,
    opt_d: Optimizer,
    pool: ImagePool,
    perceptual: Option<PerceptualLoss>,
    config: Config,
    dtype: DType,
    notes: Vec<String>,
}

impl Pix2PixHd {
    /// Builds the networks with fresh weights, or with those of `load_pretrain` as far as they fit.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a configuration that contradicts itself and for a precision that
    /// the device does not have; [`Error::Loss`](crate::Error::Loss) if the weights of VGG19 cannot be used; those of
    /// [`Trained::open_with`] for `load_pretrain`; [`Error::Tensor`](crate::Error::Tensor) if the device has no memory
    /// for the networks.
    pub fn new(config: &Config, place: &Place) -> Result<Self> {
        consistency::check(config)?;
        numerics::check(config.train.precision, place)?;
        let (gc, dc) = (config.generator(), &config.discriminator);
        let (g_store, (g, e)) = ParamStore::build(place.dtype, &place.device, |b| {
            let e = config.encoder.instance_feat.then(|| config.encoder().build(b.pp("e")));
            Ok((gc.build(b.pp("g"))?, e.transpose()?))
        })?;
        let d_nc = config.condition_nc() + gc.output_nc;
        let (d_store, d) = ParamStore::build(place.dtype, &place.device, |b| dc.build(d_nc, b.pp("d")))?;
        let key = Key::new(config.train.seed, Purpose::Init);
        let bias = BiasInit::Uniform;
        g_store.init(&Init { init_type: gc.init_type, init_gain: gc.init_gain, bias }, key)?;
        d_store.init(&Init { init_type: dc.init_type, init_gain: dc.init_gain, bias }, key)?;
        let mut notes = Vec::new();
        let pretrain = &config.enhancer.load_pretrain;
        if !pretrain.as_os_str().is_empty() {
            notes = load_pretrain(pretrain, &[(&g_store, "g"), (&g_store, "e"), (&d_store, "d")])?;
        }
        Ok(Pix2PixHd {
            g,
            d,
            e,
            opt_g: Optimizer::new(g_store, config.train.beta1)?,
            opt_d: Optimizer::new(d_store, config.train.beta1)?,
            pool: ImagePool::new(config.train.pool_size).of_channels(d_nc),
            perceptual: config.perceptual(place)?,
            config: config.clone(),
            dtype: place.dtype,
            notes,
        })
    }

    /// The generator's picture; with an encoder, instance features of the photograph are part of its input.
    fn generate(&self, cond: &Condition, batch: &Batch, ctx: &Ctx, coarse: &Ctx) -> Result<Tensor> {
        Ok(match (&self.e, &batch.inst) {
            (Some(e), Some(inst)) => {
                let features = instance_mean(&e.forward(target(batch)?, ctx)?, inst)?;
                self.g.forward_with_coarse(&cond.with(&features)?, ctx, coarse)?
            }
            _ => self.g.forward_with_coarse(cond, ctx, coarse)?,
        })
    }

    /// What the discriminator says, with its features if they are to be matched.
    fn judge(&self, x: &Tensor, ctx: &Ctx) -> Result<Vec<Vec<Tensor>>> {
        let features = self.config.loss.feature_matching;
        Ok(if features { self.d.forward(x, ctx)? } else { self.d.scores(x, ctx)? })
    }

    /// The parameters that are trained in an epoch.
    fn trained(&self, epoch: u64) -> std::ops::Range<usize> {
        let store = self.opt_g.store();
        if epoch > self.config.enhancer.n_epochs_fix_global {
            return 0..store.len();
        }
        // The outermost enhancer and the encoder lie behind one another at the end of the store.
        let outermost = format!("g.model{}_", self.config.generator.n_local_enhancers);
        store.range(&[&outermost, "e."])
    }
}

impl Method for Pix2PixHd {
    /// All losses come from one forward pass; G is updated first, then D.
    fn step(&mut self, batch: &Batch, cx: &StepCx) -> Result<Losses> {
        let real = target(batch)?;
        let cond = Condition::new(batch, self.config.classes(), self.dtype)?;
        let mode = self.config.loss.gan_mode;
        let lambda = self.config.loss.lambda_feat;
        let (train, frozen) = contexts(&self.config.train, cx);
        let trained = self.trained(cx.epoch);
        let coarse = if trained.len() == self.opt_g.store().len() { train } else { frozen };
        self.opt_g.select(trained)?;
        // G's gradients of the step before give way to D's passes.
        self.opt_g.zero_grad()?;
        let fake = self.generate(&cond, batch, &train, &coarse)?;
        // The discriminators also see averages of the planes.
        let cond = cond.planes()?;

        // D's gradients are gathered here, before G's, so that its graphs are gone; it is updated last all the same.
        self.opt_d.zero_grad()?;
        let pooled = self.pool.query(&Tensor::cat(&[&cond, &fake.detach()], 1)?, cx.key(Purpose::Pool))?;
        let d_fake = mode.loss_over_scales(&self.d.scores(&pooled, &train)?, false)?;
        backward(&(&d_fake * 0.5)?)?;
        drop(pooled);
        let on_real = self.judge(&Tensor::cat(&[&cond, real], 1)?, &train)?;
        let d_real = mode.loss_over_scales(&on_real, true)?;
        backward(&(&d_real * 0.5)?)?;
        let on_real: Vec<Vec<Tensor>> = on_real.iter().map(|s| s.iter().map(Tensor::detach).collect()).collect();

        // The losses' graphs are walked back one by one, and are gone when G's is.
        let mut at_fake = Junction::new(&fake)?;
        let on_fake = self.judge(&Tensor::cat(&[&cond, at_fake.leaf()], 1)?, &frozen)?;
        let g_gan = mode.loss_over_scales(&on_fake, true)?;
        let mut losses = vec![("G_GAN", g_gan.detach())];
        let mut of_d = g_gan;
        if self.config.loss.feature_matching {
            let loss = (feature_matching(&on_fake, &on_real)? * lambda)?;
            losses.push(("G_GAN_Feat", loss.detach()));
            of_d = (of_d + loss)?;
        }
        at_fake.backward(&of_d)?;
        drop((on_fake, on_real, of_d, cond));
        if let Some(perceptual) = &self.perceptual {
            let loss = (perceptual.loss(at_fake.leaf(), real)? * lambda)?;
            losses.push(("G_VGG", loss.detach()));
            at_fake.backward(&loss)?;
        }
        at_fake.pass_on()?;
        self.opt_g.update(cx.lr)?;
        self.opt_d.update(cx.lr)?;

        losses.extend([("D_real", d_real.detach()), ("D_fake", d_fake.detach())]);
        Ok(losses)
    }

    fn preview(&self, batch: &Batch) -> Result<Panels> {
        let ctx = preview_context(&self.config.train);
        let cond = Condition::new(batch, self.config.classes(), self.dtype)?;
        let fake = self.generate(&cond, batch, &ctx, &ctx)?;
        let input =
            if self.config.classes() == 0 { batch.a.clone() } else { colours(&batch.a, self.config.classes())? };
        let mut panels = vec![("input".into(), input), ("output".into(), fake)];
        panels.extend(batch.b.clone().map(|b| ("target".into(), b)));
        Ok(panels)
    }

    fn parts(&mut self) -> Parts<'_> {
        let mut generators = vec!["g"];
        generators.extend(self.e.is_some().then_some("e"));
        Parts {
            optimizers: vec![("g", &mut self.opt_g, generators), ("d", &mut self.opt_d, vec!["d"])],
            pools: vec![("fake", &mut self.pool)],
        }
    }

    /// When the whole generator begins to be trained, a step does other work.
    fn graph_key(&self, cx: &StepCx) -> Option<u64> {
        Some(u64::from(cx.epoch > self.config.enhancer.n_epochs_fix_global))
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// Loads networks of another run by name and shape; returns what was taken and what was not.
fn load_pretrain(path: &Path, networks: &[(&ParamStore, &str)]) -> Result<Vec<String>> {
    let trained = Trained::open_with(path, &["d"])?;
    let mut notes: Vec<String> = trained.warnings().iter().map(ToString::to_string).collect();
    for (store, name) in networks.iter().filter(|(_, name)| trained.has(name)) {
        let tensors = trained.network(name)?;
        let left_out = store.load(&format!("{name}."), tensors.entries(), Missing::Skip)?;
        notes.push(format!(
            "{name}: {} tensors offered by {}, {} left out or new",
            tensors.len(),
            path.display(),
            left_out.len()
        ));
        notes.extend(left_out.into_iter().map(|n| format!("{name}: {n}")));
    }
    Ok(notes)
}
