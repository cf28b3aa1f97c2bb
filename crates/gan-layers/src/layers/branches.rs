//! Branches.

use crate::backward::backward;
use crate::bands::{Dataflow, Traced, Value};
use crate::forward::forward;
use crate::input::Start;
use crate::kind::{Backward, Forward, Kind, Op, Record};
use crate::operators::{OperatorGraph, OperatorValue};
use crate::plan::{Plan, Step};
use crate::summary::Rows;
use crate::tape::Tape;
use crate::{Layer, Param, Sequence, SequenceBuilder};
use candle_core::{Result, Tensor, bail};
use gan_kernels as k;

/// Sequences that all take the input, and whose outputs become one along the channels: `[N, C, H, W]` → `[N, Σ C_i, H', W']`.
#[derive(Debug, Clone)]
pub struct Branches(
    /// The sequences, at least one, whose outputs have one size.
    pub Vec<Sequence>,
);

impl<'a> SequenceBuilder<'a> {
    /// Branches, each written down by its own closure on a builder at the path of this sequence (not one level down, as the
    /// modules of a block are in PyTorch). They occupy the next index.
    ///
    /// # Errors
    /// Those of the closures.
    pub fn branches<const N: usize>(
        self,
        branches: [&dyn Fn(SequenceBuilder<'a>) -> Result<SequenceBuilder<'a>>; N],
    ) -> Result<Self> {
        let build = |branch: &dyn Fn(_) -> Result<SequenceBuilder<'a>>| {
            Ok(branch(SequenceBuilder::new(self.at.clone()))?.finish())
        };
        let branches = branches.into_iter().map(build).collect::<Result<_>>()?;
        Ok(self.push(Layer::new(Branches(branches))))
    }
}

/// What it keeps: of each branch the tape and the channels of the output.
struct Kept(Vec<(Tape, usize)>);

impl Kind for Branches {
    fn plan<'a>(&'a self, path: &'a str, plan: &mut Plan<'a>) {
        plan.step(self, path);
    }

    fn summarize(&self, path: &str, to: &mut Rows<'_>) -> Result<()> {
        let input = (to.channels, to.height, to.width);
        let (mut channels, mut size) = (0, None);
        for branch in &self.0 {
            (to.channels, to.height, to.width) = input;
            to.sequence(branch)?;
            channels += to.channels;
            let (h, w) = *size.get_or_insert((to.height, to.width));
            if (to.height, to.width) != (h, w) {
                bail!("{path}: one branch puts out {h} x {w}, another {} x {}", to.height, to.width)
            }
        }
        to.channels = channels;
        to.join(path, "Concat");
        Ok(())
    }

    fn each_param(&self, f: &mut dyn FnMut(&Param)) {
        self.0.iter().for_each(|branch| branch.each_param(f));
    }

    fn with_inner(&self, map: &dyn Fn(&Sequence) -> Result<Sequence>) -> Result<Option<Layer>> {
        let branches = self.0.iter().map(map).collect::<Result<_>>()?;
        Ok(Some(Layer::new(Branches(branches))))
    }
}

impl Op for Branches {
    fn forward(&self, x: &Tensor, pass: &Forward<'_>) -> Result<(Tensor, Option<Record>)> {
        let (mut outputs, mut kept) = (Vec::with_capacity(self.0.len()), Vec::new());
        for branch in &self.0 {
            let mut tape = pass.taped.then(Tape::default);
            let y = forward(branch, Start::Planes(x.clone()), pass.ctx, tape.as_mut(), None)?;
            if let Some(tape) = tape {
                kept.push((tape, y.dim(1)?));
            }
            outputs.push(y);
        }
        let y = k::concat::cat_channels(&outputs.iter().collect::<Vec<_>>())?;
        Ok((y, pass.record(|| Kept(kept))))
    }

    fn trace<'a>(&'a self, x: Value, _: &Traced<'a>, flow: &mut Dataflow<'a>) -> Result<Option<Value>> {
        let outputs: Vec<Value> = self.0.iter().map(|branch| flow.apply(branch, x)).collect::<Result<_>>()?;
        flow.concat(&outputs).map(Some)
    }

    fn operators(&self, x: OperatorValue, step: &Step<'_>, graph: &mut OperatorGraph) -> Result<OperatorValue> {
        let outputs: Vec<OperatorValue> = self.0.iter().map(|branch| graph.apply(branch, x)).collect::<Result<_>>()?;
        Ok(graph.concat(step.path, &outputs))
    }

    fn backward(&self, record: Record, dy: &Tensor, pass: &Backward<'_>) -> Result<Option<Tensor>> {
        let Kept(kept) = record.open()?;
        let (mut from, mut sum) = (0, None);
        for (branch, (tape, channels)) in self.0.iter().zip(kept) {
            let part = k::concat::narrow_channels(dy, from, channels)?;
            from += channels;
            // The gradient of a branch without layers is a view of `dy`: the sum must not be made in its place.
            sum = match (backward(branch, tape, part, pass.ctx, pass.input)?, sum) {
                (Some(dx), Some(sum)) => Some(k::elementwise::add(&sum, &dx)?),
                (dx, sum) => dx.or(sum),
            };
        }
        Ok(sum)
    }
}
