//! Large images, read and written row by row: neither the file's pixels nor the result is in memory as a whole.

mod feed;
mod pixels;
mod sink;

use crate::alpha::Alpha;
use crate::bounded::{self, Demand};
use crate::device::is_out_of_memory;
use crate::limit::{Estimate, ScratchSpace};
use crate::model::{Model, Translated};
use crate::reader::Files;
use crate::scratch::scratch;
use crate::{Error, InputKind, OutputKind, Result};
use feed::{Beside, Feed};
use gan_data::{ImageShape, RowWriter, WriteOptions};
use gan_layers::bands::{Dataflow, Value};
use pixels::Decoding;
use sink::Sink;
use std::cell::RefCell;
use std::path::Path;

/// Pixels up to which nobody asks what an image takes.
const FEW: usize = 1 << 16;
/// Bytes of a translation at once up to which it is one.
const SMALL: u64 = 384 << 20;
/// Bytes of rows of the output on their way into a file, at most, but for eight rows.
const ROWS: u64 = 32 << 20;
/// Bytes of an encoder and the buffer of its file.
const ENCODER: u64 = 4 << 20;

/// The translation of a file to a file, row by row.
pub(crate) struct RowJob<'m> {
    model: &'m Model,
    feed: Feed,
    beside: Option<Beside>,
    output: &'m Path,
    shape: ImageShape,
}

impl<'m> RowJob<'m> {
    /// `None` for a translation at once: of an image that takes little memory, and of a kind that is not read in rows.
    pub(crate) fn of(model: &'m Model, files: &Files<'_>, output: &'m Path) -> Result<Option<Self>> {
        let (networks, reader) = (model.networks(), model.reader());
        let alone = files.content.is_none()
            && files.instance_content.is_none()
            && reader.transform.is_none()
            && output != Path::new("-");
        if !alone || !networks.takes_rows() || output.as_os_str().is_empty() {
            return Ok(None);
        }
        let limit = networks.limit();
        // What was asked for counts; what the machine happens to have free does not make larger files readable.
        let memory = limit.filter(|limit| limit.alone).map(|limit| limit.memory);
        let decoding = Decoding::new(reader.options_of(files), memory);
        let sides = (networks.size_multiple(), networks.smallest_side());
        // What is wrong with a file is said by who reads it as a whole.
        let Ok(Some(feed)) = Feed::open(reader, files, &decoding, sides) else { return Ok(None) };
        let (height, width) = feed.file_size();
        if height.saturating_mul(width) <= FEW {
            return Ok(None);
        }
        let options = model.options();
        let (stored, depth) = feed.stored().unwrap_or((0, 8));
        let colours = model.config().output == OutputKind::Colour;
        let channels = model.output_channels();
        let restore = options.alpha == Alpha::Restore
            && matches!(stored, 2 | 4)
            && matches!(channels, 1 | 3)
            && !reader.takes_alpha();
        let beside = match restore || colours {
            true => Beside::open(&feed, files.input, &decoding)?,
            false => None,
        };
        let channels = channels + usize::from(restore);
        let depth = if colours { 8 } else { depth };
        let job = RowJob { model, feed, beside, output, shape: ImageShape { width, height, channels, depth } };
        if job.is_small()? { Ok(None) } else { Ok(Some(job)) }
    }

    /// Whether all of it may be in memory at once: it fits into the limit, and takes little unless that is a device's.
    fn is_small(&self) -> Result<bool> {
        let networks = self.model.networks();
        let (flow, output) = self.flow()?;
        // The input as tensors, before and after it is extended.
        let held = 2 * self.feed.tensor_bytes();
        let demand = Demand::of_tensors(networks.parameters(), held);
        let on_device = !networks.engine().is_exact();
        let small = on_device || bounded::at_once(&flow, output) <= SMALL + bounded::kept(&flow);
        Ok(small && networks.limit().is_none_or(|limit| bounded::fits_at_once(&flow, output, limit, &demand)))
    }

    fn flow(&self) -> Result<(Dataflow<'_>, Value)> {
        let networks = self.model.networks();
        Ok(networks.generator().dataflow_over(&self.feed, networks.engine().clone())?)
    }

    /// What is there beside the evaluation of the network.
    fn demand(&self) -> Demand {
        let mut input = self.feed.taken();
        self.beside.iter().for_each(|beside| input += beside.taken());
        let ShapeBytes { row, all } = ShapeBytes::of(&self.shape);
        let floats = row * 4 / u64::from(self.shape.depth / 8);
        let rows = (floats * 3 / 2).saturating_mul(self.shape.height as u64).min(ROWS.max(8 * floats) * 3 / 2);
        let in_rows = RowWriter::serves(self.output, self.shape.channels);
        // Of a format that is encoded as a whole, the levels, and the file, which is not larger.
        let written = if in_rows { ENCODER + 4 * row } else { 2 * all };
        if !self.model.networks().engine().is_exact() {
            // Files and their rows are in the memory of the host.
            let parameters = self.model.networks().parameters();
            return Demand { rows: true, passing: Some(0), ..Demand::of_tensors(parameters, 0) };
        }
        Demand {
            parameters: self.model.networks().parameters(),
            held: input.held + if in_rows { 0 } else { written },
            before: input.decoding,
            decoded: input.whole,
            rows: true,
            passing: Some(rows + if in_rows { written } else { 0 }),
        }
    }

    /// What it takes.
    ///
    /// # Errors
    /// [`Error::TooLittleMemory`]; those of the network.
    pub(crate) fn estimate(&self) -> Result<Estimate> {
        let (flow, output) = self.flow()?;
        Ok(bounded::plan(&flow, output, self.model.networks().limit(), &self.demand())?.1)
    }

    /// Translates, and writes the result, which appears whole or not at all.
    ///
    /// # Errors
    /// As [`Model::translate_files`].
    pub(crate) fn run(mut self, options: &WriteOptions) -> Result<Translated> {
        let (demand, mut limit) = (self.demand(), self.model.networks().limit().cloned());
        let beside = self.beside.take();
        let (flow, output) = self.flow()?;
        let sink = Sink::new(self.model.options(), self.shape, self.output, beside, self.is_lightness());
        let sink = RefCell::new(sink);
        // Without a limit there are no files.
        let no_folder = ScratchSpace::HostMemory;
        let mut failure = None;
        loop {
            let (plan, _) = bounded::plan(&flow, output, limit.as_ref(), &demand)?;
            let files = scratch(limit.as_ref().map_or(&no_folder, |limit| &limit.scratch));
            let run = flow.run_into(&plan, &*files, &mut |first, rows| {
                sink.borrow_mut().write(first, rows).map_err(|error| {
                    let text = error.to_string();
                    failure.get_or_insert(error);
                    candle_core::Error::Msg(text)
                })
            });
            match (run, &limit) {
                (Ok(()), _) => break,
                // No row has left yet: they can be computed in smaller bands.
                (Err(error), Some(had)) if is_out_of_memory(&error) && !sink.borrow().has_begun() => {
                    let less = bounded::tighter(had);
                    drop(files);
                    if bounded::plan(&flow, output, Some(&less), &demand).is_err() {
                        return Err(error.into());
                    }
                    limit = Some(less);
                }
                (Err(error), _) => return Err(self.feed.failure().or(failure).unwrap_or(Error::Tensor(error))),
            }
        }
        sink.into_inner().finish(options)?;
        let alpha_lost = self.feed.is_transparent() && self.model.options().alpha == Alpha::Drop;
        Ok(Translated { alpha_lost })
    }

    fn is_lightness(&self) -> bool {
        self.model.config().input == InputKind::Lightness
    }
}

/// Bytes of an image as a file holds it.
struct ShapeBytes {
    row: u64,
    all: u64,
}

impl ShapeBytes {
    fn of(shape: &ImageShape) -> Self {
        let row = shape.row_bytes();
        ShapeBytes { row, all: row.saturating_mul(shape.height as u64) }
    }
}
