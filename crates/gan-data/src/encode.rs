//! Writing images, and turning tensors back into images.

use std::fs;
use std::io::{Cursor, ErrorKind};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Storage, Tensor};
use gan_fs::Durability;
use image::{ExtendedColorType, ImageFormat};
use tiff::encoder::TiffEncoder;
use tiff::encoder::colortype::{Gray8, Gray16};

use crate::dynamic_image::Image;
use crate::encode_rows::{Format, ImageShape, RowEncoder};
use crate::error::{Error, Result};
use crate::ids::IdMap;
use crate::image_name::extension;
use crate::raster::Raster;
use crate::writable::WriteFormat;

/// Bits a sample of an image that is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Depth {
    /// 0 … 255.
    #[default]
    U8,
    /// 0 … 65535.
    U16,
}

/// How a real value becomes an integer level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Quantize {
    /// To the nearest level: an untouched image comes back as it was.
    #[default]
    Round,
    /// Towards zero, as the reference does: levels 1 … 63 of an untouched 8-bit image come back one lower.
    Truncate,
}

/// Turns `[C, H, W]` or `[1, C, H, W]` in [-1, 1] (any float type, any device) into an image; values beyond are
/// clamped.
///
/// # Errors
/// [`Error::Tensor`] if the tensor has another rank, [`Error::NonFinite`] if it holds NaN or an infinite value.
pub fn image_from_tensor(tensor: &Tensor, depth: Depth, quantize: Quantize) -> Result<Image> {
    let tensor = if tensor.rank() == 4 { tensor.squeeze(0)? } else { tensor.clone() };
    let (channels, height, width) = tensor.dims3()?;
    let tensor = tensor.to_dtype(DType::F32)?.to_device(&Device::Cpu)?.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else { unreachable!("it was moved to the CPU") };
    let planes = &storage.as_slice::<f32>()?[layout.start_offset()..][..channels * height * width];
    if !planes.iter().fold(true, |finite, value| finite & value.is_finite()) {
        let pixels: Vec<f32> = interleaved(planes, channels, |v| v);
        require_finite(&pixels, width, |at| (at % channels, at / channels))?;
    }
    let bias = match quantize {
        Quantize::Round => 0.5,
        Quantize::Truncate => 0.0,
    };
    // `as` saturates.
    Ok(match depth {
        Depth::U8 => {
            let samples = interleaved(planes, channels, |v| ((v + 1.0) / 2.0 * 255.0 + bias) as u8);
            Image::U8(Raster::new(width, height, channels, samples))
        }
        Depth::U16 => {
            let samples = interleaved(planes, channels, |v| ((v + 1.0) / 2.0 * 65535.0 + bias) as u16);
            Image::U16(Raster::new(width, height, channels, samples))
        }
    })
}

/// Planes `[C][H][W]` as pixels `[H][W][C]`.
fn interleaved<T: Copy + Default>(planes: &[f32], channels: usize, sample: impl Fn(f32) -> T) -> Vec<T> {
    let mut samples = vec![T::default(); planes.len()];
    let pixels = planes.len() / channels.max(1);
    for (channel, plane) in planes.chunks_exact(pixels.max(1)).enumerate() {
        for (pixel, value) in samples.chunks_exact_mut(channels).zip(plane) {
            pixel[channel] = sample(*value);
        }
    }
    samples
}

/// Refuses NaN and infinite values: as levels they would be 0 or the brightest one, which looks like an image. `place` tells the
/// channel and the pixel of a value by its index.
pub(crate) fn require_finite(values: &[f32], width: usize, place: impl Fn(usize) -> (usize, usize)) -> Result<()> {
    let Some(first) = values.iter().position(|v| !v.is_finite()) else { return Ok(()) };
    let (channel, pixel) = place(first);
    Err(Error::NonFinite {
        value: values[first],
        channel,
        x: pixel % width,
        y: pixel / width,
        count: values.iter().filter(|v| !v.is_finite()).count(),
        of: values.len(),
    })
}

/// How images are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteOptions {
    /// Quality of JPEG, 1 … 100. The default of 95 shows no blocks in flat areas.
    pub quality: u8,
}

impl Default for WriteOptions {
    fn default() -> Self {
        WriteOptions { quality: 95 }
    }
}

/// Writes an image; the extension picks the format. The file appears whole or not at all.
///
/// png, webp and bmp take 1 … 4 channels (grey or colour, with or without alpha), jpg 1 or 3, ppm 3 (grey is repeated) and pgm 1. tiff
/// takes any number: above four, each is a grey page. So do npy (NumPy's `[H, W, C]` of unsigned integers, or `[H, W]` of one channel)
/// and planes (a folder; see [`write_planes`]).
///
/// # Errors
/// [`Error::Encode`] if the format cannot hold the image, [`Error::Io`] if the disk refuses.
pub fn write_image(path: &Path, image: &Image) -> Result<()> {
    write_image_with(path, image, &WriteOptions::default())
}

/// As [`write_image`].
///
/// # Errors
/// As [`write_image`].
pub fn write_image_with(path: &Path, image: &Image, options: &WriteOptions) -> Result<()> {
    if WriteFormat::is_planes_name(path) {
        return write_planes(path, image);
    }
    write_whole(path, &encode_image(path, image, options)?)
}

/// What [`write_image_with`] would write into a file of this name.
///
/// # Errors
/// [`Error::Encode`] if the format cannot hold the image.
pub fn encode_image(name: &Path, image: &Image, options: &WriteOptions) -> Result<Vec<u8>> {
    let refuse = |reason: String, remedy| Error::Encode { path: name.to_path_buf(), reason, remedy };
    let (width, height) = image.size();
    let channels = image.channels();
    if let Some(format) = Format::of(name, channels) {
        let shape = ImageShape::of(image);
        format.check(name, &shape)?;
        let encoder = RowEncoder::new(Vec::new(), format, &shape);
        let encoded = encoder.and_then(|mut encoder| encoder.write(image).and_then(|()| encoder.finish()));
        return encoded.map_err(|e| refuse(e.to_string(), "write a .npy"));
    }
    if matches!(extension(name).as_deref(), Some("tif" | "tiff")) {
        return planes_as_pages(image).map_err(|e| refuse(e.to_string(), "write a folder NAME.planes"));
    }
    if WriteFormat::of(name) == WriteFormat::Unsupported {
        return Err(refuse("this format is not written".to_owned(), "write a .png"));
    }
    let format = ImageFormat::from_path(name).map_err(|e| refuse(e.to_string(), "write a .png"))?;
    let color = match (channels, image.depth()) {
        (1, 8) => ExtendedColorType::L8,
        (2, 8) => ExtendedColorType::La8,
        (3, 8) => ExtendedColorType::Rgb8,
        (4, 8) => ExtendedColorType::Rgba8,
        (1, _) => ExtendedColorType::L16,
        (2, _) => ExtendedColorType::La16,
        (3, _) => ExtendedColorType::Rgb16,
        (4, _) => ExtendedColorType::Rgba16,
        _ => {
            let reason = format!("{channels} channels do not fit into this format");
            return Err(refuse(reason, "write a .tiff, a .npy, or a folder NAME.planes"));
        }
    };
    let deep: Vec<u8>;
    let samples = match image {
        Image::U8(raster) => raster.samples(),
        Image::U16(raster) => {
            deep = raster.samples().iter().flat_map(|s| s.to_ne_bytes()).collect();
            &deep
        }
    };
    let mut encoded = Cursor::new(Vec::new());
    if format == ImageFormat::Jpeg {
        let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut encoded, options.quality);
        image::ImageEncoder::write_image(encoder, samples, width as u32, height as u32, color)
    } else {
        image::write_buffer_with_format(&mut encoded, samples, width as u32, height as u32, color, format)
    }
    .map_err(|e| refuse(e.to_string(), "write a .png"))?;
    Ok(encoded.into_inner())
}

/// A TIFF of one grey page a channel.
fn planes_as_pages(image: &Image) -> tiff::TiffResult<Vec<u8>> {
    let mut encoded = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut encoded)?;
    let (width, height) = (image.size().0 as u32, image.size().1 as u32);
    for channel in 0..image.channels() {
        match image {
            Image::U8(raster) => encoder.write_image::<Gray8>(width, height, raster.channel(channel).samples())?,
            Image::U16(raster) => encoder.write_image::<Gray16>(width, height, raster.channel(channel).samples())?,
        }
    }
    Ok(encoded.into_inner())
}

/// Writes an image of any number of channels as a folder `….planes` of grey PNGs, `000.png`, `001.png`, …; what
/// [`crate::decode`] reads back. The folder appears whole or not at all, in the place of that of an earlier image.
///
/// # Errors
/// [`Error::Encode`] unless the folder's name ends in `.planes`, [`Error::Output`] if there is one that holds anything else,
/// [`Error::Io`] if the disk refuses.
pub fn write_planes(folder: &Path, image: &Image) -> Result<()> {
    if !WriteFormat::is_planes_name(folder) {
        let reason = "the name of a folder of planes ends in .planes".to_owned();
        return Err(Error::Encode { path: folder.to_path_buf(), reason, remedy: "rename it" });
    }
    let temporary = gan_fs::temporary_beside(folder);
    let write = |channel: usize| {
        let plane = match image {
            Image::U8(raster) => Image::U8(raster.channel(channel)),
            Image::U16(raster) => Image::U16(raster.channel(channel)),
        };
        write_image(&temporary.join(format!("{channel:03}.png")), &plane)
    };
    let written = (0..image.channels()).try_for_each(write).and_then(|()| {
        remove_planes(folder)?;
        fs::rename(&temporary, folder).map_err(|e| Error::io("write", folder, e))
    });
    if written.is_err() {
        // There may be nothing to remove, and there is nobody to tell where it stays.
        let _ = fs::remove_dir_all(&temporary);
    }
    written
}

/// Removes the planes of an earlier image, if there is nothing else in their folder.
fn remove_planes(folder: &Path) -> Result<()> {
    let listed = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let planes: Vec<PathBuf> = match listed {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        listed => listed.map_err(|e| Error::io("list", folder, e))?,
    };
    let is_plane = |path: &PathBuf| {
        let digits = path.file_stem().is_some_and(|stem| stem.as_encoded_bytes().iter().all(u8::is_ascii_digit));
        digits && extension(path).is_some_and(|extension| extension == "png")
    };
    if let Some(other) = planes.iter().find(|path| !is_plane(path)) {
        let reason = format!("it holds {}, which is no plane of an earlier result", other.display());
        return Err(Error::Output { path: folder.to_path_buf(), reason, remedy: "name another folder" });
    }
    planes
        .iter()
        .try_for_each(fs::remove_file)
        .and_then(|()| fs::remove_dir(folder))
        .map_err(|e| Error::io("write", folder, e))
}

/// Writes ids as a grey PNG: 8 bits if all ids fit, else 16.
///
/// # Errors
/// [`Error::Encode`] if an id exceeds 65535, [`Error::Io`] if the disk refuses.
pub fn write_ids(path: &Path, ids: &IdMap) -> Result<()> {
    let (width, height) = ids.size();
    let samples = ids.raster().samples();
    let top = samples.iter().copied().max().unwrap_or(0);
    if let Ok(bytes) = samples.iter().map(|&id| u8::try_from(id)).collect() {
        return write_image(path, &Image::U8(Raster::new(width, height, 1, bytes)));
    }
    match samples.iter().map(|&id| u16::try_from(id)).collect() {
        Ok(words) => write_image(path, &Image::U16(Raster::new(width, height, 1, words))),
        Err(_) => Err(Error::Encode {
            path: path.to_path_buf(),
            reason: format!("id {top} does not fit into 16 bits"),
            remedy: "renumber the ids",
        }),
    }
}

/// Writes a file, which appears whole or not at all, creating the folder where needed.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = gan_fs::parent(path);
    fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
    gan_fs::replace(path, Durability::Visible, |out| out.write_all(bytes))
        .map_err(|e| Error::io("write", path, e.source))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn values_that_are_not_finite_do_not_become_levels() {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = vec![0.5_f32; 2 * 3 * 4];
            // Channel 1, row 2, column 1.
            values[12 + 2 * 4 + 1] = value;
            let tensor = Tensor::from_vec(values, (1, 2, 3, 4), &Device::Cpu).unwrap();
            for dtype in [DType::F32, DType::BF16, DType::F64] {
                for depth in [Depth::U8, Depth::U16] {
                    let tensor = tensor.to_dtype(dtype).unwrap();
                    let error = image_from_tensor(&tensor, depth, Quantize::Round).unwrap_err();
                    let Error::NonFinite { channel: 1, x: 1, y: 2, count: 1, of: 24, .. } = error else {
                        panic!("{error}")
                    };
                }
            }
        }
    }
}
