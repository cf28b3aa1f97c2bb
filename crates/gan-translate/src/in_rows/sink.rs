//! What becomes of the rows of an output: levels, in a file that grows, or in an image that is encoded at the end.

use super::feed::Beside;
use crate::alpha::{self, Alpha};
use crate::options::Options;
use crate::{Error, Result};
use candle_core::Tensor;
use gan_data::{
    Depth, Image, ImageShape, Quantize, Raster, RowWriter, WriteOptions, image_from_lab, image_from_tensor,
    write_image_with,
};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Takes the rows of an output, from the first to the last.
pub(super) struct Sink {
    shape: ImageShape,
    quantize: Quantize,
    restore: bool,
    lightness: bool,
    beside: Option<Beside>,
    output: PathBuf,
    target: Target,
}

enum Target {
    /// Nothing was written yet.
    None,
    File(Box<RowWriter>),
    /// Levels, for a format that is encoded as a whole.
    U8(Vec<u8>),
    U16(Vec<u16>),
}

impl Sink {
    pub(super) fn new(
        options: &Options,
        shape: ImageShape,
        output: &Path,
        beside: Option<Beside>,
        lightness: bool,
    ) -> Self {
        Sink {
            shape,
            quantize: options.quantize,
            restore: options.alpha == Alpha::Restore,
            lightness,
            beside,
            output: output.to_owned(),
            target: Target::None,
        }
    }

    /// Whether rows have come.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.target, Target::None)
    }

    /// Takes rows `[1, C, rows, W]` from row `first` on; what lies beyond the image is left out.
    pub(super) fn write(&mut self, first: usize, rows: &Tensor) -> Result<()> {
        let count = rows.dim(2)?.min(self.shape.height.saturating_sub(first));
        if count == 0 {
            return Ok(());
        }
        let rows = rows.narrow(2, 0, count)?.narrow(3, 0, self.shape.width)?;
        let image = self.image(&rows, first..first + count)?;
        if let Target::None = self.target {
            self.target = self.begin()?;
        }
        match (&mut self.target, image) {
            (Target::File(file), image) => file.write(&image)?,
            (Target::U8(all), Image::U8(rows)) => all.extend_from_slice(rows.samples()),
            (Target::U16(all), Image::U16(rows)) => all.extend_from_slice(rows.samples()),
            _ => return Err(Error::Tensor(candle_core::Error::Msg("the rows of an output differ in depth".into()))),
        }
        Ok(())
    }

    /// Not before there are rows: until then there is no file to be left behind.
    fn begin(&self) -> Result<Target> {
        if RowWriter::serves(&self.output, self.shape.channels) {
            return Ok(Target::File(Box::new(RowWriter::create(&self.output, self.shape)?)));
        }
        let count = self.shape.width * self.shape.height * self.shape.channels;
        Ok(match self.shape.depth {
            16 => Target::U16(Vec::with_capacity(count)),
            _ => Target::U8(Vec::with_capacity(count)),
        })
    }

    fn image(&mut self, y: &Tensor, rows: Range<usize>) -> Result<Image> {
        let first = rows.start;
        let depth = if self.shape.depth == 16 { Depth::U16 } else { Depth::U8 };
        let image = match self.beside.as_mut().filter(|_| self.lightness) {
            Some(beside) => image_from_lab(&beside.lightness(&rows)?, &y.squeeze(0)?),
            None => image_from_tensor(y, depth, self.quantize),
        };
        let image = image.map_err(|error| at_row(error, first))?;
        let alpha = match self.beside.as_mut().filter(|_| self.restore) {
            Some(beside) => beside.alpha(&rows)?,
            None => None,
        };
        Ok(match alpha {
            Some(alpha) => alpha::join(image, alpha),
            None => image,
        })
    }

    /// Completes the file.
    pub(super) fn finish(self, options: &WriteOptions) -> Result<()> {
        let ImageShape { width, height, channels, .. } = self.shape;
        let image = match self.target {
            Target::File(file) => return Ok(file.finish()?),
            Target::U8(levels) => Image::U8(Raster::new(width, height, channels, levels)),
            Target::U16(levels) => Image::U16(Raster::new(width, height, channels, levels)),
            Target::None => return Err(Error::Tensor(candle_core::Error::Msg("there was no output".into()))),
        };
        Ok(write_image_with(&self.output, &image, options)?)
    }
}

/// The same error about the whole image, of which these rows begin at `first`.
fn at_row(error: gan_data::Error, first: usize) -> gan_data::Error {
    match error {
        gan_data::Error::NonFinite { value, channel, x, y, count, of } => {
            gan_data::Error::NonFinite { value, channel, x, y: y + first, count, of }
        }
        other => other,
    }
}
