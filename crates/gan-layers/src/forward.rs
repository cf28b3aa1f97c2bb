//! The forward walk.

use crate::input::Start;
use crate::kind::Forward;
use crate::tape::Tape;
use crate::{Ctx, Sequence};
use candle_core::{Result, Tensor};
use gan_kernels as k;

/// Runs the steps of a sequence. With a tape, keeps what the backward pass needs. `residual` is added to the result.
pub(crate) fn forward(
    seq: &Sequence,
    start: Start,
    ctx: &Ctx,
    mut tape: Option<&mut Tape>,
    residual: Option<&Tensor>,
) -> Result<Tensor> {
    let steps = seq.steps();
    let mut pending = residual;
    // Labels are the first step's alone, which returns planes.
    let (mut x, mut labels) = match start {
        Start::Planes(x) => (x, None),
        Start::Labels(labels) => (labels.labels().clone(), Some(labels)),
    };
    for (i, step) in steps.iter().enumerate() {
        let last = i + 1 == steps.len();
        let pass = Forward {
            ctx,
            path: step.path,
            fused: &step.fused,
            residual: if last && step.op.adds_residual() { pending.take() } else { None },
            input_again: i.checked_sub(1).is_some_and(|i| steps[i].op.recomputes()),
            taped: tape.is_some(),
        };
        let (y, record) = match labels.take() {
            Some(labels) => step.op.forward_labels(labels, &pass)?,
            None => step.op.forward(&x, &pass)?,
        };
        x = y;
        if let (Some(tape), Some(record)) = (tape.as_deref_mut(), record) {
            tape.0.push(record);
        }
    }
    if let Some(residual) = pending {
        x = k::elementwise::add(&x, residual)?;
    }
    Ok(x)
}
