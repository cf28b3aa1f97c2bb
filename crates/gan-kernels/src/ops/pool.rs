//! Pooling.
use crate::cpu::real::{Real, by_dtype};
use crate::dispatch::{isa, on_cuda};
use crate::isa::vectorised;
use crate::ops::storage::{plain, slices, tensor};
use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;

fn dims(op: &str, x: &Tensor) -> Result<(usize, usize, usize, usize)> {
    match x.dims() {
        &[n, c, h, w] if h > 0 && w > 0 => Ok((n, c, h, w)),
        other => bail!("{op}: expected [N, C, H, W] with pixels, got {other:?}"),
    }
}

/// Max pooling 2x2, stride 2, floor: `[N, C, H, W]` → `[N, C, H/2, W/2]`.
///
/// # Errors
/// `x` is not four-dimensional, has a side shorter than 2, or has an unsupported element type.
pub fn max_pool2(x: &Tensor) -> Result<Tensor> {
    let (n, c, h, w) = dims("max_pool2", x)?;
    let (ho, wo) = (h / 2, w / 2);
    if ho * wo == 0 {
        bail!("max_pool2: {h}x{w} is smaller than the window")
    }
    on_cuda!(x, image::max_pool2(x));
    let x = plain(x)?;
    by_dtype!(x, T => {
        slices!(T; xs = x);
        let mut out: Vec<T> = vec![0.0; n * c * ho * wo];
        out.par_chunks_mut(ho * wo).zip(xs.par_chunks(h * w)).for_each(|(out, x)| {
            for (oy, row) in out.chunks_mut(wo).enumerate() {
                let (a, b) = x[2 * oy * w..(2 * oy + 2) * w].split_at(w);
                for ((o, a), b) in row.iter_mut().zip(a.chunks_exact(2)).zip(b.chunks_exact(2)) {
                    *o = [a[1], b[0], b[1]].into_iter().fold(a[0], |m, v| if v > m || v.is_nan() { v } else { m });
                }
            }
        });
        tensor(out, (n, c, ho, wo))
    })
}

/// Backward of [`max_pool2`]; the first maximum in row-major order takes the gradient.
///
/// # Errors
/// `dy` has another shape or element type than an output for `x`, or the type is unsupported.
pub fn max_pool2_backward(x: &Tensor, dy: &Tensor) -> Result<Tensor> {
    let (n, c, h, w) = dims("max_pool2_backward", x)?;
    let (ho, wo) = (h / 2, w / 2);
    if dy.dims() != [n, c, ho, wo] || dy.dtype() != x.dtype() || ho * wo == 0 {
        bail!("max_pool2_backward: a gradient {:?} does not fit the input {:?}", dy.dims(), x.dims())
    }
    on_cuda!(x, image::max_pool2_backward(x, dy));
    let (x, dy, isa) = (plain(x)?, plain(dy)?, isa());
    by_dtype!(x, T => {
        slices!(T; xs = x, ds = dy);
        let mut out: Vec<T> = vec![0.0; n * c * h * w];
        out.par_chunks_mut(h * w).zip(xs.par_chunks(h * w).zip(ds.par_chunks(ho * wo))).for_each(|(out, (x, d))| {
            for (oy, d) in d.chunks_exact(wo).enumerate() {
                let (top, bottom) = x[2 * oy * w..(2 * oy + 2) * w].split_at(w);
                let (to_top, to_bottom) = out[2 * oy * w..(2 * oy + 2) * w].split_at_mut(w);
                spread_maximum(isa, [top, bottom], d, to_top, to_bottom);
            }
        });
        tensor(out, (n, c, h, w))
    })
}

vectorised! {
    /// Gives each gradient to the first maximum of its window (NaN counts as larger than all numbers, as in the forward
    /// pass). Written without branches.
    fn spread_maximum<T: Real>(x: [&[T]; 2], d: &[T], top: &mut [T], bottom: &mut [T]) {
        let pairs = x[0].chunks_exact(2).zip(x[1].chunks_exact(2));
        let out = top.chunks_exact_mut(2).zip(bottom.chunks_exact_mut(2));
        for (((a, b), (top, bottom)), &d) in pairs.zip(out).zip(d) {
            let larger = |x: T, y: T| (x > y) | (x.is_nan() & !y.is_nan());
            let right = larger(a[1], a[0]);
            let left_below = larger(b[0], if right { a[1] } else { a[0] });
            let best = if left_below { b[0] } else if right { a[1] } else { a[0] };
            let right_below = larger(b[1], best);
            let below = left_below | right_below;
            top[0] = if below | right { T::zero() } else { d };
            top[1] = if right & !below { d } else { T::zero() };
            bottom[0] = if left_below & !right_below { d } else { T::zero() };
            bottom[1] = if right_below { d } else { T::zero() };
        }
    }
}

/// The window of output position `o` along an axis of `size` pixels: 3 wide, centred on `2 · o`, cut at the border.
#[inline(always)]
fn window(o: usize, size: usize) -> std::ops::Range<usize> {
    (2 * o).saturating_sub(1)..(2 * o + 2).min(size)
}

/// Average pooling 3x3, stride 2, padding 1, padding not counted: `[N, C, H, W]` → `[N, C, ceil(H/2), ceil(W/2)]`.
///
/// # Errors
/// `x` is not four-dimensional, has no pixels, or has an unsupported element type.
pub fn avg_pool3s2(x: &Tensor) -> Result<Tensor> {
    let (n, c, h, w) = dims("avg_pool3s2", x)?;
    let (ho, wo) = (h.div_ceil(2), w.div_ceil(2));
    on_cuda!(x, image::avg_pool3s2(x));
    let x = plain(x)?;
    by_dtype!(x, T => {
        slices!(T; xs = x);
        let mut out: Vec<T> = vec![0.0; n * c * ho * wo];
        out.par_chunks_mut(ho * wo).zip(xs.par_chunks(h * w)).for_each(|(out, x)| {
            let mut columns: Vec<T> = vec![0.0; w];
            for (oy, row) in out.chunks_mut(wo).enumerate() {
                let rows = window(oy, h);
                columns.fill(0.0);
                for y in rows.clone() {
                    for (s, &v) in columns.iter_mut().zip(&x[y * w..(y + 1) * w]) {
                        *s += v;
                    }
                }
                for (ox, o) in row.iter_mut().enumerate() {
                    let cols = window(ox, w);
                    let count = (rows.len() * cols.len()) as T;
                    *o = columns[cols].iter().sum::<T>() / count;
                }
            }
        });
        tensor(out, (n, c, ho, wo))
    })
}

/// Backward of [`avg_pool3s2`] for an input of height and width `hw`.
///
/// # Errors
/// `dy` is not four-dimensional, is no output for an input of `hw`, or has an unsupported element type.
pub fn avg_pool3s2_backward(dy: &Tensor, hw: (usize, usize)) -> Result<Tensor> {
    let (n, c, ho, wo) = dims("avg_pool3s2_backward", dy)?;
    let (h, w) = hw;
    if (ho, wo) != (h.div_ceil(2), w.div_ceil(2)) {
        bail!("avg_pool3s2_backward: a gradient of {ho}x{wo} does not fit an input of {h}x{w}")
    }
    on_cuda!(dy, image::avg_pool3s2_backward(dy, hw));
    let dy = plain(dy)?;
    by_dtype!(dy, T => {
        slices!(T; ds = dy);
        let mut out: Vec<T> = vec![0.0; n * c * h * w];
        out.par_chunks_mut(h * w).zip(ds.par_chunks(ho * wo)).for_each(|(out, d)| {
            spread(d, out, (ho, wo), (h, w));
        });
        tensor(out, (n, c, h, w))
    })
}

fn spread<T: Real>(d: &[T], out: &mut [T], (ho, wo): (usize, usize), (h, w): (usize, usize)) {
    let mut columns = vec![T::zero(); w];
    for oy in 0..ho {
        let rows = window(oy, h);
        columns.fill(T::zero());
        for ox in 0..wo {
            let cols = window(ox, w);
            let share = d[oy * wo + ox] / T::of((rows.len() * cols.len()) as f64);
            for s in &mut columns[cols] {
                *s += share;
            }
        }
        for y in rows {
            for (o, &s) in out[y * w..(y + 1) * w].iter_mut().zip(&columns) {
                *o += s;
            }
        }
    }
}
