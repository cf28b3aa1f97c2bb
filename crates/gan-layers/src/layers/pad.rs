//! Padding.

use crate::kind::{Backward, Forward, Kind, Op, Record};
use crate::operators::{Operator, OperatorGraph, OperatorValue};
use crate::plan::{Plan, Step};
use crate::summary::Rows;
use crate::{Layer, SequenceBuilder};
use candle_core::{Result, Tensor};
use gan_kernels::conv::{Conv2d, PadMode};

/// Pads all four sides. A convolution behind it that does not pad itself pads as it reads; only then is the padded tensor never made.
#[derive(Debug, Clone, Copy)]
pub struct Pad {
    /// What the padding holds.
    pub mode: PadMode,
    /// Pixels on each side.
    pub size: usize,
}

impl SequenceBuilder<'_> {
    /// Padding, `[N, C, H, W]` → `[N, C, H + 2·size, W + 2·size]`; part of the convolution that follows. Zero padding is usually
    /// the convolution's own and takes no index.
    #[must_use]
    pub fn pad(self, mode: PadMode, size: usize) -> Self {
        self.push(Layer::new(Pad { mode, size }))
    }
}

impl Pad {
    /// Height and width of the output, checked: a reflection must be smaller than the input.
    fn output_hw(&self, input: (usize, usize)) -> Result<(usize, usize)> {
        Conv2d { padding: [self.size; 2], pad_mode: self.mode, ..Conv2d::default() }.output_hw((1, 1), input)
    }

    /// Pads one dimension.
    fn along(&self, x: &Tensor, dim: usize) -> Result<Tensor> {
        let (p, n) = (self.size, x.dim(dim)?);
        match self.mode {
            PadMode::Zero => x.pad_with_zeros(dim, p, p),
            PadMode::Replicate => x.pad_with_same(dim, p, p),
            PadMode::Reflect => {
                let row = |i: usize| x.narrow(dim, i, 1);
                let before = (1..=p).rev().map(row).collect::<Result<Vec<_>>>()?;
                let behind = (n - 1 - p..n - 1).rev().map(row).collect::<Result<Vec<_>>>()?;
                let all: Vec<&Tensor> = before.iter().chain([x]).chain(&behind).collect();
                Tensor::cat(&all, dim)
            }
        }
    }

    /// The adjoint of [`Pad::along`].
    fn back_along(&self, dy: &Tensor, dim: usize) -> Result<Tensor> {
        let p = self.size;
        let n = dy.dim(dim)? - 2 * p;
        let own = dy.narrow(dim, p, n)?;
        // What the padding in front and behind adds, and at which row.
        let (before, behind) = match self.mode {
            PadMode::Zero => return own.contiguous(),
            PadMode::Replicate => {
                let sum = |from: usize| dy.narrow(dim, from, p)?.sum_keepdim(dim);
                (sum(0)?.pad_with_zeros(dim, 0, n - 1)?, sum(p + n)?.pad_with_zeros(dim, n - 1, 0)?)
            }
            PadMode::Reflect => {
                let mirrored = |from: usize| {
                    let rows = (from..from + p).rev().map(|i| dy.narrow(dim, i, 1)).collect::<Result<Vec<_>>>()?;
                    Tensor::cat(&rows, dim)
                };
                let before = mirrored(0)?.pad_with_zeros(dim, 1, n - 1 - p)?;
                (before, mirrored(p + n)?.pad_with_zeros(dim, n - 1 - p, 1)?)
            }
        };
        (own + before)? + behind
    }
}

impl Kind for Pad {
    fn plan<'a>(&'a self, path: &'a str, plan: &mut Plan<'a>) {
        if self.size > 0 {
            plan.pad(self, path);
        }
    }

    fn summarize(&self, _: &str, to: &mut Rows<'_>) -> Result<()> {
        (to.height, to.width) = self.output_hw((to.height, to.width))?;
        Ok(())
    }
}

/// Where no convolution pads.
impl Op for Pad {
    fn forward(&self, x: &Tensor, pass: &Forward<'_>) -> Result<(Tensor, Option<Record>)> {
        let (_, _, h, w) = x.dims4()?;
        self.output_hw((h, w))?;
        Ok((self.along(&self.along(x, 2)?, 3)?, pass.record(|| ())))
    }

    fn operators(&self, x: OperatorValue, step: &Step<'_>, graph: &mut OperatorGraph) -> Result<OperatorValue> {
        Ok(graph.by_channel(step.path, Operator::Pad { mode: self.mode, size: self.size }, x))
    }

    fn backward(&self, record: Record, dy: &Tensor, _: &Backward<'_>) -> Result<Option<Tensor>> {
        record.open::<()>()?;
        Ok(Some(self.back_along(&self.back_along(dy, 3)?, 2)?))
    }
}
