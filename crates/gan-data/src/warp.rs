//! Rotation, scaling and elastic deformation: one geometry for all parts of an item.

use std::f64::consts::PI;

use gan_rng::Key;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::raster::Raster;

/// Cells of the elastic grid along a side.
const CELLS: usize = 4;
/// Nodes along a side: cubic interpolation looks one beyond the border and two beyond the last cell.
const NODES: usize = CELLS + 3;

/// How far geometry is changed at random. Zeros change nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Warp {
    /// Largest angle in degrees, either way.
    pub rotate: f64,
    /// Images are enlarged or reduced by factors up to 1 + this, about the centre.
    pub scale: f64,
    /// Standard deviation of the displacement of a grid of 4 x 4 cells, as a part of the shorter side.
    pub elastic: f64,
}

impl Warp {
    /// Where each pixel of an image `(width, height)` comes from; nothing if nothing is to change. All numbers are drawn
    /// whether or not they are used, so that settings do not shift each other's randomness.
    #[must_use]
    pub fn draw(&self, (width, height): (usize, usize), key: Key) -> Option<Field> {
        if *self == Self::default() {
            return None;
        }
        let mut stream = key.stream();
        let angle = stream.range(-1.0, 1.0) * self.rotate * PI / 180.0;
        let factor = (stream.range(-1.0, 1.0) * (1.0 + self.scale).ln()).exp();
        let reach = self.elastic * width.min(height) as f64;
        let nodes = (0..NODES * NODES).map(|_| [reach * stream.normal(), reach * stream.normal()]).collect();
        let (sin, cos) = angle.sin_cos();
        Some(Field { size: (width, height), sin: sin / factor, cos: cos / factor, nodes, elastic: self.elastic > 0.0 })
    }
}

/// Where the pixels of a warped image come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    size: (usize, usize),
    sin: f64,
    cos: f64,
    /// Displacements in pixels, row-major; the second node of a row lies on the image's border.
    nodes: Vec<[f64; 2]>,
    elastic: bool,
}

impl Field {
    /// The place `(x, y)` that pixel `(x, y)` shows, in pixels from the centre of the first one, within the image: what lies
    /// beyond the border is reflected at the centres of the outermost pixels.
    #[must_use]
    pub fn source(&self, x: usize, y: usize) -> (f64, f64) {
        let (width, height) = self.size;
        let (mid_x, mid_y) = ((width as f64 - 1.0) / 2.0, (height as f64 - 1.0) / 2.0);
        let (from_x, from_y) = (x as f64 - mid_x, y as f64 - mid_y);
        let [dx, dy] = if self.elastic { self.displacement(x, y) } else { [0.0, 0.0] };
        let source_x = self.cos * from_x + self.sin * from_y + mid_x + dx;
        let source_y = self.cos * from_y - self.sin * from_x + mid_y + dy;
        (reflected(source_x, width), reflected(source_y, height))
    }

    /// The displacement at a pixel: Catmull–Rom interpolation of the nodes.
    fn displacement(&self, x: usize, y: usize) -> [f64; 2] {
        let place = |at: usize, side: usize| {
            let at = (at as f64 + 0.5) / side as f64 * CELLS as f64;
            let cell = (at as usize).min(CELLS - 1);
            (cell, catmull_rom(at - cell as f64))
        };
        let ((column, across), (row, down)) = (place(x, self.size.0), place(y, self.size.1));
        let mut sum = [0.0; 2];
        for (i, down) in down.into_iter().enumerate() {
            for (j, across) in across.into_iter().enumerate() {
                let node = self.nodes[(row + i) * NODES + column + j];
                sum[0] += down * across * node[0];
                sum[1] += down * across * node[1];
            }
        }
        sum
    }

    /// The raster with every pixel picked from where it is nearest.
    pub(crate) fn nearest<T: Copy + Default + Send + Sync>(&self, raster: &Raster<T>) -> Raster<T> {
        self.sampled(raster, |(x, y), out| {
            out.copy_from_slice(raster.pixel((x + 0.5) as usize, (y + 0.5) as usize));
        })
    }

    /// The raster with every pixel interpolated between the four around its source; `value` reads a sample, `sample` rounds.
    pub(crate) fn bilinear<T: Copy + Default + Send + Sync>(
        &self,
        raster: &Raster<T>,
        value: impl Fn(T) -> f64 + Sync,
        sample: impl Fn(f64) -> T + Sync,
    ) -> Raster<T> {
        let (width, height) = raster.size();
        self.sampled(raster, |(x, y), out| {
            let (left, top) = (x as usize, y as usize);
            let (right, bottom) = ((left + 1).min(width - 1), (top + 1).min(height - 1));
            let (across, down) = (x - left as f64, y - top as f64);
            let corners = [(left, top), (right, top), (left, bottom), (right, bottom)].map(|(x, y)| raster.pixel(x, y));
            for (channel, out) in out.iter_mut().enumerate() {
                let [a, b, c, d] = corners.map(|pixel| value(pixel[channel]));
                let (upper, lower) = (a + (b - a) * across, c + (d - c) * across);
                *out = sample(upper + (lower - upper) * down);
            }
        })
    }

    fn sampled<T: Copy + Default + Send + Sync>(
        &self,
        raster: &Raster<T>,
        pixel: impl Fn((f64, f64), &mut [T]) + Sync,
    ) -> Raster<T> {
        let (width, height, channels) = (raster.width(), raster.height(), raster.channels());
        let mut out = Raster::zeros(width, height, channels);
        out.samples_mut().par_chunks_mut((width * channels).max(1)).enumerate().for_each(|(y, row)| {
            row.chunks_exact_mut(channels).enumerate().for_each(|(x, out)| pixel(self.source(x, y), out));
        });
        out
    }
}

/// Weights of the four nodes around a place in [0, 1] of the cell between the middle two (Catmull & Rom, 1974).
fn catmull_rom(t: f64) -> [f64; 4] {
    let (t2, t3) = (t * t, t * t * t);
    [(2.0 * t2 - t3 - t) / 2.0, (3.0 * t3 - 5.0 * t2 + 2.0) / 2.0, (4.0 * t2 - 3.0 * t3 + t) / 2.0, (t3 - t2) / 2.0]
}

/// A coordinate within `0 ..= side - 1`, reflected at both ends as often as it takes.
fn reflected(at: f64, side: usize) -> f64 {
    let last = side.saturating_sub(1) as f64;
    if last == 0.0 {
        return 0.0;
    }
    let within = at.rem_euclid(2.0 * last);
    if within > last { 2.0 * last - within } else { within }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use gan_rng::Purpose;

    use super::*;
    use crate::dynamic_image::Image;
    use crate::ids::IdMap;
    use crate::pixels::Pixels;

    fn key(index: u64) -> Key {
        Key::new(9, Purpose::Augment).at(index)
    }

    fn field(warp: Warp, size: (usize, usize), index: u64) -> Field {
        warp.draw(size, key(index)).unwrap()
    }

    #[test]
    fn nothing_is_drawn_where_nothing_changes() {
        assert_eq!(Warp::default().draw((8, 8), key(0)), None);
    }

    #[test]
    fn coordinates_are_reflected_at_the_outermost_pixels() {
        let folded = [-1.0, 0.0, 2.5, 3.0, 4.0, 6.0, 7.0, -7.0].map(|at| reflected(at, 4));
        assert_eq!(folded, [1.0, 0.0, 2.5, 3.0, 2.0, 0.0, 1.0, 1.0]);
        assert_eq!(reflected(-3.7, 1), 0.0);
    }

    /// The rotation and the scaling by their definitions, for a pixel at a time.
    #[test]
    fn sources_lie_where_rotation_and_scaling_put_them() {
        let (width, height) = (31, 21);
        let warp = Warp { rotate: 30.0, scale: 0.5, elastic: 0.0 };
        let mut angles = Vec::new();
        for index in 0..200 {
            let field = field(warp, (width, height), index);
            let factor = 1.0 / (field.sin * field.sin + field.cos * field.cos).sqrt();
            let angle = field.sin.atan2(field.cos);
            assert!((1.0 / 1.5..=1.5).contains(&factor) && angle.abs() <= 30.0 * PI / 180.0);
            angles.push(angle);
            // The centre stays.
            assert_eq!(field.source(15, 10), (15.0, 10.0));
            // Turning the source back and enlarging it gives the pixel.
            let (x, y) = (17, 9);
            let (sx, sy) = field.source(x, y);
            let (sx, sy) = (factor * (sx - 15.0), factor * (sy - 10.0));
            let back = (angle.cos() * sx - angle.sin() * sy + 15.0, angle.sin() * sx + angle.cos() * sy + 10.0);
            assert!((back.0 - x as f64).abs() < 1e-9 && (back.1 - y as f64).abs() < 1e-9, "{back:?}");
        }
        assert!(angles.iter().any(|angle| *angle > 0.4) && angles.iter().any(|angle| *angle < -0.4));
    }

    #[test]
    fn displacements_pass_through_the_nodes_and_have_the_deviation() {
        let warp = Warp { elastic: 0.05, ..Warp::default() };
        let side = 8 * CELLS;
        let mut squares = Vec::new();
        for index in 0..100 {
            let field = field(warp, (side, side), index);
            // Between pixels 7 and 8 lies the second node of the image.
            let around = [(7, 7), (8, 7), (7, 8), (8, 8)].map(|(x, y)| field.displacement(x, y));
            let node = field.nodes[2 * NODES + 2];
            let mean = around.iter().map(|d| d[0]).sum::<f64>() / 4.0;
            assert!((mean - node[0]).abs() < 0.3, "{mean} {node:?}");
            squares.extend(field.nodes.iter().map(|node| node[0] * node[0]));
        }
        let deviation = (squares.iter().sum::<f64>() / squares.len() as f64).sqrt();
        assert!((deviation - 0.05 * side as f64).abs() < 0.05, "{deviation}");
        for t in [0.0, 0.3, 1.0] {
            let w = catmull_rom(t);
            assert!((w.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            // Straight lines stay straight.
            assert!((w[2] - w[0] + 2.0 * w[3] - t).abs() < 1e-12);
        }
    }

    /// Ids and images of the same content move alike: an image that is constant around a pixel's source shows the same.
    #[test]
    fn ids_and_images_move_alike_and_ids_are_never_mixed() {
        let warp = Warp { rotate: 45.0, scale: 0.3, elastic: 0.04 };
        let block = |x: usize, y: usize| (x / 8 + 5 * (y / 8)) as u32 * 7;
        let ids = IdMap::new(Raster::from_fn(40, 32, |x, y| [block(x, y)]));
        let image = Image::U8(Raster::from_fn(40, 32, |x, y| [block(x, y) as u8]));
        for index in 0..20 {
            let field = field(warp, (40, 32), index);
            let (ids, Image::U8(image)) = (ids.clone().warped(&field), image.clone().warped(&field)) else {
                panic!("depth")
            };
            for y in 0..32 {
                for x in 0..40 {
                    let (sx, sy) = field.source(x, y);
                    let id = ids.raster().pixel(x, y)[0];
                    assert_eq!(id, block((sx + 0.5) as usize, (sy + 0.5) as usize));
                    let around: Vec<u32> = [(0.0, 0.0), (0.999, 0.0), (0.0, 0.999), (0.999, 0.999)]
                        .iter()
                        .map(|(dx, dy)| block((sx + dx) as usize, (sy + dy) as usize))
                        .collect();
                    if around.iter().all(|a| *a == around[0]) {
                        assert_eq!(u32::from(image.pixel(x, y)[0]), id);
                    }
                }
            }
        }
    }

    #[test]
    fn images_are_interpolated_between_four_pixels() {
        let raster = Raster::from_fn(9, 7, |x, y| [(x * x * 3 + y * 11) as u16, (y * y * 100) as u16]);
        let field = field(Warp { rotate: 20.0, scale: 0.2, elastic: 0.03 }, (9, 7), 3);
        let Image::U16(warped) = Image::U16(raster.clone()).warped(&field) else { panic!("depth") };
        for y in 0..7 {
            for x in 0..9 {
                let (sx, sy) = field.source(x, y);
                for channel in 0..2 {
                    // The triangle filter over all pixels.
                    let mut sum = 0.0;
                    for py in 0..7 {
                        for px in 0..9 {
                            let weight =
                                (1.0 - (sx - px as f64).abs()).max(0.0) * (1.0 - (sy - py as f64).abs()).max(0.0);
                            sum += weight * f64::from(raster.pixel(px, py)[channel]);
                        }
                    }
                    let have = f64::from(warped.pixel(x, y)[channel]);
                    assert!((have - sum).abs() <= 0.5 + 1e-9, "{have} {sum}");
                }
            }
        }
    }
}
