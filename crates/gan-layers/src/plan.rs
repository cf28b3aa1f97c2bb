//! The plan of a sequence: which neighboring layers run as one kernel.

use crate::Sequence;
use crate::kind::Op;
use crate::layers::pad::Pad;
use gan_kernels::act::Act;

/// One layer that runs, and what it takes over from its neighbors.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    pub(crate) op: &'a dyn Op,
    /// Path of the layer.
    pub(crate) path: &'a str,
    pub(crate) fused: Fused,
}

impl Step<'_> {
    /// Whether the step owns parameters.
    pub(crate) fn has_parameters(&self) -> bool {
        let mut any = false;
        self.op.each_param(&mut |_| any = true);
        any
    }

    /// Tells who watches the parameters' gradients that what was added so far is there as a whole.
    pub(crate) fn announce_gradients(&self) {
        let mut first = None;
        self.op.each_param(&mut |param| {
            if first.is_none() {
                first.clone_from(&param.grad);
            }
        });
        first.iter().for_each(|grad| grad.watch().call());
    }
}

/// What a step takes over from its neighbors. Each operator looks at what it has said it can do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fused {
    /// The padding in front.
    pub(crate) pad: Option<Pad>,
    /// The activation behind.
    pub(crate) act: Act,
    /// Whether its bias has an effect.
    pub(crate) bias: bool,
    /// Of an activation: whether the step in front has applied it.
    pub(crate) applied: bool,
}

impl Default for Fused {
    fn default() -> Self {
        Fused { pad: None, act: Act::Identity, bias: true, applied: false }
    }
}

/// The steps of a sequence, written down layer by layer.
#[derive(Default)]
pub(crate) struct Plan<'a> {
    steps: Vec<Step<'a>>,
    /// A padding that is not yet a step's.
    pad: Option<(&'a Pad, &'a str)>,
}

impl<'a> Plan<'a> {
    /// Appends the layers of a sequence.
    pub(crate) fn sequence(&mut self, seq: &'a Sequence) {
        for node in seq.nodes() {
            node.layer.kind().plan(&node.path, self);
        }
    }

    /// Appends a padding: part of the next step if that takes it, else a step of its own.
    pub(crate) fn pad(&mut self, pad: &'a Pad, path: &'a str) {
        self.push_pending_pad();
        self.pad = Some((pad, path));
    }

    /// Appends a step.
    pub(crate) fn step(&mut self, op: &'a dyn Op, path: &'a str) {
        self.step_with(op, path, Fused::default());
    }

    /// Appends a step that has taken something over already.
    pub(crate) fn step_with(&mut self, op: &'a dyn Op, path: &'a str, mut fused: Fused) {
        if op.takes_padding() {
            fused.pad = self.pad.take().map(|(pad, _)| *pad);
        }
        self.push_pending_pad();
        self.steps.push(Step { op, path, fused });
    }

    /// The step that the next one lies behind.
    pub(crate) fn last(&mut self) -> Option<&mut Step<'a>> {
        self.push_pending_pad();
        self.steps.last_mut()
    }

    fn push_pending_pad(&mut self) {
        if let Some((pad, path)) = self.pad.take() {
            self.steps.push(Step { op: pad, path, fused: Fused::default() });
        }
    }
}

impl Sequence {
    /// The kernel calls of this sequence in order.
    pub(crate) fn steps(&self) -> Vec<Step<'_>> {
        let mut plan = Plan::default();
        plan.sequence(self);
        plan.push_pending_pad();
        plan.steps
    }
}
