//! What the walks over a sequence ask of a layer kind. Each kind answers in its own file of [`layers`](crate::layers).

use crate::bands::{Dataflow, Traced, Value};
use crate::operators::{OperatorGraph, OperatorValue};
use crate::plan::{Fused, Plan, Step};
use crate::summary::Rows;
use crate::tape::foreign;
use crate::{Ctx, Layer, Param, Sequence, Weights};
use candle_core::{Result, Tensor, Var, bail};
use gan_kernels::act::Act;
use gan_kernels::conv::Joined;
use gan_kernels::onehot::OneHot;
use std::any::Any;
use std::fmt::Debug;

/// A kind of layer.
pub(crate) trait Kind: Any + Debug + Send + Sync {
    /// Writes the layer into the plan of its sequence.
    fn plan<'a>(&'a self, path: &'a str, plan: &mut Plan<'a>);

    /// Moves the size on to that of the layer's output and writes its row, if it does something.
    ///
    /// # Errors
    /// The layer does not take this size.
    fn summarize(&self, path: &str, to: &mut Rows<'_>) -> Result<()>;

    /// Calls `f` with each of its parameters.
    fn each_param(&self, _: &mut dyn FnMut(&Param)) {}

    /// The layer with each sequence inside of it changed by `map`, if there is any.
    ///
    /// # Errors
    /// Those of `map`.
    fn with_inner(&self, _map: &dyn Fn(&Sequence) -> Result<Sequence>) -> Result<Option<Layer>> {
        Ok(None)
    }
}

/// A layer that runs: one kernel call, or a sequence of its own. The questions with a default say what it can take over from its
/// neighbors.
pub(crate) trait Op: Kind {
    /// Whether it pads as it reads, so that a padding layer in front is [`Fused::pad`].
    fn takes_padding(&self) -> bool {
        false
    }

    /// Whether its passes include this activation behind it ([`Fused::act`]), which then is no step.
    fn absorbs(&self, _: Act) -> bool {
        false
    }

    /// Whether its forward kernel applies this activation behind it ([`Fused::act`]), which then only records the result.
    fn applies(&self, _: Act) -> bool {
        false
    }

    /// Whether its bias can be left out ([`Fused::bias`]), for a layer behind it that subtracts it.
    fn drops_bias(&self) -> bool {
        false
    }

    /// Whether it adds [`Forward::residual`] to its result.
    fn adds_residual(&self) -> bool {
        false
    }

    /// Whether [`Op::recompute`] is there, so that the layer behind need not keep its input.
    fn recomputes(&self) -> bool {
        false
    }

    /// Its result once more, from what it has recorded.
    fn recompute(&self, _: &Record, _: &Fused) -> Result<Tensor> {
        foreign()
    }

    /// Whether [`Op::forward_labels`] is there and does better than to materialize the one-hot planes.
    fn takes_labels(&self, _: &OneHot, _: &Fused) -> bool {
        false
    }

    /// As [`Op::forward`], of labels.
    fn forward_labels(&self, _: OneHot, pass: &Forward<'_>) -> Result<(Tensor, Option<Record>)> {
        bail!("{}: this layer takes images, not labels", pass.path)
    }

    /// The activation that it is as a pass of its own, if that is cheap enough to be applied by what reads its input, again and again.
    fn is_activation(&self, _: &Fused) -> Option<Act> {
        None
    }

    /// Whether it is a concatenation: then [`Op::parts`] is there.
    fn joins(&self) -> bool {
        false
    }

    /// What it would concatenate, of a pass that keeps nothing.
    fn parts(&self, _: &Tensor, _: &Forward<'_>) -> Result<Vec<Tensor>> {
        foreign()
    }

    /// Whether [`Op::forward_joined`] is there.
    fn reads_joined(&self) -> bool {
        false
    }

    /// As [`Op::forward`], of a pass that keeps nothing.
    fn forward_joined(&self, _: &Joined<'_>, pass: &Forward<'_>) -> Result<Tensor> {
        bail!("{}: this layer reads a tensor", pass.path)
    }

    /// Computes the output, and what the backward pass needs if there will be one.
    fn forward(&self, x: &Tensor, pass: &Forward<'_>) -> Result<(Tensor, Option<Record>)>;

    /// Adds the gradients of its parameters to their accumulators, if they are trained, and returns that of its input, if it is
    /// wanted.
    fn backward(&self, record: Record, dy: &Tensor, pass: &Backward<'_>) -> Result<Option<Tensor>>;

    /// Of a value and a direction: its result and the derivative of that along the direction, both differentiable.
    fn jvp(&self, _: (Tensor, Tensor), pass: &Jvp<'_>) -> Result<(Tensor, Tensor)> {
        bail!("{}: second derivatives are there for layers of discriminators, not for this one", pass.path)
    }

    /// Writes what it computes of `x` into a dataflow that is evaluated in bands of rows. `None`: it is computed as a whole.
    fn trace<'a>(&'a self, _: Value, _: &Traced<'a>, _: &mut Dataflow<'a>) -> Result<Option<Value>> {
        Ok(None)
    }

    /// As [`Op::trace`], of labels of so many classes: the numbers of the labels, and the planes behind those of the classes.
    fn trace_labels<'a>(&'a self, _: (usize, Value), at: &Traced<'a>, _: &mut Dataflow<'a>) -> Result<Value> {
        bail!("{}: this layer takes images, not labels", at.step.path)
    }

    /// Writes what it computes of `x` into a list of operators.
    ///
    /// # Errors
    /// It has none.
    fn operators(&self, _: OperatorValue, step: &Step<'_>, _: &mut OperatorGraph) -> Result<OperatorValue> {
        bail!("{}: no operators are known for this layer", step.path)
    }

    /// Asked of the last layer: lets go of the result if the record holds it. Returns whether the result is this layer's own, so
    /// that no record and no input shares memory with it any longer.
    fn give_up_result(&self, _: &mut Record) -> Result<bool> {
        Ok(true)
    }

    /// At the backward pass: the result as candle's graph kept it.
    fn take_result(&self, _: &mut Record, _: &Tensor) -> Result<()> {
        Ok(())
    }
}

/// What a forward pass tells a layer.
pub(crate) struct Forward<'a> {
    pub(crate) ctx: &'a Ctx,
    /// The layer's path.
    pub(crate) path: &'a str,
    /// What it takes over from its neighbors.
    pub(crate) fused: &'a Fused,
    /// To be added to the result; only for an operator that [adds](Op::adds_residual) it.
    pub(crate) residual: Option<&'a Tensor>,
    /// Whether the input can be computed again from the record of the layer in front.
    pub(crate) input_again: bool,
    /// Whether there will be a backward pass.
    pub(crate) taped: bool,
}

impl Forward<'_> {
    /// A record, if there will be a backward pass.
    pub(crate) fn record<T: Send + 'static>(&self, make: impl FnOnce() -> T) -> Option<Record> {
        self.taped.then(|| Record::new(make()))
    }
}

/// What a backward pass tells a layer.
pub(crate) struct Backward<'a> {
    pub(crate) ctx: &'a Ctx,
    /// What it takes over from its neighbors.
    pub(crate) fused: &'a Fused,
    /// Whether the gradient of the input is wanted.
    pub(crate) input: bool,
    /// The layer in front and its record.
    pub(crate) before: Option<(&'a Step<'a>, &'a Record)>,
}

impl Backward<'_> {
    /// Whether the gradients of parameters are wanted.
    pub(crate) fn trains(&self) -> bool {
        self.ctx.weights == Weights::Train
    }

    /// The input once more, where [`Forward::input_again`] has promised it.
    pub(crate) fn recompute_input(&self) -> Result<Tensor> {
        match self.before {
            Some((step, record)) => step.op.recompute(record, &step.fused),
            None => foreign(),
        }
    }
}

/// What a derivative along a direction tells a layer.
pub(crate) struct Jvp<'a> {
    pub(crate) ctx: &'a Ctx,
    /// The layer's path.
    pub(crate) path: &'a str,
    /// What it takes over from its neighbors. An activation is a step of its own, unless it was [absorbed](Op::absorbs).
    pub(crate) fused: &'a Fused,
    pub(crate) anchor: &'a Option<Var>,
}

/// What a layer needs for its backward pass: a type of the layer's own.
pub(crate) struct Record(Box<dyn Any + Send>);

impl Record {
    pub(crate) fn new<T: Send + 'static>(kept: T) -> Self {
        Record(Box::new(kept))
    }

    pub(crate) fn open<T: 'static>(self) -> Result<T> {
        self.0.downcast().map_or_else(|_| foreign(), |kept| Ok(*kept))
    }

    pub(crate) fn get<T: 'static>(&self) -> Result<&T> {
        self.0.downcast_ref().map_or_else(foreign, Ok)
    }

    pub(crate) fn get_mut<T: 'static>(&mut self) -> Result<&mut T> {
        self.0.downcast_mut().map_or_else(foreign, Ok)
    }
}
