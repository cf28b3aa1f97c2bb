//! An evaluation that follows a plan.

use super::background::Background;
use super::dataflow::{Dataflow, Size};
use super::plan::{Place, Plan};
use super::store::{Scratch, Store};
use super::sweep::{Progress, Sweep};
use candle_core::{Device, Result, Tensor, bail};
use gan_kernels::bands::Window;
use gan_kernels::norm::{Moments, MomentsOfRows};
use std::ops::Range;

impl Dataflow<'_> {
    /// The output `[1, C, H, W]`, on the CPU, of a plan that was made for this flow; by [`Engine::Exact`](super::Engine::Exact) with the bits of
    /// [`Sequence::forward`](crate::Sequence::forward).
    ///
    /// # Errors
    /// Those of `scratch`, and of the layers.
    pub fn run(&self, plan: &Plan, scratch: &dyn Scratch) -> Result<Tensor> {
        let Some(node) = self.nodes.get(plan.output) else { bail!("the plan is for another flow") };
        let mut output = Gathered::new(node.size);
        self.run_into(plan, scratch, &mut |first, rows| output.write(first, rows))?;
        output.finish()
    }

    /// Passes the output on row by row: `sink` gets the number of a row, and it and those behind it, `[1, C, rows, W]` on the CPU,
    /// from the first to the last.
    ///
    /// # Errors
    /// As [`Dataflow::run`], and those of `sink`.
    pub fn run_into(
        &self,
        plan: &Plan,
        scratch: &dyn Scratch,
        sink: &mut dyn FnMut(usize, &Tensor) -> Result<()>,
    ) -> Result<()> {
        let count = self.nodes.len();
        if plan.places.len() != count {
            bail!("the plan is for another flow")
        }
        let stores = (0..count).map(|_| None).collect();
        let background = if plan.count(Place::Scratch) > 0 { Background::start() } else { Background::none() };
        let mut state = State { flow: self, plan, stores, background, moments: vec![None; count], sink };
        for (i, (sweep, rows)) in plan.sweeps.iter().enumerate() {
            state.sweep(i, sweep, *rows, scratch)?;
        }
        Ok(())
    }
}

struct State<'p, 'a, 's> {
    flow: &'p Dataflow<'a>,
    plan: &'p Plan,
    /// The values that were stored and are still needed.
    stores: Vec<Option<Store>>,
    /// Reads and writes their files.
    background: Background,
    moments: Vec<Option<Moments>>,
    sink: &'s mut dyn FnMut(usize, &Tensor) -> Result<()>,
}

/// Rows of a value that a sweep still needs, if it needs any.
struct Held {
    first: usize,
    rows: Tensor,
}

impl State<'_, '_, '_> {
    fn sweep(&mut self, number: usize, sweep: &Sweep, rows: usize, scratch: &dyn Scratch) -> Result<()> {
        let (flow, parts) = (self.flow, &sweep.parts);
        let mut gathered: Vec<Option<MomentsOfRows>> = Vec::new();
        for part in parts {
            let size = flow.nodes[part.value].size;
            gathered.push(part.gathers.then(|| match flow.engine().is_exact() {
                true => MomentsOfRows::new(size.channels),
                false => MomentsOfRows::merged(size.channels),
            }));
            if part.stores {
                let file = match self.plan.places[part.value] {
                    Place::Scratch => Some(scratch.file()?),
                    _ => None,
                };
                self.stores[part.value] =
                    Some(Store::new(size, flow.engine().device(), file, self.plan.resident[part.value]));
            }
        }
        let mut held: Vec<Option<Held>> = parts.iter().map(|_| None).collect();
        let mut progress = Progress::new(flow, sweep);
        let mut bands = progress.bands(rows).into_iter();
        let mut following = bands.next().map(|band| progress.step(&band));
        while let Some(steps) = following {
            following = bands.next().map(|band| progress.step(&band));
            for (p, step) in steps.iter().enumerate() {
                let part = &parts[p];
                if step.fresh.is_empty() {
                    drop_rows(&mut held[p], step.from)?;
                    continue;
                }
                let fresh = match part.stored {
                    true => {
                        let next = following.as_ref().map(|steps| &steps[p].fresh);
                        self.stored(part.value, &step.fresh, next, number)?
                    }
                    false => self.compute(part.value, progress.inputs(p), &held, &step.fresh)?,
                };
                if let Some(moments) = &mut gathered[p] {
                    moments.add(&fresh)?;
                }
                if part.stores
                    && let Some(store) = &mut self.stores[part.value]
                {
                    store.append(step.fresh.start, &fresh, &self.background)?;
                }
                if part.value == self.plan.output {
                    (self.sink)(step.fresh.start, &fresh.to_device(&Device::Cpu)?)?;
                }
                held[p] = if p + 1 == parts.len() { None } else { Some(joined(held[p].take(), fresh, step)?) };
            }
        }
        for (part, gathered) in parts.iter().zip(&gathered) {
            if let Some(moments) = gathered {
                self.moments[part.value] = Some(moments.finish()?);
            }
            if self.plan.last_read[part.value].is_none_or(|last| last <= number) {
                self.stores[part.value] = None;
            }
            if let Some(weight) = flow.nodes[part.value].weight {
                weight.forget_packed();
            }
        }
        Ok(())
    }

    /// Rows that were stored; those that come next are read while others compute.
    fn stored(
        &mut self,
        value: usize,
        rows: &Range<usize>,
        next: Option<&Range<usize>>,
        number: usize,
    ) -> Result<Tensor> {
        let last = self.plan.last_read[value] == Some(number);
        let Some(store) = &mut self.stores[value] else { bail!("value {value} was not stored") };
        let found = store.read(rows, last, &self.background)?;
        if let Some(next) = next.filter(|next| !next.is_empty()) {
            store.read_ahead(next, &self.background);
        }
        Ok(found)
    }

    fn compute(&self, value: usize, inputs: &[usize], held: &[Option<Held>], rows: &Range<usize>) -> Result<Tensor> {
        let node = &self.flow.nodes[value];
        let mut windows = Vec::with_capacity(inputs.len());
        for &input in inputs {
            match &held[input] {
                Some(held) => windows.push(Window { rows: &held.rows, first: held.first }),
                None => bail!("value {value} lacks an input"),
            }
        }
        let moments = match (node.normalizes, node.inputs.first()) {
            (true, Some(input)) => match &self.moments[input.0] {
                Some(moments) => Some(moments),
                None => bail!("value {value} lacks statistics"),
            },
            _ => None,
        };
        (node.compute)(&windows, rows, moments)
    }
}

/// Lets go of the rows in front of `from`.
fn drop_rows(held: &mut Option<Held>, from: usize) -> Result<()> {
    if let Some(Held { first, rows }) = held {
        let end = *first + rows.dim(2)?;
        if from >= end {
            *held = None;
        } else if from > *first {
            // A copy, so that the memory of the others is free.
            *rows = rows.narrow(2, from - *first, end - from)?.contiguous()?;
            *first = from;
        }
    }
    Ok(())
}

/// The rows that are still needed, and the fresh ones behind them.
fn joined(held: Option<Held>, fresh: Tensor, step: &super::sweep::Step) -> Result<Held> {
    let Range { start, end } = step.fresh;
    if let Some(Held { first, rows }) = held
        && step.from < start
    {
        let from = step.from.max(first);
        let rest = rows.narrow(2, from - first, start - from)?;
        return Ok(Held { first: from, rows: Tensor::cat(&[&rest, &fresh], 2)?.contiguous()? });
    }
    let from = step.from.max(start).min(end);
    let rows =
        if from > start && from < end { fresh.narrow(2, from - start, end - from)?.contiguous()? } else { fresh };
    Ok(Held { first: if from < end { from } else { start }, rows })
}

/// An output whose rows are gathered.
struct Gathered {
    size: Size,
    values: Vec<f32>,
}

impl Gathered {
    fn new(size: Size) -> Self {
        Gathered { size, values: Vec::new() }
    }

    fn write(&mut self, first: usize, rows: &Tensor) -> Result<()> {
        let Size { channels, height, width } = self.size;
        // Not before the last sweep, in which the first rows come.
        self.values.resize(channels * height * width, 0.0);
        let rows = rows.flatten_all()?.to_vec1::<f32>()?;
        for (to, from) in self.values.chunks_exact_mut(height * width).zip(rows.chunks_exact(rows.len() / channels)) {
            to[first * width..][..from.len()].copy_from_slice(from);
        }
        Ok(())
    }

    fn finish(self) -> Result<Tensor> {
        let Size { channels, height, width } = self.size;
        if self.values.is_empty() {
            bail!("the last sweep has not computed the output")
        }
        Tensor::from_vec(self.values, (1, channels, height, width), &Device::Cpu)
    }
}
