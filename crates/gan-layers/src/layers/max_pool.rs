//! Max pooling.

use crate::kind::{Backward, Forward, Kind, Op, Record};
use crate::operators::{Operator, OperatorGraph, OperatorValue};
use crate::plan::{Plan, Step};
use crate::summary::Rows;
use crate::{Layer, Pool2d, SequenceBuilder};
use candle_core::{Result, Tensor};
use gan_kernels as k;

/// Max pooling, `[N, C, H, W]` → `[N, C, H', W']` ([`Pool2d::output_hw`]).
#[derive(Debug, Clone, Copy)]
pub struct MaxPool(
    /// The windows.
    pub Pool2d,
);

impl SequenceBuilder<'_> {
    /// Max pooling.
    #[must_use]
    pub fn max_pool(self, windows: Pool2d) -> Self {
        self.push(Layer::new(MaxPool(windows)))
    }
}

/// What it keeps: its input.
struct Kept(Tensor);

impl Kind for MaxPool {
    fn plan<'a>(&'a self, path: &'a str, plan: &mut Plan<'a>) {
        plan.step(self, path);
    }

    fn summarize(&self, path: &str, to: &mut Rows<'_>) -> Result<()> {
        to.pool(self, path, "MaxPool", &self.0)
    }
}

impl Op for MaxPool {
    fn forward(&self, x: &Tensor, pass: &Forward<'_>) -> Result<(Tensor, Option<Record>)> {
        Ok((k::pool::max_pool(x, &self.0)?, pass.record(|| Kept(x.clone()))))
    }

    fn operators(&self, x: OperatorValue, step: &Step<'_>, graph: &mut OperatorGraph) -> Result<OperatorValue> {
        Ok(graph.by_channel(step.path, Operator::MaxPool(self.0), x))
    }

    fn backward(&self, record: Record, dy: &Tensor, _: &Backward<'_>) -> Result<Option<Tensor>> {
        let Kept(x) = record.open()?;
        k::pool::max_pool_backward(&x, dy, &self.0).map(Some)
    }
}
