//! The gradients of a store in the hands of somebody who takes them while the backward pass goes on.

use crate::Grad;
use crate::store::copy_of;
use candle_core::{DType, Result, Tensor, bail};
use gan_kernels::storage::undefined;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// What is called again and again while a backward pass goes on, on the thread that goes through it.
pub type BackwardHook = Arc<dyn Fn() + Send + Sync>;

/// The gradients of all parameters of a [`ParamStore`](crate::ParamStore), shared with it.
///
/// ```
/// use candle_core::{DType, Device};
/// use gan_layers::{ConvSpec, ParamStore, SequenceBuilder};
///
/// let spec = ConvSpec { in_nc: 3, out_nc: 8, kernel: 3, stride: 1, padding: 1, bias: true };
/// let (store, _) = ParamStore::build(DType::F32, &Device::Cpu, |b| {
///     Ok(SequenceBuilder::new(b.pp("net")).conv(spec)?.finish())
/// })?;
/// let gradients = store.gradients();
/// assert_eq!(gradients.params().collect::<Vec<_>>(), [0..216, 216..224]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Gradients {
    params: Vec<(Range<usize>, Grad)>,
    /// All in one, on a device.
    flat: Option<Tensor>,
    dtype: DType,
    watch: Watch,
}

impl Gradients {
    pub(crate) fn new(params: Vec<(Range<usize>, Grad)>, flat: Option<Tensor>, dtype: DType, watch: Watch) -> Self {
        Gradients { params, flat, dtype, watch }
    }

    /// The place of each parameter in the flat store, in order.
    pub fn params(&self) -> impl DoubleEndedIterator<Item = Range<usize>> + ExactSizeIterator {
        self.params.iter().map(|(at, _)| at.clone())
    }

    /// How often something was done to the gradients of these parameters: additions and zeroings. What is being added now counts already.
    pub fn changes(&self, params: Range<usize>) -> u64 {
        self.params[params].iter().map(|(_, grad)| grad.changes()).sum()
    }

    /// The gradients of these parameters, flat, zeros where nothing was added. What is added later does not change them.
    ///
    /// # Errors
    /// The device fails or has no memory for the copy.
    pub fn lend(&self, params: Range<usize>) -> Result<Tensor> {
        let at = self.place(&params);
        if let Some(flat) = &self.flat {
            return copy_of(&flat.narrow(0, at.start, at.len())?);
        }
        let lent = undefined(&at.len().into(), self.dtype)?;
        for (of_param, grad) in &self.params[params] {
            grad.lend(&lent, of_param.start - at.start)?;
        }
        Ok(lent)
    }

    /// Forgets the gradients of these parameters on the CPU, and frees their memory.
    pub fn forget(&self, params: Range<usize>) {
        self.params[params].iter().for_each(|(_, grad)| grad.forget());
    }

    /// Sets the gradients of these parameters. On the CPU they stay in the memory of `flat`.
    ///
    /// # Errors
    /// Another number of values or element type; the device fails.
    pub fn set(&self, params: Range<usize>, flat: &Tensor) -> Result<()> {
        self.set_values(params, flat, false)
    }

    /// As [`Gradients::set`], of values all of which are finite: on the CPU, the finite check does not read them.
    ///
    /// # Errors
    /// As [`Gradients::set`].
    pub fn set_finite(&self, params: Range<usize>, flat: &Tensor) -> Result<()> {
        self.set_values(params, flat, true)
    }

    fn set_values(&self, params: Range<usize>, flat: &Tensor, known_finite: bool) -> Result<()> {
        let at = self.place(&params);
        if flat.dims() != [at.len()] {
            bail!("gradients {:?} for {} parameters", flat.dims(), at.len());
        }
        if let Some(all) = &self.flat {
            return all.slice_set(flat, 0, at.start);
        }
        let mut of_params = self.params[params].iter();
        of_params.try_for_each(|(p, grad)| grad.set(&flat.narrow(0, p.start - at.start, p.len())?, known_finite))
    }

    /// From now on, `hook` is called after each layer of a backward pass through the store's networks; the gradients that were added until
    /// then are there as a whole. `None` ends that.
    pub fn watch(&self, hook: Option<BackwardHook>) {
        *self.watch.0.lock().unwrap_or_else(PoisonError::into_inner) = hook;
    }

    fn place(&self, params: &Range<usize>) -> Range<usize> {
        let of_params = &self.params[params.clone()];
        let begin = of_params.first().map_or(0, |(at, _)| at.start);
        begin..of_params.last().map_or(begin, |(at, _)| at.end)
    }
}

/// Who watches the backward passes of a store. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Watch(Arc<Mutex<Option<BackwardHook>>>);

impl Watch {
    /// A layer is done.
    pub(crate) fn call(&self) {
        let hook = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        hook.iter().for_each(|hook| hook());
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}
