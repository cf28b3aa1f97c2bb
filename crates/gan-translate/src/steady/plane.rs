//! Frames as planes of levels, and sampling between pixels.

use crate::Result;
use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

/// Levels 0 to 255 of one channel, row by row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plane {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) levels: Vec<f32>,
}

impl Plane {
    /// Half the size: means of 2x2 pixels. An odd last row or column is left out.
    pub(super) fn halved(&self) -> Self {
        let (width, height) = (self.width / 2, self.height / 2);
        let mut levels = vec![0.0; width * height];
        for (y, row) in levels.chunks_exact_mut(width.max(1)).enumerate() {
            let (above, below) = (self.row(2 * y), self.row(2 * y + 1));
            for (x, level) in row.iter_mut().enumerate() {
                *level = 0.25 * (above[2 * x] + above[2 * x + 1] + below[2 * x] + below[2 * x + 1]);
            }
        }
        Plane { width, height, levels }
    }

    pub(super) fn row(&self, y: usize) -> &[f32] {
        &self.levels[y * self.width..(y + 1) * self.width]
    }

    /// Between four pixels; `None` outside.
    pub(super) fn bilinear(&self, x: f32, y: f32) -> Option<f32> {
        let (x0, y0) = (x.floor(), y.floor());
        if x0 < 0.0 || y0 < 0.0 || x > (self.width - 1) as f32 || y > (self.height - 1) as f32 {
            return None;
        }
        let (fx, fy) = (x - x0, y - y0);
        let (x0, y0) = (x0 as usize, y0 as usize);
        let (x1, y1) = ((x0 + 1).min(self.width - 1), (y0 + 1).min(self.height - 1));
        let at = |x: usize, y: usize| self.levels[y * self.width + x];
        let (above, below) = (at(x0, y0) + fx * (at(x1, y0) - at(x0, y0)), at(x0, y1) + fx * (at(x1, y1) - at(x0, y1)));
        Some(above + fy * (below - above))
    }
}

/// Weights of the four samples around a place, by the cubic of Catmull and Rom.
fn cubic(t: f32) -> [f32; 4] {
    let (t2, t3) = (t * t, t * t * t);
    [-0.5 * t3 + t2 - 0.5 * t, 1.5 * t3 - 2.5 * t2 + 1.0, -1.5 * t3 + 2.0 * t2 + 0.5 * t, 0.5 * t3 - 0.5 * t2]
}

/// Where a sample lies in a plane: on a pixel, or between sixteen.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tap {
    Pixel(usize),
    Between { columns: [usize; 4], rows: [usize; 4], across: [f32; 4], down: [f32; 4] },
}

impl Tap {
    /// A place in planes of this size; `None` outside.
    pub(super) fn at(x: f32, y: f32, width: usize, height: usize) -> Option<Self> {
        if !(x >= -0.01 && y >= -0.01 && x <= (width as f32) - 0.99 && y <= (height as f32) - 0.99) {
            return None;
        }
        let (nx, ny) = (x.round(), y.round());
        if (x - nx).abs() < 0.01 && (y - ny).abs() < 0.01 {
            return Some(Tap::Pixel(ny as usize * width + nx as usize));
        }
        let (x0, y0) = (x.floor(), y.floor());
        let around = |first: f32, count: usize| {
            [-1.0, 0.0, 1.0, 2.0].map(|step| (first + step).clamp(0.0, (count - 1) as f32) as usize)
        };
        let (columns, rows) = (around(x0, width), around(y0, height).map(|y| y * width));
        Some(Tap::Between { columns, rows, across: cubic(x - x0), down: cubic(y - y0) })
    }

    /// The sample of a plane, within the levels of the four nearest pixels.
    pub(super) fn of(&self, plane: &[f32]) -> f32 {
        match self {
            Tap::Pixel(at) => plane[*at],
            Tap::Between { columns, rows, across, down } => {
                let mut sum = 0.0;
                for (&row, &weight) in rows.iter().zip(down) {
                    let line: f32 = columns.iter().zip(across).map(|(&x, &w)| w * plane[row + x]).sum();
                    sum += weight * line;
                }
                // No overshoot: it would add up from frame to frame.
                let near = [1, 2].map(|r| [1, 2].map(|c| plane[rows[r] + columns[c]]));
                let all = [near[0][0], near[0][1], near[1][0], near[1][1]];
                let (low, high) = all.iter().fold((f32::MAX, f32::MIN), |(l, h), &v| (l.min(v), h.max(v)));
                sum.clamp(low, high)
            }
        }
    }

    /// The nearest pixel.
    pub(super) fn nearest(&self) -> usize {
        match self {
            Tap::Pixel(at) => *at,
            Tap::Between { columns, rows, across, down } => {
                rows[if down[2] > down[1] { 2 } else { 1 }] + columns[if across[2] > across[1] { 2 } else { 1 }]
            }
        }
    }
}

/// A tensor `[1, C, H, W]` of images in [-1, 1], or of ids, as planes of levels.
pub(super) fn planes(a: &Tensor) -> Result<Vec<Plane>> {
    let (_, channels, height, width) = a.dims4()?;
    let float = a.dtype().is_float();
    let values = a.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    // Ids are names: neighbouring ones become levels far apart.
    let level = |value: f32| if float { (value + 1.0) * 127.5 } else { (value * 89.0) % 256.0 };
    let plane = |values: &[f32]| Plane { width, height, levels: values.iter().map(|&v| level(v)).collect() };
    Ok(values.par_chunks_exact(height * width).take(channels).map(plane).collect())
}

/// What motion is looked for in: the luma of colours, the mean of other channels.
pub(super) fn luma(planes: &[Plane]) -> Plane {
    let weights: Vec<f32> = match planes.len() {
        3 => vec![0.299, 0.587, 0.114],
        count => vec![1.0 / count as f32; count],
    };
    let mut sum = Plane { levels: vec![0.0; planes[0].levels.len()], ..planes[0].clone() };
    for (plane, weight) in planes.iter().zip(weights) {
        sum.levels.iter_mut().zip(&plane.levels).for_each(|(sum, level)| *sum += weight * level);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_between_pixels_follow_a_ramp_and_stay_within_its_levels() {
        let (width, height) = (8, 6);
        let plane: Vec<f32> = (0..width * height).map(|i| (i % width) as f32 * 10.0 + (i / width) as f32).collect();
        for (x, y) in [(2.5, 2.5), (3.25, 1.75), (2.0, 3.0), (4.9, 3.1)] {
            let tap = Tap::at(x, y, width, height);
            let sample = tap.map(|tap| tap.of(&plane));
            assert!(sample.is_some_and(|sample| (sample - (10.0 * x + y)).abs() < 1e-3), "{x} {y}: {sample:?}");
        }
        assert!(Tap::at(-0.5, 2.0, width, height).is_none() && Tap::at(7.5, 2.0, width, height).is_none());
        assert!(Tap::at(f32::NAN, 2.0, width, height).is_none());
        let nearest = Tap::at(3.6, 2.2, width, height).map(|tap| tap.nearest());
        assert_eq!(nearest, Some(2 * width + 4));
    }
}
