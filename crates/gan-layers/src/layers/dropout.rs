//! Dropout.

use crate::bands::{Dataflow, Traced, Value};
use crate::ctx::Dropout;
use crate::kind::{Backward, Forward, Kind, Op, Record};
use crate::operators::{OperatorGraph, OperatorValue};
use crate::plan::{Plan, Step};
use crate::summary::Rows;
use crate::{Layer, SequenceBuilder};
use candle_core::{Result, Tensor};
use gan_kernels as k;
use gan_kernels::dropout::MaskKey;

/// Element-wise dropout with inverted scaling, any shape. Its path names its mask.
#[derive(Debug, Clone, Copy)]
pub struct DropoutLayer {
    /// Probability of dropping an element.
    pub p: f64,
}

impl SequenceBuilder<'_> {
    /// Dropout with probability `p`.
    #[must_use]
    pub fn dropout(self, p: f64) -> Self {
        self.push(Layer::new(DropoutLayer { p }))
    }
}

/// What it keeps: the key of its mask, `None` if it was off.
struct Kept(Option<MaskKey>);

impl DropoutLayer {
    fn apply(&self, x: &Tensor, key: Option<MaskKey>) -> Result<Tensor> {
        match key {
            Some(key) => k::dropout::dropout(x, self.p, key),
            None => Ok(x.clone()),
        }
    }
}

impl Kind for DropoutLayer {
    fn plan<'a>(&'a self, path: &'a str, plan: &mut Plan<'a>) {
        plan.step(self, path);
    }

    fn summarize(&self, path: &str, to: &mut Rows<'_>) -> Result<()> {
        to.row(self, path, format!("Dropout {}", self.p), &[]);
        Ok(())
    }
}

impl Op for DropoutLayer {
    fn forward(&self, x: &Tensor, pass: &Forward<'_>) -> Result<(Tensor, Option<Record>)> {
        let key = match pass.ctx.dropout {
            Dropout::Off => None,
            Dropout::Keyed(key) => Some(MaskKey::named(key, pass.path)),
        };
        Ok((self.apply(x, key)?, pass.record(|| Kept(key))))
    }

    fn trace<'a>(&'a self, x: Value, _: &Traced<'a>, flow: &mut Dataflow<'a>) -> Result<Option<Value>> {
        // Masks are those of whole values.
        Ok((flow.ctx().dropout == Dropout::Off).then_some(x))
    }

    fn operators(&self, x: OperatorValue, _: &Step<'_>, _: &mut OperatorGraph) -> Result<OperatorValue> {
        // A graph is one without dropout.
        Ok(x)
    }

    fn backward(&self, record: Record, dy: &Tensor, _: &Backward<'_>) -> Result<Option<Tensor>> {
        let Kept(key) = record.open()?;
        Ok(Some(self.apply(dy, key)?))
    }

    fn give_up_result(&self, record: &mut Record) -> Result<bool> {
        // Switched off, the result is what the operator in front has returned.
        Ok(record.get_mut::<Kept>()?.0.is_some())
    }
}
