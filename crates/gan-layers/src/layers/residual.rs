//! Residual block.

use crate::backward::{backward, without_updates};
use crate::bands::{Dataflow, Traced, Value};
use crate::forward::forward;
use crate::input::Start;
use crate::kind::{Backward, Forward, Kind, Op, Record};
use crate::operators::{OperatorGraph, OperatorValue};
use crate::plan::{Plan, Step};
use crate::summary::Rows;
use crate::tape::Tape;
use crate::{Layer, Param, Sequence, SequenceBuilder};
use candle_core::{Result, Tensor};
use gan_kernels as k;

/// `x + inner(x)`.
#[derive(Debug, Clone)]
pub struct Residual(
    /// The inner sequence, whose output has the shape of its input.
    pub Sequence,
);

impl<'a> SequenceBuilder<'a> {
    /// `x + inner(x)`; the inner sequence lives at `{index}.{name}`.
    ///
    /// # Errors
    /// Those of `inner`.
    pub fn residual(
        self,
        name: &str,
        inner: impl FnOnce(SequenceBuilder<'a>) -> Result<SequenceBuilder<'a>>,
    ) -> Result<Self> {
        let inner = inner(SequenceBuilder::new(self.here().pp(name)))?.finish();
        Ok(self.push(Layer::new(Residual(inner))))
    }
}

/// What it keeps.
enum Kept {
    /// The tape of the inner sequence.
    Tape(Tape),
    /// The block's input, from which the backward pass computes the activations again.
    Input(Tensor),
}

impl Kind for Residual {
    fn plan<'a>(&'a self, path: &'a str, plan: &mut Plan<'a>) {
        plan.step(self, path);
    }

    fn summarize(&self, path: &str, to: &mut Rows<'_>) -> Result<()> {
        to.branch(path, &self.0)?;
        to.join(path, "Sum");
        Ok(())
    }

    fn each_param(&self, f: &mut dyn FnMut(&Param)) {
        self.0.each_param(f);
    }

    fn with_inner(&self, map: &dyn Fn(&Sequence) -> Result<Sequence>) -> Result<Option<Layer>> {
        Ok(Some(Layer::new(Residual(map(&self.0)?))))
    }
}

impl Op for Residual {
    fn forward(&self, x: &Tensor, pass: &Forward<'_>) -> Result<(Tensor, Option<Record>)> {
        let mut tape = (pass.taped && !pass.ctx.checkpointing).then(Tape::default);
        let y = forward(&self.0, Start::Planes(x.clone()), pass.ctx, tape.as_mut(), Some(x))?;
        Ok((y, pass.record(|| tape.map_or_else(|| Kept::Input(x.clone()), Kept::Tape))))
    }

    fn trace<'a>(&'a self, x: Value, _: &Traced<'a>, flow: &mut Dataflow<'a>) -> Result<Option<Value>> {
        flow.apply_and_add(&self.0, x, x).map(Some)
    }

    fn operators(&self, x: OperatorValue, step: &Step<'_>, graph: &mut OperatorGraph) -> Result<OperatorValue> {
        let y = graph.apply(&self.0, x)?;
        graph.add(step.path, x, y)
    }

    fn backward(&self, record: Record, dy: &Tensor, pass: &Backward<'_>) -> Result<Option<Tensor>> {
        let tape = match record.open()? {
            Kept::Tape(tape) => tape,
            Kept::Input(x) => {
                let mut tape = Tape::default();
                forward(&self.0, Start::Planes(x), &without_updates(pass.ctx), Some(&mut tape), None)?;
                tape
            }
        };
        let Some(dx) = backward(&self.0, tape, dy.clone(), pass.ctx, pass.input)? else { return Ok(None) };
        k::elementwise::add_assign(&dx, dy)?;
        Ok(Some(dx))
    }
}
