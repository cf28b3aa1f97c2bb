//! Keys and shapes in state-dict order, without weights.

use candle_core::{DType, Device, Result, Tensor, Var};
use gan_kernels::weight::Weight;
use gan_layers::{Builder, Counter, Param, Role, Source};
use std::cell::RefCell;
use std::rc::Rc;

/// Names and shapes, parameters and buffers.
pub(crate) type Keys = Vec<(String, Vec<usize>)>;

struct Recorder(Rc<RefCell<Keys>>);

impl Recorder {
    fn record(&self, path: &str, shape: &[usize]) -> Result<Tensor> {
        self.0.borrow_mut().push((path.to_string(), shape.to_vec()));
        Tensor::zeros((), DType::F32, &Device::Cpu)?.broadcast_as(shape)
    }
}

impl Source for Recorder {
    fn param(&self, path: &str, shape: &[usize], _: Role) -> Result<Param> {
        Ok(Param { weight: Weight::constant(self.record(path, shape)?), grad: None })
    }
    fn buffer(&self, path: &str, shape: &[usize], _: f64) -> Result<Tensor> {
        self.record(path, shape)
    }
    fn counter(&self, path: &str) -> Result<Counter> {
        self.record(path, &[])?;
        Ok(Counter::default())
    }
    fn anchor(&self) -> Option<Var> {
        None
    }
}

/// The keys of what `build` writes down.
pub(crate) fn keys<T>(build: impl FnOnce(Builder<'_>) -> Result<T>) -> Keys {
    let recorded = Rc::new(RefCell::new(Keys::new()));
    build(Builder::new(Recorder(recorded.clone()))).unwrap();
    recorded.take()
}
