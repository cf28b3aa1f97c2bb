//! A training step of pix2pix.

use super::{Config, LossConfig};
use crate::backprop::backward;
use crate::method::{Losses, Method, MethodState, Panels, StepContext};
use crate::method_config::validate;
use crate::methods::{contexts, preview_context, target};
use crate::pool::ImagePool;
use crate::{Augmentation, DeviceConfig, Result, TrainConfig, numerics};
use candle_core::Tensor;
use gan_data::{Batch, DataMode, image_from_lab};
use gan_layers::{Init, Optimizer, ParamStore};
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
    pub fn new(config: &Config, place: &DeviceConfig) -> Result<Self> {
        validate(config)?;
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
            augment: Augmentation::new(&config.augment, "ada_p", gc.input_nc, config.loss.gan_mode, place)?,
            loss: config.loss.clone(),
            train: config.train.clone(),
            colorization: config.data.mode == DataMode::Colorization,
        })
    }
}

impl Method for Pix2Pix {
    /// D first, on (A, fake B) and (A, B); then G through the updated D, with the same fake.
    fn step(&mut self, batch: &Batch, cx: &StepContext) -> Result<Losses> {
        let (a, b) = (&batch.a, target(batch)?);
        let mode = self.loss.gan_mode;
        let (train, frozen) = contexts(&self.train, cx);
        let key = cx.key(Purpose::Dropout);
        // G's gradients of the step before give way to D's passes.
        self.opt_g.zero_grad()?;
        let fake = self.g.forward(a, &train)?;

        self.opt_d.zero_grad()?;
        let pooled = self.pool.query(&Tensor::cat(&[a, &fake.detach()], 1)?, cx.key(Purpose::Pool))?;
        let d_fake =
            mode.loss_over_scales(&self.d.scores(&self.augment.apply(&pooled, key, "fake")?, &train)?, false)?;
        backward(&(&d_fake * 0.5)?)?;
        let on_real = self.d.scores(&self.augment.apply(&Tensor::cat(&[a, b], 1)?, key, "real")?, &train)?;
        self.augment.observe(&on_real)?;
        let d_real = mode.loss_over_scales(&on_real, true)?;
        backward(&(&d_real * 0.5)?)?;
        self.opt_d.update(cx.lr)?;

        let shown = self.augment.apply(&Tensor::cat(&[a, &fake], 1)?, key, "generator")?;
        let g_gan = mode.generator_loss(&self.d.scores(&shown, &frozen)?)?;
        let g_l1 = (l1(&fake, b)? * self.loss.lambda_l1)?;
        backward(&(&g_gan + &g_l1)?)?;
        self.opt_g.update(cx.lr)?;

        let losses = [("G_GAN", g_gan), ("G_L1", g_l1), ("D_real", d_real), ("D_fake", d_fake)];
        let losses = losses.into_iter().map(|(name, loss)| (name, loss.detach()));
        Ok(losses.chain(self.augment.probability()?).collect())
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

    /// Every step with batches of one shape does the same.
    fn graph_key(&self, _: &StepContext) -> Option<u64> {
        Some(0)
    }
}

/// RGB `[N, 3, H, W]` of lightness `[N, 1, H, W]` and colour `[N, 2, H, W]`. Fails where a value is not finite.
fn in_colour(lightness: &Tensor, colour: &Tensor) -> Result<Tensor> {
    let images = (0..colour.dim(0)?).map(|n| Ok(image_from_lab(&lightness.get(n)?, &colour.get(n)?)?.to_tensor()?));
    Ok(Tensor::stack(&images.collect::<Result<Vec<_>>>()?, 0)?)
}
