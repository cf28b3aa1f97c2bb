//! A weight tensor with its packed forms.
use crate::scratch::Scratch;
use candle_core::Tensor;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts the updates of a group of parameters.
#[derive(Debug, Clone, Default)]
pub struct Version(Arc<AtomicU64>);

impl Version {
    /// The current version.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// To be called after every change of the parameters.
    pub fn bump(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// Forms of a weight that are kept at a time; training needs one for the forward and one for the backward pass.
const KEPT: usize = 2;
/// Elements of the largest form that is kept (40 MiB); larger ones are made anew for every call, in working memory.
pub(crate) const LARGEST: usize = 10 << 20;
/// Bytes of the largest packed form that is kept.
pub const LARGEST_PACKED: usize = LARGEST * size_of::<f32>();
/// Bytes of all packed forms that a process keeps.
pub const ALL_PACKED: usize = BUDGET * size_of::<f32>();
/// Elements of all forms that a process keeps (288 MiB); what comes later is made anew for every call as well. Forms are
/// several times the size of their weights, and each saves no more than its own packing: a few per cent of a call.
const BUDGET: usize = 72 << 20;

/// Elements of all forms that are kept now.
static IN_USE: AtomicUsize = AtomicUsize::new(0);

/// The values of a form that is kept, counted as long as they live.
#[derive(Debug)]
pub(crate) struct Kept(Vec<f32>);

impl Kept {
    /// Room for `len` values, if the budget has it.
    fn new(len: usize) -> Option<Self> {
        let room = |used: usize| (used + len <= BUDGET).then_some(used + len);
        IN_USE.fetch_update(Ordering::AcqRel, Ordering::Acquire, room).ok()?;
        Some(Kept(vec![0.0; len]))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        IN_USE.fetch_sub(self.0.len(), Ordering::AcqRel);
    }
}

/// A packed form.
pub(crate) enum Pack {
    Kept(Arc<Kept>),
    Working(Scratch),
}

impl Deref for Pack {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        match self {
            Pack::Kept(values) => &values.0,
            Pack::Working(values) => values,
        }
    }
}

/// Names a packed form: the kernel's name for it, and the numbers that it depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) name: &'static str,
    pub(crate) numbers: [usize; 4],
}

/// How a copy on the GPU is laid out, all of them in BF16.
#[cfg(feature = "cuda")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeviceForm {
    /// `[co, kh, kw, ci]`.
    Nhwc,
    /// With the taps of a row as channels, for convolutions of few channels.
    FewChannels,
}

#[derive(Debug)]
struct Packed {
    form: Form,
    /// The values, if they are kept.
    values: Option<Arc<Kept>>,
}

/// A convolution weight as the kernels take it: the tensor, the version of its values, and (private) the packed forms
/// that the kernels keep between calls as long as it never changes. Clones share them; they are freed with the last
/// clone, or by [`Weight::forget_packed`].
#[derive(Debug, Clone)]
pub struct Weight {
    tensor: Tensor,
    version: Version,
    packed: Arc<Mutex<Vec<Packed>>>,
    short_lived: Arc<AtomicBool>,
    /// The copies that tensor cores take, of a weight on the GPU, and their versions.
    #[cfg(feature = "cuda")]
    copies: Arc<Mutex<Vec<(DeviceForm, u64, Tensor)>>>,
}

impl Weight {
    /// A weight that changes with `version`. The tensor may be a contiguous view into a larger one.
    pub fn new(tensor: Tensor, version: Version) -> Self {
        Weight {
            tensor,
            version,
            packed: Arc::default(),
            short_lived: Arc::default(),
            #[cfg(feature = "cuda")]
            copies: Arc::default(),
        }
    }

    /// A weight that never changes.
    pub fn constant(tensor: Tensor) -> Self {
        Weight::new(tensor, Version::default())
    }

    /// The tensor.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// The version of the values.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Frees the packed forms of this weight and its clones; they are made again when needed.
    pub fn forget_packed(&self) {
        self.forms().clear();
        #[cfg(feature = "cuda")]
        self.copies.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The copy of this form on the GPU, made by `make` unless it exists for the current version. `make` is given the copy of a former
    /// version, to be overwritten.
    #[cfg(feature = "cuda")]
    pub(crate) fn on_device(
        &self,
        form: DeviceForm,
        make: impl FnOnce(Option<Tensor>) -> candle_core::Result<Tensor>,
    ) -> candle_core::Result<Tensor> {
        let version = self.version.get();
        let mut copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        let former = match copies.iter().position(|c| c.0 == form) {
            Some(i) if copies[i].1 == version => return Ok(copies[i].2.clone()),
            Some(i) => Some(copies.remove(i).2),
            None => None,
        };
        let made = make(former)?;
        copies.push((form, version, made.clone()));
        Ok(made)
    }

    fn forms(&self) -> MutexGuard<'_, Vec<Packed>> {
        // The list is whole at every point where a panic could happen.
        self.packed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes packed forms anew for every call from now on, of this weight and its clones: a little more time, a lot less memory.
    pub fn keep_none(&self) {
        self.short_lived.store(true, Ordering::Release);
        self.forms().clear();
    }

    /// Whether packed forms are kept: not where the values have changed, for they will again.
    pub(crate) fn keeps(&self) -> bool {
        self.version.get() == 0 && !self.short_lived.load(Ordering::Acquire)
    }

    /// The weight in a packed form of `len` elements, written by `pack` unless it is kept. The elements that `pack` finds are
    /// arbitrary; places that it leaves alone must not matter.
    ///
    /// A form is kept from the second time on that it is asked for, if the weight never changes. Those of weights in training
    /// are not: a hundredth of a step's time is too little for all the memory that they would take.
    pub(crate) fn packed(&self, form: Form, len: usize, pack: impl FnOnce(&mut [f32])) -> Pack {
        match self.kept(form, len, pack) {
            Ok(kept) => kept,
            Err(pack) => {
                let mut values = Scratch::take(len);
                pack(&mut values);
                Pack::Working(values)
            }
        }
    }

    /// As [`Weight::packed`], if the form is kept; else `pack` is returned.
    pub(crate) fn kept<F: FnOnce(&mut [f32])>(&self, form: Form, len: usize, pack: F) -> Result<Pack, F> {
        let mut again = false;
        {
            let mut forms = self.forms();
            if !self.keeps() {
                forms.clear();
            } else if let Some(i) = forms.iter().position(|p| p.form == form) {
                // The last used one is last.
                let found = forms.remove(i);
                if let Some(values) = &found.values {
                    let values = values.clone();
                    forms.push(found);
                    return Ok(Pack::Kept(values));
                }
                again = true;
            }
        }
        let (result, values) = match if again && len <= LARGEST { Kept::new(len) } else { None } {
            Some(mut values) => {
                pack(&mut values.0);
                let values = Arc::new(values);
                (Ok(Pack::Kept(values.clone())), Some(values))
            }
            None => (Err(pack), None),
        };
        if self.keeps() {
            let mut forms = self.forms();
            forms.retain(|p| p.form != form);
            if forms.len() >= KEPT {
                forms.remove(0);
            }
            forms.push(Packed { form, values });
        }
        result
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use candle_core::{DType, Device};

    #[test]
    fn forms_are_kept_as_long_as_nothing_changes() {
        let version = Version::default();
        let w = Weight::new(Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap(), version.clone());
        let form = |name| Form { name, numbers: [0; 4] };
        let made = std::cell::Cell::new(0);
        let get = |w: &Weight, name| {
            w.packed(form(name), 1, |to| {
                made.set(made.get() + 1);
                to[0] = made.get() as f32;
            })[0]
        };
        assert_eq!(get(&w, "a"), 1.0); // nobody knows whether it will be asked for again
        assert_eq!(get(&w.clone(), "a"), 2.0);
        assert_eq!(get(&w, "a"), 2.0);
        assert_eq!(get(&w, "b"), 3.0);
        assert_eq!(get(&w, "b"), 4.0);
        assert_eq!(get(&w, "b"), 4.0);
        assert_eq!(get(&w, "a"), 2.0);
        assert_eq!(get(&w, "c"), 5.0); // the third form replaces b, which was used longest ago
        assert_eq!(get(&w, "a"), 2.0);
        assert_eq!(get(&w, "b"), 6.0);
        w.forget_packed();
        assert_eq!(get(&w, "a"), 7.0);
        assert_eq!(get(&w, "a"), 8.0);
        version.bump();
        assert_eq!(get(&w, "a"), 9.0);
        assert_eq!(get(&w, "a"), 10.0);
        assert!(w.forms().is_empty());
        let w = Weight::constant(w.tensor().clone());
        w.clone().keep_none();
        assert_eq!((get(&w, "a"), get(&w, "a")), (11.0, 12.0));
        let w = Weight::constant(w.tensor().clone());
        for _ in 0..2 {
            let large = w.packed(form("large"), LARGEST + 1, |to| to[LARGEST] = 7.0);
            assert!(matches!(large, Pack::Working(_)) && large[LARGEST] == 7.0);
        }
    }
}
