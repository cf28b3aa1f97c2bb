//! Images that are written some rows at a time: PNG, TIFF and BigTIFF, portable maps, NumPy's arrays.

use std::io::{self, Write};
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gan_fs::{Durability, Replacement};
use png::StreamWriter;

use crate::dynamic_image::Image;
use crate::error::{Error, Result};
use crate::image_name::extension;

/// Bytes of compressed pixels in a chunk of a PNG.
const CHUNK: usize = 1 << 20;

/// Bytes of a strip of a TIFF, about.
const STRIP: u64 = 1 << 20;

/// The size and the kind of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageShape {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Samples a pixel.
    pub channels: usize,
    /// Bits a sample: 8 or 16.
    pub depth: u32,
}

impl ImageShape {
    /// That of an image.
    #[must_use]
    pub fn of(image: &Image) -> Self {
        let (width, height) = image.size();
        ImageShape { width, height, channels: image.channels(), depth: image.depth() }
    }

    /// Bytes of a row.
    #[must_use]
    pub fn row_bytes(&self) -> u64 {
        self.width as u64 * self.channels as u64 * u64::from(self.depth / 8)
    }
}

/// An image file that is written row by row. It appears whole, when it is finished, or not at all.
pub struct RowWriter {
    path: PathBuf,
    encoder: RowEncoder<Replacement>,
    shape: ImageShape,
    written: usize,
}

impl RowWriter {
    /// Whether a file of this name, whose extension picks the format, is written row by row: png, ppm and pgm, npy, and tiff of up to four
    /// channels. Other formats are encoded as a whole.
    #[must_use]
    pub fn serves(path: &Path, channels: usize) -> bool {
        Format::of(path, channels).is_some()
    }

    /// Begins a file, creating the folder where needed. A TIFF of more than 4 GiB becomes a BigTIFF.
    ///
    /// # Errors
    /// [`Error::Encode`] if the format cannot hold the image or is not [served](Self::serves), [`Error::Io`] if the disk refuses.
    pub fn create(path: &Path, shape: ImageShape) -> Result<Self> {
        let format = Format::of(path, shape.channels).ok_or_else(|| Error::Encode {
            path: path.to_path_buf(),
            reason: "this format is not written row by row".to_owned(),
            remedy: "write a .png or a .tiff",
        })?;
        format.check(path, &shape)?;
        let folder = gan_fs::parent(path);
        std::fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
        let out = Replacement::begin(path).map_err(|e| Error::io("write", path, e.source))?;
        let encoder = RowEncoder::new(out, format, &shape).map_err(|e| Error::io("write", path, e))?;
        Ok(RowWriter { path: path.to_path_buf(), encoder, shape, written: 0 })
    }

    /// Writes the next rows.
    ///
    /// # Errors
    /// [`Error::Io`] if the disk refuses.
    ///
    /// # Panics
    /// If they are of another width or kind, or too many.
    pub fn write(&mut self, rows: &Image) -> Result<()> {
        let height = rows.size().1;
        assert_eq!(ImageShape::of(rows), ImageShape { height, ..self.shape }, "rows of another image");
        self.written += height;
        assert!(self.written <= self.shape.height, "too many rows");
        self.encoder.write(rows).map_err(|e| Error::io("write", &self.path, e))
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// [`Error::Io`] if the disk refuses.
    ///
    /// # Panics
    /// If rows are missing.
    pub fn finish(self) -> Result<()> {
        assert_eq!(self.written, self.shape.height, "rows are missing");
        let out = self.encoder.finish().map_err(|e| Error::io("write", &self.path, e))?;
        out.finish(Durability::Visible).map_err(|e| Error::io("write", &self.path, e.source))
    }
}

/// How rows are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Png,
    Tiff,
    /// With this many channels.
    Portable(usize),
    Npy,
}

impl Format {
    /// That of a file of this name; `None` if it is encoded as a whole.
    pub(crate) fn of(path: &Path, channels: usize) -> Option<Self> {
        Some(match &*extension(path)? {
            "png" => Format::Png,
            "tif" | "tiff" if channels <= 4 => Format::Tiff,
            "pgm" => Format::Portable(1),
            "pnm" if channels == 1 => Format::Portable(1),
            "ppm" | "pnm" => Format::Portable(3),
            "npy" => Format::Npy,
            _ => return None,
        })
    }

    /// Refuses an image that the format does not hold.
    pub(crate) fn check(self, path: &Path, shape: &ImageShape) -> Result<()> {
        let channels = shape.channels;
        let refuse = |reason: String, remedy| Err(Error::Encode { path: path.to_path_buf(), reason, remedy });
        match self {
            Format::Portable(wanted) if channels != wanted && (channels, wanted) != (1, 3) => {
                let extension = extension(path).unwrap_or_default();
                let reason = format!("a .{extension} has {wanted} channels, and this image has {channels}");
                refuse(reason, if channels == 3 { "write a .ppm or a .png" } else { "write a .png or a .tiff" })
            }
            Format::Png | Format::Tiff if !(1..=4).contains(&channels) => refuse(
                format!("{channels} channels do not fit into this format"),
                "write a .tiff, a .npy, or a folder NAME.planes",
            ),
            Format::Png | Format::Tiff if shape.width.max(shape.height) > i32::MAX as usize => {
                refuse(format!("{}x{} pixels do not fit into this format", shape.width, shape.height), "write a .npy")
            }
            _ => Ok(()),
        }
    }
}

/// Encodes rows as they come.
pub(crate) enum RowEncoder<W: Write + 'static> {
    Png(Box<StreamWriter<'static, Shared<W>>>, Shared<W>),
    /// Samples as they are, behind a header.
    Plain {
        out: Shared<W>,
        big_endian: bool,
        /// How often each sample is written.
        times: usize,
    },
}

impl<W: Write + 'static> RowEncoder<W> {
    /// Writes what stands in front of the rows. The format can hold the image.
    pub(crate) fn new(out: W, format: Format, shape: &ImageShape) -> io::Result<Self> {
        let mut out = Shared::new(out);
        let (header, big_endian, times) = match format {
            Format::Png => return Ok(RowEncoder::Png(Box::new(png(out.clone(), shape)?), out)),
            Format::Tiff => (tiff_header(shape), false, 1),
            Format::Npy => (npy_header(shape), false, 1),
            Format::Portable(channels) => {
                let (kind, most) = (if channels == 1 { 5 } else { 6 }, (1u32 << shape.depth) - 1);
                let header = format!("P{kind}\n{} {}\n{most}\n", shape.width, shape.height);
                (header.into_bytes(), true, channels / shape.channels)
            }
        };
        out.write_all(&header)?;
        Ok(RowEncoder::Plain { out, big_endian, times })
    }

    pub(crate) fn write(&mut self, rows: &Image) -> io::Result<()> {
        let bytes: Vec<u8>;
        let (big_endian, times) = match self {
            RowEncoder::Png(..) => (true, 1),
            RowEncoder::Plain { big_endian, times, .. } => (*big_endian, *times),
        };
        let samples = match rows {
            Image::U8(raster) if times == 1 => raster.samples(),
            Image::U8(raster) => {
                bytes = raster.samples().iter().flat_map(|&s| std::iter::repeat_n(s, times)).collect();
                &bytes
            }
            Image::U16(raster) => {
                let order = |s: u16| if big_endian { s.to_be_bytes() } else { s.to_le_bytes() };
                let samples = raster.samples().iter().flat_map(|&s| std::iter::repeat_n(s, times));
                bytes = samples.flat_map(order).collect();
                &bytes
            }
        };
        match self {
            RowEncoder::Png(encoder, _) => encoder.write_all(samples),
            RowEncoder::Plain { out, .. } => out.write_all(samples),
        }
    }

    /// Writes what stands behind the rows.
    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            RowEncoder::Png(encoder, out) => {
                encoder.finish().map_err(io::Error::from)?;
                out.into_inner()
            }
            RowEncoder::Plain { out, .. } => out.into_inner(),
        }
    }
}

/// A writer that an encoder and its owner share. What goes wrong while the encoder is dropped, which cannot tell, is told by
/// [`Shared::into_inner`].
pub(crate) struct Shared<W>(Arc<Mutex<Inner<W>>>);

struct Inner<W> {
    out: Option<W>,
    failed: Option<io::Error>,
}

impl<W> Shared<W> {
    fn new(out: W) -> Self {
        Shared(Arc::new(Mutex::new(Inner { out: Some(out), failed: None })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner<W>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn into_inner(self) -> io::Result<W> {
        let Inner { out, failed } = &mut *self.inner();
        match (mem::take(failed), out.take()) {
            (None, Some(out)) => Ok(out),
            (Some(error), _) => Err(error),
            (None, None) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

impl<W> Clone for Shared<W> {
    fn clone(&self) -> Self {
        Shared(self.0.clone())
    }
}

impl<W: Write> Write for Shared<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Inner { out, failed } = &mut *self.inner();
        let Some(out) = out else { return Err(io::ErrorKind::BrokenPipe.into()) };
        out.write(bytes).inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                // The first one is passed on as it is; who asks later is told its kind and text.
                failed.get_or_insert_with(|| io::Error::new(error.kind(), error.to_string()));
            }
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner().out.as_mut().map_or(Ok(()), Write::flush)
    }
}

/// An encoder as quick as that of whole images: its deflate has one pass, and each row the filter that suits it.
fn png<W: Write + 'static>(out: Shared<W>, shape: &ImageShape) -> io::Result<StreamWriter<'static, Shared<W>>> {
    let mut encoder = png::Encoder::new(out, shape.width as u32, shape.height as u32);
    encoder.set_color(match shape.channels {
        1 => png::ColorType::Grayscale,
        2 => png::ColorType::GrayscaleAlpha,
        3 => png::ColorType::Rgb,
        _ => png::ColorType::Rgba,
    });
    encoder.set_depth(if shape.depth == 16 { png::BitDepth::Sixteen } else { png::BitDepth::Eight });
    encoder.set_compression(png::Compression::Fast);
    encoder.set_filter(png::Filter::Adaptive);
    Ok(encoder.write_header()?.into_stream_writer_with_size(CHUNK)?)
}

/// Of NumPy's format, version 1.0.
pub(crate) fn npy_header(shape: &ImageShape) -> Vec<u8> {
    const ALIGNMENT: usize = 64;
    let ImageShape { width, height, channels, depth } = *shape;
    let shape = if channels == 1 { format!("({height}, {width})") } else { format!("({height}, {width}, {channels})") };
    let kind = if depth == 8 { "|u1" } else { "<u2" };
    let mut head = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
    let prefix = b"\x93NUMPY\x01\x00";
    // The header ends in a line end, and the samples begin at a multiple.
    let length = (prefix.len() + 2 + head.len() + 1).next_multiple_of(ALIGNMENT) - prefix.len() - 2;
    head += &" ".repeat(length - 1 - head.len());
    head.push('\n');
    [&prefix[..], &(length as u16).to_le_bytes(), head.as_bytes()].concat()
}

/// A field of a TIFF's directory.
struct Field {
    tag: u16,
    width: usize,
    values: Vec<u64>,
}

/// All that stands in front of the samples of a TIFF, whose strips are uncompressed, so that it is known beforehand where they will be.
fn tiff_header(shape: &ImageShape) -> Vec<u8> {
    let ImageShape { width, height, channels, depth } = *shape;
    let row = shape.row_bytes();
    let rows = (STRIP / row.max(1)).max(1);
    let strips = (height as u64).div_ceil(rows);
    // Lists of strips have two numbers of 8 bytes each, and the other fields some hundred bytes.
    let big = row * height as u64 + 16 * strips + 4096 > u64::from(u32::MAX);
    let offset = if big { 8 } else { 4 };
    let lengths = (0..strips).map(|i| rows.min(height as u64 - i * rows) * row);
    let colours = if channels > 2 { 3 } else { 1 };
    let short = |tag: u16, values: Vec<u64>| Field { tag, width: 2, values };
    let long = |tag: u16, value: u64| Field { tag, width: 4, values: vec![value] };
    let mut fields = vec![
        long(256, width as u64),
        long(257, height as u64),
        short(258, vec![depth.into(); channels]),
        short(259, vec![1]),
        short(262, vec![if colours == 3 { 2 } else { 1 }]),
        Field { tag: 273, width: offset, values: vec![0; strips as usize] },
        short(277, vec![channels as u64]),
        long(278, rows),
        Field { tag: 279, width: offset, values: lengths.collect() },
        short(284, vec![1]),
    ];
    if channels > colours {
        // Alpha that colours were not multiplied by.
        fields.push(short(338, vec![2]));
    }
    fields.push(short(339, vec![1; channels]));
    let (head, entry) = if big { (16 + 8, 20) } else { (8 + 2, 12) };
    let lists = head + fields.len() * entry + offset;
    let outside = |field: &Field| Some(field.width * field.values.len()).filter(|length| *length > offset);
    let mut samples = lists as u64 + fields.iter().filter_map(outside).sum::<usize>() as u64;
    let lengths = fields[8].values.clone();
    for (at, length) in fields[5].values.iter_mut().zip(lengths) {
        *at = samples;
        samples += length;
    }
    let mut bytes = match big {
        true => [&b"II\x2b\0\x08\0\0\0"[..], &16u64.to_le_bytes(), &(fields.len() as u64).to_le_bytes()].concat(),
        false => [&b"II*\0"[..], &8u32.to_le_bytes(), &(fields.len() as u16).to_le_bytes()].concat(),
    };
    let mut list = Vec::new();
    for field in &fields {
        let kind = match field.width {
            2 => 3u16,
            4 => 4,
            _ => 16,
        };
        bytes.extend(field.tag.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(&(field.values.len() as u64).to_le_bytes()[..offset]);
        let values: Vec<u8> =
            field.values.iter().flat_map(|value| value.to_le_bytes().into_iter().take(field.width)).collect();
        if outside(field).is_some() {
            bytes.extend(&((lists + list.len()) as u64).to_le_bytes()[..offset]);
            list.extend(values);
        } else {
            bytes.extend(values.iter().copied().chain(std::iter::repeat(0)).take(offset));
        }
    }
    // There is no further page.
    bytes.extend(std::iter::repeat_n(0, offset));
    bytes.extend(list);
    bytes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::raster::Raster;
    use crate::{DecodeOptions, decode, write_image};

    #[test]
    fn rows_make_the_file_of_the_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (width, height) = (61, 47);
        for (channels, names) in [
            (1, &["a.png", "a.tif", "a.pgm", "a.ppm", "a.npy"][..]),
            (2, &["a.png", "a.tiff", "a.npy"]),
            (3, &["a.png", "a.tif", "a.ppm", "a.npy"]),
            (4, &["a.png", "a.tif", "a.npy"]),
        ] {
            let samples: Vec<u16> = (0..width * height * channels).map(|i| (i * i % 65_521) as u16).collect();
            let eight = Raster::new(width, height, channels, samples.iter().map(|&s| (s >> 7) as u8).collect());
            for image in [Image::U8(eight), Image::U16(Raster::new(width, height, channels, samples))] {
                for name in names {
                    let (whole, rows) = (folder.path().join(name), folder.path().join("rows").join(name));
                    write_image(&whole, &image).unwrap();
                    let mut writer = RowWriter::create(&rows, ImageShape::of(&image)).unwrap();
                    for first in (0..height).step_by(10) {
                        writer.write(&image.crop(0, first, width, 10.min(height - first))).unwrap();
                    }
                    assert!(!rows.exists(), "{name} is there too early");
                    writer.finish().unwrap();
                    let bytes = std::fs::read(&rows).unwrap();
                    assert!(bytes == std::fs::read(&whole).unwrap(), "{name} of {channels} channels");
                    if !name.ends_with("npy") {
                        let options = DecodeOptions { alpha: crate::AlphaPolicy::Keep, ..DecodeOptions::default() };
                        let back = decode(&rows, &options).unwrap();
                        let same = image.clone().with_channels(back.channels()).unwrap();
                        assert_eq!(back, same, "{name} of {channels} channels");
                    }
                    std::fs::remove_file(rows).unwrap();
                }
            }
        }
    }

    #[test]
    fn what_is_not_finished_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let shape = ImageShape { width: 4, height: 4, channels: 3, depth: 8 };
        let mut writer = RowWriter::create(&folder.path().join("a.png"), shape).unwrap();
        writer.write(&Image::U8(Raster::zeros(4, 2, 3))).unwrap();
        drop(writer);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(RowWriter::create(&folder.path().join("a.jpg"), shape).is_err());
        assert!(RowWriter::create(&folder.path().join("a.png"), ImageShape { channels: 5, ..shape }).is_err());
    }

    #[test]
    fn a_large_tiff_has_large_offsets() {
        let header = |side: usize| tiff_header(&ImageShape { width: side, height: side, channels: 3, depth: 16 });
        assert!(header(1000).starts_with(b"II*\0") && header(30_000).starts_with(b"II+\0"));
        // Strip by strip, the samples end where they should.
        let large = header(30_000);
        assert_eq!(&large[24..26], &256u16.to_le_bytes());
        let strips = 30_000u64.div_ceil(STRIP / 180_000);
        assert_eq!(u64::from_le_bytes(large[24 + 5 * 20 + 4..][..8].try_into().unwrap()), strips);
    }
}
