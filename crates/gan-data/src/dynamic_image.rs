//! A decoded photograph or drawing, with the depth of its file.

use candle_core::{Device, Tensor};
use image::metadata::Orientation;

use crate::error::Result;
use crate::jitter::JitterFactors;
use crate::raster::Raster;
use crate::resample::{Filter, resize_u8, resize_u16};
use crate::warp::Field;

/// An image of 8 or 16 bits a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image {
    /// Samples 0 … 255.
    U8(Raster<u8>),
    /// Samples 0 … 65535.
    U16(Raster<u16>),
}

/// Applies one expression to the raster of either depth.
macro_rules! either {
    ($image:expr, $raster:ident => $result:expr) => {
        match $image {
            Image::U8($raster) => $result,
            Image::U16($raster) => $result,
        }
    };
}

impl Image {
    /// `(width, height)` in pixels.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        either!(self, raster => raster.size())
    }

    /// Samples per pixel.
    #[must_use]
    pub fn channels(&self) -> usize {
        either!(self, raster => raster.channels())
    }

    /// Bits a sample: 8 or 16.
    #[must_use]
    pub fn depth(&self) -> u32 {
        match self {
            Self::U8(_) => 8,
            Self::U16(_) => 16,
        }
    }

    /// Resizes to `width` x `height`; see [`resize_u8`] and [`resize_u16`].
    #[must_use]
    pub fn resize(self, width: usize, height: usize, filter: Filter) -> Self {
        if self.size() == (width, height) {
            return self;
        }
        match self {
            Self::U8(raster) => Self::U8(resize_u8(&raster, width, height, filter)),
            Self::U16(raster) => Self::U16(resize_u16(&raster, width, height, filter)),
        }
    }

    /// The window `(x, y, width, height)`; black beyond the edge.
    #[must_use]
    pub fn crop(&self, x: usize, y: usize, width: usize, height: usize) -> Self {
        match self {
            Self::U8(raster) => Self::U8(raster.crop(x, y, width, height)),
            Self::U16(raster) => Self::U16(raster.crop(x, y, width, height)),
        }
    }

    /// Mirrors left and right in place.
    pub fn flip_horizontal(&mut self) {
        either!(self, raster => raster.flip_horizontal());
    }

    /// Every pixel from where the field says, interpolated between four.
    #[must_use]
    pub fn warp(&self, field: &Field) -> Self {
        match self {
            Self::U8(raster) => Self::U8(field.bilinear(raster, f64::from, |v| (v + 0.5) as u8)),
            Self::U16(raster) => Self::U16(field.bilinear(raster, f64::from, |v| (v + 0.5) as u16)),
        }
    }

    /// With brightness, contrast and saturation changed; alpha stays.
    #[must_use]
    pub fn jitter(mut self, factors: JitterFactors) -> Self {
        let channels = self.channels();
        match &mut self {
            Self::U8(raster) => {
                factors.apply(raster.samples_mut(), channels, 255.0, f64::from, |v| (v + 0.5) as u8);
            }
            Self::U16(raster) => {
                factors.apply(raster.samples_mut(), channels, 65535.0, f64::from, |v| (v + 0.5) as u16);
            }
        }
        self
    }

    /// The image turned upright.
    #[must_use]
    pub fn oriented(self, orientation: Orientation) -> Self {
        match self {
            Self::U8(raster) => Self::U8(raster.oriented(orientation)),
            Self::U16(raster) => Self::U16(raster.oriented(orientation)),
        }
    }

    /// The image as `[C, H, W]` f32 in [-1, 1].
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor) passes on what candle answers; the samples always fill the shape.
    pub fn to_tensor(&self) -> Result<Tensor> {
        let (width, height) = self.size();
        let planes = match self {
            Self::U8(raster) => {
                // The arithmetic of `ToTensor` and `Normalize(0.5, 0.5)`, in their order and in f32.
                let level: Vec<f32> = (0..=255u8).map(|v| (f32::from(v) / 255.0 - 0.5) / 0.5).collect();
                planar(raster, |v| level[usize::from(v)])
            }
            Self::U16(raster) => planar(raster, |v| (f32::from(v) / 65535.0 - 0.5) / 0.5),
        };
        Ok(Tensor::from_vec(planes, (self.channels(), height, width), &Device::Cpu)?)
    }
}

/// Interleaved samples into planes, `[C, H, W]`.
pub(crate) fn planar<T: Copy + Default, U: Copy + Default>(raster: &Raster<T>, value: impl Fn(T) -> U) -> Vec<U> {
    let pixels = raster.width() * raster.height();
    let mut planes = vec![U::default(); pixels * raster.channels()];
    for (channel, plane) in planes.chunks_exact_mut(pixels.max(1)).enumerate() {
        for (to, pixel) in plane.iter_mut().zip(raster.samples().chunks_exact(raster.channels())) {
            *to = value(pixel[channel]);
        }
    }
    planes
}

/// ITU-R 601 luma in 16-bit fixed point, rounded: the weights Pillow uses.
pub(crate) fn luma(r: u32, g: u32, b: u32) -> u32 {
    ((u64::from(r) * 19595 + u64::from(g) * 38470 + u64::from(b) * 7471 + 32768) >> 16) as u32
}
