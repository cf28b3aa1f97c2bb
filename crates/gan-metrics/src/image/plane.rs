//! One channel in f64.

use super::Pixels;

/// `[H][W]`.
#[derive(Debug, Clone)]
pub(super) struct Plane {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) values: Vec<f64>,
}

impl Plane {
    /// All channels of an image, levels 0 … 255.
    pub(super) fn channels(pixels: &Pixels<'_>) -> Vec<Plane> {
        let channel = |c: usize| pixels.samples()[c..].iter().step_by(pixels.channels()).map(|&v| f64::from(v));
        (0..pixels.channels()).map(|c| Self::of(pixels, channel(c).collect())).collect()
    }

    /// The luma of colour, 0.299 R + 0.587 G + 0.114 B (ITU-R 601), not rounded; grey is its own luma. A last channel of two or
    /// four is alpha and does not count.
    pub(super) fn luma(pixels: &Pixels<'_>) -> Plane {
        let weigh = |p: &[u8]| match *p {
            [r, g, b, ..] => 0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b),
            [grey, ..] => f64::from(grey),
            [] => 0.0,
        };
        Self::of(pixels, pixels.samples().chunks_exact(pixels.channels()).map(weigh).collect())
    }

    fn of(pixels: &Pixels<'_>, values: Vec<f64>) -> Plane {
        Plane { height: pixels.height(), width: pixels.width(), values }
    }

    pub(super) fn row(&self, y: usize) -> &[f64] {
        &self.values[y * self.width..][..self.width]
    }

    /// The means of blocks of 2x2 pixels. An odd side gets a row or column of zeros in front, which counts in the means: the choice
    /// of pytorch-msssim.
    pub(super) fn halved(&self) -> Plane {
        let (height, width) = (self.height.div_ceil(2), self.width.div_ceil(2));
        let (top, left) = (self.height % 2, self.width % 2);
        let at = |y: usize, x: usize| if y < top || x < left { 0.0 } else { self.row(y - top)[x - left] };
        let mut values = Vec::with_capacity(height * width);
        for y in 0..height {
            let block =
                |x: usize| at(2 * y, 2 * x) + at(2 * y, 2 * x + 1) + at(2 * y + 1, 2 * x) + at(2 * y + 1, 2 * x + 1);
            values.extend((0..width).map(|x| block(x) / 4.0));
        }
        Plane { height, width, values }
    }
}
