//! Max pooling.

use crate::kind::{Backward, Forward, Kind, Op, Record};
use crate::plan::Plan;
use crate::summary::Rows;
use crate::{Layer, SequenceBuilder};
use candle_core::{Result, Tensor};
use gan_kernels as k;

/// Max pooling 2x2 with stride 2, `[N, C, H, W]` → `[N, C, ⌊H/2⌋, ⌊W/2⌋]`.
#[derive(Debug, Clone, Copy)]
pub struct MaxPool2;

impl SequenceBuilder<'_> {
    /// Max pooling 2x2.
    #[must_use]
    pub fn max_pool2(self) -> Self {
        self.push(Layer::new(MaxPool2))
    }
}

/// What it keeps: its input.
struct Kept(Tensor);

impl Kind for MaxPool2 {
    fn plan<'a>(&'a self, path: &'a str, plan: &mut Plan<'a>) {
        plan.step(self, path);
    }

    fn summarize(&self, path: &str, to: &mut Rows<'_>) -> Result<()> {
        (to.height, to.width) = (to.height / 2, to.width / 2);
        to.row(self, path, "MaxPool 2x2".to_string(), &[]);
        Ok(())
    }
}

impl Op for MaxPool2 {
    fn forward(&self, x: &Tensor, pass: &Forward<'_>) -> Result<(Tensor, Option<Record>)> {
        Ok((k::pool::max_pool2(x)?, pass.record(|| Kept(x.clone()))))
    }

    fn backward(&self, record: Record, dy: &Tensor, _: &Backward<'_>) -> Result<Option<Tensor>> {
        let Kept(x) = record.open()?;
        k::pool::max_pool2_backward(&x, dy).map(Some)
    }
}
