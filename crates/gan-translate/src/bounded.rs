//! Translations that keep to a limit of memory: on the CPU with the bits of those that do not, on a device but for rounding.

use crate::conditioning::Condition;
use crate::device::is_out_of_memory;
use crate::limit::{Estimate, MemoryLimit};
use crate::scratch::{frees, scratch};
use crate::{Error, Result};
use candle_core::Tensor;
use gan_layers::OneHot;
use gan_layers::bands::{Dataflow, Engine, Limits, Place, Plan, Rates, Size, Value};
use gan_nets::CapturedGenerator;

/// Bytes of the program itself, and of each of its threads.
const PROGRAM: u64 = 128 << 20;
const THREAD: u64 = 6 << 20;
/// What the allocator takes for 100 bytes in bands, and for 100 bytes of a whole image, whose few large tensors leave larger gaps. Measured.
const IN_BANDS: u64 = 128;
const AT_ONCE: u64 = 135;
/// Multiply-adds that a thread does in a second (those of Winograd convolution count as if it saved none), and bytes of files that move in a
/// second, on the disk and between the system's buffers and memory, by one processor. They weigh files against computing again; results do not depend on them.
const MACS: f64 = 60e9;
const SCRATCH: f64 = 800e6;
const COPIES: f64 = 3e9;
/// The same of a device, whose results go to the host's memory. Not measured.
const DEVICE_MACS: f64 = 10e12;
const DEVICE_SCRATCH: f64 = 6e9;
/// Bytes of a device that its libraries take beside tensors: their handles, kernels and workspaces.
const LIBRARIES: u64 = 512 << 20;

/// Bytes of a translation at once up to which bands are not looked for.
const SMALL: u64 = 256 << 20;
/// The share of that in hundredths within which bands are looked for that cost next to no time, and the work that they may cost.
const LEAN: u64 = 40;
const LEAN_WORK: u64 = 103;

/// What is in memory beside the evaluation of a network.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Demand {
    /// Bytes of its parameters.
    pub(crate) parameters: u64,
    /// Bytes that stay: of inputs.
    pub(crate) held: u64,
    /// Bytes of inputs while they are decoded, before anything is computed.
    pub(crate) before: u64,
    /// Of `held`, bytes of inputs that are decoded as a whole.
    pub(crate) decoded: u64,
    /// Whether files are read and written row by row.
    pub(crate) rows: bool,
    /// Bytes of an output that is passed on row by row, on its way into a file; `None` for one that is gathered in memory, and becomes an image
    /// there.
    pub(crate) passing: Option<u64>,
}

impl Demand {
    /// Of tensors of so many bytes beside the parameters.
    pub(crate) fn of_tensors(parameters: u64, held: u64) -> Self {
        Demand { parameters, held, before: 0, decoded: 0, rows: false, passing: None }
    }

    /// Bytes of the program and its threads, or of a device's libraries, and of the parameters.
    fn base(&self, on_device: bool) -> u64 {
        let program = PROGRAM + THREAD * rayon::current_num_threads() as u64;
        self.parameters + if on_device { LIBRARIES } else { program }
    }

    /// Bytes of an output that is gathered, cut to the size of the input, and as an image; all of which is not on a device.
    fn at_the_end(&self, size: Size, on_device: bool) -> u64 {
        if self.passing.is_none() && !on_device { size.bytes() * 5 / 2 } else { 0 }
    }
}

/// A decision.
enum Strategy {
    Whole,
    Bands(Plan),
}

/// Translates within the limit, with all that `demand` says in memory. What is computed in bands is in the memory of the host.
pub(crate) fn translate(
    generator: &CapturedGenerator,
    engine: &Engine,
    x: &Condition,
    limit: &MemoryLimit,
    demand: &Demand,
) -> Result<Tensor> {
    let (flow, output) = generator.dataflow_by(x, engine.clone())?;
    evaluate(&flow, output, limit, demand, || generator.forward(x))
}

/// Evaluates a flow within the limit; `whole` does so at once.
pub(crate) fn evaluate(
    flow: &Dataflow<'_>,
    output: Value,
    limit: &MemoryLimit,
    demand: &Demand,
    whole: impl Fn() -> candle_core::Result<Tensor>,
) -> Result<Tensor> {
    let (mut limit, mut strategy) = (limit.clone(), decide(flow, output, limit, demand)?.0);
    loop {
        let made = match &strategy {
            Strategy::Whole => whole(),
            Strategy::Bands(plan) => flow.run(plan, &*scratch(&limit.scratch)),
        };
        match made {
            Err(error) if is_out_of_memory(&error) => {
                limit = tighter(&limit);
                let Ok((plan, _)) = plan(flow, output, Some(&limit), demand) else { return Err(error.into()) };
                strategy = Strategy::Bands(plan);
            }
            made => return Ok(made?),
        }
    }
}

/// Three quarters of a limit, for another attempt on a device that had less memory than it said.
pub(crate) fn tighter(limit: &MemoryLimit) -> MemoryLimit {
    MemoryLimit { memory: limit.memory / 4 * 3, ..limit.clone() }
}

/// What [`translate`] takes.
pub(crate) fn estimate(
    generator: &CapturedGenerator,
    engine: &Engine,
    x: &Condition,
    limit: &MemoryLimit,
    demand: &Demand,
) -> Result<Estimate> {
    let (flow, output) = generator.dataflow_by(x, engine.clone())?;
    Ok(decide(&flow, output, limit, demand)?.1)
}

/// Bytes that an evaluation at once takes beside parameters and input.
pub(crate) fn at_once(flow: &Dataflow<'_>, output: Value) -> u64 {
    flow.memory_of_forward(output) * AT_ONCE / 100
}

/// Bytes of that which serve the next image as well: weights in their packed forms, which bands would make for each image.
pub(crate) fn kept(flow: &Dataflow<'_>) -> u64 {
    flow.packed_kept() * AT_ONCE / 100
}

fn decide(flow: &Dataflow<'_>, output: Value, limit: &MemoryLimit, demand: &Demand) -> Result<(Strategy, Estimate)> {
    let on_device = !flow.engine().is_exact();
    let left = limit.memory.saturating_sub(demand.base(on_device) + demand.held);
    let forward = at_once(flow, output).max(demand.at_the_end(flow.size(output), on_device));
    let fits = forward <= left;
    // A device computes at once what it has memory for.
    if fits && (on_device || forward <= SMALL + kept(flow)) {
        return Ok((Strategy::Whole, estimate_of_whole(flow, output, demand)));
    }
    match plan(flow, output, Some(limit), demand) {
        Ok((plan, _)) if fits && (plan.macs * 100 > flow.macs() * LEAN_WORK || plan.moved > 0) => {
            Ok((Strategy::Whole, estimate_of_whole(flow, output, demand)))
        }
        Ok((plan, estimate)) => Ok((Strategy::Bands(plan), estimate)),
        Err(_) if fits => Ok((Strategy::Whole, estimate_of_whole(flow, output, demand))),
        Err(error) => Err(error),
    }
}

/// Whether an evaluation at once fits into the limit.
pub(crate) fn fits_at_once(flow: &Dataflow<'_>, output: Value, limit: &MemoryLimit, demand: &Demand) -> bool {
    estimate_of_whole(flow, output, demand).memory <= limit.memory
}

fn rates(on_device: bool) -> Rates {
    if on_device {
        return Rates { macs: DEVICE_MACS, scratch: DEVICE_SCRATCH, copies: DEVICE_SCRATCH };
    }
    let threads = rayon::current_num_threads() as f64;
    Rates { macs: MACS * threads, scratch: SCRATCH, copies: COPIES * threads }
}

fn estimate_of_whole(flow: &Dataflow<'_>, output: Value, demand: &Demand) -> Estimate {
    let (size, on_device) = (flow.size(output), !flow.engine().is_exact());
    let base = demand.base(on_device);
    let memory = base + demand.held + at_once(flow, output).max(demand.at_the_end(size, on_device));
    Estimate {
        size: (size.width, size.height),
        whole: true,
        rows: demand.rows,
        memory: memory.max(base + demand.before),
        memory_of_whole: memory,
        parameters: demand.parameters,
        packed: flow.packed_kept(),
        decoded: demand.decoded,
        scratch: 0,
        moved: 0,
        sweeps: 1,
        places: [0; 3],
        macs: flow.macs(),
        macs_of_whole: flow.macs(),
        seconds: flow.macs() as f64 / rates(on_device).macs,
    }
}

/// The evaluation in bands that is best within the limit: one that takes little memory, if it costs next to no time, else the fastest that
/// fits.
///
/// # Errors
/// [`Error::TooLittleMemory`].
pub(crate) fn plan(
    flow: &Dataflow<'_>,
    output: Value,
    limit: Option<&MemoryLimit>,
    demand: &Demand,
) -> Result<(Plan, Estimate)> {
    let (size, on_device) = (flow.size(output), !flow.engine().is_exact());
    let (base, rates) = (demand.base(on_device), rates(on_device));
    let taken = base + demand.held;
    let (memory, scratch) = limit.map_or((u64::MAX, 0), |limit| (limit.memory, limit.scratch_bytes));
    let frees = limit.is_some_and(|limit| frees(&limit.scratch));
    let left = memory.saturating_sub(taken);
    // Rows of the output leave a device as they are made.
    let output_bytes = if on_device { 0 } else { demand.passing.unwrap_or(size.bytes()) };
    let limits = |memory: u64, scratch: u64| Limits { memory, scratch, frees, output: output_bytes };
    let lean = (at_once(flow, output) / 100 * LEAN).min(left / IN_BANDS * 100);
    let cheap = |plan: &Plan| !on_device && plan.macs * 100 <= flow.macs() * LEAN_WORK;
    let found = match flow.plan(output, &limits(lean, 0), &rates) {
        Ok(plan) if cheap(&plan) => Ok(plan),
        _ => flow.plan(output, &limits(left / IN_BANDS * 100, scratch), &rates),
    };
    let at_the_end = demand.at_the_end(size, on_device);
    let (plan, fits) = match found {
        Ok(plan) => (plan, at_the_end <= left && base + demand.before <= memory),
        Err(plan) => (*plan, false),
    };
    let whole = estimate_of_whole(flow, output, demand);
    let estimate = Estimate {
        whole: false,
        memory: (taken + (plan.memory / 100 * IN_BANDS + IN_BANDS).max(at_the_end)).max(base + demand.before),
        packed: plan.packed,
        scratch: plan.scratch,
        moved: plan.moved,
        sweeps: plan.sweeps(),
        places: [Place::Memory, Place::Scratch, Place::Recomputed].map(|place| plan.count(place)),
        macs: plan.macs,
        seconds: plan.seconds,
        ..whole
    };
    match (fits, limit) {
        (false, Some(limit)) => Err(Error::TooLittleMemory { least: Box::new(estimate), limit: limit.clone() }),
        _ => Ok((plan, estimate)),
    }
}

/// Refuses what does not fit if it is computed at once, `times` the memory of one image.
///
/// # Errors
/// [`Error::TooLittleMemory`].
pub(crate) fn check_at_once(
    flow: &Dataflow<'_>,
    output: Value,
    times: u64,
    limit: &MemoryLimit,
    demand: &Demand,
) -> Result<()> {
    let estimate = estimate_of_whole(flow, output, demand);
    let memory = estimate.memory + (times - 1) * at_once(flow, output);
    if memory <= limit.memory {
        return Ok(());
    }
    let least = Box::new(Estimate { memory, memory_of_whole: memory, ..estimate });
    Err(Error::TooLittleMemory { least, limit: limit.clone() })
}

/// Refuses an input of this width and height that takes so many bytes by itself.
///
/// # Errors
/// [`Error::TooLittleMemory`].
pub(crate) fn check_input(size: (usize, usize), input: u64, limit: &MemoryLimit, parameters: u64) -> Result<()> {
    let memory = Demand::of_tensors(parameters, input).base(false) + input;
    if memory <= limit.memory || input <= SMALL / 4 {
        return Ok(());
    }
    let least = Estimate {
        size,
        whole: true,
        rows: false,
        memory,
        memory_of_whole: memory,
        parameters,
        packed: 0,
        decoded: input,
        scratch: 0,
        moved: 0,
        sweeps: 0,
        places: [0; 3],
        macs: 0,
        macs_of_whole: 0,
        seconds: 0.0,
    };
    Err(Error::TooLittleMemory { least: Box::new(least), limit: limit.clone() })
}

/// The same for a batch of several images.
///
/// # Errors
/// [`Error::TooLittleMemory`]; a part of the batch has another shape than the network takes.
pub(crate) fn check_batch(
    generator: &CapturedGenerator,
    x: &Condition,
    limit: &MemoryLimit,
    demand: &Demand,
) -> Result<()> {
    let first = match x {
        Condition::Planes(x) => Condition::Planes(x.narrow(0, 0, 1)?),
        Condition::Labels(x) => {
            let rest = x.rest().map(|rest| rest.narrow(0, 0, 1)).transpose()?;
            Condition::Labels(OneHot::new(&x.labels().narrow(0, 0, 1)?, x.classes(), rest.as_ref(), x.dtype())?)
        }
    };
    let times = match x {
        Condition::Planes(x) => x.dim(0)?,
        Condition::Labels(x) => x.dims()[0],
    };
    let (flow, output) = generator.dataflow(&first)?;
    check_at_once(&flow, output, times as u64, limit, demand)
}

/// Bytes of tensors.
pub(crate) fn bytes<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> u64 {
    tensors.into_iter().map(|t| (t.elem_count() * t.dtype().size_in_bytes()) as u64).sum()
}

#[cfg(test)]
mod tests;
