//! Convolution over slices.
//!
//! A convolution has a big end `[n, ci, h, w]` and a small end `[n, co, ho, wo]`. Three kernels serve it and its
//! transposed twin: `forward` goes from big to small, `backward_data` from small to big (it is also the transposed
//! convolution), `backward_weight` correlates the two.
mod fold;
mod geometry;
mod grid;
mod portable;

pub(crate) use geometry::Geometry;
pub(crate) use portable::{backward_data, backward_weight, forward};

use super::elementwise::sum;
use crate::isa::Isa;
use crate::real::Real;
use rayon::prelude::*;

/// `into[c] += Σ dy[:, c]` for `dy` `[n, c, pixels]`.
pub(crate) fn bias_gradient<T: Real>(dy: &[T], pixels: usize, into: &mut [T]) {
    let channels = into.len();
    into.par_iter_mut().enumerate().for_each(|(c, into)| {
        let planes = dy.chunks(pixels).skip(c).step_by(channels);
        *into += T::of(planes.map(|plane| sum(Isa::detected(), plane)).sum());
    });
}
