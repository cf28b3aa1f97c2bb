//! pix2pixHD's local enhancers around an embedded global generator.

use crate::blocks::{conv, residual_block};
use crate::bounds::{self, within};
use crate::global::{GlobalConfig, head};
use crate::padding::Padding;
use crate::upsample::Upsample;
use candle_core::{Result, Tensor};
use gan_layers::bands::{Dataflow, Value};
use gan_layers::{
    Act, Builder, Ctx, Input, NormKind, OperatorGraph, OperatorValue, PadMode, Sequence, SequenceBuilder, avg_pool3s2,
};

/// A global generator of width `ngf · 2^n_local` at the coarsest scale and `n_local` enhancers that each double the size.
///
/// * input `[N, input_nc, H, W]`, sides divisible by `2^(n_downsample_global + n_local)`
/// * output `[N, output_nc, H, W]` in [-1, 1]
#[derive(Debug, Clone, PartialEq)]
pub struct LocalConfig {
    /// Channels of the input.
    pub input_nc: usize,
    /// Channels of the output.
    pub output_nc: usize,
    /// Width of the outermost enhancer.
    pub ngf: usize,
    /// Halvings of the embedded global generator.
    pub n_downsample_global: usize,
    /// Residual blocks of the embedded global generator.
    pub n_blocks_global: usize,
    /// Number of enhancers, at least 1.
    pub n_local: usize,
    /// Residual blocks of each enhancer.
    pub n_blocks_local: usize,
    /// Normalization.
    pub norm: NormKind,
    /// How all parts double the size.
    pub upsample: Upsample,
}

impl Default for LocalConfig {
    fn default() -> Self {
        LocalConfig {
            input_nc: 36,
            output_nc: 3,
            ngf: 32,
            n_downsample_global: 4,
            n_blocks_global: 9,
            n_local: 1,
            n_blocks_local: 3,
            norm: NormKind::Instance,
            upsample: Upsample::Deconv,
        }
    }
}

impl LocalConfig {
    pub(crate) fn layers(&self, at: Builder<'_>) -> Result<LocalEnhancer> {
        within(&[
            (bounds::INPUT_NC, self.input_nc),
            (bounds::OUTPUT_NC, self.output_nc),
            (bounds::NGF, self.ngf),
            (bounds::N_DOWNSAMPLE_GLOBAL, self.n_downsample_global),
            (bounds::N_BLOCKS_GLOBAL, self.n_blocks_global),
            (bounds::N_LOCAL_ENHANCERS, self.n_local),
            (bounds::N_BLOCKS_LOCAL, self.n_blocks_local),
        ])?;
        let global = GlobalConfig {
            input_nc: self.input_nc,
            output_nc: self.output_nc,
            ngf: self.ngf << self.n_local,
            n_downsample: self.n_downsample_global,
            n_blocks: self.n_blocks_global,
            norm: self.norm,
            upsample: self.upsample,
        };
        let trunk = global.trunk(SequenceBuilder::new(at.pp("model")))?.finish();
        let enhancers = (1..=self.n_local).map(|m| {
            let width = self.ngf << (self.n_local - m);
            let s = SequenceBuilder::new(at.pp(format!("model{m}_1"))).pad(PadMode::Reflect, 3);
            let s = s.conv(conv(self.input_nc, width, 7, 1, 0, true))?.norm(self.norm, width)?.act(Act::Relu);
            let s = s.conv(conv(width, 2 * width, 3, 2, 1, true))?.norm(self.norm, 2 * width)?.act(Act::Relu);
            let down = s.finish();
            let mut s = SequenceBuilder::new(at.pp(format!("model{m}_2")));
            for _ in 0..self.n_blocks_local {
                s = residual_block(s, 2 * width, self.norm, Padding::Reflect, false, true)?;
            }
            s = self.upsample.stage(s, 2 * width, self.norm)?;
            if m == self.n_local {
                s = head(s, self.ngf, self.output_nc)?;
            }
            Ok(Enhancer { down, up: s.finish() })
        });
        Ok(LocalEnhancer { trunk, enhancers: enhancers.collect::<Result<_>>()? })
    }
}

/// The network of a [`LocalConfig`].
#[derive(Debug, Clone)]
pub(crate) struct LocalEnhancer {
    pub(crate) trunk: Sequence,
    pub(crate) enhancers: Vec<Enhancer>,
}

#[derive(Debug, Clone)]
pub(crate) struct Enhancer {
    pub(crate) down: Sequence,
    pub(crate) up: Sequence,
}

impl LocalEnhancer {
    /// `[N, input_nc, H, W]` → `[N, output_nc, H, W]`. The parts behind the context `coarse` (all but the outermost
    /// enhancer) run with it, the outermost one with `ctx`.
    ///
    /// Labels are labels at the finest scale only; the others see averages of their planes.
    ///
    /// # Errors
    /// `x` does not have `input_nc` channels, or its sides are not divisible as [`LocalConfig`] says; those of
    /// [`Sequence::forward`].
    pub(crate) fn forward<'a>(&self, x: impl Into<Input<'a>>, ctx: &Ctx, coarse: &Ctx) -> Result<Tensor> {
        let x = x.into();
        let mut pyramid = vec![avg_pool3s2(&x.planes()?)?]; // finest first, without the finest
        for _ in 1..self.enhancers.len() {
            pyramid.push(avg_pool3s2(&pyramid[pyramid.len() - 1])?);
        }
        let inputs: Vec<Input> = pyramid.iter().rev().map(Input::from).chain([x]).collect(); // coarsest first
        let mut y = self.trunk.forward(inputs[0], coarse)?;
        for (m, (enhancer, &x)) in self.enhancers.iter().zip(&inputs[1..]).enumerate() {
            let ctx = if m + 1 == self.enhancers.len() { ctx } else { coarse };
            let sum = (enhancer.down.forward(x, ctx)? + y)?;
            y = enhancer.up.forward(&sum, ctx)?;
        }
        Ok(y)
    }

    /// The sequences by what their keys begin with.
    pub(crate) fn sequences(&self) -> Vec<(String, &Sequence)> {
        let enhancers = self.enhancers.iter().enumerate().flat_map(|(m, enhancer)| {
            [(format!("model{}_1", m + 1), &enhancer.down), (format!("model{}_2", m + 1), &enhancer.up)]
        });
        std::iter::once(("model".to_owned(), &self.trunk)).chain(enhancers).collect()
    }

    /// The same as operators, of the input of the graph.
    pub(crate) fn operators(&self, graph: &mut OperatorGraph) -> Result<OperatorValue> {
        let mut pyramid = vec![graph.input()]; // finest first
        for (i, _) in self.enhancers.iter().enumerate() {
            pyramid.push(graph.avg_pool3s2(&format!("pyramid.{i}"), pyramid[i]));
        }
        let mut y = graph.apply(&self.trunk, pyramid[self.enhancers.len()])?;
        let finer = pyramid.iter().rev().skip(1);
        for ((m, enhancer), &x) in self.enhancers.iter().enumerate().zip(finer) {
            let down = graph.apply(&enhancer.down, x)?;
            let sum = graph.add(&format!("model{}.sum", m + 1), down, y)?;
            y = graph.apply(&enhancer.up, sum)?;
        }
        Ok(y)
    }

    /// The same, applied to the input of a dataflow.
    pub(crate) fn trace<'a>(&'a self, flow: &mut Dataflow<'a>) -> Result<Value> {
        let mut x = flow.input()?;
        let mut pyramid = Vec::new(); // as in `forward`
        for _ in &self.enhancers {
            x = flow.avg_pool3s2(x)?;
            pyramid.push(x);
        }
        let mut y = flow.apply(&self.trunk, x)?;
        // Each enhancer sees the scale above that of what comes before it, the last one the input.
        let finer = pyramid.iter().rev().skip(1).map(|&x| Some(x)).chain([None]);
        for (enhancer, x) in self.enhancers.iter().zip(finer) {
            let down = match x {
                Some(x) => flow.apply(&enhancer.down, x)?,
                None => flow.apply_to_input(&enhancer.down)?,
            };
            let sum = flow.add(down, y)?;
            y = flow.apply(&enhancer.up, sum)?;
        }
        Ok(y)
    }
}
