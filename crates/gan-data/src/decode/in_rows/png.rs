//! The rows of a PNG.

use std::io::{BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use image::metadata::Orientation;
use png::{BitDepth, ColorType, Decoder, DecodingError, Limits, Reader, Transformations};

use super::excerpt::Excerpt;
use super::{Opened, Purpose, Rows, Samples};
use crate::decode::bytes::OnDisk;
use crate::decode::flaw::Flaw;
use crate::decode::id_files::{in_colour, unpacked};
use crate::decode::limits::MOST_EXPANSION;
use crate::decode::{DecodeOptions, REPLACE, png_chunks};
use crate::error::{Error, Result};

/// Bytes that are read from a disk at a time.
const BUFFER: usize = 1 << 16;

/// Bytes of the decoder's windows.
const DECODER: u64 = 1 << 18;

pub(super) struct PngRows {
    path: PathBuf,
    source: Excerpt,
    most: usize,
    purpose: Purpose,
    reader: Reader<BufReader<Excerpt>>,
    size: (usize, usize),
    /// As stored, or of images as decoded.
    color: ColorType,
    depth: BitDepth,
    row: Vec<u8>,
}

impl PngRows {
    pub(super) fn open(opened: &Opened, options: &DecodeOptions, purpose: Purpose) -> Result<Option<Self>> {
        let path = opened.path.as_path();
        let file = opened.file.try_clone().map_err(|e| Error::io("read", path, e))?;
        let chunks = png_chunks::walk(&OnDisk::new(file, opened.length)).map_err(|flaw| flaw.of(path))?;
        let turned = chunks.orientation.filter(|_| options.exif).unwrap_or(Orientation::NoTransforms);
        let source = Excerpt::new(opened.file.clone(), chunks.kept, Vec::new());
        let most = usize::try_from(options.limits.max_bytes).unwrap_or(usize::MAX);
        let reader = reader(&source, most, purpose).map_err(|error| refused(path, error))?;
        let info = reader.info();
        if info.interlaced || turned != Orientation::NoTransforms {
            return Ok(None);
        }
        let (width, height) = info.size();
        let (color, depth) = match purpose {
            Purpose::Image => reader.output_color_type(),
            Purpose::Ids => (info.color_type, info.bit_depth),
        };
        if purpose == Purpose::Ids && matches!(color, ColorType::Rgb | ColorType::Rgba) {
            return Err(in_colour(path));
        }
        let row = reader.output_line_size(width).unwrap_or(usize::MAX);
        let bytes = (row as u64).saturating_mul(height.into());
        options.limits.check(path, width, height, bytes)?;
        options.limits.check_ratio(path, opened.length, bytes, MOST_EXPANSION)?;
        let size = (width as usize, height as usize);
        let (path, row) = (path.to_owned(), vec![0; row]);
        Ok(Some(PngRows { path, source, most, purpose, reader, size, color, depth, row }))
    }

    /// The next row, into `row`.
    fn advance(&mut self) -> Result<()> {
        match self.reader.read_row(&mut self.row) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(Flaw::Truncated.of(&self.path)),
            Err(error) => Err(refused(&self.path, error)),
        }
    }
}

impl Rows for PngRows {
    fn size(&self) -> (usize, usize) {
        self.size
    }

    fn channels(&self) -> usize {
        if self.purpose == Purpose::Ids { 1 } else { self.color.samples() }
    }

    fn depth(&self) -> u32 {
        if self.depth == BitDepth::Sixteen { 16 } else { 8 }
    }

    fn next(&mut self, count: usize) -> Result<Samples> {
        let (width, channels) = (self.size.0, self.channels());
        let in_row = width * self.color.samples();
        // Of grey with alpha, ids are the grey.
        let step = if self.purpose == Purpose::Ids { self.color.samples() } else { 1 };
        if self.depth == BitDepth::Sixteen {
            let mut samples = Vec::with_capacity(count * width * channels);
            for _ in 0..count {
                self.advance()?;
                let row = self.row.as_chunks::<2>().0[..in_row].iter().step_by(step);
                samples.extend(row.map(|bytes| u16::from_be_bytes(*bytes)));
            }
            return Ok(Samples::U16(samples));
        }
        let mut samples = Vec::with_capacity(count * width * channels);
        for _ in 0..count {
            self.advance()?;
            match self.depth {
                BitDepth::Eight => samples.extend(self.row[..in_row].iter().step_by(step)),
                packed => samples.extend(unpacked(&self.row, packed as usize).take(in_row).map(|id| id as u8)),
            }
        }
        Ok(Samples::U8(samples))
    }

    fn end(&mut self) -> Result<()> {
        // Looks at the checksum behind the last pixel.
        match self.reader.next_row() {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(Flaw::Damaged("it has more rows than its header says").of(&self.path)),
            Err(error) => Err(refused(&self.path, error)),
        }
    }

    fn restart(&mut self) -> Result<()> {
        self.reader = reader(&self.source, self.most, self.purpose).map_err(|error| refused(&self.path, error))?;
        Ok(())
    }

    fn working(&self) -> u64 {
        // The row as it is filtered, the one before it, and as it is returned.
        4 * self.row.len() as u64 + DECODER + BUFFER as u64
    }
}

fn reader(source: &Excerpt, most: usize, purpose: Purpose) -> Result<Reader<BufReader<Excerpt>>, DecodingError> {
    let source = BufReader::with_capacity(BUFFER, source.again());
    let mut decoder = Decoder::new_with_limits(source, Limits { bytes: most });
    decoder.set_transformations(match purpose {
        Purpose::Image => Transformations::EXPAND,
        Purpose::Ids => Transformations::IDENTITY,
    });
    decoder.read_info()
}

fn refused(path: &Path, error: DecodingError) -> Error {
    match error {
        DecodingError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => Flaw::Truncated.of(path),
        DecodingError::LimitsExceeded => {
            Error::decode(path, error, "it needs more memory than the decoding limits allow; scale it down")
        }
        error => Error::decode(path, error, REPLACE),
    }
}
