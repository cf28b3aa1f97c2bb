//! Skip connection.

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
use candle_core::{Result, Tensor};
use gan_kernels as k;

/// `concat([x, inner(x)])` along the channels, `[N, C, H, W]` → `[N, C + C', H, W]`.
#[derive(Debug, Clone)]
pub struct Skip(
    /// The inner sequence, whose output has the size of its input.
    pub Sequence,
);

impl<'a> SequenceBuilder<'a> {
    /// `concat([x, inner(x)])`; the inner sequence lives at `{index}.{name}`.
    ///
    /// # Errors
    /// Those of `inner`.
    pub fn skip(
        self,
        name: &str,
        inner: impl FnOnce(SequenceBuilder<'a>) -> Result<SequenceBuilder<'a>>,
    ) -> Result<Self> {
        let inner = inner(SequenceBuilder::new(self.here().pp(name)))?.finish();
        Ok(self.push(Layer::new(Skip(inner))))
    }
}

/// What it keeps: the tape of the inner sequence and the channels of the input.
struct Kept {
    tape: Tape,
    channels: usize,
}

impl Kind for Skip {
    fn plan<'a>(&'a self, path: &'a str, plan: &mut Plan<'a>) {
        plan.step(self, path);
    }

    fn summarize(&self, path: &str, to: &mut Rows<'_>) -> Result<()> {
        to.channels += to.branch(path, &self.0)?;
        to.join(path, "Concat");
        Ok(())
    }

    fn each_param(&self, f: &mut dyn FnMut(&Param)) {
        self.0.each_param(f);
    }

    fn with_inner(&self, map: &dyn Fn(&Sequence) -> Result<Sequence>) -> Result<Option<Layer>> {
        Ok(Some(Layer::new(Skip(map(&self.0)?))))
    }
}

impl Op for Skip {
    fn forward(&self, x: &Tensor, pass: &Forward<'_>) -> Result<(Tensor, Option<Record>)> {
        let channels = x.dim(1)?;
        let mut tape = pass.taped.then(Tape::default);
        let y = forward(&self.0, Start::Planes(x.clone()), pass.ctx, tape.as_mut(), None)?;
        Ok((k::concat::cat_channels(&[x, &y])?, tape.map(|tape| Record::new(Kept { tape, channels }))))
    }

    fn joins(&self) -> bool {
        true
    }

    fn parts(&self, x: &Tensor, pass: &Forward<'_>) -> Result<Vec<Tensor>> {
        let y = forward(&self.0, Start::Planes(x.clone()), pass.ctx, None, None)?;
        Ok(vec![x.clone(), y])
    }

    fn trace<'a>(&'a self, x: Value, _: &Traced<'a>, flow: &mut Dataflow<'a>) -> Result<Option<Value>> {
        let y = flow.apply(&self.0, x)?;
        flow.concat(&[x, y]).map(Some)
    }

    fn operators(&self, x: OperatorValue, step: &Step<'_>, graph: &mut OperatorGraph) -> Result<OperatorValue> {
        let y = graph.apply(&self.0, x)?;
        Ok(graph.concat(step.path, &[x, y]))
    }

    fn backward(&self, record: Record, dy: &Tensor, pass: &Backward<'_>) -> Result<Option<Tensor>> {
        let Kept { tape, channels } = record.open()?;
        let rest = dy.dim(1)? - channels;
        let (direct, through) =
            (k::concat::narrow_channels(dy, 0, channels)?, k::concat::narrow_channels(dy, channels, rest)?);
        let Some(dx) = backward(&self.0, tape, through, pass.ctx, pass.input)? else { return Ok(None) };
        k::elementwise::add_assign(&dx, &direct)?;
        Ok(Some(dx))
    }
}
