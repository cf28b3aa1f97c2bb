//! Where layers get their parameters from.

use crate::{Grad, RunningStatistics};
use candle_core::{DType, Device, Result, Tensor, Var, bail};
use candle_nn::VarBuilder;
use gan_kernels::weight::Weight;
use std::cell::Cell;
use std::fmt::Display;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a parameter is, for initialization and summaries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Role {
    /// Weight of a convolution, `[C_out, C_in, k, k]`, of a transposed one, `[C_in, C_out, k, k]`, or of a linear layer,
    /// `[C_out, C_in]`: the references initialize them alike.
    ConvWeight,
    /// Bias of a convolution or linear layer whose weight has this fan-in (PyTorch's: `size(1) · k · k`, also for transposed ones).
    ConvBias {
        /// PyTorch's fan-in of the weight.
        fan_in: usize,
    },
    /// Scale of a batch norm.
    NormWeight,
    /// Scale of an instance norm. The references leave it at PyTorch's default, 1.
    InstanceNormWeight,
    /// Shift of a norm.
    NormBias,
}

/// A trainable parameter as a layer holds it.
#[derive(Debug, Clone)]
pub struct Param {
    /// The values.
    pub weight: Weight,
    /// Where its gradient is added; `None` in a network built for translation.
    pub grad: Option<Grad>,
}

impl Param {
    /// The values as a tensor.
    pub fn tensor(&self) -> &Tensor {
        self.weight.tensor()
    }

    /// The gradient.
    ///
    /// # Errors
    /// The network was built for translation.
    pub(crate) fn gradient(&self) -> Result<&Grad> {
        match &self.grad {
            Some(grad) => Ok(grad),
            None => bail!("this network was built for translation: it has no room for gradients"),
        }
    }

    /// The gradient so far, to be added to.
    pub(crate) fn accumulator(&self) -> Result<Tensor> {
        self.gradient()?.accumulator()
    }
}

/// A shared counter (`num_batches_tracked` of a batch norm).
#[derive(Debug, Clone, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
    /// Sets it.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }
    /// Adds one.
    pub fn increment(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// A supplier of parameters by path.
pub trait Source {
    /// The parameter of this path and shape.
    ///
    /// # Errors
    /// The source has no parameter of this path and shape.
    fn param(&self, path: &str, shape: &[usize], role: Role) -> Result<Param>;
    /// The buffer of this path and shape, filled with `value` if the source has none of its own.
    ///
    /// # Errors
    /// The source holds buffers of its own, but none of this path and shape.
    fn buffer(&self, path: &str, shape: &[usize], value: f64) -> Result<Tensor>;
    /// States that the network has a buffer of this path and these values, F32, by its architecture. It is saved with the weights; layers know the
    /// values by themselves.
    ///
    /// # Errors
    /// The source holds buffers of its own, but none of this path and shape.
    fn constant(&self, path: &str, values: &Tensor) -> Result<()> {
        self.buffer(path, values.dims(), 0.0).map(drop)
    }
    /// The counter of this path.
    ///
    /// # Errors
    /// The source holds counters of its own, but none of this path.
    fn counter(&self, path: &str) -> Result<Counter>;
    /// Where batch norms that are trained tell what they see; `None`, the default, if the networks are for translation only.
    fn running_statistics(&self) -> Option<RunningStatistics> {
        None
    }
    /// The variable that makes segments tracked operators; `None` if the networks are for translation only.
    fn anchor(&self) -> Option<Var>;
}

/// Most parameters that the networks of one builder may have: with Adam's two moments they take 96 GiB as F32. A
/// configuration that asks for more is refused before anything is allocated.
pub const MAX_PARAMS: u64 = 1 << 33;

/// A place in a tree of parameter paths, over any [`Source`].
///
/// The same `build` of a network serves training and translation:
/// ```no_run
/// # fn main() -> candle_core::Result<()> {
/// use candle_core::{DType, Device};
/// use candle_nn::VarBuilder;
/// use gan_layers::Builder;
/// let files = ["generator.safetensors"];
/// // SAFETY: the file is not changed while it is mapped.
/// let vb = unsafe { VarBuilder::from_mmaped_safetensors(&files, DType::F32, &Device::Cpu)? };
/// let builder = Builder::from(vb);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Builder<'a> {
    source: Rc<dyn Source + 'a>,
    /// Elements of the parameters handed out so far, at all places of the tree.
    elements: Rc<Cell<u64>>,
    path: String,
}

impl<'a> Builder<'a> {
    /// The root of a source.
    pub fn new(source: impl Source + 'a) -> Self {
        Builder { source: Rc::new(source), elements: Rc::default(), path: String::new() }
    }

    /// A network without weights: shapes only, for summaries and key lists. It takes no memory and cannot run.
    pub fn shapes_only() -> Builder<'static> {
        Builder::new(Shapes)
    }

    /// One level down.
    #[must_use]
    pub fn pp(&self, name: impl Display) -> Self {
        Builder { source: self.source.clone(), elements: self.elements.clone(), path: self.full(&name.to_string()) }
    }

    /// Number of parameters that were asked for so far, at all places of the tree.
    pub fn params(&self) -> u64 {
        self.elements.get()
    }

    /// Counts a parameter before its source makes it.
    fn count(&self, path: &str, shape: &[usize]) -> Result<()> {
        let elements = shape.iter().try_fold(1u64, |n, &side| n.checked_mul(u64::try_from(side).ok()?));
        self.elements.set(elements.map_or(u64::MAX, |n| n.saturating_add(self.elements.get())));
        if self.elements.get() > MAX_PARAMS {
            bail!("{path}: with its shape {shape:?} the networks have more than {MAX_PARAMS} parameters")
        }
        Ok(())
    }

    /// The path, dots between levels.
    pub fn path(&self) -> &str {
        &self.path
    }

    fn full(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_string() } else { format!("{}.{name}", self.path) }
    }

    pub(crate) fn param(&self, name: &str, shape: &[usize], role: Role) -> Result<Param> {
        let path = self.full(name);
        self.count(&path, shape)?;
        self.source.param(&path, shape, role)
    }
    pub(crate) fn buffer(&self, name: &str, shape: &[usize], value: f64) -> Result<Tensor> {
        self.source.buffer(&self.full(name), shape, value)
    }
    pub(crate) fn constant(&self, name: &str, values: &Tensor) -> Result<()> {
        self.source.constant(&self.full(name), values)
    }
    pub(crate) fn counter(&self, name: &str) -> Result<Counter> {
        self.source.counter(&self.full(name))
    }
    pub(crate) fn running_statistics(&self) -> Option<RunningStatistics> {
        self.source.running_statistics()
    }
    pub(crate) fn anchor(&self) -> Option<Var> {
        self.source.anchor()
    }
}

impl<'a> From<VarBuilder<'a>> for Builder<'a> {
    fn from(vb: VarBuilder<'a>) -> Self {
        Builder::new(FromVarBuilder(vb))
    }
}

/// Weights that exist already: a network for translation.
struct FromVarBuilder<'a>(VarBuilder<'a>);

impl Source for FromVarBuilder<'_> {
    fn param(&self, path: &str, shape: &[usize], _: Role) -> Result<Param> {
        Ok(Param { weight: Weight::constant(self.0.get(shape, path)?.contiguous()?), grad: None })
    }
    fn buffer(&self, path: &str, shape: &[usize], _: f64) -> Result<Tensor> {
        self.0.get(shape, path)?.contiguous()
    }
    fn counter(&self, _: &str) -> Result<Counter> {
        Ok(Counter::default()) // only training counts batches
    }
    fn anchor(&self) -> Option<Var> {
        None
    }
}

/// Hands out tensors that have a shape and share one element.
struct Shapes;

impl Source for Shapes {
    fn param(&self, _: &str, shape: &[usize], _: Role) -> Result<Param> {
        Ok(Param { weight: Weight::constant(meta_tensor(shape)?), grad: None })
    }
    fn buffer(&self, _: &str, shape: &[usize], _: f64) -> Result<Tensor> {
        meta_tensor(shape)
    }
    fn counter(&self, _: &str) -> Result<Counter> {
        Ok(Counter::default())
    }
    fn anchor(&self) -> Option<Var> {
        None
    }
}

/// A tensor of this shape made of one broadcast element.
pub(crate) fn meta_tensor(shape: &[usize]) -> Result<Tensor> {
    Tensor::zeros((), DType::F32, &Device::Cpu)?.broadcast_as(shape)
}
