//! Instance and batch normalization with their activation and residual sum.
use crate::cpu::norm::{self as kernel, AffineSlices, Planes, Statistics};
use crate::cpu::real::{Real, by_dtype};
use crate::dispatch::on_cuda;
pub use crate::ops::moments::MomentsOfRows;
use crate::ops::storage::{plain, same_shape, slices, tensor, update};
pub use crate::spec::norm::{Affine, Group, Moments, Norm, NormGrads};
use candle_core::{DType, Result, Tensor, bail};

fn planes(op: &str, x: &Tensor) -> Result<Planes> {
    let (n, c, h, w) = match x.dims() {
        &[n, c, h, w] => (n, c, h, w),
        other => bail!("{op}: expected [N, C, H, W], got {other:?}"),
    };
    if n * h * w == 0 {
        bail!("{op}: no elements to take a mean of in {:?}", x.dims())
    }
    Ok(Planes { n, c, hw: h * w })
}

/// The type of statistics and parameters that go with `x`.
fn statistics(x: &Tensor) -> DType {
    if x.dtype() == DType::BF16 { DType::F32 } else { x.dtype() }
}

fn vector(op: &str, what: &str, t: &Tensor, len: usize, x: &Tensor) -> Result<()> {
    if t.dims() != [len] || t.dtype() != statistics(x) {
        bail!("{op}: {what} must be [{len}] {:?}, got {:?} {:?}", statistics(x), t.dims(), t.dtype())
    }
    Ok(())
}

/// Checks an affine map and returns the sizes of `x`.
fn checked(op: &str, x: &Tensor, affine: Option<Affine>) -> Result<Planes> {
    let planes = planes(op, x)?;
    if let Some(Affine { weight, bias }) = affine {
        vector(op, "the scale", weight, planes.c, x)?;
        vector(op, "the shift", bias, planes.c, x)?;
    }
    Ok(planes)
}

fn checked_moments(op: &str, moments: &Moments, groups: usize, x: &Tensor) -> Result<()> {
    vector(op, "the mean", &moments.mean, groups, x)?;
    vector(op, "the variance", &moments.var, groups, x)
}

/// Checked operands of one call.
struct Operands {
    x: Tensor,
    planes: Planes,
    affine: Option<(Tensor, Tensor)>,
}

impl Operands {
    fn new(op: &str, x: &Tensor, affine: Option<Affine>) -> Result<Self> {
        let planes = checked(op, x, affine)?;
        let affine = match affine {
            Some(Affine { weight, bias }) => Some((plain(weight)?, plain(bias)?)),
            None => None,
        };
        Ok(Operands { x: plain(x)?, planes, affine })
    }

    fn affine<T: Real>(&self) -> Result<Option<(Vec<T>, Vec<T>)>> {
        match &self.affine {
            Some((w, b)) => {
                slices!(T; w = w, b = b);
                Ok(Some((w.to_vec(), b.to_vec())))
            }
            None => Ok(None),
        }
    }
}

fn borrowed<T>(affine: &Option<(Vec<T>, Vec<T>)>) -> AffineSlices<'_, T> {
    affine.as_ref().map(|(w, b)| (w.as_slice(), b.as_slice()))
}

fn moments_of<T: Real>(moments: &Moments) -> Result<(Vec<T>, Vec<T>)> {
    let (mean, var) = (plain(&moments.mean)?, plain(&moments.var)?);
    slices!(T; mean = mean, var = var);
    Ok((mean.to_vec(), var.to_vec()))
}

fn forward(
    op: &str,
    x: &Tensor,
    given: Option<&Moments>,
    spec: &Norm,
    affine: Option<Affine>,
    residual: Option<&Tensor>,
) -> Result<(Tensor, Moments)> {
    if let Some(r) = residual {
        same_shape(op, x, r)?;
    }
    let groups = checked(op, x, affine)?.groups(spec.group);
    if let Some(moments) = given {
        checked_moments(op, moments, groups, x)?;
    }
    on_cuda!(x, norm::forward(x, given, spec, affine, residual, statistics(x)));
    let operands = Operands::new(op, x, affine)?;
    // Without a residual, x stands in for it and is not looked at.
    let r = plain(residual.unwrap_or(x))?;
    let (planes, x) = (operands.planes, &operands.x);
    by_dtype!(x, T => {
        let affine = operands.affine::<T>()?;
        let affine = borrowed(&affine);
        slices!(T; xs = x, rs = r);
        let rs = residual.map(|_| rs);
        match given {
            Some(moments) => {
                let (mean, var) = moments_of::<T>(moments)?;
                let y = kernel::forward(xs, planes, spec, affine, rs, Statistics::Given(&mean, &var));
                Ok((tensor(y, x.shape())?, moments.clone()))
            }
            None => {
                let (mut mean, mut var) = (vec![0.0; groups], vec![0.0; groups]);
                let y = kernel::forward(xs, planes, spec, affine, rs, Statistics::Own(&mut mean, &mut var));
                Ok((tensor(y, x.shape())?, Moments { mean: tensor(mean, groups)?, var: tensor(var, groups)? }))
            }
        }
    })
}

#[allow(clippy::too_many_arguments)]
fn backward(
    op: &str,
    x: &Tensor,
    moments: &Moments,
    dy: &Tensor,
    spec: &Norm,
    affine: Option<Affine>,
    own: bool,
    grads: NormGrads,
) -> Result<Option<Tensor>> {
    same_shape(op, x, dy)?;
    let planes = checked(op, x, affine)?;
    checked_moments(op, moments, planes.groups(spec.group), x)?;
    if let Some(Affine { weight, bias }) = grads.affine {
        vector(op, "the scale's gradient", weight, planes.c, x)?;
        vector(op, "the shift's gradient", bias, planes.c, x)?;
    }
    on_cuda!(x, norm::backward(x, moments, dy, spec, affine, own, grads, statistics(x)));
    let operands = Operands::new(op, x, affine)?;
    let dy = plain(dy)?;
    let x = &operands.x;
    by_dtype!(x, T => {
        let affine = operands.affine::<T>()?;
        let (mean, var) = moments_of::<T>(moments)?;
        let (dx, sums) = {
            slices!(T; xs = x, ds = dy);
            let wanted = grads.affine.is_some();
            kernel::backward(xs, ds, planes, spec, borrowed(&affine), (&mean, &var), own, grads.input, wanted)
        };
        if let Some(Affine { weight, bias }) = grads.affine {
            let add = |into: &Tensor, pick: fn(&(f64, f64)) -> f64| update(into, |into: &mut [T]| {
                for (c, into) in into.iter_mut().enumerate() {
                    let total: f64 = sums.iter().skip(c).step_by(planes.c).map(pick).sum();
                    *into += T::of(total);
                }
                Ok(())
            });
            add(weight, |s| s.1)?;
            add(bias, |s| s.0)?;
        }
        dx.map(|dx| tensor(dx, x.shape())).transpose()
    })
}

/// Normalizes with the statistics of `x` `[N, C, H, W]` itself and returns them.
///
/// # Errors
/// `x` is not four-dimensional or has no pixels, or `residual` differs from it in shape or element type. The scale or
/// the shift is not `[C]` of the type of `x` (F32 beside BF16).
pub fn norm(x: &Tensor, spec: &Norm, affine: Option<Affine>, residual: Option<&Tensor>) -> Result<(Tensor, Moments)> {
    forward("norm", x, None, spec, affine, residual)
}

/// Backward of [`norm`]: recomputes the normalized value and the activation from `x` and `moments`. The residual's
/// gradient is `dy` itself.
///
/// # Errors
/// As [`norm`]; `dy` differs from `x` in shape or element type, or `moments` or an accumulator has another length or
/// type than `x` asks for.
pub fn norm_backward(
    x: &Tensor,
    moments: &Moments,
    dy: &Tensor,
    spec: &Norm,
    affine: Option<Affine>,
    grads: NormGrads,
) -> Result<Option<Tensor>> {
    backward("norm_backward", x, moments, dy, spec, affine, true, grads)
}

/// Normalizes with given statistics (running statistics of a batch norm).
///
/// # Errors
/// As [`norm`]; `moments` have another length or element type than `x` asks for.
pub fn norm_with(
    x: &Tensor,
    moments: &Moments,
    spec: &Norm,
    affine: Option<Affine>,
    residual: Option<&Tensor>,
) -> Result<Tensor> {
    Ok(forward("norm_with", x, Some(moments), spec, affine, residual)?.0)
}

/// Backward of [`norm_with`]: the statistics are constants.
///
/// # Errors
/// As [`norm_backward`].
pub fn norm_with_backward(
    x: &Tensor,
    moments: &Moments,
    dy: &Tensor,
    spec: &Norm,
    affine: Option<Affine>,
    grads: NormGrads,
) -> Result<Option<Tensor>> {
    backward("norm_with_backward", x, moments, dy, spec, affine, false, grads)
}

/// Moves running statistics in place: `running ← (1 − momentum) · running + momentum · new`, the variance unbiased by
/// `count / (count − 1)` (`count` elements a group; a single one leaves the factor at 1).
///
/// # Errors
/// The two pairs of statistics differ in shape or element type, the type is unsupported, or `running` is not
/// contiguous.
pub fn update_running(moments: &Moments, count: usize, momentum: f64, running: &Moments) -> Result<()> {
    same_shape("update_running", &moments.mean, &running.mean)?;
    same_shape("update_running", &moments.var, &running.var)?;
    let unbias = if count > 1 { count as f64 / (count - 1) as f64 } else { 1.0 };
    on_cuda!(moments.mean, norm::update_running(moments, unbias, momentum, running));
    for (new, factor, into) in [(&moments.mean, 1.0, &running.mean), (&moments.var, unbias, &running.var)] {
        let new = plain(new)?.copy()?;
        by_dtype!(new, T => {
            slices!(T; new = new);
            update(into, |into: &mut [T]| {
                for (r, n) in into.iter_mut().zip(new) {
                    *r = T::of((1.0 - momentum) * r.f64() + momentum * factor * n.f64());
                }
                Ok(())
            })
        })?;
    }
    Ok(())
}
