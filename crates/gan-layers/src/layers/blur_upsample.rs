//! Anti-aliased doubling.

use super::blur_pool::{FILTER, binomial, filter};
use crate::bands::{Dataflow, Traced, Value};
use crate::kind::{Backward, Forward, Kind, Op, Record};
use crate::operators::{Operator, OperatorGraph, OperatorValue, constant};
use crate::plan::{Fused, Plan, Step};
use crate::summary::{Rows, output_size};
use crate::{Layer, SequenceBuilder};
use candle_core::{Result, Tensor};
use gan_kernels as k;
use gan_kernels::conv::PadMode;
use std::ops::Range;

/// Double and blur: a replication padding of 1, the transposed filter `[1, 3, 3, 1]` ⊗ `[1, 3, 3, 1]` / 16 on every channel, stride 2, cropped to
/// exactly twice the size (`Upsample` of CUT), `[N, C, H, W]` → `[N, C, 2·H, 2·W]`. State dicts hold the filter as the constant `filt`
/// `[C, 1, 4, 4]`.
#[derive(Debug, Clone, Copy)]
pub struct BlurUpsample;

/// What doubles.
const DOUBLING: [f32; 4] = [1.0, 3.0, 3.0, 1.0];

impl SequenceBuilder<'_> {
    /// Double and blur `channels` channels.
    ///
    /// # Errors
    /// The source has another filter.
    pub fn blur_upsample(self, channels: usize) -> Result<Self> {
        binomial(&self.here(), channels, &DOUBLING, 4.0)?;
        Ok(self.push(Layer::new(BlurUpsample)))
    }
}

/// What it keeps: its input, a quarter of what the convolution behind would have to keep.
struct Kept(Tensor);

impl Kind for BlurUpsample {
    fn plan<'a>(&'a self, path: &'a str, plan: &mut Plan<'a>) {
        plan.step(self, path);
    }

    fn summarize(&self, path: &str, to: &mut Rows<'_>) -> Result<()> {
        (to.height, to.width) = (2 * to.height, 2 * to.width);
        to.row(self, path, "BlurUpsample".to_string(), &[to.channels, 4, to.height, to.width]);
        Ok(())
    }
}

impl Op for BlurUpsample {
    fn recomputes(&self) -> bool {
        true
    }

    fn recompute(&self, record: &Record, _: &Fused) -> Result<Tensor> {
        let Kept(x) = record.get()?;
        k::blur::blur_upsample(x)
    }

    fn forward(&self, x: &Tensor, pass: &Forward<'_>) -> Result<(Tensor, Option<Record>)> {
        Ok((k::blur::blur_upsample(x)?, pass.record(|| Kept(x.clone()))))
    }

    fn trace<'a>(&'a self, x: Value, at: &Traced<'a>, flow: &mut Dataflow<'a>) -> Result<Option<Value>> {
        let [_, height, _] = flow.dims(x);
        let size = output_size(self, at.step.path, flow.dims(x))?;
        let reads = move |rows: &Range<usize>| {
            let first = (rows.start / 2).saturating_sub(1);
            (first..((rows.end - 1) / 2 + 2).min(height), 2 * first)
        };
        Ok(Some(flow.stencil(x, size, reads, k::blur::blur_upsample)))
    }

    fn operators(&self, x: OperatorValue, step: &Step<'_>, graph: &mut OperatorGraph) -> Result<OperatorValue> {
        let groups = graph.channels(x);
        let weight = constant(step.path, FILTER, &filter(groups, &DOUBLING, 4.0)?);
        let x = graph.by_channel(step.path, Operator::Pad { mode: PadMode::Replicate, size: 1 }, x);
        let blur = Operator::ConvTranspose { weight, bias: None, stride: 2, padding: 3, output_padding: 0, groups };
        Ok(graph.by_channel(step.path, blur, x))
    }

    fn backward(&self, record: Record, dy: &Tensor, _: &Backward<'_>) -> Result<Option<Tensor>> {
        record.open::<Kept>()?;
        k::blur::blur_upsample_backward(dy).map(Some)
    }
}
