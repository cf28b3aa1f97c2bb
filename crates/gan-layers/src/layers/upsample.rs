//! Nearest upsampling.

use crate::bands::{Dataflow, Traced, Value};
use crate::kind::{Backward, Forward, Kind, Op, Record};
use crate::operators::{Operator, OperatorGraph, OperatorValue};
use crate::plan::{Plan, Step};
use crate::summary::{Rows, output_size};
use crate::{Layer, SequenceBuilder};
use candle_core::{Result, Tensor};
use gan_kernels::upsample::{upsample_nearest, upsample_nearest_backward};
use std::ops::Range;

/// Repeats every pixel in both directions, `[N, C, H, W]` → `[N, C, factor·H, factor·W]`: PyTorch's
/// `Upsample(scale_factor=factor)`.
#[derive(Debug, Clone, Copy)]
pub struct UpsampleNearest {
    /// How often a pixel is repeated in each direction.
    pub factor: usize,
}

impl SequenceBuilder<'_> {
    /// Nearest upsampling, `[N, C, H, W]` → `[N, C, factor·H, factor·W]`.
    #[must_use]
    pub fn upsample_nearest(self, factor: usize) -> Self {
        self.push(Layer::new(UpsampleNearest { factor }))
    }
}

impl Kind for UpsampleNearest {
    fn plan<'a>(&'a self, path: &'a str, plan: &mut Plan<'a>) {
        plan.step(self, path);
    }

    fn summarize(&self, path: &str, to: &mut Rows<'_>) -> Result<()> {
        (to.height, to.width) = (to.height * self.factor, to.width * self.factor);
        to.row(self, path, format!("Upsample x{}", self.factor), &[]);
        Ok(())
    }
}

impl Op for UpsampleNearest {
    fn forward(&self, x: &Tensor, pass: &Forward<'_>) -> Result<(Tensor, Option<Record>)> {
        Ok((upsample_nearest(x, self.factor)?, pass.record(|| ())))
    }

    fn trace<'a>(&'a self, x: Value, at: &Traced<'a>, flow: &mut Dataflow<'a>) -> Result<Option<Value>> {
        let (size, factor) = (output_size(self, at.step.path, flow.dims(x))?, self.factor);
        let reads = move |rows: &Range<usize>| {
            let first = rows.start / factor;
            (first..rows.end.div_ceil(factor), first * factor)
        };
        Ok(Some(flow.stencil(x, size, reads, move |x| upsample_nearest(x, factor))))
    }

    fn operators(&self, x: OperatorValue, step: &Step<'_>, graph: &mut OperatorGraph) -> Result<OperatorValue> {
        Ok(graph.by_channel(step.path, Operator::Upsample { factor: self.factor }, x))
    }

    fn backward(&self, record: Record, dy: &Tensor, _: &Backward<'_>) -> Result<Option<Tensor>> {
        record.open::<()>()?;
        upsample_nearest_backward(dy, self.factor).map(Some)
    }
}
