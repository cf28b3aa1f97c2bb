//! Average pooling.

use crate::bands::{Dataflow, Traced, Value};
use crate::kind::{Backward, Forward, Kind, Op, Record};
use crate::operators::{Operator, OperatorGraph, OperatorValue};
use crate::plan::{Plan, Step};
use crate::summary::Rows;
use crate::{Layer, Pool2d, SequenceBuilder};
use candle_core::{Result, Tensor};
use gan_kernels as k;

/// Average pooling that does not count padding, `[N, C, H, W]` → `[N, C, H', W']` ([`Pool2d::output_hw`]).
#[derive(Debug, Clone, Copy)]
pub struct AvgPool(
    /// The windows.
    pub Pool2d,
);

impl SequenceBuilder<'_> {
    /// Average pooling; the divisor leaves the padding out.
    #[must_use]
    pub fn avg_pool(self, windows: Pool2d) -> Self {
        self.push(Layer::new(AvgPool(windows)))
    }
}

/// What it keeps: height and width of its input.
struct Kept((usize, usize));

impl Kind for AvgPool {
    fn plan<'a>(&'a self, path: &'a str, plan: &mut Plan<'a>) {
        plan.step(self, path);
    }

    fn summarize(&self, path: &str, to: &mut Rows<'_>) -> Result<()> {
        to.pool(self, path, "AvgPool", &self.0)
    }
}

impl Op for AvgPool {
    fn forward(&self, x: &Tensor, pass: &Forward<'_>) -> Result<(Tensor, Option<Record>)> {
        let (_, _, h, w) = x.dims4()?;
        Ok((k::pool::avg_pool(x, &self.0)?, pass.record(|| Kept((h, w)))))
    }

    fn trace<'a>(&'a self, x: Value, _: &Traced<'a>, flow: &mut Dataflow<'a>) -> Result<Option<Value>> {
        flow.avg_pool(x, self.0).map(Some)
    }

    fn operators(&self, x: OperatorValue, step: &Step<'_>, graph: &mut OperatorGraph) -> Result<OperatorValue> {
        Ok(graph.by_channel(step.path, Operator::AvgPool(self.0), x))
    }

    fn backward(&self, record: Record, dy: &Tensor, _: &Backward<'_>) -> Result<Option<Tensor>> {
        let Kept(hw) = record.open()?;
        k::pool::avg_pool_backward(dy, hw, &self.0).map(Some)
    }
}
