//! A training step of CycleGAN.

use super::{Config, LossConfig};
use crate::backprop::backward;
use crate::batch_fusion::BatchFusion;
use crate::method::{Losses, Method, MethodState, Panels, StepContext};
use crate::method_config::validate;
use crate::methods::{contexts, preview_context, target};
use crate::pool::ImagePool;
use crate::{Augmentation, DeviceConfig, Result, TrainConfig, numerics};
use candle_core::Tensor;
use gan_data::Batch;
use gan_layers::{Ctx, Init, Optimizer, ParamStore, halves};
use gan_losses::l1;
use gan_nets::{Discriminator, Generator};
use gan_rng::{Key, Purpose};

/// The method in training. `G_A`: A → B, `G_B`: B → A; `D_A` looks at domain B, `D_B` at domain A.
pub struct CycleGan {
    g_a: Generator,
    g_b: Generator,
    d_a: Discriminator,
    d_b: Discriminator,
    opt_g: Optimizer,
    opt_d: Optimizer,
    pool_a: ImagePool,
    pool_b: ImagePool,
    augment_a: Augmentation,
    augment_b: Augmentation,
    /// An image for the cycle and one for the identity loss,
    fusion_g: BatchFusion,
    /// a real image and a fake.
    fusion_d: BatchFusion,
    loss: LossConfig,
    train: TrainConfig,
}

impl CycleGan {
    /// Builds the networks with fresh weights.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a configuration that contradicts itself and for a precision that
    /// the device does not have; [`Error::Tensor`](crate::Error::Tensor) if the device has no memory for the networks.
    pub fn new(config: &Config, device_config: &DeviceConfig) -> Result<Self> {
        validate(config)?;
        numerics::check(config.train.precision, device_config)?;
        let (gc, dc) = (&config.generator, &config.discriminator);
        let (g_store, (g_a, g_b)) = ParamStore::build(device_config.dtype, &device_config.device, |b| {
            Ok((gc.build(b.pp("g_a"))?, config.generator_b().build(b.pp("g_b"))?))
        })?;
        let (d_store, (d_a, d_b)) = ParamStore::build(device_config.dtype, &device_config.device, |b| {
            Ok((dc.build(gc.output_nc, b.pp("d_a"))?, dc.build(gc.input_nc, b.pp("d_b"))?))
        })?;
        let augment = |name| Augmentation::new(&config.augment, name, 0, config.loss.gan_mode, device_config);
        let key = Key::new(config.train.seed, Purpose::Init);
        g_store.init(&Init { init_type: gc.init_type, init_gain: gc.init_gain, ..Init::default() }, key)?;
        d_store.init(&Init { init_type: dc.init_type, init_gain: dc.init_gain, ..Init::default() }, key)?;
        Ok(CycleGan {
            g_a,
            g_b,
            d_a,
            d_b,
            opt_g: Optimizer::new(g_store, config.train.beta1)?,
            opt_d: Optimizer::new(d_store, config.train.beta1)?,
            pool_a: ImagePool::new(config.train.pool_size).of_channels(gc.input_nc).numbered(1),
            pool_b: ImagePool::new(config.train.pool_size).of_channels(gc.output_nc).numbered(0),
            augment_a: augment("ada_p_A")?,
            augment_b: augment("ada_p_B")?,
            fusion_g: BatchFusion::of_generator(gc),
            fusion_d: BatchFusion::of_discriminator(dc),
            loss: config.loss.clone(),
            train: config.train.clone(),
        })
    }

    /// The generator losses of one direction: adversarial, cycle, and identity if an image for it passes along.
    fn cycle(&self, side: Side<'_>, key: Key, train: &Ctx, frozen: &Ctx) -> Result<Cycled> {
        let (fake, identity) = match side.along {
            Some((image, lambda)) => {
                let (fake, same) = halves(&side.generator.forward(&Tensor::cat(&[side.real, image], 0)?, train)?)?;
                (fake, Some(self.identity_loss(&same, image, lambda)?))
            }
            None => (side.generator.forward(side.real, train)?, None),
        };
        let rec = side.inverse.forward(&fake, train)?;
        let shown = side.augment.apply(&fake, key, "generator")?;
        let gan = self.loss.gan_mode.generator_loss(&side.discriminator.scores(&shown, frozen)?)?;
        let cycle = (l1(&rec, side.real)? * side.lambda)?;
        let mut loss = (&gan + &cycle)?;
        if let Some(identity) = &identity {
            loss = (loss + identity)?;
        }
        backward(&loss)?;
        let data = Tensor::detach;
        Ok(Cycled { fake: data(&fake), gan: data(&gan), cycle: data(&cycle), identity: identity.as_ref().map(data) })
    }

    /// The identity loss: what a generator makes of an image of its output domain should be that image.
    fn identity_loss(&self, same: &Tensor, real: &Tensor, lambda: f64) -> Result<Tensor> {
        Ok((l1(same, real)? * (lambda * self.loss.lambda_identity))?)
    }

    /// The identity loss of a generator in a pass of its own.
    fn identity_alone(&self, g: &Generator, real: &Tensor, lambda: f64, train: &Ctx) -> Result<Tensor> {
        let loss = self.identity_loss(&g.forward(real, train)?, real, lambda)?;
        backward(&loss)?;
        Ok(loss.detach())
    }

    /// The loss of a discriminator: half the sum over a real image and a pooled fake.
    fn discriminator_loss(
        &self,
        (d, augment): (&Discriminator, &Augmentation),
        real: &Tensor,
        fake: &Tensor,
        key: Key,
        train: &Ctx,
    ) -> Result<Tensor> {
        let mode = self.loss.gan_mode;
        let (real, fake) = (&augment.apply(real, key, "real")?, &augment.apply(fake, key, "fake")?);
        if self.fusion_d.can_concat(real, fake) {
            let on_both = d.scores(&Tensor::cat(&[real, fake], 0)?, train)?;
            let of_real =
                |stages: &Vec<Tensor>| stages.last().map(|map| map.narrow(0, 0, real.dim(0)?)).into_iter().collect();
            augment.observe(&on_both.iter().map(of_real).collect::<candle_core::Result<Vec<_>>>()?)?;
            let loss = (mode.loss_of_both(&on_both)? * 0.5)?;
            backward(&loss)?;
            return Ok(loss.detach());
        }
        let on_real = d.scores(real, train)?;
        augment.observe(&on_real)?;
        let on_real = (mode.loss_over_scales(&on_real, true)? * 0.5)?;
        backward(&on_real)?;
        let on_fake = (mode.loss_over_scales(&d.scores(fake, train)?, false)? * 0.5)?;
        backward(&on_fake)?;
        Ok((on_real.detach() + on_fake.detach())?)
    }
}

/// One direction of the cycle.
struct Side<'a> {
    real: &'a Tensor,
    /// An image of the other domain that `generator` takes along for its identity loss, and that domain's weight.
    along: Option<(&'a Tensor, f64)>,
    generator: &'a Generator,
    inverse: &'a Generator,
    discriminator: &'a Discriminator,
    augment: &'a Augmentation,
    lambda: f64,
}

/// What a direction gives: the fake as data, and the losses' values.
struct Cycled {
    fake: Tensor,
    gan: Tensor,
    cycle: Tensor,
    identity: Option<Tensor>,
}

impl Method for CycleGan {
    /// Both generators with both discriminators frozen, then both discriminators on pooled fakes. The reference sums the
    /// generator losses before the backward pass; each is backpropagated here as soon as it is complete, which gives the same
    /// gradient and keeps one direction's activations alive instead of six passes'. What passes through one network with the
    /// same weights passes as one batch, where that makes no difference (`BatchFusion`).
    fn step(&mut self, batch: &Batch, cx: &StepContext) -> Result<Losses> {
        let (a, b) = (&batch.a, target(batch)?);
        let (train, frozen) = contexts(&self.train, cx);
        let key = cx.key(Purpose::Dropout);
        let LossConfig { lambda_a, lambda_b, lambda_identity, .. } = self.loss;
        let (g_a, g_b, d_a, d_b) = (&self.g_a, &self.g_b, &self.d_a, &self.d_b);

        self.opt_g.zero_grad()?;
        let identity = lambda_identity > 0.0;
        let joined = identity && self.fusion_g.can_concat(a, b);
        let along = joined.then_some((b, lambda_b));
        let (discriminator, augment) = (d_a, &self.augment_a);
        let side = Side { real: a, along, generator: g_a, inverse: g_b, discriminator, augment, lambda: lambda_a };
        let a_to_b = self.cycle(side, key, &train, &frozen)?;
        let along = joined.then_some((a, lambda_a));
        let (discriminator, augment) = (d_b, &self.augment_b);
        let side = Side { real: b, along, generator: g_b, inverse: g_a, discriminator, augment, lambda: lambda_b };
        let b_to_a = self.cycle(side, key, &train, &frozen)?;
        // The weights are crossed in the reference as well: G_A's identity belongs to domain B.
        let (idt_a, idt_b) = match (a_to_b.identity, b_to_a.identity) {
            (Some(idt_a), Some(idt_b)) => (idt_a, idt_b),
            _ if identity => {
                (self.identity_alone(g_a, b, lambda_b, &train)?, self.identity_alone(g_b, a, lambda_a, &train)?)
            }
            _ => (a_to_b.gan.zeros_like()?, b_to_a.gan.zeros_like()?),
        };
        self.opt_g.update(cx.lr)?;

        self.opt_d.zero_grad()?;
        let choices = cx.key(Purpose::Pool);
        let pooled_b = self.pool_b.query(&a_to_b.fake, choices)?;
        let d_a = self.discriminator_loss((&self.d_a, &self.augment_a), b, &pooled_b, key, &train)?;
        let pooled_a = self.pool_a.query(&b_to_a.fake, choices)?;
        let d_b = self.discriminator_loss((&self.d_b, &self.augment_b), a, &pooled_a, key, &train)?;
        let penalty = self.loss.penalty();
        let mut penalties = penalty.backward(&self.d_a, [b, &pooled_b], ["GP_A", "R1_A"], &train, cx)?;
        penalties.extend(penalty.backward(&self.d_b, [a, &pooled_a], ["GP_B", "R1_B"], &train, cx)?);
        self.opt_d.update(cx.lr)?;

        let losses = [
            ("D_A", d_a),
            ("G_A", a_to_b.gan),
            ("cycle_A", a_to_b.cycle),
            ("idt_A", idt_a),
            ("D_B", d_b),
            ("G_B", b_to_a.gan),
            ("cycle_B", b_to_a.cycle),
            ("idt_B", idt_b),
        ];
        let probabilities = [self.augment_a.probability()?, self.augment_b.probability()?];
        Ok(losses.into_iter().chain(penalties).chain(probabilities.into_iter().flatten()).collect())
    }

    /// No loss sees an updated network.
    fn passes(&self) -> Option<usize> {
        Some(1)
    }

    fn preview(&self, batch: &Batch) -> Result<Panels> {
        let ctx = preview_context(&self.train);
        let mut panels: Panels = Vec::new();
        let mut show = |label: &str, t: &Tensor| panels.push((label.to_string(), t.clone()));
        let identity = self.loss.lambda_identity > 0.0;
        let sides = [
            Some((&batch.a, &self.g_a, &self.g_b, ["real A", "fake B", "rec A", "idt B"])),
            batch.b.as_ref().map(|b| (b, &self.g_b, &self.g_a, ["real B", "fake A", "rec B", "idt A"])),
        ];
        for (real, generator, inverse, labels) in sides.into_iter().flatten() {
            let fake = generator.forward(real, &ctx)?;
            show(labels[0], real);
            show(labels[1], &fake);
            show(labels[2], &inverse.forward(&fake, &ctx)?);
            if identity {
                show(labels[3], &inverse.forward(real, &ctx)?);
            }
        }
        Ok(panels)
    }

    fn state(&mut self) -> MethodState<'_> {
        MethodState {
            optimizers: vec![("g", &mut self.opt_g, vec!["g_a", "g_b"]), ("d", &mut self.opt_d, vec!["d_a", "d_b"])],
            pools: vec![("fake_b", &mut self.pool_b), ("fake_a", &mut self.pool_a)],
            augmentations: vec![&self.augment_a, &self.augment_b],
        }
    }

    /// Steps with batches of one shape do the same, but for penalties that come now and then.
    fn graph_key(&self, cx: &StepContext) -> Option<u64> {
        Some(self.loss.penalty().graph_key(0, cx))
    }
}

#[cfg(test)]
mod tests;
