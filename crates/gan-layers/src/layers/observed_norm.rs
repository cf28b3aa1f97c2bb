//! A norm that tells an observer what it sees.

use super::norm::NormLayer;
use crate::Param;
use crate::bands::{Dataflow, Traced, Value};
use crate::kind::{Backward, Forward, Kind, Op, Record};
use crate::norm_statistics::NormObserver;
use crate::plan::Plan;
use crate::summary::Rows;
use candle_core::{Result, Tensor, bail};
use gan_kernels as k;
use gan_kernels::act::Act;
use gan_kernels::norm::{Group, Norm};
use std::cell::Cell;

/// A norm over all images of a batch, whose moments are handed to an observer. A bias in front of it is computed, as it is part of them.
#[derive(Debug)]
pub(crate) struct ObservedNorm {
    norm: NormLayer,
    observer: NormObserver,
}

impl ObservedNorm {
    pub(crate) fn new(norm: NormLayer, observer: NormObserver) -> Self {
        ObservedNorm { norm, observer }
    }
}

impl Kind for ObservedNorm {
    fn plan<'a>(&'a self, path: &'a str, plan: &mut Plan<'a>) {
        plan.step(self, path);
    }

    fn summarize(&self, path: &str, to: &mut Rows<'_>) -> Result<()> {
        self.norm.summarize(path, to)
    }

    fn each_param(&self, f: &mut dyn FnMut(&Param)) {
        self.norm.each_param(f);
    }
}

impl Op for ObservedNorm {
    fn absorbs(&self, act: Act) -> bool {
        self.norm.absorbs(act)
    }

    fn adds_residual(&self) -> bool {
        self.norm.adds_residual()
    }

    fn forward(&self, x: &Tensor, pass: &Forward<'_>) -> Result<(Tensor, Option<Record>)> {
        if pass.taped {
            bail!("{}: an observed norm has no backward pass", pass.path)
        }
        let spec = Norm { group: Group::Batch, ..self.norm.spec(pass.fused.act) };
        let (y, moments) = k::norm::norm(x, &spec, self.norm.affine(), pass.residual)?;
        let (n, _, h, w) = x.dims4()?;
        self.observer.add(pass.path, &moments, n * h * w)?;
        Ok((y, None))
    }

    /// Rows come several times; the first time tells of all.
    fn trace<'a>(&'a self, x: Value, at: &Traced<'a>, flow: &mut Dataflow<'a>) -> Result<Option<Value>> {
        let spec = Norm { group: Group::Batch, ..self.norm.spec(at.step.fused.act) };
        let (path, size, told) = (at.step.path, flow.size(x), Cell::new(false));
        let inputs: Vec<Value> = std::iter::once(x).chain(at.residual).collect();
        Ok(Some(flow.by_pixel(&inputs, size, true, move |rows, own| {
            let Some(moments) = own else { bail!("{path}: a norm has no statistics") };
            if !told.replace(true) {
                self.observer.add(path, moments, size.height * size.width)?;
            }
            k::norm::norm_with(&rows[0], moments, &spec, self.norm.affine(), rows.get(1))
        })))
    }

    fn backward(&self, _: Record, _: &Tensor, _: &Backward<'_>) -> Result<Option<Tensor>> {
        bail!("an observed norm has no backward pass")
    }
}
