//! The forward walk.

use crate::input::Start;
use crate::kind::Forward;
use crate::plan::Step;
use crate::tape::Tape;
use crate::{Ctx, Sequence};
use candle_core::{Result, Tensor};
use gan_kernels as k;
use gan_kernels::act::Act;
use gan_kernels::conv::Joined;

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
    let mut unmade = Unmade::default();
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
        if tape.is_none() && labels.is_none() && unmade.take_over(&steps[i..], &x, &pass)? {
            continue;
        }
        if unmade.is_any() {
            x = unmade.read(step, &x, &pass)?;
            continue;
        }
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

/// A concatenation and an activation that are left to the step that reads them.
#[derive(Default)]
struct Unmade {
    parts: Vec<Tensor>,
    act: Option<Act>,
}

impl Unmade {
    fn is_any(&self) -> bool {
        !self.parts.is_empty() || self.act.is_some()
    }

    /// Takes over what the first of these steps would make of `x`, if it is one of the two and what reads it comes next.
    fn take_over(&mut self, steps: &[Step<'_>], x: &Tensor, pass: &Forward<'_>) -> Result<bool> {
        let reads = |i: usize| steps.get(i).is_some_and(|step| step.op.reads_joined());
        let activation = |i: usize| steps.get(i).and_then(|step| step.op.is_activation(&step.fused));
        if steps[0].op.joins() && (reads(1) || activation(1).is_some() && reads(2)) {
            self.parts = steps[0].op.parts(x, pass)?;
            return Ok(true);
        }
        let act = activation(0).filter(|_| reads(1));
        self.act = self.act.or(act);
        Ok(act.is_some())
    }

    /// The result of the step that reads it. `x` is what is read if nothing was to be concatenated.
    fn read(&mut self, step: &Step<'_>, x: &Tensor, pass: &Forward<'_>) -> Result<Tensor> {
        let Unmade { parts, act } = std::mem::take(self);
        let parts: Vec<&Tensor> = if parts.is_empty() { vec![x] } else { parts.iter().collect() };
        step.op.forward_joined(&Joined { parts: &parts, act: act.unwrap_or(Act::Identity) }, pass)
    }
}
