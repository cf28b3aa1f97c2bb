//! The keys and shapes that a network has, against those of a state dict.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use candle_core::{DType, Device, Tensor, Var};
use gan_kernels::weight::Weight;
use gan_layers::{Builder, Counter, Param, Role, Source};
use gan_weights::{RawTensor, StateDict, shown};

use super::Network;
use crate::{Error, Result};

/// Problems told in full; a message with all of hundreds would hide them.
const MAX_TOLD: usize = 4;

/// Compares the keys and shapes of `network` with those of `state`, both ways. Counters of batch norms, which PyTorch
/// before 0.4.1 did not save, may be missing.
pub(super) fn check(network: &Network, state: &StateDict) -> Result<()> {
    let unlike = |problems: String| Error::UnlikeNetwork { network: network.to_string(), problems };
    let recorder = recorded(network).map_err(|error| unlike(error.to_string()))?;
    let wanted = recorder.keys.take();
    let others: BTreeMap<&str, &RawTensor> = state.others().iter().map(|(name, raw)| (name.as_str(), raw)).collect();
    let mut problems = Vec::new();
    for (name, shape) in &wanted {
        match (state.get(name), shape) {
            (None, Some(_)) => problems.push(match others.get(name.as_str()) {
                Some(raw) => format!("{name} has elements of {}, with which no network computes", raw.element().name()),
                None => format!("{name} is missing"),
            }),
            (Some(tensor), Some(shape)) if tensor.dims() != shape => {
                problems.push(format!("{name} is {:?} instead of {shape:?}", tensor.dims()));
            }
            _ => {}
        }
    }
    for (name, values) in recorder.constants.take() {
        if let Some(found) = state.get(&name).filter(|found| found.dims() == values.dims())
            && !same_values(&values, found)?
        {
            problems.push(format!("{name} is another filter"));
        }
    }
    let known: HashSet<&str> = wanted.iter().map(|(name, _)| name.as_str()).collect();
    problems.extend(
        state
            .names()
            .chain(others.keys().copied())
            .filter(|name| !known.contains(name))
            .map(|name| format!("{} is not part of it", shown(name))),
    );
    if problems.is_empty() {
        return Ok(());
    }
    let more = problems.len().saturating_sub(MAX_TOLD);
    problems.truncate(MAX_TOLD);
    let mut told = problems.join(", ");
    if more > 0 {
        told += &format!(", and {more} more");
    }
    Err(unlike(told))
}

/// The keys of a network in the order in which it is built.
pub(super) fn keys(network: &Network) -> candle_core::Result<Vec<Key>> {
    Ok(recorded(network)?.keys.take())
}

/// What a network asks of its source of parameters.
fn recorded(network: &Network) -> candle_core::Result<Recorder> {
    let recorder = Recorder::default();
    network.build(Builder::new(recorder.clone()))?;
    Ok(recorder)
}

/// Whether two tensors of one shape hold the same numbers, up to rounding.
fn same_values(a: &Tensor, b: &Tensor) -> candle_core::Result<bool> {
    let numbers = |t: &Tensor| t.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
    Ok(numbers(a)?.iter().zip(&numbers(b)?).all(|(a, b)| (a - b).abs() < 1e-6))
}

/// A name, and a shape unless it is a counter's.
pub(super) type Key = (String, Option<Vec<usize>>);

/// A source of parameters that writes down what it was asked for.
#[derive(Clone, Default)]
struct Recorder {
    keys: Rc<RefCell<Vec<Key>>>,
    /// Buffers whose values the architecture gives.
    constants: Rc<RefCell<Vec<(String, Tensor)>>>,
}

impl Recorder {
    fn note(&self, path: &str, shape: Option<&[usize]>) {
        self.keys.borrow_mut().push((path.to_owned(), shape.map(<[usize]>::to_vec)));
    }
}

impl Source for Recorder {
    fn param(&self, path: &str, shape: &[usize], _: Role) -> candle_core::Result<Param> {
        self.note(path, Some(shape));
        Ok(Param { weight: Weight::constant(meta_tensor(shape)?), grad: None })
    }
    fn buffer(&self, path: &str, shape: &[usize], _: f64) -> candle_core::Result<Tensor> {
        self.note(path, Some(shape));
        meta_tensor(shape)
    }
    fn constant(&self, path: &str, values: &Tensor) -> candle_core::Result<()> {
        self.note(path, Some(values.dims()));
        self.constants.borrow_mut().push((path.to_owned(), values.clone()));
        Ok(())
    }
    fn counter(&self, path: &str) -> candle_core::Result<Counter> {
        self.note(path, None);
        Ok(Counter::default())
    }
    fn anchor(&self) -> Option<Var> {
        None
    }
}

/// A tensor of this shape made of one broadcast element.
fn meta_tensor(shape: &[usize]) -> candle_core::Result<Tensor> {
    Tensor::zeros((), DType::F32, &Device::Cpu)?.broadcast_as(shape)
}
