//! Samples that the general decoder of TIFF lacks: palettes, integers with a sign or of 32 bits, floating point, many channels.

use std::borrow::Cow;
use std::io::{Cursor, ErrorKind};
use std::path::Path;

use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::{TiffError, TiffUnsupportedError};

use super::extents::{HEIGHT, ROWS_PER_STRIP, STRIP_LENGTHS, STRIP_OFFSETS, WIDTH};
use super::layout::{Directory, Layout, changed};
use crate::decode::bytes::Bytes;
use crate::decode::flaw::Flaw;
use crate::decode::limits::{DecodeLimits, MOST_EXPANSION};
use crate::decode::{Header, OTHER_TIFF, REPLACE};
use crate::dynamic_image::Image;
use crate::error::{Error, Result};
use crate::raster::Raster;

const BITS: u16 = 258;
const COMPRESSION: u16 = 259;
const FILL_ORDER: u16 = 266;
const PHOTOMETRIC: u16 = 262;
pub(super) const SAMPLES: u16 = 277;
const PLANAR: u16 = 284;
const PREDICTOR: u16 = 317;
const COLOUR_MAP: u16 = 320;
const FORMAT: u16 = 339;
const LEAST: u16 = 340;
const MOST: u16 = 341;

/// Values of [`PHOTOMETRIC`].
const BLACK_IS_ZERO: u64 = 1;
const RGB: u64 = 2;
const PALETTE: u64 = 3;

/// What integers with a sign stand for, of 32 bits too.
const SIGNED: Option<(f64, f64)> = Some((-32_768.0, 32_767.0));

const SAY_THE_RANGE: &str = "store what black and white are in its tags SMinSampleValue and SMaxSampleValue, or save it anew as 8- or 16-bit PNG";
const NOT_IDS: &str = "save it as PNG with one channel (8 or 16 bits) or with a palette";

/// The first page of a file, of a kind that the general decoder lacks.
pub(in crate::decode) struct Uncommon<'a> {
    path: &'a Path,
    decoder: Decoder<Cursor<Cow<'a, [u8]>>>,
    size: (u32, u32),
    channels: usize,
    kind: Kind,
    palette: Option<Vec<[u8; 3]>>,
}

/// How samples are stored.
struct Kind {
    indexed: bool,
    bits: usize,
    unsigned: bool,
    planar: bool,
    /// What the file says that black and white are.
    range: Option<(f64, f64)>,
}

impl Kind {
    /// `None` if the general decoder reads it.
    fn of<B: ?Sized + Bytes>(layout: &Layout<'_, B>, directory: &Directory) -> Result<Option<Self>, Flaw> {
        let first = |tag, absent| layout.first(directory, tag, absent);
        let (bits, samples) = (first(BITS, 1)?, first(SAMPLES, 1)?);
        let (photometric, unsigned) = (first(PHOTOMETRIC, BLACK_IS_ZERO)?, first(FORMAT, 1)? == 1);
        let grey = photometric <= BLACK_IS_ZERO;
        let usual = unsigned && bits <= 16 && !(grey && (samples > 1 || matches!(bits, 2 | 4)));
        if photometric > PALETTE || photometric < PALETTE && usual {
            return Ok(None);
        }
        let range = layout.real(directory, LEAST)?.zip(layout.real(directory, MOST)?);
        Ok(Some(Kind {
            indexed: photometric == PALETTE,
            bits: bits as usize,
            unsigned,
            planar: first(PLANAR, 1)? == 2,
            range: range.filter(|(low, high)| low < high),
        }))
    }
}

/// How the samples of a page are stored that can be read in rows: unsigned integers of 8 or 16 bits, as levels or as indices of a palette.
pub(in crate::decode) struct Stored {
    /// Samples a pixel.
    pub(in crate::decode) samples: usize,
    pub(in crate::decode) bits: u8,
    /// How many planes they are stored in.
    pub(in crate::decode) planes: usize,
    pub(in crate::decode) palette: Option<Vec<[u8; 3]>>,
    /// What the decoder is to read in place of what there is.
    pub(in crate::decode) change: Option<(u64, Vec<u8>)>,
    /// Whether strips hold the samples as they are, one pixel after the other.
    pub(in crate::decode) raw: bool,
    pub(in crate::decode) big_endian: bool,
    /// Where strips are, and how long.
    pub(in crate::decode) offsets: Vec<u64>,
    pub(in crate::decode) lengths: Vec<u64>,
}

impl Stored {
    /// `None` for other kinds, and where numbers that matter are of types that no writer uses: what the decoder makes of them is not known here.
    pub(in crate::decode) fn of<B: ?Sized + Bytes>(
        layout: &Layout<'_, B>,
        directory: &Directory,
    ) -> Result<Option<Self>, Flaw> {
        let matter = [
            WIDTH,
            HEIGHT,
            BITS,
            COMPRESSION,
            PHOTOMETRIC,
            FILL_ORDER,
            STRIP_OFFSETS,
            SAMPLES,
            ROWS_PER_STRIP,
            STRIP_LENGTHS,
            PLANAR,
            PREDICTOR,
            COLOUR_MAP,
            FORMAT,
        ];
        if matter.into_iter().any(|tag| directory.is_odd(tag)) {
            return Ok(None);
        }
        let first = |tag, absent| layout.first(directory, tag, absent);
        let (bits, samples, photometric) = (first(BITS, 1)?, first(SAMPLES, 1)?, first(PHOTOMETRIC, BLACK_IS_ZERO)?);
        let same = match directory.field(BITS) {
            Some(field) => layout.numbers(field)?.all(|other| other == bits),
            None => true,
        };
        let levels = match photometric {
            0 => samples == 1,
            BLACK_IS_ZERO => true,
            RGB => matches!(samples, 3 | 4),
            PALETTE => samples == 1 && bits == 8,
            _ => false,
        };
        if !levels || !same || !matches!(bits, 8 | 16) || first(FORMAT, 1)? != 1 {
            return Ok(None);
        }
        let (mut palette, mut change) = (None, None);
        if photometric == PALETTE {
            palette = Some(colours(layout, directory)?);
            change = directory.field(PHOTOMETRIC).map(|field| layout.change_first(field, BLACK_IS_ZERO as u32));
        }
        let numbers = |tag| match directory.field(tag) {
            Some(field) => layout.numbers(field).map(Iterator::collect),
            None => Ok(Vec::new()),
        };
        let planes = if first(PLANAR, 1)? == 2 { samples as usize } else { 1 };
        Ok(Some(Stored {
            samples: samples as usize,
            bits: bits as u8,
            planes,
            palette,
            change,
            // Where white is zero, the decoder turns levels round; and it adds differences up, compressed or not.
            raw: first(COMPRESSION, 1)? == 1
                && planes == 1
                && photometric != 0
                && first(FILL_ORDER, 1)? == 1
                && first(PREDICTOR, 1)? == 1,
            big_endian: layout.is_big_endian(),
            offsets: numbers(STRIP_OFFSETS)?,
            lengths: numbers(STRIP_LENGTHS)?,
        }))
    }

    /// Whether strips of so many rows of samples as they are have the bytes that these take.
    pub(in crate::decode) fn strips_hold(&self, width: u32, height: u32, rows: u32) -> bool {
        let in_row = u64::from(width) * self.samples as u64 * u64::from(self.bits / 8);
        self.lengths.iter().enumerate().all(|(i, &length)| {
            let above = (i as u64).saturating_mul(rows.into());
            let rows = u64::from(rows).min(u64::from(height).saturating_sub(above));
            rows.checked_mul(in_row).is_some_and(|needed| length >= needed)
        })
    }
}

impl<'a> Uncommon<'a> {
    /// Opens the first page within the limits; `None` if the general decoder reads its kind.
    pub(in crate::decode) fn open(path: &'a Path, file: &'a [u8], limits: &DecodeLimits) -> Result<Option<Self>> {
        let flawed = |flaw: Flaw| flaw.of(path);
        let layout = Layout::of(file).map_err(flawed)?;
        let directory = layout.directory(layout.first_directory).map_err(flawed)?;
        let Some(kind) = Kind::of(&layout, &directory).map_err(flawed)? else { return Ok(None) };
        let (mut palette, mut bytes) = (None, Cow::Borrowed(file));
        if kind.indexed {
            palette = Some(colours(&layout, &directory).map_err(flawed)?);
            // The decoder refuses palettes, and reads indices as levels of grey.
            if let Some(field) = directory.field(PHOTOMETRIC) {
                bytes = Cow::Owned(changed(file, layout.change_first(field, BLACK_IS_ZERO as u32)));
            }
        }
        let most = usize::try_from(limits.max_bytes).unwrap_or(usize::MAX);
        let mut allowed = Limits::default();
        (allowed.decoding_buffer_size, allowed.intermediate_buffer_size) = (most, most);
        let decoder = Decoder::new(Cursor::new(bytes)).map_err(|error| refused(path, error))?;
        let mut decoder = decoder.with_limits(allowed);
        let (width, height) = decoder.dimensions().map_err(|error| refused(path, error))?;
        let channels = decoder.colortype().map_err(|error| refused(path, error))?.num_samples();
        let total = u64::from(width) * u64::from(height) * u64::from(channels) * kind.bits.div_ceil(8) as u64;
        limits.check(path, width, height, total)?;
        limits.check_ratio(path, file.len() as u64, total, MOST_EXPANSION)?;
        let (size, channels) = ((width, height), usize::from(channels));
        Ok(Some(Uncommon { path, decoder, size, channels, kind, palette }))
    }

    /// What [`Uncommon::image`] will be, before it is turned.
    pub(in crate::decode) fn header(&self) -> Result<Header> {
        let channels = if self.palette.is_some() { 3 } else { self.channels };
        let channels = u8::try_from(channels).map_err(|_| {
            Error::decode(self.path, format!("it has {channels} channels"), "at most 255 are supported")
        })?;
        let eight = self.palette.is_some() || self.kind.unsigned && self.kind.bits <= 8;
        let depth = if eight { 8 } else { 16 };
        Ok(Header { width: self.size.0, height: self.size.1, channels, depth })
    }

    /// The page as an image: palettes as colours, and all that is neither 8 nor 16 bits without sign as levels of 16 bits.
    ///
    /// Black and white are what the file says. Without that they are the ends of the type, of 16 bits for integers of 32 bits, and 0
    /// and 1 for floating point. So files of one kind stay comparable, whatever they show.
    pub(in crate::decode) fn image(mut self) -> Result<Image> {
        let result = self.decode()?;
        let (width, height) = (self.size.0 as usize, self.size.1 as usize);
        let wide = |samples| Image::U16(Raster::new(width, height, self.channels, samples));
        match result {
            DecodingResult::U8(values) => match &self.palette {
                Some(palette) => {
                    let missing = || Error::decode(self.path, "a pixel has a colour that its palette lacks", REPLACE);
                    let colour = |index: u8| palette.get(usize::from(index)).ok_or_else(missing);
                    let samples = values.into_iter().map(colour).collect::<Result<Vec<_>>>()?;
                    Ok(Image::U8(Raster::new(width, height, 3, samples.into_iter().flatten().copied().collect())))
                }
                None => {
                    let scale = u8::MAX / (u8::MAX >> (8 - self.kind.bits.clamp(1, 8)));
                    let samples = values.into_iter().map(|value| value * scale).collect();
                    Ok(Image::U8(Raster::new(width, height, self.channels, samples)))
                }
            },
            DecodingResult::U16(samples) if self.palette.is_none() => Ok(wide(samples)),
            DecodingResult::I8(values) => self.levels(&values, f64::from, Some((-128.0, 127.0))).map(wide),
            DecodingResult::I16(values) => self.levels(&values, f64::from, SIGNED).map(wide),
            DecodingResult::I32(values) => self.levels(&values, f64::from, SIGNED).map(wide),
            DecodingResult::U32(values) => self.levels(&values, f64::from, Some((0.0, 65_535.0))).map(wide),
            DecodingResult::F16(values) => self.levels(&values, |v| v.to_f64(), None).map(wide),
            DecodingResult::F32(values) => self.levels(&values, f64::from, None).map(wide),
            DecodingResult::F64(values) => self.levels(&values, |v| v, None).map(wide),
            _ => Err(self.other_kind()),
        }
    }

    /// The page as a map of ids: the stored integers, or the indices of the palette.
    pub(in crate::decode) fn ids(mut self) -> Result<Raster<u32>> {
        let refused = |reason: String| Error::decode(self.path, reason, NOT_IDS);
        if self.channels != 1 {
            return Err(refused(format!("it has {} channels, but ids are needed", self.channels)));
        }
        let path = self.path;
        let signed = |value: i32| {
            let negative = |_| Error::decode(path, format!("it holds {value}, and ids are not negative"), NOT_IDS);
            u32::try_from(value).map_err(negative)
        };
        let ids = match self.decode()? {
            DecodingResult::U8(values) => values.into_iter().map(u32::from).collect(),
            DecodingResult::U16(values) => values.into_iter().map(u32::from).collect(),
            DecodingResult::U32(values) => values,
            DecodingResult::I8(values) => values.into_iter().map(|v| signed(v.into())).collect::<Result<_>>()?,
            DecodingResult::I16(values) => values.into_iter().map(|v| signed(v.into())).collect::<Result<_>>()?,
            DecodingResult::I32(values) => values.into_iter().map(signed).collect::<Result<_>>()?,
            _ => return Err(Error::decode(path, "its pixels are no integers of up to 32 bits", NOT_IDS)),
        };
        Ok(Raster::new(self.size.0 as usize, self.size.1 as usize, 1, ids))
    }

    /// All samples, interleaved, one element each.
    fn decode(&mut self) -> Result<DecodingResult> {
        let mut result = DecodingResult::U8(Vec::new());
        self.decoder.read_image_to_buffer(&mut result).map_err(|error| refused(self.path, error))?;
        let (width, pixels) = (self.size.0 as usize, self.size.0 as usize * self.size.1 as usize);
        if self.kind.bits < 8
            && let DecodingResult::U8(packed) = &result
        {
            if !matches!(self.kind.bits, 1 | 2 | 4) {
                return Err(self.other_kind());
            }
            let row = (width * self.channels * self.kind.bits).div_ceil(8);
            let samples =
                packed.chunks_exact(row).flat_map(|row| unpacked(row, self.kind.bits).take(width * self.channels));
            result = DecodingResult::U8(samples.collect());
        }
        let (planes, expected) = (if self.kind.planar { self.channels } else { 1 }, pixels * self.channels);
        macro_rules! each_type {
            ($($kind:ident)*) => {
                match result {
                    $(DecodingResult::$kind(values) => {
                        if values.len() != expected {
                            return Err(Flaw::Truncated.of(self.path));
                        }
                        DecodingResult::$kind(interleaved(values, planes))
                    })*
                }
            };
        }
        Ok(each_type!(U8 U16 U32 U64 I8 I16 I32 I64 F16 F32 F64))
    }

    /// Levels of 16 bits. Black and white, where the file does not say, are the ends of `integers`, and 0 and 1 without that.
    fn levels<T: Copy>(
        &self,
        samples: &[T],
        real: impl Fn(T) -> f64,
        integers: Option<(f64, f64)>,
    ) -> Result<Vec<u16>> {
        let (low, high) = self.kind.range.or(integers).unwrap_or((0.0, 1.0));
        let values = || samples.iter().map(|&sample| real(sample));
        let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
        let refused = |reason: String| Err(Error::decode(self.path, reason, SAY_THE_RANGE));
        if let Some((at, value)) = values().enumerate().find(|(_, value)| !(low..=high).contains(value)) {
            let (pixel, width) = (at / self.channels, self.size.0 as usize);
            let (x, y) = (pixel % width, pixel / width);
            return refused(format!(
                "its values go from {least} to {most}, and {low} to {high} can be read (first {value} at x={x}, y={y})"
            ));
        }
        // Eight bits in a wider type would be one grey all over.
        let wide = integers.is_some() && self.kind.range.is_none() && self.kind.bits > 8;
        if wide && least >= 0.0 && (1.0..256.0).contains(&most) {
            let bits = self.kind.bits;
            return refused(format!(
                "its values go from {least} to {most}, and of {bits} bits they would show next to nothing"
            ));
        }
        Ok(values().map(|value| ((value - low) / (high - low) * 65_535.0 + 0.5) as u16).collect())
    }

    fn other_kind(&self) -> Error {
        refused(self.path, TiffError::UnsupportedError(TiffUnsupportedError::UnknownInterpretation))
    }
}

/// Samples of 1, 2 or 4 bits, most significant first.
fn unpacked(row: &[u8], bits: usize) -> impl Iterator<Item = u8> + '_ {
    let mask = u8::MAX >> (8 - bits);
    row.iter().flat_map(move |&byte| (0..8 / bits).map(move |i| (byte >> (8 - bits * (i + 1))) & mask))
}

/// Samples that were stored in so many planes, pixel by pixel.
fn interleaved<T: Copy>(values: Vec<T>, planes: usize) -> Vec<T> {
    if planes < 2 {
        return values;
    }
    let pixels = values.len() / planes;
    (0..values.len()).map(|at| values[at % planes * pixels + at / planes]).collect()
}

/// The colours of a palette: all reds, then all greens, then all blues, of 16 bits (some writers use 8 of them).
fn colours<B: ?Sized + Bytes>(layout: &Layout<'_, B>, directory: &Directory) -> Result<Vec<[u8; 3]>, Flaw> {
    let field = directory.field(COLOUR_MAP).ok_or(Flaw::Damaged("its palette is missing"))?;
    let levels: Vec<u64> = layout.numbers(field)?.collect();
    let shift = if levels.iter().all(|&level| level < 256) { 0 } else { 8 };
    let count = levels.len() / 3;
    Ok((0..count).map(|i| [0, 1, 2].map(|channel| (levels[channel * count + i] >> shift) as u8)).collect())
}

pub(in crate::decode) fn refused(path: &Path, error: TiffError) -> Error {
    match error {
        TiffError::LimitsExceeded => {
            Error::decode(path, error, "it needs more memory than the decoding limits allow; scale it down")
        }
        TiffError::UnsupportedError(_) => Error::decode(path, OTHER_TIFF, "save it anew as 8- or 16-bit PNG"),
        TiffError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => Flaw::Truncated.of(path),
        _ => Error::decode(path, error, REPLACE),
    }
}
