//! Images that are read some rows at a time, by the rules of those that are decoded as a whole.

mod excerpt;
mod png;
mod tiff;

use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use image::ImageFormat;

use self::png::PngRows;
use self::tiff::TiffRows;
use super::id_files::in_colour;
use super::{AlphaPolicy, DecodeOptions, Header, LabelsAs, format_of};
use crate::dynamic_image::Image;
use crate::error::{Error, Result};
use crate::ids::IdMap;
use crate::image_name::is_planes;
use crate::raster::Raster;

/// Rows that are read at a time where nobody wants them.
const SKIPPED: usize = 64;

/// Interleaved samples of some rows.
enum Samples {
    U8(Vec<u8>),
    U16(Vec<u16>),
}

/// Samples in the order in which a file stores their rows.
trait Rows: Send {
    fn size(&self) -> (usize, usize);

    /// Samples a pixel.
    fn channels(&self) -> usize;

    /// Bits a sample: 8 or 16.
    fn depth(&self) -> u32;

    /// The next rows, of which there are so many.
    fn next(&mut self, count: usize) -> Result<Samples>;

    /// Called behind the last row: whether the rest of the file is as it should be.
    fn end(&mut self) -> Result<()>;

    /// Begins again with the first row.
    fn restart(&mut self) -> Result<()>;

    /// Bytes of memory beside the rows that it returns.
    fn working(&self) -> u64;
}

/// What the samples are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Colours: palettes are replaced by theirs, and levels go up to the largest of 8 or 16 bits.
    Image,
    /// Ids: the numbers that are stored.
    Ids,
}

/// A file that is open, and what would tell that somebody else has written to it.
#[derive(Clone)]
struct Opened {
    path: PathBuf,
    file: Arc<File>,
    length: u64,
    modified: Option<SystemTime>,
}

impl Opened {
    fn check_unchanged(&self) -> Result<()> {
        let metadata = self.file.metadata().map_err(|e| Error::io("read", &self.path, e))?;
        if (metadata.len(), metadata.modified().ok()) == (self.length, self.modified) {
            return Ok(());
        }
        Err(Error::decode(&self.path, "it was written to while it was read", "try again when it is complete"))
    }
}

/// Rows in any order: going back means to begin again.
struct Sequence {
    rows: Box<dyn Rows>,
    opened: Opened,
    /// The row that comes next.
    next: usize,
}

impl Sequence {
    /// `None` for a file that has to be decoded as a whole: of another format than PNG and TIFF, an interlaced PNG, a TIFF of a rare kind or
    /// in large pieces, and all that has to be turned.
    fn open(path: &Path, options: &DecodeOptions, purpose: Purpose) -> Result<Option<Self>> {
        if is_planes(path) {
            return Ok(None);
        }
        let (mut file, length) = options.limits.open(path)?;
        let mut head = Vec::new();
        (&mut file).take(16).read_to_end(&mut head).map_err(|e| Error::io("read", path, e))?;
        let modified = file.metadata().ok().and_then(|metadata| metadata.modified().ok());
        let opened = Opened { path: path.to_owned(), file: Arc::new(file), length, modified };
        let rows: Option<Box<dyn Rows>> = match format_of(&head) {
            Some(ImageFormat::Png) if options.page == 0 => {
                PngRows::open(&opened, options, purpose)?.map(|rows| Box::new(rows) as _)
            }
            Some(ImageFormat::Tiff) => TiffRows::open(&opened, options, purpose)?.map(|rows| Box::new(rows) as _),
            _ => None,
        };
        Ok(rows.map(|rows| Sequence { rows, opened, next: 0 }))
    }

    fn read(&mut self, rows: &Range<usize>) -> Result<Samples> {
        let height = self.rows.size().1;
        assert!(rows.start < rows.end && rows.end <= height, "rows {rows:?} of an image of {height}");
        if rows.start < self.next {
            self.opened.check_unchanged()?;
            self.rows.restart()?;
            self.next = 0;
        }
        while self.next < rows.start {
            let count = SKIPPED.min(rows.start - self.next);
            self.rows.next(count)?;
            self.next += count;
        }
        let samples = self.rows.next(rows.len())?;
        self.next = rows.end;
        if self.next == height {
            self.rows.end()?;
        }
        Ok(samples)
    }
}

/// An image file of which some rows at a time are decoded: a PNG that is not interlaced, or a TIFF or BigTIFF in strips or tiles.
pub struct RowReader {
    sequence: Sequence,
    options: DecodeOptions,
    header: Header,
}

impl RowReader {
    /// Opens an image; `None` for a file that [`decode`](crate::decode) reads and that cannot be read in rows: one of another format, an
    /// interlaced PNG, a TIFF of a rare kind or in large pieces, and all that is to be turned upright. What is wrong with the structure of the
    /// file is found now, what is wrong with its pixels when they are read.
    ///
    /// # Errors
    /// As [`decode`](crate::decode).
    pub fn open(path: &Path, options: &DecodeOptions) -> Result<Option<Self>> {
        let Some(sequence) = Sequence::open(path, options, Purpose::Image)? else { return Ok(None) };
        let rows = &sequence.rows;
        let (width, height) = rows.size();
        // What becomes of alpha is seen on a pixel.
        let pixel = match rows.depth() {
            8 => Image::U8(Raster::zeros(1, 1, rows.channels())),
            _ => Image::U16(Raster::zeros(1, 1, rows.channels())),
        };
        let channels = pixel.with_alpha(options.alpha).channels();
        let Ok(channels) = u8::try_from(channels) else { return Ok(None) };
        let header = Header { width: width as u32, height: height as u32, channels, depth: rows.depth() };
        Ok(Some(RowReader { sequence, options: *options, header }))
    }

    /// What [`RowReader::read`] returns.
    #[must_use]
    pub fn header(&self) -> Header {
        self.header
    }

    /// Bytes of memory that it takes, beside the rows that it returns.
    #[must_use]
    pub fn working_bytes(&self) -> u64 {
        self.sequence.rows.working()
    }

    /// These rows, of which there is at least one. They are best read in order: to go back means to decode the file anew.
    ///
    /// # Errors
    /// As [`decode`](crate::decode); the file was written to meanwhile.
    ///
    /// # Panics
    /// If there are no such rows.
    pub fn read(&mut self, rows: &Range<usize>) -> Result<Image> {
        let samples = self.sequence.read(rows)?;
        let (width, channels) = (self.header.width as usize, self.sequence.rows.channels());
        let image = match samples {
            Samples::U8(samples) => Image::U8(Raster::new(width, rows.len(), channels, samples)),
            Samples::U16(samples) => Image::U16(Raster::new(width, rows.len(), channels, samples)),
        };
        Ok(image.with_alpha(self.options.alpha))
    }
}

/// A map of ids of which some rows at a time are decoded; see [`RowReader`].
pub struct IdRowReader(Ids);

enum Ids {
    Stored(Sequence),
    /// Of colours whose red, green and blue are the id, each.
    Levels(RowReader),
}

impl IdRowReader {
    /// Opens a map, as [`RowReader::open`] opens an image.
    ///
    /// # Errors
    /// As [`decode_ids`](crate::decode_ids).
    pub fn open(path: &Path, options: &DecodeOptions) -> Result<Option<Self>> {
        if options.labels_as == LabelsAs::Rgb {
            // Alpha does not matter.
            let image = RowReader::open(path, &DecodeOptions { alpha: AlphaPolicy::Keep, ..*options })?;
            if image.as_ref().is_none_or(|image| image.header.channels > 2) {
                return Ok(image.map(|image| IdRowReader(Ids::Levels(image))));
            }
        }
        let Some(sequence) = Sequence::open(path, options, Purpose::Ids)? else { return Ok(None) };
        if sequence.rows.channels() != 1 {
            return Err(in_colour(path));
        }
        Ok(Some(IdRowReader(Ids::Stored(sequence))))
    }

    /// `(width, height)` in pixels.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        match &self.0 {
            Ids::Stored(sequence) => sequence.rows.size(),
            Ids::Levels(image) => image.sequence.rows.size(),
        }
    }

    /// Bytes of memory that it takes, beside the rows that it returns.
    #[must_use]
    pub fn working_bytes(&self) -> u64 {
        match &self.0 {
            Ids::Stored(sequence) => sequence.rows.working(),
            Ids::Levels(image) => image.working_bytes(),
        }
    }

    /// These rows; see [`RowReader::read`].
    ///
    /// # Errors
    /// As [`decode_ids`](crate::decode_ids); the file was written to meanwhile.
    ///
    /// # Panics
    /// If there are no such rows.
    pub fn read(&mut self, rows: &Range<usize>) -> Result<IdMap> {
        let width = self.size().0;
        let ids = match &mut self.0 {
            Ids::Stored(sequence) => match sequence.read(rows)? {
                Samples::U8(samples) => samples.into_iter().map(u32::from).collect(),
                Samples::U16(samples) => samples.into_iter().map(u32::from).collect(),
            },
            Ids::Levels(reader) => {
                let image = reader.read(rows)?;
                let found = match &image {
                    Image::U8(raster) => levels(raster),
                    Image::U16(raster) => levels(raster),
                };
                found.map_err(|(at, colour)| {
                    let (x, y) = (at % width, rows.start + at / width);
                    let reason = format!("at x={x}, y={y} it holds {colour}, and red, green and blue have to be equal");
                    Error::InColour { path: reader.sequence.opened.path.clone(), reason }
                })?
            }
        };
        Ok(IdMap::new(Raster::new(width, rows.len(), 1, ids)))
    }
}

/// The levels of pixels that are grey, or the first pixel that is not, and its colour.
fn levels<T: Copy + Default + PartialEq + Display + Into<u32>>(
    raster: &Raster<T>,
) -> Result<Vec<u32>, (usize, String)> {
    let pixels = raster.samples().chunks_exact(raster.channels()).enumerate();
    pixels
        .map(|(at, pixel)| match pixel[0] == pixel[1] && pixel[0] == pixel[2] {
            true => Ok(pixel[0].into()),
            false => Err((at, format!("{}, {}, {}", pixel[0], pixel[1], pixel[2]))),
        })
        .collect()
}
