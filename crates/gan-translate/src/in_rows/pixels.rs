//! Rows of the files of an input: read when they are wanted where the format allows that, else cut from the decoded whole.

use crate::Result;
use gan_data::{DecodeLimits, DecodeOptions, Header, IdMap, IdRowReader, Image, RowReader, decode, decode_ids, probe};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// How files are read: in rows, and as a whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decoding {
    pub(super) rows: DecodeOptions,
    pub(super) whole: DecodeOptions,
}

impl Decoding {
    /// Without a limit of memory, the usual limits; with one, an image may have as many pixels as fit into it, and what is read in rows any
    /// number.
    pub(super) fn new(options: DecodeOptions, memory: Option<u64>) -> Self {
        let Some(memory) = memory else { return Decoding { rows: options, whole: options } };
        let endless = DecodeLimits { max_pixels: u64::MAX, max_bytes: u64::MAX, max_side: i32::MAX as u32 };
        let whole = DecodeLimits { max_bytes: memory, ..endless };
        Decoding {
            rows: DecodeOptions { limits: endless, ..options },
            whole: DecodeOptions { limits: whole, ..options },
        }
    }
}

/// Bytes of memory that an input takes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Taken {
    /// While it is there.
    pub(super) held: u64,
    /// While it is decoded, before anything is computed.
    pub(super) decoding: u64,
    /// Of [`Taken::held`], what is decoded as a whole.
    pub(super) whole: u64,
}

impl std::ops::AddAssign for Taken {
    fn add_assign(&mut self, other: Self) {
        self.decoding = (self.held + other.decoding).max(self.decoding + other.held);
        self.held += other.held;
        self.whole += other.whole;
    }
}

/// What decoding a file as a whole takes: the file, and up to three times its samples.
fn taken_whole(path: &Path, samples: u64, held: u64) -> Taken {
    let file = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    Taken { held, decoding: file + 3 * samples.max(held), whole: held }
}

/// The rows of an image.
pub(super) enum ImageRows {
    Read(RowReader),
    Whole { path: PathBuf, options: DecodeOptions, header: Header, image: Option<Image> },
}

impl ImageRows {
    pub(super) fn open(path: &Path, how: &Decoding) -> Result<Self> {
        if let Some(reader) = RowReader::open(path, &how.rows)? {
            return Ok(ImageRows::Read(reader));
        }
        let header = probe(path, &how.whole)?;
        Ok(ImageRows::Whole { path: path.to_owned(), options: how.whole, header, image: None })
    }

    pub(super) fn header(&self) -> Header {
        match self {
            ImageRows::Read(reader) => reader.header(),
            ImageRows::Whole { header, .. } => *header,
        }
    }

    pub(super) fn taken(&self) -> Taken {
        match self {
            ImageRows::Read(reader) => {
                let held = reader.working_bytes();
                Taken { held, decoding: held, whole: 0 }
            }
            ImageRows::Whole { path, header, .. } => {
                let Header { width, height, channels, depth } = *header;
                let bytes = u64::from(width) * u64::from(height) * u64::from(channels) * u64::from(depth / 8);
                taken_whole(path, bytes, bytes)
            }
        }
    }

    pub(super) fn read(&mut self, rows: &Range<usize>) -> Result<Image> {
        match self {
            ImageRows::Read(reader) => Ok(reader.read(rows)?),
            ImageRows::Whole { path, options, image, .. } => {
                let image = match image {
                    Some(image) => image,
                    None => image.insert(decode(path, options)?),
                };
                Ok(image.crop(0, rows.start, image.size().0, rows.len()))
            }
        }
    }
}

/// The rows of a map of ids.
pub(super) enum IdRows {
    Read(IdRowReader),
    Whole { path: PathBuf, options: DecodeOptions, size: (usize, usize), map: Option<IdMap> },
}

impl IdRows {
    pub(super) fn open(path: &Path, how: &Decoding) -> Result<Self> {
        if let Some(reader) = IdRowReader::open(path, &how.rows)? {
            return Ok(IdRows::Read(reader));
        }
        let header = probe(path, &how.whole)?;
        let size = (header.width as usize, header.height as usize);
        Ok(IdRows::Whole { path: path.to_owned(), options: how.whole, size, map: None })
    }

    /// Width and height.
    pub(super) fn size(&self) -> (usize, usize) {
        match self {
            IdRows::Read(reader) => reader.size(),
            IdRows::Whole { size, .. } => *size,
        }
    }

    pub(super) fn taken(&self) -> Taken {
        match self {
            IdRows::Read(reader) => {
                let held = reader.working_bytes();
                Taken { held, decoding: held, whole: 0 }
            }
            IdRows::Whole { path, size, .. } => {
                let ids = size_of::<u32>() as u64 * size.0 as u64 * size.1 as u64;
                taken_whole(path, ids, ids)
            }
        }
    }

    pub(super) fn read(&mut self, rows: &Range<usize>) -> Result<IdMap> {
        match self {
            IdRows::Read(reader) => Ok(reader.read(rows)?),
            IdRows::Whole { path, options, map, .. } => {
                let map = match map {
                    Some(map) => map,
                    None => map.insert(decode_ids(path, options)?),
                };
                Ok(map.crop(0, rows.start, map.size().0, rows.len()))
            }
        }
    }
}
