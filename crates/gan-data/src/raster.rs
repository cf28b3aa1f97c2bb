//! Pixels in memory: rows of interleaved samples, as files store them.

use image::metadata::Orientation;

/// An image, `[height][width][channels]`, rows top to bottom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raster<T> {
    width: usize,
    height: usize,
    channels: usize,
    samples: Vec<T>,
}

impl<T: Copy + Default> Raster<T> {
    /// Wraps samples in row-major, interleaved order.
    ///
    /// # Panics
    /// If `samples` does not hold `width * height * channels` values.
    #[must_use]
    pub fn new(width: usize, height: usize, channels: usize, samples: Vec<T>) -> Self {
        assert_eq!(samples.len(), width * height * channels, "samples do not fill the raster");
        Self { width, height, channels, samples }
    }

    /// An image of zeros.
    #[must_use]
    pub fn zeros(width: usize, height: usize, channels: usize) -> Self {
        Self::new(width, height, channels, vec![T::default(); width * height * channels])
    }

    /// Evaluates `pixel(x, y)` for every pixel.
    #[must_use]
    pub fn from_fn<const C: usize>(width: usize, height: usize, mut pixel: impl FnMut(usize, usize) -> [T; C]) -> Self {
        let mut samples = Vec::with_capacity(width * height * C);
        for y in 0..height {
            for x in 0..width {
                samples.extend_from_slice(&pixel(x, y));
            }
        }
        Self::new(width, height, C, samples)
    }

    /// Columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// `(width, height)`.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Samples per pixel.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// All samples, row-major and interleaved.
    #[must_use]
    pub fn samples(&self) -> &[T] {
        &self.samples
    }

    /// All samples, to be changed in place.
    pub fn samples_mut(&mut self) -> &mut [T] {
        &mut self.samples
    }

    /// One row of `width * channels` samples.
    #[must_use]
    pub fn row(&self, y: usize) -> &[T] {
        let stride = self.width * self.channels;
        &self.samples[y * stride..(y + 1) * stride]
    }

    /// The samples of one pixel.
    #[must_use]
    pub fn pixel(&self, x: usize, y: usize) -> &[T] {
        let at = (y * self.width + x) * self.channels;
        &self.samples[at..at + self.channels]
    }

    /// The samples of one pixel, to be changed in place.
    pub fn pixel_mut(&mut self, x: usize, y: usize) -> &mut [T] {
        let at = (y * self.width + x) * self.channels;
        &mut self.samples[at..at + self.channels]
    }

    /// One channel by itself.
    ///
    /// # Panics
    /// If there is no such channel.
    #[must_use]
    pub fn channel(&self, channel: usize) -> Self {
        assert!(channel < self.channels, "the raster has {} channels", self.channels);
        let samples = self.samples[channel..].iter().step_by(self.channels).copied().collect();
        Self::new(self.width, self.height, 1, samples)
    }

    /// The window `(x, y, width, height)`; what lies beyond the edge is zero (black).
    #[must_use]
    pub fn crop(&self, x: usize, y: usize, width: usize, height: usize) -> Self {
        let mut out = Self::zeros(width, height, self.channels);
        let columns = self.width.saturating_sub(x).min(width) * self.channels;
        let rows = self.height.saturating_sub(y).min(height);
        let stride = width * self.channels;
        for row in 0..rows {
            let from = &self.row(y + row)[x * self.channels..][..columns];
            out.samples[row * stride..][..columns].copy_from_slice(from);
        }
        out
    }

    /// Mirrors left and right in place.
    pub fn flip_horizontal(&mut self) {
        let channels = self.channels;
        let stride = self.width * channels;
        for row in self.samples.chunks_exact_mut(stride.max(1)) {
            for x in 0..self.width / 2 {
                let (left, right) = row.split_at_mut((self.width - 1 - x) * channels);
                left[x * channels..][..channels].swap_with_slice(&mut right[..channels]);
            }
        }
    }

    /// The image turned upright: `orientation` says what a viewer has to do.
    #[must_use]
    pub fn oriented(self, orientation: Orientation) -> Self {
        let (w, h) = (self.width, self.height);
        // For every target pixel, the source pixel it shows.
        let source: fn(usize, usize, usize, usize) -> (usize, usize) = match orientation {
            Orientation::NoTransforms => return self,
            Orientation::FlipHorizontal => |x, y, w, _| (w - 1 - x, y),
            Orientation::Rotate180 => |x, y, w, h| (w - 1 - x, h - 1 - y),
            Orientation::FlipVertical => |x, y, _, h| (x, h - 1 - y),
            Orientation::Rotate90FlipH => |x, y, _, _| (y, x),
            Orientation::Rotate90 => |x, y, _, h| (y, h - 1 - x),
            Orientation::Rotate270FlipH => |x, y, w, h| (w - 1 - y, h - 1 - x),
            Orientation::Rotate270 => |x, y, w, _| (w - 1 - y, x),
        };
        let sideways = matches!(
            orientation,
            Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
        );
        let (width, height) = if sideways { (h, w) } else { (w, h) };
        let mut samples = Vec::with_capacity(self.samples.len());
        for y in 0..height {
            for x in 0..width {
                let (sx, sy) = source(x, y, w, h);
                samples.extend_from_slice(self.pixel(sx, sy));
            }
        }
        Self::new(width, height, self.channels, samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(width: usize, height: usize) -> Raster<u16> {
        Raster::from_fn(width, height, |x, y| [(10 * y + x) as u16, 900 + x as u16])
    }

    #[test]
    fn crop_beyond_the_edge_is_black() {
        let cropped = counted(3, 2).crop(2, 1, 2, 2);
        assert_eq!(cropped.samples(), [12, 902, 0, 0, 0, 0, 0, 0]);
        assert!(counted(3, 2).crop(7, 7, 2, 2).samples().iter().all(|&s| s == 0));
    }

    #[test]
    fn flip_keeps_channels_together() {
        let mut raster = counted(3, 1);
        raster.flip_horizontal();
        assert_eq!(raster.samples(), [2, 902, 1, 901, 0, 900]);
    }

    #[test]
    fn orientations_agree_with_the_image_crate() {
        let (w, h) = (5, 3);
        let ours = Raster::from_fn(w, h, |x, y| [(10 * y + x) as u8]);
        for exif in 1..=8 {
            let Some(orientation) = Orientation::from_exif(exif) else { continue };
            let Some(grey) = image::GrayImage::from_raw(w as u32, h as u32, ours.samples().to_vec()) else { continue };
            let mut theirs = image::DynamicImage::ImageLuma8(grey);
            theirs.apply_orientation(orientation);
            let turned = ours.clone().oriented(orientation);
            assert_eq!(turned.size(), (theirs.width() as usize, theirs.height() as usize), "exif {exif}");
            assert_eq!(turned.samples(), theirs.as_bytes(), "exif {exif}");
        }
    }
}
