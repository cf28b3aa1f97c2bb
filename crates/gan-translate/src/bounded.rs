//! Translations that keep to a limit of memory: on the CPU, with the bits of those that do not.

use crate::conditioning::Condition;
use crate::limit::{Estimate, MemoryLimit};
use crate::{Error, Result};
use candle_core::Tensor;
use gan_layers::bands::{Dataflow, Limits, Place, Plan, Rates, Scratch, ScratchFile, Value};
use gan_nets::CapturedGenerator;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Bytes of the program itself, and of each of its threads.
const PROGRAM: u64 = 128 << 20;
const THREAD: u64 = 6 << 20;
/// What the allocator takes for 100 bytes in bands, and for 100 bytes of a whole image, whose few large tensors leave larger gaps. Measured.
const IN_BANDS: u64 = 110;
const AT_ONCE: u64 = 135;
/// Multiply-adds that a thread does in a second (those of Winograd convolution count as if it saved none), and bytes of files that move in a
/// second. They weigh files against computing again; results do not depend on them.
const MACS: f64 = 60e9;
const SCRATCH: f64 = 800e6;

/// A decision.
enum Strategy {
    Whole,
    Bands(Plan),
}

/// Translates within the limit. `taken` are the bytes of parameters and inputs.
pub(crate) fn translate(
    generator: &CapturedGenerator,
    x: &Condition,
    limit: &MemoryLimit,
    taken: u64,
) -> Result<Tensor> {
    let (flow, output) = generator.dataflow(x)?;
    match decide(&flow, output, limit, taken)?.0 {
        Strategy::Whole => Ok(generator.forward(x)?),
        Strategy::Bands(plan) => Ok(flow.run(&plan, &Files(&limit.scratch))?),
    }
}

/// What [`translate`] takes.
pub(crate) fn estimate(
    generator: &CapturedGenerator,
    x: &Condition,
    limit: &MemoryLimit,
    taken: u64,
) -> Result<Estimate> {
    let (flow, output) = generator.dataflow(x)?;
    Ok(decide(&flow, output, limit, taken)?.1)
}

fn decide(flow: &Dataflow<'_>, output: Value, limit: &MemoryLimit, taken: u64) -> Result<(Strategy, Estimate)> {
    let size = flow.size(output);
    let threads = rayon::current_num_threads();
    let taken = taken + PROGRAM + THREAD * threads as u64;
    let rates = Rates { macs: MACS * threads as f64, scratch: SCRATCH };
    let left = limit.memory.saturating_sub(taken);
    // The result, cut to the size of the input, and as an image.
    let at_the_end = size.bytes() * 5 / 2;
    let forward = (flow.memory_of_forward(output) * AT_ONCE / 100).max(at_the_end);
    let mut estimate = Estimate {
        size: (size.width, size.height),
        whole: true,
        memory: taken + forward,
        memory_of_whole: taken + forward,
        scratch: 0,
        moved: 0,
        sweeps: 1,
        places: [0; 3],
        macs: flow.macs(),
        macs_of_whole: flow.macs(),
        seconds: flow.macs() as f64 / rates.macs,
    };
    if forward <= left {
        return Ok((Strategy::Whole, estimate));
    }
    let plan = flow.plan(output, &Limits { memory: left * 100 / IN_BANDS, scratch: limit.scratch_bytes }, &rates);
    let (plan, fits) = match plan {
        Ok(plan) => (plan, at_the_end <= left),
        Err(plan) => (plan, false),
    };
    estimate = Estimate {
        whole: false,
        memory: taken + (plan.memory * IN_BANDS).div_ceil(100).max(at_the_end),
        scratch: plan.scratch,
        moved: plan.moved,
        sweeps: plan.sweeps(),
        places: [Place::Memory, Place::Scratch, Place::Recomputed].map(|place| plan.count(place)),
        macs: plan.macs,
        seconds: plan.seconds,
        ..estimate
    };
    match fits {
        true => Ok((Strategy::Bands(plan), estimate)),
        false => Err(Error::TooLittleMemory { least: Box::new(estimate), limit: limit.clone() }),
    }
}

/// Bytes of tensors.
pub(crate) fn bytes<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> u64 {
    tensors.into_iter().map(|t| (t.elem_count() * t.dtype().size_in_bytes()) as u64).sum()
}

/// Files without names in a folder.
struct Files<'a>(&'a Path);

impl Scratch for Files<'_> {
    fn file(&self) -> io::Result<Box<dyn ScratchFile>> {
        let file = gan_fs::unnamed_file(self.0).map_err(|error| of_folder(self.0, &error))?;
        Ok(Box::new(Unnamed { file, folder: self.0.to_owned() }))
    }
}

struct Unnamed {
    file: File,
    folder: PathBuf,
}

impl ScratchFile for Unnamed {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.file.seek(SeekFrom::End(0)).and_then(|_| self.file.write_all(bytes));
        written.map_err(|error| of_folder(&self.folder, &error))
    }

    fn read_at(&mut self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let read = self.file.seek(SeekFrom::Start(offset)).and_then(|_| self.file.read_exact(bytes));
        read.map_err(|error| of_folder(&self.folder, &error))
    }
}

/// The same error, with the folder of the file, which has no name.
fn of_folder(folder: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("a scratch file in {}: {error}", folder.display()))
}
