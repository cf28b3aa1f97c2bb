//! A training step of pix2pix.

use super::{Config, LossConfig};
use crate::backprop::backward;
use crate::method::{Losses, Method, MethodState, Panels, StepContext};
use crate::method_config::validate;
use crate::methods::{again, contexts, preview_context, target};
use crate::pool::ImagePool;
use crate::{Augmentation, DeviceConfig, Result, TrainConfig, numerics};
use candle_core::Tensor;
use gan_data::{Batch, DataMode, image_from_lab};
use gan_layers::{Ctx, Init, Optimizer, ParamStore};
use gan_losses::l1;
use gan_nets::{Discriminator, Generator};
use gan_rng::{Key, Purpose};

/// The method in training.
pub struct Pix2Pix {
    g: Generator,
    d: Discriminator,
    opt_g: Optimizer,
    opt_d: Optimizer,
    pool: ImagePool,
    augment: Augmentation,
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
    pub fn new(config: &Config, device_config: &DeviceConfig) -> Result<Self> {
        validate(config)?;
        numerics::check(config.train.precision, device_config)?;
        let (gc, dc) = (&config.generator, &config.discriminator);
        let (g_store, g) = ParamStore::build(device_config.dtype, &device_config.device, |b| gc.build(b.pp("g")))?;
        let (d_store, d) = ParamStore::build(device_config.dtype, &device_config.device, |b| {
            dc.build(gc.input_nc + gc.output_nc, b.pp("d"))
        })?;
        let key = Key::new(config.train.seed, Purpose::Init);
        g_store.init(&Init { init_type: gc.init_type, init_gain: gc.init_gain, ..Init::default() }, key)?;
        d_store.init(&Init { init_type: dc.init_type, init_gain: dc.init_gain, ..Init::default() }, key)?;
        Ok(Pix2Pix {
            g,
            d,
            opt_g: Optimizer::new(g_store, config.train.beta1)?,
            opt_d: Optimizer::new(d_store, config.train.beta1)?,
            pool: ImagePool::new(config.train.pool_size).of_channels(gc.input_nc + gc.output_nc),
            augment: Augmentation::new(&config.augment, "ada_p", gc.input_nc, config.loss.gan_mode, device_config)?,
            loss: config.loss.clone(),
            train: config.train.clone(),
            colorization: config.data.mode == DataMode::Colorization,
        })
    }

    /// The fake of a batch. G's gradients of the step before give way.
    fn generate(&self, batch: &Batch, ctx: &Ctx) -> Result<Tensor> {
        self.opt_g.zero_grad()?;
        Ok(self.g.forward(&batch.a, ctx)?)
    }

    /// Trains D on (A, fake B) and (A, B).
    fn train_d(&mut self, batch: &Batch, fake: &Tensor, cx: &StepContext) -> Result<Losses> {
        let (a, b) = (&batch.a, target(batch)?);
        let mode = self.loss.gan_mode;
        let (train, _) = contexts(&self.train, cx);
        self.opt_d.zero_grad()?;
        let pooled = self.pool.query(&Tensor::cat(&[a, &fake.detach()], 1)?, cx.key(Purpose::Pool))?;
        let d_fake = mode.loss_over_scales(
            &self.d.scores(&self.augment.apply(&pooled, cx.key(Purpose::Dropout), "fake")?, &train)?,
            false,
        )?;
        backward(&(&d_fake * 0.5)?)?;
        let real = Tensor::cat(&[a, b], 1)?;
        let on_real = self.d.scores(&self.augment.apply(&real, cx.key(Purpose::Dropout), "real")?, &train)?;
        self.augment.observe(&on_real)?;
        let d_real = mode.loss_over_scales(&on_real, true)?;
        backward(&(&d_real * 0.5)?)?;
        let names = ["D_GP", "D_R1"];
        let penalties = self.loss.penalty().backward(&self.d, [&real, &pooled], names, &train, cx)?;
        self.opt_d.update(cx.lr)?;
        let losses = [("D_real", d_real.detach()), ("D_fake", d_fake.detach())];
        Ok(losses.into_iter().chain(penalties).chain(self.augment.probability()?).collect())
    }

    /// Trains G through D.
    fn train_g(&mut self, batch: &Batch, fake: &Tensor, cx: &StepContext) -> Result<Losses> {
        let (a, b) = (&batch.a, target(batch)?);
        let (_, frozen) = contexts(&self.train, cx);
        let shown = self.augment.apply(&Tensor::cat(&[a, fake], 1)?, cx.key(Purpose::Dropout), "generator")?;
        let g_gan = self.loss.gan_mode.generator_loss(&self.d.scores(&shown, &frozen)?)?;
        let g_l1 = (l1(fake, b)? * self.loss.lambda_l1)?;
        backward(&(&g_gan + &g_l1)?)?;
        self.opt_g.update(cx.lr)?;
        Ok(vec![("G_GAN", g_gan.detach()), ("G_L1", g_l1.detach())])
    }
}

impl Method for Pix2Pix {
    /// D first; then G through the updated D, with the same fake.
    fn step(&mut self, batch: &Batch, cx: &StepContext) -> Result<Losses> {
        let fake = self.generate(batch, &contexts(&self.train, cx).0)?;
        let of_d = self.train_d(batch, &fake, cx)?;
        let mut losses = self.train_g(batch, &fake, cx)?;
        losses.extend(of_d);
        Ok(losses)
    }

    fn passes(&self) -> Option<usize> {
        Some(2)
    }

    /// D in the first pass, G in the second.
    fn pass(&mut self, pass: usize, batch: &Batch, cx: &StepContext) -> Result<Losses> {
        let (train, frozen) = contexts(&self.train, cx);
        if pass == 0 {
            let fake = self.generate(batch, &frozen)?;
            return self.train_d(batch, &fake, cx);
        }
        let fake = self.generate(batch, &again(train))?;
        self.train_g(batch, &fake, cx)
    }

    fn preview(&self, batch: &Batch) -> Result<Panels> {
        let fake = self.g.forward(&batch.a, &preview_context(&self.train))?;
        // Colour is shown with the lightness that it belongs to.
        let shown = |t: Tensor| if self.colorization { in_colour(&batch.a, &t).unwrap_or(t) } else { t };
        let mut panels = vec![("input".into(), batch.a.clone()), ("output".into(), shown(fake))];
        panels.extend(batch.b.clone().map(|b| ("target".into(), shown(b))));
        Ok(panels)
    }

    fn state(&mut self) -> MethodState<'_> {
        MethodState {
            optimizers: vec![("g", &mut self.opt_g, vec!["g"]), ("d", &mut self.opt_d, vec!["d"])],
            pools: vec![("fake", &mut self.pool)],
            augmentations: vec![&self.augment],
        }
    }

    /// Steps with batches of one shape do the same, but for penalties that come now and then.
    fn graph_key(&self, cx: &StepContext) -> Option<u64> {
        Some(self.loss.penalty().graph_key(0, cx))
    }
}

/// RGB `[N, 3, H, W]` of lightness `[N, 1, H, W]` and colour `[N, 2, H, W]`. Fails where a value is not finite.
fn in_colour(lightness: &Tensor, colour: &Tensor) -> Result<Tensor> {
    let images = (0..colour.dim(0)?).map(|n| Ok(image_from_lab(&lightness.get(n)?, &colour.get(n)?)?.to_tensor()?));
    Ok(Tensor::stack(&images.collect::<Result<Vec<_>>>()?, 0)?)
}
