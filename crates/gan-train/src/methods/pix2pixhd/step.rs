//! A training step of pix2pixHD.

use super::palette::colours;
use super::pretrain::load_pretrain;
use super::{Config, Perceptual};
use crate::backprop::{GradAccumulator, backward};
use crate::method::{Losses, Method, MethodState, Panels, StepContext};
use crate::method_config::validate;
use crate::methods::{contexts, preview_context, target};
use crate::pool::ImagePool;
use crate::{Augmentation, DeviceConfig, Result, numerics};
use candle_core::{DType, Tensor};
use gan_data::Batch;
use gan_layers::{BiasInit, Ctx, Init, Optimizer, ParamStore, Sequence, instance_mean};
use gan_losses::{PerceptualLoss, Vgg19, feature_matching};
use gan_nets::{Discriminator, Generator};
use gan_rng::{Key, Purpose};
use gan_translate::Condition;
use std::path::PathBuf;

/// The method in training.
pub struct Pix2PixHd {
    g: Generator,
    d: Discriminator,
    e: Option<Sequence>,
    opt_g: Optimizer,
    opt_d: Optimizer,
    pool: ImagePool,
    augment: Augmentation,
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
    /// [`TrainedModel::open_with`](gan_translate::TrainedModel::open_with) for `load_pretrain`; [`Error::Tensor`](crate::Error::Tensor) if the device has no memory
    /// for the networks.
    pub fn new(config: &Config, device_config: &DeviceConfig) -> Result<Self> {
        validate(config)?;
        numerics::check(config.train.precision, device_config)?;
        let (gc, dc) = (config.generator(), &config.discriminator);
        let (g_store, (g, e)) = ParamStore::build(device_config.dtype, &device_config.device, |b| {
            let e = config.encoder.instance_feat.then(|| config.encoder().build(b.pp("e")));
            Ok((gc.build(b.pp("g"))?, e.transpose()?))
        })?;
        let d_nc = config.condition_nc() + gc.output_nc;
        let (d_store, d) =
            ParamStore::build(device_config.dtype, &device_config.device, |b| dc.build(d_nc, b.pp("d")))?;
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
            augment: Augmentation::new(
                &config.augment,
                "ada_p",
                config.condition_nc(),
                config.loss.gan_mode,
                device_config,
            )?,
            perceptual: perceptual_loss(config, device_config)?,
            config: config.clone(),
            dtype: device_config.dtype,
            notes,
        })
    }

    /// The generator's image; with an encoder, instance features of the photograph are part of its input.
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
    fn discriminate(&self, x: &Tensor, ctx: &Ctx) -> Result<Vec<Vec<Tensor>>> {
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
    fn step(&mut self, batch: &Batch, cx: &StepContext) -> Result<Losses> {
        let real = target(batch)?;
        let cond = Condition::new(batch, self.config.classes(), self.dtype)?;
        let mode = self.config.loss.gan_mode;
        let lambda = self.config.loss.lambda_feat;
        let (train, frozen) = contexts(&self.config.train, cx);
        let key = cx.key(Purpose::Dropout);
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
        let d_fake =
            mode.loss_over_scales(&self.d.scores(&self.augment.apply(&pooled, key, "fake")?, &train)?, false)?;
        backward(&(&d_fake * 0.5)?)?;
        let pair = Tensor::cat(&[&cond, real], 1)?;
        let penalty = self.config.loss.penalty();
        let penalties = penalty.backward(&self.d, [&pair, &pooled], ["D_GP", "D_R1"], &train, cx)?;
        drop(pooled);
        // Features are matched of images that are changed alike, with one probability.
        let matched = if self.config.loss.feature_matching { "real" } else { "generator" };
        let on_real = self.discriminate(&self.augment.apply(&pair, key, "real")?, &train)?;
        drop(pair);
        let d_real = mode.loss_over_scales(&on_real, true)?;
        backward(&(&d_real * 0.5)?)?;
        let on_real: Vec<Vec<Tensor>> = on_real.iter().map(|s| s.iter().map(Tensor::detach).collect()).collect();

        // The losses are backpropagated one by one: their graphs are gone when G's backward pass begins.
        let mut at_fake = GradAccumulator::new(&fake)?;
        let shown = Tensor::cat(&[&cond, at_fake.leaf()], 1)?;
        let on_fake = self.discriminate(&self.augment.apply(&shown, key, matched)?, &frozen)?;
        self.augment.observe(&on_real)?;
        let g_gan = mode.generator_loss(&on_fake)?;
        let mut losses = vec![("G_GAN", g_gan.detach())];
        let mut of_d = g_gan;
        if self.config.loss.feature_matching {
            let loss = (feature_matching(&on_fake, &on_real)? * lambda)?;
            losses.push(("G_GAN_Feat", loss.detach()));
            of_d = (of_d + loss)?;
        }
        at_fake.backward(&of_d)?;
        drop((shown, on_fake, on_real, of_d, cond));
        if let Some(perceptual) = &self.perceptual {
            let loss = (perceptual.loss(at_fake.leaf(), real)? * lambda)?;
            losses.push(("G_VGG", loss.detach()));
            at_fake.backward(&loss)?;
        }
        at_fake.backward_input()?;
        self.opt_g.update(cx.lr)?;
        self.opt_d.update(cx.lr)?;

        losses.extend([("D_real", d_real.detach()), ("D_fake", d_fake.detach())]);
        losses.extend(penalties.into_iter().chain(self.augment.probability()?));
        Ok(losses)
    }

    /// No loss sees an updated network.
    fn passes(&self) -> Option<usize> {
        Some(1)
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

    fn state(&mut self) -> MethodState<'_> {
        let mut generators = vec!["g"];
        generators.extend(self.e.is_some().then_some("e"));
        MethodState {
            optimizers: vec![("g", &mut self.opt_g, generators), ("d", &mut self.opt_d, vec!["d"])],
            pools: vec![("fake", &mut self.pool)],
            augmentations: vec![&self.augment],
        }
    }

    /// When the whole generator begins to be trained, a step does other work; penalties may come now and then.
    fn graph_key(&self, cx: &StepContext) -> Option<u64> {
        let whole = cx.epoch > self.config.enhancer.n_epochs_fix_global;
        Some(self.config.loss.penalty().graph_key(u64::from(whole), cx))
    }

    fn startup_notes(&self) -> &[String] {
        &self.notes
    }
}

/// Where VGG19's weights are, or would be.
pub(super) fn vgg19_file(config: &Config) -> PathBuf {
    match config.loss.vgg19.as_os_str().is_empty() {
        true => gan_data::data_dir().join("weights/vgg19.safetensors"),
        false => config.loss.vgg19.clone(),
    }
}

/// The perceptual loss, with VGG19's weights.
fn perceptual_loss(config: &Config, device_config: &DeviceConfig) -> Result<Option<PerceptualLoss>> {
    if config.loss.perceptual == Perceptual::None {
        return Ok(None);
    }
    let vgg = Vgg19::load(&vgg19_file(config), device_config.dtype, &device_config.device)?
        .with_precision(config.train.precision)
        .with_math(config.train.math_mode());
    Ok(Some(PerceptualLoss::new(vgg)))
}
