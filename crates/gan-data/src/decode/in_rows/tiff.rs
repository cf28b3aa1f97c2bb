//! The rows of a TIFF: from strips or tiles that lie beside one another, or from uncompressed strips of any size.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::metadata::Orientation;
use tiff::ColorType;
use tiff::decoder::{ChunkType, Decoder, DecodingResult, Limits};

use super::excerpt::Excerpt;
use super::{Opened, Purpose, Rows, Samples};
use crate::decode::DecodeOptions;
use crate::decode::bytes::OnDisk;
use crate::decode::flaw::Flaw;
use crate::decode::limits::MOST_EXPANSION;
use crate::decode::tiff::{Layout, Stored, find, refused};
use crate::error::{Error, Result};

/// Bytes that are read from a disk at a time.
const BUFFER: usize = 1 << 16;

/// Bytes of strips or tiles beside one another; what takes more is decoded as a whole.
const LARGEST: u64 = 256 << 20;

pub(super) struct TiffRows {
    path: PathBuf,
    size: (usize, usize),
    /// Samples a pixel, as stored.
    stored: usize,
    depth: u32,
    /// Colours that indices stand for.
    palette: Option<Vec<[u8; 3]>>,
    from: Storage,
    /// The row that comes next.
    next: usize,
}

/// Where samples are taken from.
enum Storage {
    Strips(Raw),
    Chunks(Box<Chunks>),
}

/// Samples as they are, in strips.
struct Raw {
    file: Arc<File>,
    big_endian: bool,
    offsets: Vec<u64>,
    /// Rows of a strip.
    rows: usize,
}

/// Strips or tiles.
struct Chunks {
    decoder: Decoder<BufReader<Excerpt>>,
    /// Width and height.
    size: (usize, usize),
    /// How many lie beside one another, and in how many rows.
    grid: (usize, usize),
    planes: usize,
    /// Which row of chunks is decoded, and its samples.
    held: Option<(usize, Samples)>,
}

impl TiffRows {
    pub(super) fn open(opened: &Opened, options: &DecodeOptions, purpose: Purpose) -> Result<Option<Self>> {
        let path = opened.path.as_path();
        let flawed = |flaw: Flaw| flaw.of(path);
        let file = opened.file.try_clone().map_err(|e| Error::io("read", path, e))?;
        let on_disk = OnDisk::new(file, opened.length);
        let layout = Layout::of(&on_disk).map_err(flawed)?;
        let page = find(&layout, opened.length, options.page).map_err(flawed)?;
        let turned = page.orientation.filter(|_| options.exif).unwrap_or(Orientation::NoTransforms);
        let directory = layout.directory(page.directory).map_err(flawed)?;
        let Some(kind) = Stored::of(&layout, &directory).map_err(flawed)? else { return Ok(None) };
        if turned != Orientation::NoTransforms || purpose == Purpose::Ids && kind.samples != 1 {
            return Ok(None);
        }
        let mut changes = vec![layout.change_start(page.directory)];
        changes.extend(kind.change.clone());
        let source = Excerpt::new(opened.file.clone(), std::iter::once(0..opened.length), changes);
        let error = |error| refused(path, error);
        let mut allowed = Limits::default();
        (allowed.decoding_buffer_size, allowed.intermediate_buffer_size) = (LARGEST as usize, LARGEST as usize);
        let decoder = Decoder::new(BufReader::with_capacity(BUFFER, source)).map_err(error)?;
        let mut decoder = decoder.with_limits(allowed);
        let (width, height) = decoder.dimensions().map_err(error)?;
        let found = match decoder.colortype() {
            Ok(ColorType::Gray(bits)) => (1, bits),
            Ok(ColorType::RGB(bits)) => (3, bits),
            Ok(ColorType::RGBA(bits)) => (4, bits),
            Ok(ColorType::Multiband { bit_depth, num_samples }) => (usize::from(num_samples), bit_depth),
            _ => return Ok(None),
        };
        if found != (kind.samples, kind.bits) {
            return Ok(None);
        }
        let bytes = u64::from(kind.bits / 8) * kind.samples as u64;
        let total = (u64::from(width) * u64::from(height)).saturating_mul(bytes);
        options.limits.check(path, width, height, total)?;
        options.limits.check_ratio(path, opened.length, total, MOST_EXPANSION)?;
        let size = (width as usize, height as usize);
        let strips = decoder.get_chunk_type() == ChunkType::Strip;
        if !strips && kind.planes > 1 {
            // Of tiles of planes behind the first, the decoder does not say which part is the image's.
            return Ok(None);
        }
        let (chunk_width, rows) = decoder.chunk_dimensions();
        let from = if strips && kind.raw {
            let lengths_fit = kind.strips_hold(width, height, rows);
            let offsets = kind.offsets;
            if offsets.len() != height.div_ceil(rows.max(1)) as usize || !lengths_fit {
                return Err(Flaw::Truncated.of(path));
            }
            let file = opened.file.clone();
            Storage::Strips(Raw { file, big_endian: kind.big_endian, offsets, rows: rows as usize })
        } else {
            let across = if strips { 1 } else { width.div_ceil(chunk_width.max(1)) };
            let line = u64::from(across) * u64::from(chunk_width) * u64::from(rows) * bytes;
            if line > LARGEST {
                return Ok(None);
            }
            let grid = (across as usize, height.div_ceil(rows.max(1)) as usize);
            let size = (chunk_width as usize, rows as usize);
            Storage::Chunks(Box::new(Chunks { decoder, size, grid, planes: kind.planes, held: None }))
        };
        let palette = kind.palette.filter(|_| purpose == Purpose::Image);
        let depth = if kind.bits == 16 { 16 } else { 8 };
        Ok(Some(TiffRows { path: path.to_owned(), size, stored: kind.samples, depth, palette, from, next: 0 }))
    }

    /// The next rows as they are stored.
    fn samples(&mut self, count: usize) -> Result<Samples> {
        let length = count * self.size.0 * self.stored;
        let mut samples = match self.depth {
            16 => Samples::U16(Vec::with_capacity(length)),
            _ => Samples::U8(Vec::with_capacity(length)),
        };
        let end = self.next + count;
        while self.next < end {
            self.next = match &mut self.from {
                Storage::Strips(raw) => {
                    let last = end.min((self.next / raw.rows + 1) * raw.rows);
                    raw.read(&self.path, self.next, last, self.size.0 * self.stored, &mut samples)?;
                    last
                }
                Storage::Chunks(chunks) => {
                    let rows = chunks.size.1;
                    let last = end.min((self.next / rows + 1) * rows);
                    chunks.load(&self.path, self.next / rows, self.size, self.stored, self.depth)?;
                    let in_row = self.size.0 * self.stored;
                    let part = (self.next % rows) * in_row..(last - self.next / rows * rows) * in_row;
                    match (&chunks.held, &mut samples) {
                        (Some((_, Samples::U8(held))), Samples::U8(to)) => to.extend_from_slice(&held[part]),
                        (Some((_, Samples::U16(held))), Samples::U16(to)) => to.extend_from_slice(&held[part]),
                        _ => return Err(Flaw::Damaged("its samples differ from what its header says").of(&self.path)),
                    }
                    last
                }
            };
        }
        Ok(samples)
    }
}

impl Rows for TiffRows {
    fn size(&self) -> (usize, usize) {
        self.size
    }

    fn channels(&self) -> usize {
        if self.palette.is_some() { 3 } else { self.stored }
    }

    fn depth(&self) -> u32 {
        self.depth
    }

    fn next(&mut self, count: usize) -> Result<Samples> {
        let samples = self.samples(count)?;
        let (Some(palette), Samples::U8(indices)) = (&self.palette, &samples) else { return Ok(samples) };
        let missing = || Flaw::Damaged("a pixel has a colour that its palette lacks").of(&self.path);
        let mut colours = Vec::with_capacity(3 * indices.len());
        for &index in indices {
            colours.extend_from_slice(palette.get(usize::from(index)).ok_or_else(missing)?);
        }
        Ok(Samples::U8(colours))
    }

    fn end(&mut self) -> Result<()> {
        Ok(())
    }

    fn restart(&mut self) -> Result<()> {
        self.next = 0;
        Ok(())
    }

    fn working(&self) -> u64 {
        match &self.from {
            Storage::Strips(_) => BUFFER as u64,
            Storage::Chunks(chunks) => {
                let chunk = chunks.size.0 * chunks.size.1 * self.stored / chunks.planes;
                let line = self.size.0 * chunks.size.1 * self.stored;
                ((3 * chunk + line) * (self.depth / 8) as usize + BUFFER) as u64
            }
        }
    }
}

impl Raw {
    /// Rows of one strip.
    fn read(&self, path: &Path, first: usize, end: usize, in_row: usize, samples: &mut Samples) -> Result<()> {
        let width = if matches!(samples, Samples::U8(_)) { 1 } else { 2 };
        let place = self.offsets[first / self.rows] + (first % self.rows * in_row * width) as u64;
        let mut bytes = vec![0; (end - first) * in_row * width];
        let mut file = &*self.file;
        let read = file.seek(SeekFrom::Start(place)).and_then(|_| file.read_exact(&mut bytes));
        read.map_err(|error| Error::io("read", path, error))?;
        match samples {
            Samples::U8(to) => to.extend_from_slice(&bytes),
            Samples::U16(to) => {
                let number = |bytes: &[u8; 2]| match self.big_endian {
                    true => u16::from_be_bytes(*bytes),
                    false => u16::from_le_bytes(*bytes),
                };
                to.extend(bytes.as_chunks::<2>().0.iter().map(number));
            }
        }
        Ok(())
    }
}

impl Chunks {
    /// Decodes a row of chunks, unless it is there.
    fn load(&mut self, path: &Path, row: usize, size: (usize, usize), stored: usize, depth: u32) -> Result<()> {
        if self.held.as_ref().is_some_and(|(held, _)| *held == row) {
            return Ok(());
        }
        // Before the next ones are decoded, the memory of these is free.
        self.held = None;
        let rows = self.size.1.min(size.1 - row * self.size.1);
        let length = rows * size.0 * stored;
        let mut line = match depth {
            16 => Samples::U16(vec![0; length]),
            _ => Samples::U8(vec![0; length]),
        };
        let each = stored / self.planes;
        for plane in 0..self.planes {
            for x in 0..self.grid.0 {
                let index = (plane * self.grid.0 * self.grid.1 + row * self.grid.0 + x) as u32;
                let chunk = self.decoder.read_chunk(index).map_err(|error| refused(path, error))?;
                let width = self.size.0.min(size.0 - x * self.size.0);
                let at = Place { left: x * self.size.0, width, rows, line: size.0, channel: plane, each, stored };
                match (&mut line, chunk) {
                    (Samples::U8(line), DecodingResult::U8(chunk)) => at.put(path, &chunk, line)?,
                    (Samples::U16(line), DecodingResult::U16(chunk)) => at.put(path, &chunk, line)?,
                    _ => return Err(Flaw::Damaged("its samples differ from what its header says").of(path)),
                }
            }
        }
        self.held = Some((row, line));
        Ok(())
    }
}

/// Where a chunk belongs among those beside it.
struct Place {
    left: usize,
    width: usize,
    rows: usize,
    /// Pixels of a row of the image.
    line: usize,
    /// The first of its channels, and how many it has of all that are stored.
    channel: usize,
    each: usize,
    stored: usize,
}

impl Place {
    fn put<T: Copy>(&self, path: &Path, chunk: &[T], line: &mut [T]) -> Result<()> {
        if chunk.len() != self.width * self.rows * self.each {
            return Err(Flaw::Truncated.of(path));
        }
        for (y, row) in chunk.chunks_exact((self.width * self.each).max(1)).enumerate() {
            let to = &mut line[(y * self.line + self.left) * self.stored..][..self.width * self.stored];
            if self.each == self.stored {
                to.copy_from_slice(row);
                continue;
            }
            for (to, from) in to.chunks_exact_mut(self.stored).zip(row) {
                to[self.channel] = *from;
            }
        }
        Ok(())
    }
}
