//! Names and shapes of a network, recorded before there are tensors.

use crate::builder::meta_tensor;
use crate::{Counter, Param, Role, Source};
use candle_core::{Result, Tensor, Var, bail};
use gan_kernels::weight::Weight;
use std::cell::RefCell;
use std::rc::Rc;

/// Learns names and shapes of what a network asks for, in order.
#[derive(Clone, Default)]
pub(super) struct Recorder {
    pub(super) entries: Rc<RefCell<Vec<(String, Recorded)>>>,
    pub(super) len: Rc<RefCell<usize>>,
}

/// What was asked for.
pub(super) enum Recorded {
    Param { offset: usize, shape: Vec<usize>, role: Role },
    Buffer { shape: Vec<usize>, value: f64 },
    Constant(Tensor),
    Counter,
}

impl Recorder {
    fn push(&self, path: &str, kind: Recorded) -> Result<()> {
        let mut entries = self.entries.borrow_mut();
        if entries.iter().any(|(name, _)| name == path) {
            bail!("two parameters are called {path}");
        }
        entries.push((path.to_string(), kind));
        Ok(())
    }
}

impl Source for Recorder {
    fn param(&self, path: &str, shape: &[usize], role: Role) -> Result<Param> {
        let offset = *self.len.borrow();
        self.push(path, Recorded::Param { offset, shape: shape.to_vec(), role })?;
        *self.len.borrow_mut() += shape.iter().product::<usize>();
        Ok(Param { weight: Weight::constant(meta_tensor(shape)?), grad: None })
    }
    fn buffer(&self, path: &str, shape: &[usize], value: f64) -> Result<Tensor> {
        self.push(path, Recorded::Buffer { shape: shape.to_vec(), value })?;
        meta_tensor(shape)
    }
    fn constant(&self, path: &str, values: &Tensor) -> Result<()> {
        self.push(path, Recorded::Constant(values.clone()))
    }
    fn counter(&self, path: &str) -> Result<Counter> {
        self.push(path, Recorded::Counter)?;
        Ok(Counter::default())
    }
    fn anchor(&self) -> Option<Var> {
        None
    }
}
