//! A sequence as one operator of candle's autograd.

use crate::autograd::Handover;
use crate::backward::backward;
use crate::forward::forward;
use crate::input::Start;
use crate::tape::Tape;
use crate::{Ctx, Input, Precision, Sequence, Weights};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, DType, Device, Layout, Result, Shape, Tensor, bail};
use gan_kernels as k;
use gan_kernels::onehot::OneHot;
use std::sync::{Mutex, PoisonError};

impl Sequence {
    /// Applies the layers to `x`: a tensor `[N, C, H, W]`, or a [`OneHot`] of labels, which is materialized only if it
    /// has to be.
    ///
    /// If gradients can be wanted (the weights are trained, or `x`, or planes beside those of labels, are tracked), the whole sequence becomes one operator
    /// of candle's graph that keeps its own tape: `backward` on a loss adds the weight gradients to the
    /// [`ParamStore`](crate::ParamStore) and passes on the gradient of `x`. Backpropagation through it is possible once, and
    /// must come before its weights are updated; an update in between is reported as an error.
    ///
    /// # Errors
    /// A layer does not take the channels or the size that reach it, a network built for translation is to be trained,
    /// or BF16 is asked for off CUDA. An update of the weights in between is an error of candle's backward pass.
    pub fn forward<'a>(&self, x: impl Into<Input<'a>>, ctx: &Ctx) -> Result<Tensor> {
        match x.into() {
            Input::Planes(x) => self.run(x, Start::Planes(enter(x, ctx.precision)?), ctx),
            Input::Labels(labels) if self.gathers(labels) => {
                check_precision(labels.labels().device(), ctx.precision)?;
                self.run(labels.rest().unwrap_or(labels.labels()), Start::Labels(labels.clone()), ctx)
            }
            Input::Labels(labels) => self.forward(&labels.planes()?, ctx),
        }
    }

    /// Whether the first step does best without the planes of labels.
    fn gathers(&self, labels: &OneHot) -> bool {
        self.steps().first().is_some_and(|step| step.op.takes_labels(labels, &step.fused))
    }

    /// `x` is what a gradient may be wanted of.
    fn run(&self, x: &Tensor, start: Start, ctx: &Ctx) -> Result<Tensor> {
        let train = ctx.weights == Weights::Train && self.has_parameters();
        if !train && !x.track_op() {
            return leave(forward(self, start, ctx, None, None)?, ctx.precision);
        }
        let anchor = self.graph_anchor(train, x.device())?;
        let mut tape = Tape::default();
        let y = forward(self, start, ctx, Some(&mut tape), None)?;
        let y = match ctx.precision {
            Precision::Bf16 => Handover::fresh(leave(y, ctx.precision)?),
            Precision::F32 if tape.give_up_result(self)? => Handover::fresh(y),
            Precision::F32 => Handover::shared(y),
        };
        let versions = self.versions();
        let state = Mutex::new(Some(State { tape, versions }));
        x.apply_op2(&anchor, Segment { seq: self.clone(), ctx: *ctx, y, state })
    }

    /// The second input of an operator over the layers: it makes the result tracked where their weights are trained.
    pub(crate) fn graph_anchor(&self, train: bool, device: &Device) -> Result<Tensor> {
        match (train, &self.anchor) {
            (true, Some(anchor)) => Ok(anchor.as_tensor().clone()),
            (true, None) => bail!("this network was built for translation: it cannot be trained"),
            (false, _) => Tensor::zeros((), DType::F32, device),
        }
    }

    /// The versions of all parameters: any difference later means that an update came in between.
    pub(crate) fn versions(&self) -> Vec<u64> {
        let mut out = Vec::new();
        self.each_param(&mut |param| out.push(param.weight.version().get()));
        out
    }
}

/// Refuses a backward pass through weights that were updated since its forward pass.
pub(crate) fn check_unchanged(before: &[u64], now: &[u64]) -> Result<()> {
    if before != now {
        bail!("weights were updated between a forward pass and its backward pass: the gradient would be wrong");
    }
    Ok(())
}

/// BF16 is for CUDA.
fn check_precision(device: &Device, precision: Precision) -> Result<()> {
    if precision == Precision::Bf16 && !device.is_cuda() {
        bail!("BF16 is for CUDA devices, the tensor is on {:?}", device.location())
    }
    Ok(())
}

/// A tensor as the layers take it, without its graph.
pub(crate) fn enter(x: &Tensor, precision: Precision) -> Result<Tensor> {
    check_precision(x.device(), precision)?;
    match precision {
        Precision::F32 => x.detach().contiguous(),
        Precision::Bf16 => k::elementwise::convert(x, DType::BF16),
    }
}

/// A tensor as candle's operators take it.
pub(crate) fn leave(y: Tensor, precision: Precision) -> Result<Tensor> {
    match precision {
        Precision::F32 => Ok(y),
        Precision::Bf16 => k::elementwise::convert(&y, DType::F32),
    }
}

/// With frozen weights and batch statistics ([`Ctx::translate`]).
impl candle_nn::Module for Sequence {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Sequence::forward(self, x, &Ctx::translate())
    }
}

struct State {
    tape: Tape,
    versions: Vec<u64>,
}

struct Segment {
    seq: Sequence,
    ctx: Ctx,
    y: Handover,
    /// What the backward pass needs, until it is done.
    state: Mutex<Option<State>>,
}

impl CustomOp2 for Segment {
    fn name(&self) -> &'static str {
        "segment"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.y.cpu()
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        self.y.cuda()
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, y: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let Some(State { mut tape, versions }) = self.state.lock().unwrap_or_else(PoisonError::into_inner).take()
        else {
            bail!("backward was called twice through the same segment: its tape is gone")
        };
        check_unchanged(&versions, &self.seq.versions())?;
        tape.take_result(&self.seq, y)?;
        let dx = backward(&self.seq, tape, enter(dy, self.ctx.precision)?, &self.ctx, x.track_op())?;
        // The anchor is a variable: `None` is what candle takes for "no gradient" there.
        Ok((dx.map(|dx| leave(dx, self.ctx.precision)).transpose()?, None))
    }
}
