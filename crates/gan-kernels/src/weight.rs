//! A weight tensor with its packed forms.
use crate::cpu::scratch::Scratch;
#[cfg(feature = "cuda")]
use candle_core::Result;
use candle_core::Tensor;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts the updates of a group of parameters; packed forms of older versions are stale.
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

/// Forms of a weight that are kept at a time; a training step needs one for each direction.
const KEPT: usize = 2;
/// Elements of the largest form that is kept (32 MiB); larger ones are made anew for every call, in working memory.
pub(crate) const LARGEST: usize = 8 << 20;
/// Elements of all forms that a process keeps (512 MiB); what comes later is made anew for every call as well. Forms are
/// several times the size of their weights, and each saves no more than its own packing: a few per cent of a call.
const BUDGET: usize = 128 << 20;

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

#[derive(Debug)]
struct Packed {
    form: Form,
    version: u64,
    /// Whether it was asked for more than once in this version.
    again: bool,
    /// The values, if they are kept.
    values: Option<Arc<Kept>>,
}

/// A convolution weight as the kernels take it: the tensor, the version of its values, and (private) the packed forms
/// that the kernels keep between calls as long as the version stays. Clones share them; they are freed with the last
/// clone, or by [`Weight::forget_packed`].
#[derive(Debug, Clone)]
pub struct Weight {
    tensor: Tensor,
    version: Version,
    packed: Arc<Mutex<Vec<Packed>>>,
    /// The copy that tensor cores take, of a weight on the GPU, and its version.
    #[cfg(feature = "cuda")]
    copy: Arc<Mutex<Option<(u64, Tensor)>>>,
}

impl Weight {
    /// A weight that changes with `version`. The tensor may be a contiguous view into a larger one.
    pub fn new(tensor: Tensor, version: Version) -> Self {
        Weight {
            tensor,
            version,
            packed: Arc::default(),
            #[cfg(feature = "cuda")]
            copy: Arc::default(),
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
        self.copy.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// The copy on the GPU, made by `make` unless it exists for the current version. `make` is given the copy of a former
    /// version, to be overwritten.
    #[cfg(feature = "cuda")]
    pub(crate) fn on_device(&self, make: impl FnOnce(Option<Tensor>) -> Result<Tensor>) -> Result<Tensor> {
        let version = self.version.get();
        let mut copy = self.copy.lock().unwrap_or_else(PoisonError::into_inner);
        let former = match copy.take() {
            Some((of, made)) if of == version => {
                *copy = Some((of, made.clone()));
                return Ok(made);
            }
            stale => stale.map(|(_, made)| made),
        };
        let made = make(former)?;
        *copy = Some((version, made.clone()));
        Ok(made)
    }

    fn forms(&self) -> MutexGuard<'_, Vec<Packed>> {
        // The list is whole at every point where a panic could happen.
        self.packed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the values have changed since the version began: packed forms will not live long.
    pub(crate) fn is_trained(&self) -> bool {
        self.version.get() > 0
    }

    /// The weight in a packed form of `len` elements, written by `pack` unless it is kept for the current version. The
    /// elements that `pack` finds are arbitrary; places that it leaves alone must not matter.
    ///
    /// A form is kept when it is asked for the second time in one version, and from then on from the first time as long
    /// as that goes on: the weights of many networks are used once each way before they change.
    pub(crate) fn packed(&self, form: Form, len: usize, pack: impl FnOnce(&mut [f32])) -> Pack {
        let version = self.version.get();
        let (mut again, mut keep, mut stale) = (false, false, None);
        {
            let mut forms = self.forms();
            let found = forms.iter().position(|p| p.form == form).map(|i| forms.remove(i));
            if let Some(found) = found {
                again = found.version == version;
                keep = found.again || again;
                match found.values {
                    Some(values) if again => {
                        // The last used one is last.
                        forms.push(Packed { form, version, again, values: Some(values.clone()) });
                        return Pack::Kept(values);
                    }
                    // Fresh memory costs more than packing does, so the former version's is used again.
                    values => stale = values.filter(|_| keep).and_then(|values| Arc::try_unwrap(values).ok()),
                }
            }
        }
        let stale = stale.filter(|v| v.0.len() == len);
        let room = stale.or_else(|| if keep && len <= LARGEST { Kept::new(len) } else { None });
        let (pack, values) = match room {
            Some(mut values) => {
                pack(&mut values.0);
                let values = Arc::new(values);
                (Pack::Kept(values.clone()), Some(values))
            }
            None => {
                let mut values = Scratch::take(len);
                pack(&mut values);
                (Pack::Working(values), None)
            }
        };
        let mut forms = self.forms();
        forms.retain(|p| p.form != form);
        if forms.len() >= KEPT {
            forms.remove(0);
        }
        forms.push(Packed { form, version, again, values });
        pack
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use candle_core::{DType, Device};

    #[test]
    fn forms_are_kept_for_their_version_and_shared_by_clones() {
        let version = Version::default();
        let w = Weight::new(Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap(), version.clone());
        let form = |name| Form { name, numbers: [0; 4] };
        let made = std::cell::Cell::new(0);
        let get = |w: &Weight, name| {
            w.packed(form(name), 1, |to| {
                made.set(made.get() + 1);
                to[0] = made.get() as f32;
            })
        };
        assert_eq!(get(&w, "a")[0], 1.0); // nobody knows whether it will be asked for again
        assert_eq!(get(&w.clone(), "a")[0], 2.0);
        assert_eq!(get(&w, "a")[0], 2.0);
        version.bump();
        assert_eq!(get(&w, "a")[0], 3.0); // kept from the first time, because it was asked for again before
        assert_eq!(get(&w, "a")[0], 3.0);
        assert_eq!(get(&w, "b")[0], 4.0);
        assert_eq!(get(&w, "b")[0], 5.0);
        assert_eq!(get(&w, "b")[0], 5.0);
        assert_eq!(get(&w, "a")[0], 3.0);
        assert_eq!(get(&w, "c")[0], 6.0); // the third form replaces b, which was used longest ago
        assert_eq!(get(&w, "a")[0], 3.0);
        assert_eq!(get(&w, "b")[0], 7.0);
        for _ in 0..2 {
            version.bump();
            get(&w, "a");
        }
        assert!(w.forms().iter().all(|p| p.form != form("a") || p.values.is_none())); // once a version: not kept
        w.forget_packed();
        for _ in 0..2 {
            let large = w.packed(form("large"), LARGEST + 1, |to| to[LARGEST] = 7.0);
            assert!(matches!(large, Pack::Working(_)) && large[LARGEST] == 7.0);
        }
    }
}
