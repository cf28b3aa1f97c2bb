//! Anti-aliased halving.

use crate::bands::{Dataflow, Traced, Value};
use crate::kind::{Backward, Forward, Jvp, Kind, Op, Record};
use crate::operators::{Operator, OperatorGraph, OperatorValue, constant};
use crate::plan::{Plan, Step};
use crate::summary::{Rows, output_size};
use crate::{Builder, Layer, SequenceBuilder};
use candle_core::{Device, Result, Tensor, bail};
use gan_kernels as k;
use gan_kernels::conv::PadMode;
use std::ops::Range;

/// Blur and halve: a reflection padding of 1, the filter `[1, 2, 1]` ⊗ `[1, 2, 1]` / 16 on every channel, stride 2 (Zhang, 2019; `Downsample` of
/// CUT), `[N, C, H, W]` → `[N, C, ⌈H/2⌉, ⌈W/2⌉]`. State dicts hold the filter as the constant `filt` `[C, 1, 3, 3]`.
#[derive(Debug, Clone, Copy)]
pub struct BlurPool;

impl SequenceBuilder<'_> {
    /// Blur and halve `channels` channels.
    ///
    /// # Errors
    /// The source has another filter.
    pub fn blur_pool(self, channels: usize) -> Result<Self> {
        binomial(&self.here(), channels, &HALVING, 1.0)?;
        Ok(self.push(Layer::new(BlurPool)))
    }
}

/// Key of the filter in a state dict.
pub(super) const FILTER: &str = "filt";

/// What halves.
const HALVING: [f32; 3] = [1.0, 2.0, 1.0];

/// States that the layer at `at` has the constant filter `taps` ⊗ `taps`, times `gain` and divided by its sum, once a channel.
pub(super) fn binomial(at: &Builder<'_>, channels: usize, taps: &[f32], gain: f32) -> Result<()> {
    at.constant(FILTER, &filter(channels, taps, gain)?)
}

/// The filter `taps` ⊗ `taps`, times `gain` and divided by its sum, once a channel: `[C, 1, k, k]`.
pub(super) fn filter(channels: usize, taps: &[f32], gain: f32) -> Result<Tensor> {
    let sum: f32 = taps.iter().sum();
    let outer: Vec<f32> = taps.iter().flat_map(|a| taps.iter().map(move |b| a * b * gain / (sum * sum))).collect();
    let one = Tensor::from_vec(outer, (1, 1, taps.len(), taps.len()), &Device::Cpu)?;
    one.broadcast_as((channels, 1, taps.len(), taps.len()))
}

/// What it keeps: height and width of its input.
struct Kept((usize, usize));

impl Kind for BlurPool {
    fn plan<'a>(&'a self, path: &'a str, plan: &mut Plan<'a>) {
        plan.step(self, path);
    }

    fn summarize(&self, path: &str, to: &mut Rows<'_>) -> Result<()> {
        if to.height.min(to.width) < 2 {
            bail!("{path}: {} x {} pixels cannot be padded by reflection", to.height, to.width)
        }
        (to.height, to.width) = (to.height.div_ceil(2), to.width.div_ceil(2));
        to.row(self, path, "BlurPool 3x3".to_string(), &[to.channels, 9, to.height, to.width]);
        Ok(())
    }
}

impl Op for BlurPool {
    fn forward(&self, x: &Tensor, pass: &Forward<'_>) -> Result<(Tensor, Option<Record>)> {
        let (_, _, h, w) = x.dims4()?;
        Ok((k::blur::blur_pool(x)?, pass.record(|| Kept((h, w)))))
    }

    fn trace<'a>(&'a self, x: Value, at: &Traced<'a>, flow: &mut Dataflow<'a>) -> Result<Option<Value>> {
        let [_, height, _] = flow.dims(x);
        let size = output_size(self, at.step.path, flow.dims(x))?;
        // The first row of a band would be reflected: one more is computed and left out.
        let reads = move |rows: &Range<usize>| {
            let start = rows.start.saturating_sub(1);
            (2 * start..(2 * rows.end).min(height), start)
        };
        Ok(Some(flow.stencil(x, size, reads, k::blur::blur_pool)))
    }

    fn operators(&self, x: OperatorValue, step: &Step<'_>, graph: &mut OperatorGraph) -> Result<OperatorValue> {
        let groups = graph.channels(x);
        let weight = constant(step.path, FILTER, &filter(groups, &HALVING, 1.0)?);
        let x = graph.by_channel(step.path, Operator::Pad { mode: PadMode::Reflect, size: 1 }, x);
        let blur = Operator::Conv { weight, bias: None, stride: 2, padding: [0; 2], groups };
        Ok(graph.by_channel(step.path, blur, x))
    }

    fn backward(&self, record: Record, dy: &Tensor, _: &Backward<'_>) -> Result<Option<Tensor>> {
        let Kept(hw) = record.open()?;
        k::blur::blur_pool_backward(dy, hw).map(Some)
    }

    fn jvp(&self, (x, dx): (Tensor, Tensor), pass: &Jvp<'_>) -> Result<(Tensor, Tensor)> {
        Ok((pass.run(*self, &x)?, pass.run(*self, &dx)?))
    }
}
