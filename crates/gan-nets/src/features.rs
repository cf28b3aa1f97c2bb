//! Features of a generator's encoder: outputs of its modules by their index, for contrastive losses.

use crate::Generator;
use crate::generator::Net;
use candle_core::{Result, Tensor, bail};
use gan_kernels::act::Act;
use gan_layers::layers::{act::Activation, identity::Identity};
use gan_layers::{Ctx, Input, Samples, Sequence, Summary};

impl Generator {
    /// As [`Generator::forward`], and the features behind the modules `layers`, which are ResNets' indices of the reference (its `nce_layers`, in
    /// ascending order): the index in `model.INDEX` of their keys.
    ///
    /// The reference applies ReLU in place. So the feature of a module right in front of a ReLU, with nothing but a missing norm in between, is what
    /// lies behind the ReLU.
    ///
    /// # Errors
    /// A generator that is no ResNet, or a module that it does not have; those of [`Sequence::forward`].
    pub fn forward_with_features<'a>(
        &self,
        x: impl Into<Input<'a>>,
        ctx: &Ctx,
        layers: &[usize],
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let modules = self.modules()?;
        let taps = layers.iter().map(|&layer| shown(modules, layer)).collect::<Result<Vec<_>>>()?;
        modules.forward_with_taps(x, ctx, &taps)
    }

    /// The features behind the modules of `samples` at their positions, `[N·P, C]` each (see [`Sequence::forward_to_samples`]). Nothing behind the last
    /// of them is computed: where that lies in front of a ReLU, its feature is its true output.
    ///
    /// # Errors
    /// As [`Generator::forward_with_features`], and modules that do not ascend.
    pub fn forward_to_samples(&self, x: &Tensor, ctx: &Ctx, samples: &[Samples]) -> Result<Vec<Tensor>> {
        let modules = self.modules()?;
        let Some((last, before)) = samples.split_last() else { bail!("no features were asked for") };
        let shown = before.iter().map(|s| Ok(Samples { layer: shown(modules, s.layer)?.min(last.layer), ..s.clone() }));
        let mut samples = shown.collect::<Result<Vec<_>>>()?;
        samples.push(last.clone());
        modules.forward_to_samples(x, ctx, &samples)
    }

    /// Channels, height and width of the features behind the modules `layers`, for images of this height and width.
    ///
    /// # Errors
    /// As [`Generator::forward_with_features`]; a size that a module does not take.
    pub fn feature_sizes(&self, layers: &[usize], (h, w): (usize, usize)) -> Result<Vec<(usize, usize, usize)>> {
        let modules = self.modules()?;
        let size = |&layer: &usize| {
            let front = modules.split(shown(modules, layer)? + 1)?.0;
            Summary::default().add(&front, (self.config().input_nc, h, w))
        };
        layers.iter().map(size).collect()
    }

    /// The sequence whose modules have indices.
    fn modules(&self) -> Result<&Sequence> {
        match &self.net {
            Net::Plain(modules) if self.config().arch.is_resnet() => Ok(modules),
            _ => bail!("features are those of a ResNet, not of {}", self.config().arch.name()),
        }
    }
}

/// The layer whose output the reference shows as the feature of a module: an activation in place behind it changes the same memory.
fn shown(modules: &Sequence, layer: usize) -> Result<usize> {
    let nodes = modules.nodes();
    if layer >= nodes.len() {
        bail!("a generator of {} modules has no module {layer}", nodes.len())
    }
    let behind = (layer + 1..nodes.len()).find(|&i| nodes[i].layer.get::<Identity>().is_none());
    let in_place = behind.filter(|&i| matches!(nodes[i].layer.get(), Some(Activation(Act::Relu | Act::LeakyRelu))));
    Ok(in_place.unwrap_or(layer))
}
