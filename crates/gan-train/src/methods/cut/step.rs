//! A training step of CUT.

use super::draws::flips;
use super::{Config, Draws, LossConfig};
use crate::backprop::{GradAccumulator, backward};
use crate::method::{Losses, Method, MethodState, Panels, StepContext};
use crate::method_config::validate;
use crate::methods::{again, contexts, preview_context, target};
use crate::{Augmentation, DeviceConfig, Result, TrainConfig, numerics};
use candle_core::Tensor;
use gan_data::Batch;
use gan_kernels::patches::{mirrored, mirrored_images};
use gan_layers::{Builder, Ctx, Init, Optimizer, ParamStore, Samples};
use gan_losses::patch_nce;
use gan_nets::{Discriminator, Generator, NetF, PatchSample, PatchSampleConfig};
use gan_rng::{Key, Purpose};

/// The method in training.
pub struct Cut {
    g: Generator,
    d: Discriminator,
    f: PatchSample,
    opt_g: Optimizer,
    opt_d: Optimizer,
    /// `None` where the head has no parameters.
    opt_f: Option<Optimizer>,
    augment: Augmentation,
    loss: LossConfig,
    train: TrainConfig,
}

impl Cut {
    /// Builds the networks with fresh weights. (The reference creates the head at the first batch, when it sees the widths of the features.)
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a configuration that contradicts itself and for a precision that
    /// the device does not have; [`Error::Tensor`](crate::Error::Tensor) if the device has no memory for the networks.
    pub fn new(config: &Config, device_config: &DeviceConfig) -> Result<Self> {
        validate(config)?;
        numerics::check(config.train.precision, device_config)?;
        let (gc, dc) = (&config.generator, &config.discriminator);
        let side = 4 * gc.size_multiple();
        let features = gc.build(Builder::shapes_only())?.feature_sizes(&config.loss.nce_layers, (side, side))?;
        let widths = features.into_iter().map(|(channels, ..)| channels).collect();
        let fc = PatchSampleConfig { kind: config.head.arch, widths, nc: config.head.netf_nc };
        let (g_store, g) = ParamStore::build(device_config.dtype, &device_config.device, |b| gc.build(b.pp("g")))?;
        let (d_store, d) =
            ParamStore::build(device_config.dtype, &device_config.device, |b| dc.build(gc.output_nc, b.pp("d")))?;
        let (f_store, f) = match fc.kind {
            NetF::MlpSample => {
                let (store, f) =
                    ParamStore::build(device_config.dtype, &device_config.device, |b| fc.build(b.pp("f")))?;
                (Some(store), f)
            }
            NetF::Sample => (None, fc.build(Builder::shapes_only())?),
        };
        let key = Key::new(config.train.seed, Purpose::Init);
        let init = Init { init_type: gc.init_type, init_gain: gc.init_gain, ..Init::default() };
        for store in [Some(&g_store), f_store.as_ref()].into_iter().flatten() {
            store.init(&init, key)?;
        }
        d_store.init(&Init { init_type: dc.init_type, init_gain: dc.init_gain, ..Init::default() }, key)?;
        let optimizer = |store| Optimizer::new(store, config.train.beta1);
        Ok(Cut {
            g,
            d,
            f,
            opt_g: optimizer(g_store)?,
            opt_d: optimizer(d_store)?,
            opt_f: f_store.map(optimizer).transpose()?,
            augment: Augmentation::new(&config.augment, "ada_p", 0, config.loss.gan_mode, device_config)?,
            loss: config.loss.clone(),
            train: config.train.clone(),
        })
    }

    /// One step with these choices in the place of random ones.
    ///
    /// # Errors
    /// As [`Method::step`].
    pub fn step_with(&mut self, batch: &Batch, cx: &StepContext, draws: &Draws) -> Result<Losses> {
        let fakes = self.generate(batch, draws.flip, &contexts(&self.train, cx).0)?;
        let of_d = self.train_d(batch, &fakes, cx)?;
        let mut losses = self.train_g(batch, &fakes, cx, draws)?;
        losses.splice(1..1, of_d);
        Ok(losses)
    }

    /// Images of unequal sizes pass one by one; norms over a batch then see them apart.
    fn together(&self, batch: &Batch) -> Result<bool> {
        Ok(self.loss.nce_idt && batch.a.dims() == target(batch)?.dims())
    }

    /// The fakes of a batch, behind them the images of the other domain that pass along. The gradients of the step before give way.
    fn generate(&self, batch: &Batch, flip: bool, ctx: &Ctx) -> Result<Tensor> {
        self.opt_g.zero_grad()?;
        if let Some(opt_f) = &self.opt_f {
            opt_f.zero_grad()?;
        }
        let a = &batch.a;
        let real = if self.together(batch)? { Tensor::cat(&[a, target(batch)?], 0)? } else { a.clone() };
        Ok(self.g.forward(&shown(&real, flip)?, ctx)?)
    }

    /// Trains D on fakes and targets.
    fn train_d(&mut self, batch: &Batch, fakes: &Tensor, cx: &StepContext) -> Result<Losses> {
        let mode = self.loss.gan_mode;
        let (train, _) = contexts(&self.train, cx);
        let fake = fakes.detach().narrow(0, 0, batch.a.dim(0)?)?;
        self.opt_d.zero_grad()?;
        let d_fake = mode.loss_over_scales(
            &self.d.scores(&self.augment.apply(&fake, cx.key(Purpose::Dropout), "fake")?, &train)?,
            false,
        )?;
        backward(&(&d_fake * 0.5)?)?;
        let on_real = self.d.scores(&self.augment.apply(target(batch)?, cx.key(Purpose::Dropout), "real")?, &train)?;
        self.augment.observe(&on_real)?;
        let d_real = mode.loss_over_scales(&on_real, true)?;
        backward(&(&d_real * 0.5)?)?;
        let names = ["D_GP", "D_R1"];
        let penalties = self.loss.penalty().backward(&self.d, [target(batch)?, &fake], names, &train, cx)?;
        self.opt_d.update(cx.lr)?;
        let losses = [("D_real", d_real.detach()), ("D_fake", d_fake.detach())];
        Ok(losses.into_iter().chain(penalties).collect())
    }

    /// Trains G and the head through D.
    fn train_g(&mut self, batch: &Batch, fakes: &Tensor, cx: &StepContext, draws: &Draws) -> Result<Losses> {
        let (a, b) = (&batch.a, target(batch)?);
        let (train, frozen) = contexts(&self.train, cx);
        let LossConfig { gan_mode: mode, lambda_gan, nce_idt, .. } = self.loss;
        let (n, together) = (a.dim(0)?, self.together(batch)?);
        // Each loss of the fakes is backpropagated as soon as it is complete.
        let mut of_fakes = GradAccumulator::new(fakes)?;
        let part = |leaf: &Tensor, from| leaf.narrow(0, from, n);
        let fake = self.augment.apply(&part(of_fakes.leaf(), 0)?, cx.key(Purpose::Dropout), "generator")?;
        let g_gan = (mode.generator_loss(&self.d.scores(&fake, &frozen)?)? * lambda_gan)?;
        of_fakes.backward(&g_gan)?;
        let share = if nce_idt { 0.5 } else { 1.0 };
        let nce = self.nce(a, &part(of_fakes.leaf(), 0)?, &draws.a, draws.flip, (&train, &frozen))?;
        of_fakes.backward(&(&nce * share)?)?;
        let mut nce_y = None;
        if together {
            let loss = self.nce(b, &part(of_fakes.leaf(), n)?, &draws.b, draws.flip, (&train, &frozen))?;
            of_fakes.backward(&(&loss * share)?)?;
            nce_y = Some(loss.detach());
        }
        of_fakes.backward_input()?;
        if nce_idt && !together {
            let same = self.g.forward(&shown(b, draws.flip)?, &train)?;
            let loss = self.nce(b, &same, &draws.b, draws.flip, (&train, &frozen))?;
            backward(&(&loss * share)?)?;
            nce_y = Some(loss.detach());
        }
        self.opt_g.update(cx.lr)?;
        if let Some(opt_f) = &mut self.opt_f {
            opt_f.update(cx.lr)?;
        }

        let (g_gan, nce) = (g_gan.detach(), nce.detach());
        let contrast = match &nce_y {
            Some(nce_y) => ((&nce + nce_y)? * share)?,
            None => nce.clone(),
        };
        let total = (&g_gan + contrast)?;
        let losses = [("G_GAN", g_gan), ("G", total), ("NCE", nce)];
        let more = nce_y.map(|nce_y| ("NCE_Y", nce_y)).into_iter().chain(self.augment.probability()?);
        Ok(losses.into_iter().chain(more).collect())
    }

    /// The contrastive loss of what the generator has made of a source: patches of the output are to be recognized by the patches of the source at the
    /// same positions. Features of an output that was mirrored are taken at mirrored positions.
    fn nce(
        &self,
        source: &Tensor,
        made: &Tensor,
        positions: &[Tensor],
        flip: bool,
        (train, frozen): (&Ctx, &Ctx),
    ) -> Result<Tensor> {
        let LossConfig { nce_layers, nce_t, lambda_nce, .. } = &self.loss;
        let at = |layer: &usize, positions: &Tensor| Samples { layer: *layer, positions: positions.clone() };
        let keys: Vec<_> = nce_layers.iter().zip(positions).map(|(layer, p)| at(layer, p)).collect();
        let (_, _, h, w) = source.dims4()?;
        let queries = if flip {
            let sizes = self.g.feature_sizes(nce_layers, (h, w))?;
            let queries = keys.iter().zip(sizes).map(|(s, (.., w))| Ok(at(&s.layer, &mirrored(&s.positions, w)?)));
            queries.collect::<Result<_>>()?
        } else {
            keys.clone()
        };
        let queries = self.f.forward(&self.g.forward_to_samples(made, train, &queries)?, train)?;
        let keys = self.f.forward(&self.g.forward_to_samples(&source.detach(), frozen, &keys)?, frozen)?;
        let groups = if self.loss.nce_includes_all_negatives_from_minibatch { 1 } else { source.dim(0)? };
        let of_layer = |(q, k): (&Tensor, &Tensor)| Ok((patch_nce(q, k, groups, *nce_t)?.mean_all()? * *lambda_nce)?);
        let losses = queries.iter().zip(&keys).map(of_layer).collect::<Result<Vec<_>>>()?;
        Ok((Tensor::stack(&losses, 0)?.sum_all()? * (1.0 / losses.len() as f64))?)
    }

    /// The random choices of a batch.
    fn draws(&self, batch: &Batch, cx: &StepContext) -> Result<Draws> {
        let sizes = |image: &Tensor| {
            let (_, _, h, w) = image.dims4()?;
            self.g.feature_sizes(&self.loss.nce_layers, (h, w))
        };
        let of_b = if self.loss.nce_idt { sizes(target(batch)?)? } else { Vec::new() };
        Draws::new(&self.loss, cx, [&sizes(&batch.a)?, &of_b], batch.a.device())
    }
}

/// What the generator gets of an image.
fn shown(real: &Tensor, flip: bool) -> candle_core::Result<Tensor> {
    if flip { mirrored_images(real) } else { Ok(real.clone()) }
}

impl Method for Cut {
    /// D first; then G and the head through the updated D, with the same fakes. The features that a loss needs are computed at its turn, by the encoder
    /// that has not moved yet.
    fn step(&mut self, batch: &Batch, cx: &StepContext) -> Result<Losses> {
        let draws = self.draws(batch, cx)?;
        self.step_with(batch, cx, &draws)
    }

    fn passes(&self) -> Option<usize> {
        Some(2)
    }

    /// D in the first pass, G and the head in the second.
    fn pass(&mut self, pass: usize, batch: &Batch, cx: &StepContext) -> Result<Losses> {
        let (train, frozen) = contexts(&self.train, cx);
        if pass == 0 {
            let fakes = self.generate(batch, flips(&self.loss, cx), &frozen)?;
            return self.train_d(batch, &fakes, cx);
        }
        let draws = self.draws(batch, cx)?;
        let fakes = self.generate(batch, draws.flip, &again(train))?;
        self.train_g(batch, &fakes, cx, &draws)
    }

    fn preview(&self, batch: &Batch) -> Result<Panels> {
        let ctx = preview_context(&self.train);
        let mut panels = vec![("real A".into(), batch.a.clone()), ("fake B".into(), self.g.forward(&batch.a, &ctx)?)];
        if let Some(b) = &batch.b {
            panels.push(("real B".into(), b.clone()));
            if self.loss.nce_idt {
                panels.push(("idt B".into(), self.g.forward(b, &ctx)?));
            }
        }
        Ok(panels)
    }

    fn state(&mut self) -> MethodState<'_> {
        let mut optimizers = vec![("g", &mut self.opt_g, vec!["g"]), ("d", &mut self.opt_d, vec!["d"])];
        optimizers.extend(self.opt_f.as_mut().map(|opt_f| ("f", opt_f, vec!["f"])));
        MethodState { optimizers, augmentations: vec![&self.augment], ..MethodState::default() }
    }

    /// Steps with batches of one shape do the same, but for those that mirror and penalties that come now and then.
    fn graph_key(&self, cx: &StepContext) -> Option<u64> {
        Some(self.loss.penalty().graph_key(u64::from(flips(&self.loss, cx)), cx))
    }
}

#[cfg(test)]
mod tests;
