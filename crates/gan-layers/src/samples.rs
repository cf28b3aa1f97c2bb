//! Features at single positions of several layers, as one operator of candle's graph.

use crate::autograd::Handover;
use crate::backward::backward;
use crate::forward::forward;
use crate::input::Start;
use crate::segment::{check_unchanged, enter, leave};
use crate::tape::Tape;
use crate::{Ctx, Sequence, Weights};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use gan_kernels::patches::{gather, gather_backward};
use std::sync::{Mutex, PoisonError};

/// Positions in the output of a layer.
#[derive(Debug, Clone)]
pub struct Samples {
    /// The layer's position in [`Sequence::nodes`].
    pub layer: usize,
    /// U32 `[P]`: different places `y · W + x` of its output, the same for all images of a batch.
    pub positions: Tensor,
}

impl Sequence {
    /// Runs the layers up to the last of `samples` (whose layers ascend), and returns of each the rows `[N·P, C]` of its output at the
    /// positions, one image's after the other's; F32 if activations are BF16. The outputs are those of
    /// [`Sequence::forward_with_taps`].
    ///
    /// All of it is one operator of candle's graph. Its backward pass adds the gradients of the rows where the outputs' gradients pass by, so that
    /// neither outputs nor gradients of whole maps enter the graph. What [`Sequence::forward`] says of gradients and updates holds here, too.
    ///
    /// # Errors
    /// No samples, layers that do not ascend or are not there; those of [`Sequence::forward`] and [`gather`].
    pub fn forward_to_samples(&self, x: &Tensor, ctx: &Ctx, samples: &[Samples]) -> Result<Vec<Tensor>> {
        let parts = self.parts(samples)?;
        let train = ctx.weights == Weights::Train && self.has_parameters();
        let taped = train || x.track_op();
        let (mut at, mut rows, mut tapes) = (enter(x, ctx.precision)?, Vec::new(), Vec::new());
        for (part, sample) in parts.iter().zip(samples) {
            let mut tape = taped.then(Tape::default);
            at = forward(part, Start::Planes(at), ctx, tape.as_mut(), None)?;
            rows.push(gather(&at, &sample.positions)?);
            tapes.extend(tape.map(|tape| (at.dims().to_vec(), tape)));
        }
        if !taped {
            return Ok(rows);
        }
        let shapes: Vec<Shape> = rows.iter().map(|rows| rows.shape().clone()).collect();
        let flat = rows.into_iter().map(|rows| rows.flatten_all()).collect::<Result<Vec<_>>>()?;
        let y = Handover::shared(Tensor::cat(&flat, 0)?);
        let state = Mutex::new(Some(State { tapes, versions: versions(&parts) }));
        let anchor = self.graph_anchor(train, x.device())?;
        let all = x.apply_op2(&anchor, Sampled { parts, samples: samples.to_vec(), ctx: *ctx, y, state })?;
        split(&all, &shapes)
    }

    /// The layers up to each sample, from the one before.
    fn parts(&self, samples: &[Samples]) -> Result<Vec<Sequence>> {
        let layers: Vec<usize> = samples.iter().map(|sample| sample.layer).collect();
        match layers.last() {
            None => bail!("a sequence is sampled at one layer or more"),
            Some(last) if *last >= self.nodes().len() => {
                bail!("a sequence of {} layers has no layer {last} to sample", self.nodes().len())
            }
            Some(_) if !layers.is_sorted() => bail!("sampled layers must ascend, got {layers:?}"),
            Some(_) => {}
        }
        let (mut rest, mut done, mut parts) = (self.clone(), 0, Vec::new());
        for layer in layers {
            let (front, back) = rest.split(layer + 1 - done)?;
            parts.push(front);
            (rest, done) = (back, layer + 1);
        }
        Ok(parts)
    }
}

fn versions(parts: &[Sequence]) -> Vec<u64> {
    parts.iter().flat_map(Sequence::versions).collect()
}

/// The parts of a flat tensor, one after the other, in these shapes.
fn split(all: &Tensor, shapes: &[Shape]) -> Result<Vec<Tensor>> {
    let mut from = 0;
    let part = |shape: &Shape| {
        let part = all.narrow(0, from, shape.elem_count())?.reshape(shape);
        from += shape.elem_count();
        part
    };
    shapes.iter().map(part).collect()
}

struct State {
    /// Of each part: the shape of its output, and its tape.
    tapes: Vec<(Vec<usize>, Tape)>,
    versions: Vec<u64>,
}

struct Sampled {
    parts: Vec<Sequence>,
    samples: Vec<Samples>,
    ctx: Ctx,
    /// The rows of all samples, flat.
    y: Handover,
    /// What the backward pass needs, until it is done.
    state: Mutex<Option<State>>,
}

impl CustomOp2 for Sampled {
    fn name(&self) -> &'static str {
        "samples"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.y.cpu()
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        self.y.cuda()
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, _: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(State { mut tapes, versions: before }) = state else {
            bail!("backward was called twice through the same samples: their tape is gone")
        };
        check_unchanged(&before, &versions(&self.parts))?;
        let (mut end, mut above) = (dy.elem_count(), None);
        for (i, (part, sample)) in self.parts.iter().zip(&self.samples).enumerate().rev() {
            let Some((dims, tape)) = tapes.pop() else { bail!("a part of the samples has no tape") };
            let gradient = match above {
                Some(gradient) => gradient,
                None => enter(&Tensor::zeros(dims, dy.dtype(), dy.device())?, self.ctx.precision)?,
            };
            let (n, c, ..) = gradient.dims4()?;
            let count = n * c * sample.positions.elem_count();
            let rows = dy.detach().narrow(0, end - count, count)?.reshape((count / c, c))?;
            gather_backward(&rows, &sample.positions, &gradient)?;
            end -= count;
            let front = x.track_op()
                || (self.ctx.weights == Weights::Train && self.parts[..i].iter().any(Sequence::has_parameters));
            above = backward(part, tape, gradient, &self.ctx, front)?;
            if above.is_none() {
                break;
            }
        }
        let dx = above.filter(|_| x.track_op()).map(|dx| leave(dx, self.ctx.precision));
        Ok((dx.transpose()?, None))
    }
}
