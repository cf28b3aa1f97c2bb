//! Normalization by group: one task computes a group's statistics and writes its planes while they are in the cache.
#![allow(unsafe_code)]
use super::elementwise::{by_act, for_overwrite};
use super::moments::Moments;
use super::planes::Shared;
use crate::cpu::real::Real;
use crate::dispatch::isa;
use crate::isa::vectorised;
use crate::spec::act::Act;
use crate::spec::norm::{Group, Norm};
use rayon::prelude::*;

/// Sizes of a normalized tensor: images, channels, elements of a plane.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planes {
    pub(crate) n: usize,
    pub(crate) c: usize,
    pub(crate) hw: usize,
}

impl Planes {
    /// How many groups there are.
    pub(crate) fn groups(&self, group: Group) -> usize {
        match group {
            Group::Instance => self.n * self.c,
            Group::Batch => self.c,
        }
    }

    /// The planes of group `g`.
    fn of(self, group: Group, g: usize) -> impl Iterator<Item = usize> + Clone {
        let (first, count, step) = match group {
            Group::Instance => (g, 1, 1),
            Group::Batch => (g, self.n, self.c),
        };
        (0..count).map(move |i| first + i * step)
    }
}

/// Scale and shift by channel.
pub(crate) type AffineSlices<'a, T> = Option<(&'a [T], &'a [T])>;

/// `x ↦ x · scale + shift`, which stands for the statistics and the affine map together.
fn line<T: Real>(mean: T, var: T, eps: f64, affine: AffineSlices<T>, channel: usize) -> (T, T) {
    let inverse = 1.0 / (var.f64() + eps).sqrt();
    let (w, b) = affine.map_or((1.0, 0.0), |(w, b)| (w[channel].f64(), b[channel].f64()));
    (T::of(w * inverse), T::of(b - w * inverse * mean.f64()))
}

/// Where a forward pass takes its statistics from.
pub(crate) enum Statistics<'a, T> {
    /// From `x`; they are written here.
    Own(&'a mut [T], &'a mut [T]),
    /// Given.
    Given(&'a [T], &'a [T]),
}

/// `residual + act(line(x))`.
pub(crate) fn forward<T: Real>(
    x: &[T],
    planes: Planes,
    spec: &Norm,
    affine: AffineSlices<T>,
    residual: Option<&[T]>,
    statistics: Statistics<T>,
) -> Vec<T> {
    let isa = isa();
    let mut y = for_overwrite(x.len());
    let out = Shared::new(&mut y);
    let hw = planes.hw;
    let write = |g: usize, mean: T, var: T| {
        for plane in planes.of(spec.group, g) {
            let (scale, shift) = line(mean, var, spec.eps, affine, plane % planes.c);
            let at = plane * hw;
            // SAFETY: every plane belongs to one group, and every group to one task.
            let out = unsafe { out.part(at, hw) };
            match residual {
                Some(r) => apply_add(isa, &x[at..at + hw], &r[at..at + hw], out, scale, shift, spec.act),
                None => apply(isa, &x[at..at + hw], out, scale, shift, spec.act),
            }
        }
    };
    match statistics {
        Statistics::Own(mean, var) => mean.par_iter_mut().zip(var).enumerate().for_each(|(g, (mean, var))| {
            let moments = planes.of(spec.group, g).map(|p| Moments::of(isa, &x[p * hw..(p + 1) * hw]));
            (*mean, *var) = moments.fold(Moments::default(), Moments::merge).mean_and_variance();
            write(g, *mean, *var);
        }),
        Statistics::Given(mean, var) => {
            (0..planes.groups(spec.group)).into_par_iter().for_each(|g| write(g, mean[g], var[g]));
        }
    }
    y
}

vectorised! {
    fn apply<T: Real>(x: &[T], out: &mut [T], scale: T, shift: T, act: Act) {
        by_act!(act, A => for (o, &x) in out.iter_mut().zip(x) {
            *o = A.of(x * scale + shift);
        })
    }
}

vectorised! {
    fn apply_add<T: Real>(x: &[T], residual: &[T], out: &mut [T], scale: T, shift: T, act: Act) {
        by_act!(act, A => for ((o, &x), &r) in out.iter_mut().zip(x).zip(residual) {
            *o = r + A.of(x * scale + shift);
        })
    }
}

/// Gradient sums of one group: Σ dz and Σ dz · (x − mean) / sqrt(var + eps), where z is the activation's input.
type Sums = (f64, f64);

/// Gradient of [`forward`]; returns the input's gradient if `input`, and the two sums of every plane if they were
/// needed (for own statistics or an affine map's gradient), in plane order.
#[allow(clippy::too_many_arguments)]
pub(crate) fn backward<T: Real>(
    x: &[T],
    dy: &[T],
    planes: Planes,
    spec: &Norm,
    affine: AffineSlices<T>,
    (mean, var): (&[T], &[T]),
    own: bool,
    input: bool,
    affine_gradient: bool,
) -> (Option<Vec<T>>, Vec<Sums>) {
    let isa = isa();
    let hw = planes.hw;
    let mut dx = if input { for_overwrite(x.len()) } else { Vec::new() };
    let out = Shared::new(&mut dx);
    let mut sums = vec![(0.0, 0.0); planes.n * planes.c];
    let shared_sums = Shared::new(&mut sums);
    (0..planes.groups(spec.group)).into_par_iter().for_each(|g| {
        let inverse = 1.0 / (var[g].f64() + spec.eps).sqrt();
        let (hat_scale, hat_shift) = (T::of(inverse), T::of(-mean[g].f64() * inverse));
        let mut total = (0.0, 0.0);
        if own || affine_gradient {
            for p in planes.of(spec.group, g) {
                let (scale, shift) = line(mean[g], var[g], spec.eps, affine, p % planes.c);
                let (xs, ds) = (&x[p * hw..(p + 1) * hw], &dy[p * hw..(p + 1) * hw]);
                let (a, b) = gradient_sums(isa, xs, ds, [scale, shift, hat_scale, hat_shift], spec.act);
                total = (total.0 + a, total.1 + b);
                // SAFETY: every plane belongs to one group, and every group to one task.
                unsafe { shared_sums.set(p, (a, b)) };
            }
        }
        if !input {
            return;
        }
        let count = (planes.of(spec.group, g).count() * hw) as f64;
        let (mean_dz, mean_dz_hat) = if own { (total.0 / count, total.1 / count) } else { (0.0, 0.0) };
        // dx = scale · (dz − mean dz − hat · mean(dz · hat)), the part linear in x collected.
        let slope = -mean_dz_hat * inverse;
        let constant = -mean_dz - slope * mean[g].f64();
        for p in planes.of(spec.group, g) {
            let (scale, shift) = line(mean[g], var[g], spec.eps, affine, p % planes.c);
            let (xs, ds) = (&x[p * hw..(p + 1) * hw], &dy[p * hw..(p + 1) * hw]);
            let factors = [scale, shift, T::of(slope), T::of(constant)];
            // SAFETY: as above.
            gradient(isa, xs, ds, unsafe { out.part(p * hw, hw) }, factors, spec.act);
        }
    });
    (input.then_some(dx), sums)
}

vectorised! {
    fn gradient_sums<T: Real>(x: &[T], dy: &[T], factors: [T; 4], act: Act) -> (f64, f64) {
        let [scale, shift, hat_scale, hat_shift] = factors;
        let dy = &dy[..x.len()];
        by_act!(act, A => {
            const LANES: usize = 16;
            let (mut total, mut total_hat) = (0.0, 0.0);
            for (xs, ds) in x.chunks(1024).zip(dy.chunks(1024)) {
                let (mut a, mut b) = ([T::zero(); LANES], [T::zero(); LANES]);
                for (xs, ds) in xs.chunks(LANES).zip(ds.chunks(LANES)) {
                    for (((&x, &d), a), b) in xs.iter().zip(ds).zip(&mut a).zip(&mut b) {
                        let dz = d * A.slope(A.of(x * scale + shift));
                        *a += dz;
                        *b += dz * (x * hat_scale + hat_shift);
                    }
                }
                for (a, b) in a.iter().zip(&b) {
                    total += a.f64();
                    total_hat += b.f64();
                }
            }
            (total, total_hat)
        })
    }
}

vectorised! {
    fn gradient<T: Real>(x: &[T], dy: &[T], out: &mut [T], factors: [T; 4], act: Act) {
        let [scale, shift, slope, constant] = factors;
        by_act!(act, A => for ((o, &x), &d) in out.iter_mut().zip(x).zip(dy) {
            let dz = d * A.slope(A.of(x * scale + shift));
            *o = scale * (dz + (x * slope + constant));
        })
    }
}
