//! The parameters of one optimizer, flat.

mod recorder;

use crate::gradients::Watch;
use crate::{Builder, Counter, Grad, Gradients, Init, Misfit, Param, Role, RunningStatistics, Source};
use candle_core::{DType, Device, Result, Tensor, Var, bail};
use gan_kernels as k;
use gan_kernels::optim::{AdamInputs, AdamStep, NonFiniteGuard};
use gan_kernels::weight::{Version, Weight};
use gan_rng::Key;
use recorder::{Recorded, Recorder};
use std::ops::Range;
use std::sync::OnceLock;

/// Named tensors in state-dict order.
pub type Tensors = Vec<(String, Tensor)>;

/// All parameters that one optimizer updates, with their Adam moments and gradients.
///
/// One tensor `[3, n]` holds parameters, first and second moments, in state-dict order; layers hold views. On a device a
/// second one `[n]` holds the gradients, and update, zeroing and finite check are one launch each. On the CPU every
/// gradient is a tensor of its own (see [`Grad`]).
#[derive(Debug)]
pub struct ParamStore {
    entries: Vec<Entry>,
    state: Tensor,
    /// All gradients in one, on a device.
    grads: Option<Tensor>,
    /// The sum of gradients over micro-batches, from the first one on; zeros between updates. On a device.
    total: OnceLock<Tensor>,
    running: RunningStatistics,
    version: Version,
    watch: Watch,
}

#[derive(Debug, Clone)]
struct Entry {
    name: String,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Param {
        offset: usize,
        shape: Vec<usize>,
        role: Role,
        grad: Grad,
    },
    Buffer(Tensor),
    /// Fixed by the architecture; F32, on the CPU.
    Constant(Tensor),
    Counter(Counter),
}

/// An entry and the tensor that it is set from.
type Fitting<'a> = (&'a Entry, &'a Tensor);

/// What [`ParamStore::load`] does about names that one side lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Names and shapes must agree both ways.
    Refuse,
    /// Take what fits by name and shape, report the rest.
    Skip,
}

impl ParamStore {
    /// Builds networks on a new store. `build` runs twice: once to learn names and shapes, once to hand out views.
    ///
    /// # Errors
    /// Those of `build`, and of a device without memory for the parameters.
    pub fn build<T>(dtype: DType, device: &Device, build: impl Fn(&Builder<'_>) -> Result<T>) -> Result<(Self, T)> {
        let recorder = Recorder::default();
        build(&Builder::new(recorder.clone()))?;
        let entries = recorder.entries.take();
        let n = recorder.len.take();
        let state = Tensor::zeros((3, n), dtype, device)?;
        let grads = if device.is_cpu() { None } else { Some(Tensor::zeros(n, dtype, device)?) };
        let watch = Watch::default();
        let buffers = entries.into_iter().map(|(name, kind)| {
            let kind = match kind {
                Recorded::Param { offset, shape, role } => {
                    let grad = match &grads {
                        Some(grads) => Grad::lasting(view(grads, offset, &shape)?, watch.clone()),
                        None => Grad::new(&shape[..], dtype, watch.clone()),
                    };
                    Kind::Param { offset, shape, role, grad }
                }
                Recorded::Buffer { shape, value } => Kind::Buffer((Tensor::ones(shape, dtype, device)? * value)?),
                Recorded::Constant(values) => Kind::Constant(values),
                Recorded::Counter => Kind::Counter(Counter::default()),
            };
            Ok(Entry { name, kind })
        });
        let (entries, total, running) =
            (buffers.collect::<Result<_>>()?, OnceLock::new(), RunningStatistics::default());
        let store = ParamStore { entries, state, grads, total, running, version: Version::default(), watch };
        let anchor = Var::zeros((), DType::F32, device)?;
        let networks = build(&Builder::new(Views { store: &store, anchor }))?;
        Ok((store, networks))
    }

    /// Number of parameters.
    pub fn len(&self) -> usize {
        self.state.elem_count() / 3
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Dtype of the parameters.
    pub fn dtype(&self) -> DType {
        self.state.dtype()
    }

    /// Draws all parameters anew; each depends on the key and its own name alone.
    ///
    /// # Errors
    /// As [`ParamStore::init_matching`].
    pub fn init(&self, init: &Init, key: Key) -> Result<()> {
        self.init_matching("", init, key)
    }

    /// As [`ParamStore::init`], for the parameters whose names start with `prefix`.
    ///
    /// # Errors
    /// The values cannot be converted to the store's element type or copied to its device.
    pub fn init_matching(&self, prefix: &str, init: &Init, key: Key) -> Result<()> {
        for entry in self.entries.iter().filter(|e| e.name.starts_with(prefix)) {
            if let Kind::Param { offset, shape, role, .. } = &entry.kind {
                let values = init.draw(shape, *role, key.at_name(&entry.name), self.dtype())?;
                self.write(0, *offset, &values)?;
            }
        }
        self.version.bump();
        Ok(())
    }

    /// Sets the gradients to zero. On the CPU they have no memory from then on, until something is added.
    ///
    /// # Errors
    /// As [`gan_kernels::elementwise::zero`]; none on the CPU.
    pub fn zero_grad(&self) -> Result<()> {
        for (_, _, grad) in self.params() {
            grad.forget();
            grad.changed();
        }
        self.grads.as_ref().map_or(Ok(()), k::elementwise::zero)
    }

    /// Adds the gradients of a micro-batch times `weight` to a running total. Products are rounded before they are added. On the
    /// CPU the gradients are forgotten.
    ///
    /// # Errors
    /// The device fails or has no memory for the total.
    pub fn add_to_total(&self, weight: f64) -> Result<()> {
        let Some(grads) = &self.grads else {
            return self.params().try_for_each(|(_, _, grad)| grad.add_to_total(weight));
        };
        if self.total.get().is_none() {
            let _ = self.total.set(grads.zeros_like()?); // nobody else sets it
        }
        let Some(total) = self.total.get() else { return Ok(()) };
        match weight == 1.0 {
            true => k::elementwise::add_assign(total, grads),
            false => k::elementwise::add_assign(total, &(grads * weight)?),
        }
    }

    /// Makes the total times `scale` the gradients. The next total begins at zero.
    ///
    /// # Errors
    /// The device's.
    pub fn take_total(&self, scale: f64) -> Result<()> {
        let Some(grads) = &self.grads else {
            return self.params().try_for_each(|(_, _, grad)| grad.take_total(scale));
        };
        let Some(total) = self.total.get() else { return Ok(()) };
        grads.slice_set(&(total * scale)?, 0, 0)?;
        k::elementwise::zero(total)
    }

    /// The gradients, for somebody who takes them while a backward pass goes on.
    pub fn gradients(&self) -> Gradients {
        let params = self.params().map(|(_, at, grad)| (at, grad.clone())).collect();
        Gradients::new(params, self.grads.clone(), self.dtype(), self.watch.clone())
    }

    /// The running statistics of the batch norms.
    pub fn running_statistics(&self) -> &RunningStatistics {
        &self.running
    }

    /// Name, place and gradient of every parameter.
    fn params(&self) -> impl Iterator<Item = (&str, Range<usize>, &Grad)> {
        self.entries.iter().filter_map(|entry| match &entry.kind {
            Kind::Param { offset, shape, grad, .. } => {
                Some((entry.name.as_str(), *offset..offset + shape.iter().product::<usize>(), grad))
            }
            _ => None,
        })
    }

    /// The gradients of a range of parameters and where each begins, those that nothing was added to included.
    fn materialized_grads(&self, range: &Range<usize>) -> Result<Vec<(usize, Tensor)>> {
        if let Some(grads) = &self.grads {
            return Ok(vec![(0, grads.clone())]);
        }
        let within = self.params().filter(|(_, at, _)| at.start < range.end && range.start < at.end);
        within.map(|(_, at, grad)| Ok((at.start, grad.materialized()?.flatten_all()?))).collect()
    }

    /// Whether every gradient is finite.
    ///
    /// # Errors
    /// As [`gan_kernels::elementwise::all_finite`].
    pub fn grads_finite(&self) -> Result<bool> {
        match &self.grads {
            Some(grads) => k::elementwise::all_finite(grads),
            None => Ok(self.first_non_finite_grad()?.is_none()),
        }
    }

    /// The name of the first parameter with a gradient that is not finite.
    ///
    /// # Errors
    /// As [`gan_kernels::elementwise::all_finite`].
    pub fn first_non_finite_grad(&self) -> Result<Option<String>> {
        for (name, _, grad) in self.params() {
            if !grad.finite()? {
                return Ok(Some(name.to_string()));
            }
        }
        Ok(None)
    }

    /// One Adam update of the parameters in `range` (see [`ParamStore::range`]).
    ///
    /// # Errors
    /// As [`gan_kernels::optim::adam`]: a range that ends behind the last parameter, or a step of 0.
    pub fn adam(&self, range: Range<usize>, step: &AdamStep) -> Result<()> {
        k::optim::adam(&self.state, &self.materialized_grads(&range)?, range, step)?;
        self.version.bump();
        Ok(())
    }

    /// The same with `inputs` (see [`gan_kernels::optim::adam_with`]), unless `guard` refuses the gradients.
    ///
    /// # Errors
    /// As [`ParamStore::adam`]. A gradient that is not finite is no error; the guard tells.
    pub fn guarded_adam(
        &self,
        range: Range<usize>,
        step: &AdamStep,
        guard: &NonFiniteGuard,
        inputs: &AdamInputs<'_>,
    ) -> Result<()> {
        guard.adam(&self.state, &self.materialized_grads(&range)?, range, step, inputs, || self.grads_finite())?;
        self.version.bump();
        Ok(())
    }

    /// The same as part of a captured graph, which finds `inputs.factors` in device memory (see [`NonFiniteGuard::captured_adam`]).
    ///
    /// # Errors
    /// As [`ParamStore::adam`]; also if the store is on the CPU, where nothing is captured.
    pub fn captured_adam(
        &self,
        range: Range<usize>,
        step: &AdamStep,
        guard: &NonFiniteGuard,
        inputs: &AdamInputs<'_>,
    ) -> Result<()> {
        guard.captured_adam(&self.state, &self.materialized_grads(&range)?, range, step, inputs)?;
        self.version.bump();
        Ok(())
    }

    /// Says that the parameters were changed by something that does not say so itself: by launching a captured update.
    pub fn touch(&self) {
        self.version.bump();
    }

    /// The counters among the buffers, shared.
    pub fn counters(&self) -> impl Iterator<Item = Counter> {
        self.entries.iter().filter_map(|entry| match &entry.kind {
            Kind::Counter(counter) => Some(counter.clone()),
            _ => None,
        })
    }

    /// Where the parameters are.
    pub fn device(&self) -> &Device {
        self.state.device()
    }

    /// The smallest range that holds all parameters whose names start with one of the prefixes.
    pub fn range(&self, prefixes: &[&str]) -> Range<usize> {
        let (mut start, mut end) = (usize::MAX, 0);
        for entry in &self.entries {
            if let Kind::Param { offset, shape, .. } = &entry.kind
                && prefixes.iter().any(|p| entry.name.starts_with(p))
            {
                start = start.min(*offset);
                end = end.max(offset + shape.iter().product::<usize>());
            }
        }
        start.min(end)..end
    }

    /// The parameters whose names `select` takes, as positions in the flat store, ascending; neighbours make one range.
    pub fn ranges(&self, mut select: impl FnMut(&str) -> bool) -> Vec<Range<usize>> {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for (_, at, _) in self.params().filter(|(name, ..)| select(name)) {
            match ranges.last_mut() {
                Some(last) if last.end == at.start => last.end = at.end,
                _ => ranges.push(at),
            }
        }
        ranges
    }

    /// Forgets the Adam moments.
    ///
    /// # Errors
    /// As [`gan_kernels::elementwise::zero`].
    pub fn reset_moments(&self) -> Result<()> {
        k::elementwise::zero(&self.state.narrow(0, 1, 2)?)
    }

    /// The first and second moments, each `[n]`, without copies: an update changes them.
    ///
    /// # Errors
    /// The device's.
    pub fn moments(&self) -> Result<(Tensor, Tensor)> {
        Ok((self.state.get(1)?, self.state.get(2)?))
    }

    /// Sets the moments. They are let go of one after the other.
    ///
    /// # Errors
    /// `m` or `v` does not have one value for each parameter, or cannot be converted to the store's element type.
    pub fn set_moments(&self, m: Tensor, v: Tensor) -> Result<()> {
        for (row, t) in [(1, m), (2, v)] {
            if t.elem_count() != self.len() {
                bail!("Adam state of {} values for {} parameters", t.elem_count(), self.len());
            }
            self.write(row, 0, &t)?;
        }
        Ok(())
    }

    /// The parameters `[n]`, sharing memory.
    pub(crate) fn params_flat(&self) -> Result<Tensor> {
        self.state.get(0)
    }

    /// Copies of the parameters and buffers under `prefix` (a network's name and a dot), with bare keys.
    ///
    /// # Errors
    /// The device fails or has no memory for the copies.
    pub fn state_dict(&self, prefix: &str) -> Result<Tensors> {
        copies_of(self.state_views(prefix)?)
    }

    /// The same without copies: an update changes them.
    ///
    /// # Errors
    /// The device's.
    pub fn state_views(&self, prefix: &str) -> Result<Tensors> {
        self.views_of(&self.params_flat()?, prefix)
    }

    /// The same with the parameters' values from `params`, `[n]`.
    pub(crate) fn views_of(&self, params: &Tensor, prefix: &str) -> Result<Tensors> {
        let mut out = Vec::new();
        for entry in &self.entries {
            let Some(name) = entry.name.strip_prefix(prefix) else { continue };
            let tensor = match &entry.kind {
                Kind::Param { offset, shape, .. } => view(params, *offset, shape)?,
                Kind::Buffer(t) => t.clone(),
                Kind::Constant(t) => t.contiguous()?.to_dtype(self.dtype())?.to_device(self.device())?,
                Kind::Counter(c) => Tensor::new(c.get() as i64, self.device())?,
            };
            out.push((name.to_string(), tensor));
        }
        Ok(out)
    }

    /// Copies of the gradients under `prefix`, with bare keys.
    ///
    /// # Errors
    /// The device fails or has no memory for the copies.
    pub fn grad_dict(&self, prefix: &str) -> Result<Tensors> {
        let under = self.params().filter_map(|(name, _, grad)| Some((name.strip_prefix(prefix)?, grad)));
        under.map(|(name, grad)| Ok((name.to_string(), copy_of(&grad.materialized()?)?))).collect()
    }

    /// Sets the parameters and buffers under `prefix` from bare keys. Returns what was left out under
    /// [`Missing::Skip`], a line a name. `num_batches_tracked` and constants may be missing always.
    ///
    /// # Errors
    /// Under [`Missing::Refuse`] the first name that one side lacks or whose shapes differ; nothing is changed then.
    /// Values that cannot be converted to the store's element type.
    pub fn load(&self, prefix: &str, tensors: &[(String, Tensor)], missing: Missing) -> Result<Vec<String>> {
        // What is refused must not leave half a network behind.
        let (fitting, misfits) = self.fitting(prefix, tensors, missing)?;
        for (entry, t) in fitting {
            match &entry.kind {
                Kind::Counter(c) => {
                    c.set(t.to_dtype(DType::I64)?.flatten_all()?.to_vec1::<i64>()?.first().map_or(0, |&n| n as u64))
                }
                Kind::Param { offset, .. } => self.write(0, *offset, t)?,
                Kind::Constant(_) => {}
                Kind::Buffer(b) => b.slice_set(&t.to_device(b.device())?.to_dtype(b.dtype())?.contiguous()?, 0, 0)?,
            }
        }
        self.version.bump();
        Ok(misfits.iter().map(ToString::to_string).collect())
    }

    /// Writes the parameters under `prefix` into `params`, `[n]`. Buffers, and names that one side lacks, are passed over.
    pub(crate) fn load_params(&self, params: &Tensor, prefix: &str, tensors: &Tensors) -> Result<()> {
        for (entry, t) in self.fitting(prefix, tensors, Missing::Skip)?.0 {
            if let Kind::Param { offset, .. } = &entry.kind {
                write(params, *offset, t)?;
            }
        }
        Ok(())
    }

    /// Checks that [`ParamStore::load`] would take these tensors under [`Missing::Refuse`]; nothing is changed.
    ///
    /// # Errors
    /// The first name that one side lacks, or whose shapes differ.
    pub fn check(&self, prefix: &str, tensors: &[(String, Tensor)]) -> Result<()> {
        self.fitting(prefix, tensors, Missing::Refuse).map(drop)
    }

    /// What [`ParamStore::load`] would leave out of these tensors under [`Missing::Skip`]; nothing is changed.
    ///
    /// # Errors
    /// The values of a constant cannot be read.
    pub fn misfits(&self, prefix: &str, tensors: &[(String, Tensor)]) -> Result<Vec<Misfit>> {
        Ok(self.fitting(prefix, tensors, Missing::Skip)?.1)
    }

    /// The entries under `prefix` with the tensors that fit them, and what does not fit.
    fn fitting<'a>(
        &'a self,
        prefix: &str,
        tensors: &'a [(String, Tensor)],
        missing: Missing,
    ) -> Result<(Vec<Fitting<'a>>, Vec<Misfit>)> {
        let mut misfits = Vec::new();
        let mut problem = |misfit: Misfit| match missing {
            Missing::Refuse => bail!("{misfit}"),
            Missing::Skip => {
                misfits.push(misfit);
                Ok(())
            }
        };
        let find = |key: &str| tensors.iter().find(|(k, _)| k == key).map(|(_, t)| t);
        let mut known = Vec::new();
        let mut fitting = Vec::new();
        for entry in &self.entries {
            let Some(key) = entry.name.strip_prefix(prefix) else { continue };
            known.push(key);
            let Some(t) = find(key) else {
                if !matches!(entry.kind, Kind::Counter(_) | Kind::Constant(_)) {
                    problem(Misfit::Missing(key.to_owned()))?;
                }
                continue;
            };
            let shape = match &entry.kind {
                Kind::Counter(_) => t.dims(),
                Kind::Param { shape, .. } => shape,
                Kind::Buffer(b) | Kind::Constant(b) => b.dims(),
            };
            if shape == t.dims() {
                match &entry.kind {
                    Kind::Constant(values) if !same_values(values, t)? => problem(Misfit::Constant(key.to_owned()))?,
                    _ => fitting.push((entry, t)),
                }
            } else {
                let (given, network) = (t.dims().to_vec(), shape.to_vec());
                problem(Misfit::Shape { key: key.to_owned(), given, network })?;
            }
        }
        for (key, _) in tensors.iter().filter(|(k, _)| !known.contains(&k.as_str())) {
            problem(Misfit::LeftOver(key.clone()))?;
        }
        Ok((fitting, misfits))
    }

    /// Writes the flattened tensor into a row of the state.
    fn write(&self, row: usize, offset: usize, t: &Tensor) -> Result<()> {
        write(&self.state.get(row)?, offset, t)
    }
}

/// Writes the flattened tensor into a flat one.
fn write(flat: &Tensor, offset: usize, t: &Tensor) -> Result<()> {
    let t = t.to_device(flat.device())?.to_dtype(flat.dtype())?.flatten_all()?.contiguous()?;
    flat.slice_set(&t, 0, offset)
}

/// Whether two tensors of one shape hold the same numbers, up to the rounding of F32.
fn same_values(a: &Tensor, b: &Tensor) -> Result<bool> {
    let numbers = |t: &Tensor| t.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
    Ok(numbers(a)?.iter().zip(&numbers(b)?).all(|(a, b)| (a - b).abs() < 1e-6))
}

/// A part of a flat tensor in its shape.
fn view(flat: &Tensor, offset: usize, shape: &[usize]) -> Result<Tensor> {
    flat.narrow(0, offset, shape.iter().product())?.reshape(shape)
}

/// A tensor of its own with the values of a view. (candle's `copy` clones the whole storage
/// behind a view: for one layer's weights, those of all layers and their moments.)
///
/// # Errors
/// The device fails or has no memory for the copy.
pub fn copy_of(view: &Tensor) -> Result<Tensor> {
    if view.rank() == 0 {
        return view.copy();
    }
    let own = Tensor::zeros(view.shape(), view.dtype(), view.device())?;
    own.slice_set(&view.contiguous()?, 0, 0)?;
    Ok(own)
}

/// The same, each with memory of its own.
pub(crate) fn copies_of(views: Tensors) -> Result<Tensors> {
    views.into_iter().map(|(name, tensor)| Ok((name, copy_of(&tensor)?))).collect()
}

struct Views<'s> {
    store: &'s ParamStore,
    anchor: Var,
}

impl Views<'_> {
    fn find(&self, path: &str) -> Result<&Kind> {
        match self.store.entries.iter().find(|e| e.name == path) {
            Some(entry) => Ok(&entry.kind),
            None => bail!("a network asked for {path} only the second time it was built"),
        }
    }
}

impl Source for Views<'_> {
    fn param(&self, path: &str, shape: &[usize], _: Role) -> Result<Param> {
        let Kind::Param { offset, grad, .. } = self.find(path)? else { bail!("{path} is not a parameter") };
        let values = view(&self.store.state.get(0)?, *offset, shape)?;
        Ok(Param { weight: Weight::new(values, self.store.version.clone()), grad: Some(grad.clone()) })
    }
    fn buffer(&self, path: &str, _: &[usize], _: f64) -> Result<Tensor> {
        let Kind::Buffer(t) = self.find(path)? else { bail!("{path} is not a buffer") };
        Ok(t.clone())
    }
    fn constant(&self, path: &str, _: &Tensor) -> Result<()> {
        let Kind::Constant(_) = self.find(path)? else { bail!("{path} is not a constant") };
        Ok(())
    }
    fn counter(&self, path: &str) -> Result<Counter> {
        let Kind::Counter(c) = self.find(path)? else { bail!("{path} is not a counter") };
        Ok(c.clone())
    }
    fn running_statistics(&self) -> Option<RunningStatistics> {
        Some(self.store.running.clone())
    }
    fn anchor(&self) -> Option<Var> {
        Some(self.anchor.clone())
    }
}
