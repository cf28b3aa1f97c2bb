//! The convolution itself and its two adjoints, on packed NCHW arrays.

use super::descriptors::{Geometry, Shape};
use crate::numbers::{Compute, parallel};

/// Which of the three arrays is computed from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// `y` from `x` and `w`.
    Forward,
    /// `x` from `y` and `w`.
    Data,
    /// `w` from `x` and `y`.
    Filter,
}

/// A convolution with its shapes.
#[derive(Clone, Copy, Debug)]
pub struct Problem {
    pub x: Shape,
    pub w: Shape,
    pub y: Shape,
    pub geometry: Geometry,
}

/// One axis of the filter's way over the input: input position `out · stride + offset`.
#[derive(Clone, Copy)]
struct Axis {
    /// First output position whose input is inside.
    from: usize,
    /// End of those.
    to: usize,
    stride: usize,
    /// Input position of `from`.
    start: usize,
}

impl Axis {
    fn new(tap: usize, pad: usize, stride: usize, dilation: usize, input: usize, output: usize) -> Self {
        let offset = (tap * dilation) as i64 - pad as i64;
        let from = if offset < 0 { (-offset as usize).div_ceil(stride) } else { 0 };
        let last = input as i64 - 1 - offset;
        let to = if last < 0 { 0 } else { (last as usize / stride + 1).min(output) };
        let start = (from * stride) as i64 + offset;
        Self { from: from.min(to), to, stride, start: start.max(0) as usize }
    }

    fn len(self) -> usize {
        self.to - self.from
    }
}

impl Problem {
    /// The output's size that input, filter and geometry give.
    pub fn output(&self) -> [Option<usize>; 2] {
        let g = &self.geometry;
        [0, 1].map(|k| {
            let span = g.dilation[k] * (self.w.dims[2 + k] - 1) + 1;
            (self.x.dims[2 + k] + 2 * g.pad[k]).checked_sub(span).map(|rest| rest / g.stride[k] + 1)
        })
    }

    /// Multiplications that it takes.
    fn work(&self) -> usize {
        self.y.len() * self.w.dims[1] * self.w.dims[2] * self.w.dims[3]
    }

    fn axes(&self, r: usize, s: usize) -> (Axis, Axis) {
        let g = &self.geometry;
        let tap = |tap: usize, size: usize| if g.cross { tap } else { size - 1 - tap };
        let axis = |k: usize, at: usize| {
            let (input, output) = (self.x.dims[2 + k], self.y.dims[2 + k]);
            Axis::new(tap(at, self.w.dims[2 + k]), g.pad[k], g.stride[k], g.dilation[k], input, output)
        };
        (axis(0, r), axis(1, s))
    }

    /// Computes the wanted array from the other two, `a` and `b` (in the order x, w, y).
    pub fn run<T: Compute>(&self, pass: Pass, a: &[T], b: &[T]) -> Vec<T> {
        match pass {
            Pass::Forward => self.forward(a, b),
            Pass::Data => self.data(a, b),
            Pass::Filter => self.filter(a, b),
        }
    }

    fn forward<T: Compute>(&self, x: &[T], w: &[T]) -> Vec<T> {
        let [_, c, h, width] = self.x.dims;
        let [k, per_group, rs, ss] = self.w.dims;
        let [_, _, oh, ow] = self.y.dims;
        let k_group = k / self.geometry.groups;
        let mut y = vec![T::default(); self.y.len()];
        parallel(&mut y, oh * ow, self.work(), |plane, y| {
            let (n, k) = (plane / k, plane % k);
            for ci in 0..per_group {
                let x = &x[(n * c + k / k_group * per_group + ci) * h * width..][..h * width];
                let w = &w[(k * per_group + ci) * rs * ss..][..rs * ss];
                for (tap, &w) in w.iter().enumerate() {
                    let (rows, columns) = self.axes(tap / ss, tap % ss);
                    for row in 0..rows.len() {
                        let y = &mut y[(rows.from + row) * ow..][columns.from..columns.to];
                        let x = &x[(rows.start + row * rows.stride) * width + columns.start.min(width)..];
                        if columns.stride == 1 {
                            y.iter_mut().zip(x).for_each(|(y, x)| *y += *x * w);
                        } else {
                            y.iter_mut().zip(x.iter().step_by(columns.stride)).for_each(|(y, x)| *y += *x * w);
                        }
                    }
                }
            }
        });
        y
    }

    fn data<T: Compute>(&self, w: &[T], y: &[T]) -> Vec<T> {
        let [_, c, h, width] = self.x.dims;
        let [k, per_group, rs, ss] = self.w.dims;
        let [_, _, oh, ow] = self.y.dims;
        let k_group = k / self.geometry.groups;
        let mut x = vec![T::default(); self.x.len()];
        parallel(&mut x, h * width, self.work(), |plane, x| {
            let (n, c) = (plane / c, plane % c);
            let group = c / per_group;
            for k_in in group * k_group..(group + 1) * k_group {
                let y = &y[(n * k + k_in) * oh * ow..][..oh * ow];
                let w = &w[(k_in * per_group + c % per_group) * rs * ss..][..rs * ss];
                for (tap, &w) in w.iter().enumerate() {
                    let (rows, columns) = self.axes(tap / ss, tap % ss);
                    for row in 0..rows.len() {
                        let y = &y[(rows.from + row) * ow..][columns.from..columns.to];
                        let x = &mut x[(rows.start + row * rows.stride) * width + columns.start.min(width)..];
                        if columns.stride == 1 {
                            x.iter_mut().zip(y).for_each(|(x, y)| *x += *y * w);
                        } else {
                            x.iter_mut().step_by(columns.stride).zip(y).for_each(|(x, y)| *x += *y * w);
                        }
                    }
                }
            }
        });
        x
    }

    fn filter<T: Compute>(&self, x: &[T], y: &[T]) -> Vec<T> {
        let [n, c, h, width] = self.x.dims;
        let [k, per_group, rs, ss] = self.w.dims;
        let [_, _, oh, ow] = self.y.dims;
        let k_group = k / self.geometry.groups;
        let mut w = vec![T::default(); self.w.len()];
        parallel(&mut w, rs * ss, self.work(), |plane, w| {
            let (k_in, ci) = (plane / per_group, plane % per_group);
            for n in 0..n {
                let x = &x[(n * c + k_in / k_group * per_group + ci) * h * width..][..h * width];
                let y = &y[(n * k + k_in) * oh * ow..][..oh * ow];
                for (tap, w) in w.iter_mut().enumerate() {
                    let (rows, columns) = self.axes(tap / ss, tap % ss);
                    for row in 0..rows.len() {
                        let y = &y[(rows.from + row) * ow..][columns.from..columns.to];
                        let x = &x[(rows.start + row * rows.stride) * width + columns.start.min(width)..];
                        *w += dot(y, x, columns.stride);
                    }
                }
            }
        });
        w
    }
}

fn dot<T: Compute>(y: &[T], x: &[T], stride: usize) -> T {
    // Several sums, for vector registers.
    let mut sums = [T::default(); 8];
    if stride == 1 {
        for (y, x) in y.chunks(8).zip(x.chunks(8)) {
            sums.iter_mut().zip(y).zip(x).for_each(|((sum, y), x)| *sum += *y * *x);
        }
    } else {
        y.iter().zip(x.iter().step_by(stride)).enumerate().for_each(|(k, (y, x))| sums[k % 8] += *y * *x);
    }
    sums.into_iter().fold(T::default(), |mut sum, part| {
        sum += part;
        sum
    })
}
