//! What a forward pass keeps for the backward pass.

use crate::Sequence;
use crate::kind::Record;
use candle_core::{Result, Tensor, bail};

/// One record a step, in the order of the steps.
#[derive(Default)]
pub(crate) struct Tape(pub(crate) Vec<Record>);

impl Tape {
    /// Lets go of the result of `seq`, if the last step recorded it. Returns whether nothing recorded, and no input, shares
    /// memory with the result any longer.
    pub(crate) fn give_up_result(&mut self, seq: &Sequence) -> Result<bool> {
        match (seq.steps().last(), self.0.last_mut()) {
            (Some(step), Some(record)) => step.op.give_up_result(record),
            // The result is the input.
            _ => Ok(false),
        }
    }

    /// At the backward pass: the result as the graph kept it.
    pub(crate) fn take_result(&mut self, seq: &Sequence, result: &Tensor) -> Result<()> {
        match (seq.steps().last(), self.0.last_mut()) {
            (Some(step), Some(record)) => step.op.take_result(record, result),
            _ => Ok(()),
        }
    }
}

/// The error of a record that its step did not write.
pub(crate) fn foreign<T>() -> Result<T> {
    bail!("the tape does not belong to this sequence")
}
