//! Activation.

use crate::bands::{Dataflow, Traced, Value};
use crate::kind::{Backward, Forward, Jvp, Kind, Op, Record};
use crate::operators::{Operator, OperatorGraph, OperatorValue};
use crate::plan::{Fused, Plan, Step};
use crate::summary::Rows;
use crate::{Layer, SequenceBuilder, custom_grad};
use candle_core::{Result, Tensor, bail};
use gan_kernels as k;
use gan_kernels::act::Act;

/// An activation, any shape.
#[derive(Debug, Clone, Copy)]
pub struct Activation(
    /// The function.
    pub Act,
);

impl SequenceBuilder<'_> {
    /// Activation.
    #[must_use]
    pub fn act(self, act: Act) -> Self {
        self.push(Layer::new(Activation(act)))
    }
}

/// What it keeps: its output, `None` if that is the whole sequence's result, which candle's graph holds.
struct Kept(Option<Tensor>);

impl Kind for Activation {
    fn plan<'a>(&'a self, path: &'a str, plan: &mut Plan<'a>) {
        let mut applied = false;
        if let Some(front) = plan.last()
            && front.fused.act == Act::Identity
        {
            if front.op.absorbs(self.0) {
                front.fused.act = self.0;
                return;
            }
            if front.op.applies(self.0) {
                front.fused.act = self.0;
                applied = self.0 != Act::Identity;
            }
        }
        plan.step_with(self, path, Fused { applied, ..Fused::default() });
    }

    fn summarize(&self, path: &str, to: &mut Rows<'_>) -> Result<()> {
        to.row(self, path, format!("{:?}", self.0), &[]);
        Ok(())
    }
}

impl Op for Activation {
    fn forward(&self, x: &Tensor, pass: &Forward<'_>) -> Result<(Tensor, Option<Record>)> {
        let y = if pass.fused.applied { x.clone() } else { k::act::act(x, self.0)? };
        let record = pass.record(|| Kept(Some(y.clone())));
        Ok((y, record))
    }

    fn is_activation(&self, fused: &Fused) -> Option<Act> {
        // It has been applied, or is a long computation.
        (!fused.applied && self.0 != Act::Tanh).then_some(self.0)
    }

    fn backward(&self, record: Record, dy: &Tensor, _: &Backward<'_>) -> Result<Option<Tensor>> {
        match record.open()? {
            Kept(Some(y)) => Ok(Some(k::act::act_backward(&y, dy, self.0)?)),
            Kept(None) => bail!("the result of an activation was given up and not taken back"),
        }
    }

    fn jvp(&self, at: (Tensor, Tensor), _: &Jvp<'_>) -> Result<(Tensor, Tensor)> {
        jvp(at, self.0)
    }

    fn trace<'a>(&'a self, x: Value, at: &Traced<'a>, flow: &mut Dataflow<'a>) -> Result<Option<Value>> {
        let act = self.0;
        if at.step.fused.applied {
            return Ok(Some(x));
        }
        Ok(Some(flow.by_pixel(&[x], flow.size(x), false, move |rows, _| k::act::act(&rows[0], act))))
    }

    fn operators(&self, x: OperatorValue, step: &Step<'_>, graph: &mut OperatorGraph) -> Result<OperatorValue> {
        // The step in front has written it down where it applies it.
        Ok(if step.fused.applied { x } else { graph.by_channel(step.path, Operator::Activation(self.0), x) })
    }

    fn give_up_result(&self, record: &mut Record) -> Result<bool> {
        record.get_mut::<Kept>()?.0 = None;
        Ok(true)
    }

    fn take_result(&self, record: &mut Record, result: &Tensor) -> Result<()> {
        record.get_mut::<Kept>()?.0.get_or_insert_with(|| result.detach());
        Ok(())
    }
}

/// An activation of a value, and its derivative along a direction.
pub(super) fn jvp((x, dx): (Tensor, Tensor), act: Act) -> Result<(Tensor, Tensor)> {
    if act == Act::Tanh {
        bail!("second derivatives are there for activations that are linear in pieces, not for {act:?}")
    }
    let y = k::act::act(&x.detach(), act)?;
    let slope = |y: Tensor| move |d: &Tensor| k::act::act_backward(&y, d, act);
    let dy = k::act::act_backward(&y, &dx.detach(), act)?;
    Ok((custom_grad(&x, y.clone(), slope(y.clone()))?, custom_grad(&dx, dy, slope(y))?))
}
