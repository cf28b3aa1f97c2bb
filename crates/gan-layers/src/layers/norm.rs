//! Normalization.

use super::act;
use super::identity::Identity;
use crate::bands::{Dataflow, Traced, Value};
use crate::kind::{Backward, Forward, Jvp, Kind, Op, Record};
use crate::operators::{Operator, OperatorGraph, OperatorValue, constant};
use crate::plan::{Fused, Plan, Step};
use crate::running_statistics::{Tracked, move_by};
use crate::summary::Rows;
use crate::{Builder, Counter, Layer, NormMode, Param, Role, SequenceBuilder};
use candle_core::{Result, Tensor, bail};
use gan_kernels as k;
use gan_kernels::act::Act;
use gan_kernels::norm::{Affine, Group, Moments, Norm, NormGrads};
use serde::{Deserialize, Serialize};

const EPS: f64 = 1e-5;

/// Which normalization a network uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormKind {
    /// Instance norm, no parameters.
    #[default]
    Instance,
    /// Instance norm with scale and shift (keys `weight`, `bias`); no running statistics.
    InstanceAffine,
    /// Batch norm with scale, shift and running statistics.
    Batch,
    /// None; its index stays occupied.
    None,
}

impl NormKind {
    /// Whether the statistics are those of each image alone. The networks of pix2pix and CycleGAN give a convolution a bias in front of
    /// exactly these norms.
    pub fn is_instance(self) -> bool {
        matches!(self, NormKind::Instance | NormKind::InstanceAffine)
    }
}

/// A normalization layer, `[N, C, H, W]`; eps is 1e-5 unless a batch norm says otherwise.
#[derive(Debug, Clone)]
pub enum NormLayer {
    /// Instance norm without parameters and without running statistics.
    Instance,
    /// Instance norm with scale and shift, without running statistics.
    InstanceAffine(ChannelAffine),
    /// Batch norm with scale, shift and running statistics (momentum 0.1).
    Batch(BatchNorm),
}

/// The scale and shift of an instance norm.
#[derive(Debug, Clone)]
pub struct ChannelAffine {
    /// Scale `[C]`.
    pub weight: Param,
    /// Shift `[C]`.
    pub bias: Param,
}

/// Parameters and buffers of a batch norm.
#[derive(Debug, Clone)]
pub struct BatchNorm {
    /// Scale `[C]`.
    pub weight: Param,
    /// Shift `[C]`.
    pub bias: Param,
    /// Added to the variance.
    pub eps: f64,
    /// Running mean and (unbiased) variance `[C]`.
    pub running: Moments,
    /// `num_batches_tracked`.
    pub batches: Counter,
    /// Its place in the store that it is trained in.
    pub(crate) tracked: Option<Tracked>,
}

impl SequenceBuilder<'_> {
    /// Normalization of this many channels.
    ///
    /// # Errors
    /// The source has no such parameters.
    pub fn norm(self, kind: NormKind, channels: usize) -> Result<Self> {
        let at = self.here();
        let layer = match kind {
            NormKind::None => Identity.into(),
            NormKind::Instance => Layer::new(NormLayer::Instance),
            NormKind::InstanceAffine => Layer::new(NormLayer::InstanceAffine(ChannelAffine::build(&at, channels)?)),
            NormKind::Batch => return self.batch_norm(channels, EPS),
        };
        Ok(self.push(layer))
    }

    /// Batch norm of this many channels; `eps` is added to the variance.
    ///
    /// # Errors
    /// The source has no such parameters.
    pub fn batch_norm(self, channels: usize, eps: f64) -> Result<Self> {
        let layer = NormLayer::Batch(BatchNorm::build(&self.here(), channels, eps)?);
        Ok(self.push(Layer::new(layer)))
    }
}

impl ChannelAffine {
    fn build(at: &Builder<'_>, channels: usize) -> Result<Self> {
        Ok(ChannelAffine {
            weight: at.param("weight", &[channels], Role::InstanceNormWeight)?,
            bias: at.param("bias", &[channels], Role::NormBias)?,
        })
    }
}

impl BatchNorm {
    fn build(at: &Builder<'_>, channels: usize, eps: f64) -> Result<Self> {
        let weight = at.param("weight", &[channels], Role::NormWeight)?;
        let bias = at.param("bias", &[channels], Role::NormBias)?;
        let running = Moments {
            mean: at.buffer("running_mean", &[channels], 0.0)?,
            var: at.buffer("running_var", &[channels], 1.0)?,
        };
        let batches = at.counter("num_batches_tracked")?;
        let tracked = at.running_statistics().map(|all| all.track(&running, &batches));
        Ok(BatchNorm { weight, bias, eps, running, batches, tracked })
    }
}

/// What it keeps: its input and the statistics used; `running` if these are constants.
struct Kept {
    x: Tensor,
    moments: Moments,
    running: bool,
}

impl NormLayer {
    pub(crate) fn spec(&self, act: Act) -> Norm {
        let (group, eps) = match self {
            NormLayer::Instance | NormLayer::InstanceAffine(_) => (Group::Instance, EPS),
            NormLayer::Batch(b) => (Group::Batch, b.eps),
        };
        Norm { group, eps, act }
    }

    /// Scale and shift.
    pub(crate) fn params(&self) -> Option<(&Param, &Param)> {
        match self {
            NormLayer::Instance => None,
            NormLayer::InstanceAffine(a) => Some((&a.weight, &a.bias)),
            NormLayer::Batch(b) => Some((&b.weight, &b.bias)),
        }
    }

    pub(crate) fn affine(&self) -> Option<Affine<'_>> {
        self.params().map(|(weight, bias)| Affine { weight: weight.tensor(), bias: bias.tensor() })
    }

    /// Returns the result, the statistics used, and whether these are constants.
    fn normalise(&self, x: &Tensor, pass: &Forward<'_>) -> Result<(Tensor, Moments, bool)> {
        let (spec, affine) = (self.spec(pass.fused.act), self.affine());
        match (self, pass.ctx.norm) {
            (NormLayer::Batch(b), NormMode::Running) => {
                let y = k::norm::norm_with(x, &b.running, &spec, affine, pass.residual)?;
                Ok((y, b.running.clone(), true))
            }
            (_, mode) => {
                let (y, moments) = k::norm::norm(x, &spec, affine, pass.residual)?;
                if let (NormLayer::Batch(b), NormMode::Batch { update: true }) = (self, mode) {
                    let (n, _, h, w) = x.dims4()?;
                    match &b.tracked {
                        Some(tracked) => tracked.see(&b.running, &b.batches, &moments, n * h * w)?,
                        None => move_by(&b.running, &b.batches, &moments, n * h * w)?,
                    }
                }
                Ok((y, moments, false))
            }
        }
    }
}

impl Kind for NormLayer {
    fn plan<'a>(&'a self, path: &'a str, plan: &mut Plan<'a>) {
        // An instance norm subtracts what a bias in front of it added: the work is skipped, the bias keeps its (exactly zero)
        // gradient. A batch norm with running statistics would not.
        if !matches!(self, NormLayer::Batch(_))
            && let Some(front) = plan.last()
            && front.op.drops_bias()
        {
            front.fused.bias = false;
        }
        plan.step(self, path);
    }

    fn summarize(&self, path: &str, to: &mut Rows<'_>) -> Result<()> {
        let kind = match self {
            NormLayer::Instance | NormLayer::InstanceAffine(_) => "InstanceNorm",
            NormLayer::Batch(_) => "BatchNorm",
        };
        to.row(self, path, kind.to_string(), &[]);
        Ok(())
    }

    fn each_param(&self, f: &mut dyn FnMut(&Param)) {
        self.params().into_iter().flat_map(<[_; 2]>::from).for_each(f);
    }
}

impl Op for NormLayer {
    /// The backward pass computes its normalized value again, and the activation's gradient from that. The kernels of tanh are
    /// not part of the norm's.
    fn absorbs(&self, act: Act) -> bool {
        act != Act::Tanh
    }

    fn adds_residual(&self) -> bool {
        true
    }

    fn recomputes(&self) -> bool {
        true
    }

    fn recompute(&self, record: &Record, fused: &Fused) -> Result<Tensor> {
        let Kept { x, moments, .. } = record.get()?;
        k::norm::norm_with(x, moments, &self.spec(fused.act), self.affine(), None)
    }

    fn forward(&self, x: &Tensor, pass: &Forward<'_>) -> Result<(Tensor, Option<Record>)> {
        let (y, moments, running) = self.normalise(x, pass)?;
        Ok((y, pass.record(|| Kept { x: x.clone(), moments, running })))
    }

    fn trace<'a>(&'a self, x: Value, at: &Traced<'a>, flow: &mut Dataflow<'a>) -> Result<Option<Value>> {
        let spec = self.spec(at.step.fused.act);
        let running = match (self, flow.ctx().norm) {
            (NormLayer::Batch(batch), NormMode::Running) => Some(&batch.running),
            _ => None,
        };
        let inputs: Vec<Value> = std::iter::once(x).chain(at.residual).collect();
        Ok(Some(flow.by_pixel(&inputs, flow.size(x), running.is_none(), move |rows, own| {
            let Some(moments) = running.or(own) else { bail!("a norm has no statistics") };
            k::norm::norm_with(&rows[0], moments, &spec, self.affine(), rows.get(1))
        })))
    }

    fn operators(&self, x: OperatorValue, step: &Step<'_>, graph: &mut OperatorGraph) -> Result<OperatorValue> {
        let channels = graph.channels(x);
        let of = |name, param: &Param| constant(step.path, name, param.tensor());
        let affine = self.params().map(|(weight, shift)| (of("weight", weight), of("bias", shift)));
        let eps = self.spec(Act::Identity).eps;
        let norm = match (self, graph.ctx().norm, affine) {
            (NormLayer::Batch(batch), NormMode::Running, Some(affine)) => {
                let of = |name, values| constant(step.path, name, values);
                let moments = (of("running_mean", &batch.running.mean), of("running_var", &batch.running.var));
                Operator::BatchNorm { affine, moments, eps }
            }
            (_, _, affine) => Operator::InstanceNorm { channels, affine, eps },
        };
        let y = graph.by_channel(step.path, norm, x);
        Ok(graph.activated(step, y))
    }

    fn backward(&self, record: Record, dy: &Tensor, pass: &Backward<'_>) -> Result<Option<Tensor>> {
        let Kept { x, moments, running } = record.open()?;
        let buffers = match self.params().filter(|_| pass.trains()) {
            Some((weight, bias)) => Some((weight.accumulator()?, bias.accumulator()?)),
            None => None,
        };
        let buffers = buffers.as_ref().map(|(weight, bias)| Affine { weight, bias });
        let grads = NormGrads { input: pass.input, affine: buffers };
        let spec = self.spec(pass.fused.act);
        if running {
            k::norm::norm_with_backward(&x, &moments, dy, &spec, self.affine(), grads)
        } else {
            k::norm::norm_backward(&x, &moments, dy, &spec, self.affine(), grads)
        }
    }

    fn jvp(&self, (x, dx): (Tensor, Tensor), pass: &Jvp<'_>) -> Result<(Tensor, Tensor)> {
        let y = pass.run(self.clone(), &x)?;
        let dy = self.derivative(&x, &dx, pass)?;
        act::jvp((y, dy), pass.fused.act)
    }
}
