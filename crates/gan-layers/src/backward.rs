//! The backward walk.

use crate::kind::Backward;
use crate::plan::Step;
use crate::tape::Tape;
use crate::{Ctx, NormMode, Sequence, Weights};
use candle_core::{Result, Tensor, bail};

/// Runs the steps of a sequence backward from `dy`, consuming the tape. Parameter gradients are added to their accumulators (if
/// the context trains); the input's gradient is returned if wanted.
pub(crate) fn backward(
    seq: &Sequence,
    tape: Tape,
    mut dy: Tensor,
    ctx: &Ctx,
    input_wanted: bool,
) -> Result<Option<Tensor>> {
    let steps = seq.steps();
    if steps.len() != tape.0.len() {
        bail!("the tape has {} records for {} steps", tape.0.len(), steps.len());
    }
    // Nothing in front of the first parameter needs a gradient unless the input does.
    let first_wanted = if input_wanted {
        0
    } else if ctx.weights == Weights::Train {
        steps.iter().position(Step::has_parameters).unwrap_or(steps.len())
    } else {
        steps.len()
    };
    let mut records = tape.0;
    while let Some(record) = records.pop() {
        let i = records.len();
        if i < first_wanted {
            break;
        }
        let Step { op, fused, .. } = &steps[i];
        let before = steps[..i].last().zip(records.last());
        let pass = Backward { ctx, fused, input: input_wanted || i > first_wanted, before };
        let dx = op.backward(record, &dy, &pass)?;
        steps[i].announce_gradients();
        match dx {
            Some(dx) => dy = dx,
            None => break,
        }
    }
    Ok(input_wanted.then_some(dy))
}

/// The context of a forward pass that is done again: the first one has moved the running statistics already.
pub(crate) fn without_updates(ctx: &Ctx) -> Ctx {
    let norm = match ctx.norm {
        NormMode::Batch { .. } => NormMode::Batch { update: false },
        NormMode::Running => NormMode::Running,
    };
    Ctx { norm, ..*ctx }
}
