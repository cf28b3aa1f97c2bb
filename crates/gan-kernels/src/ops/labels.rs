//! Operators on label and instance maps.
use crate::cpu::labels as kernel;
use crate::cpu::real::by_dtype;
use crate::dispatch::on_cuda;
use crate::ops::storage::{plain, slices, tensor};
use candle_core::{DType, Result, Tensor, bail};

/// The sizes of a map of ids: images, height, width.
pub(crate) fn sizes(op: &str, t: &Tensor) -> Result<(usize, usize, usize)> {
    let (n, h, w) = match t.dims() {
        &[n, 1, h, w] => (n, h, w),
        other => bail!("{op}: expected ids [N, 1, H, W], got {other:?}"),
    };
    if !matches!(t.dtype(), DType::U8 | DType::U32) {
        bail!("{op}: expected U8 or U32 ids, got {:?}", t.dtype())
    }
    Ok((n, h, w))
}

/// Ids as U32 with their sizes.
pub(crate) fn ids(op: &str, t: &Tensor) -> Result<(Vec<u32>, usize, usize, usize)> {
    let (n, h, w) = sizes(op, t)?;
    let t = plain(&t.to_dtype(DType::U32)?)?;
    slices!(u32; ids = t);
    Ok((ids.to_vec(), n, h, w))
}

/// Errors at the first label that is too large.
pub(crate) fn check_below(op: &str, ids: &[u32], (h, w): (usize, usize), classes: usize) -> Result<()> {
    let Some(at) = ids.iter().position(|&id| id as usize >= classes) else { return Ok(()) };
    bail!(
        "{op}: label {} at image {}, row {}, column {} is not below the number of classes, {classes}",
        ids[at],
        at / (h * w),
        at % (h * w) / w,
        at % w
    )
}

/// Calls with a value of the type that is asked for.
macro_rules! by_name {
    ($dtype:expr, $t:ident => $body:expr) => {
        match $dtype {
            DType::F32 => {
                type $t = f32;
                $body
            }
            DType::F64 => {
                type $t = f64;
                $body
            }
            other => bail!("planes are F32 or F64, not {other:?}"),
        }
    };
}

/// Label ids `[N, 1, H, W]` (U8 or U32) → planes `[N, classes, H, W]` of zeros and ones. On CUDA, where looking at ids
/// would mean to wait for the device, an id `>= classes` leaves zeros: check a map before it is uploaded.
///
/// # Errors
/// `labels` is not `[N, 1, H, W]` of U8 or U32, or `dtype` is neither F32 nor F64. On the CPU also an id that is not
/// below `classes`, with its position.
pub fn one_hot(labels: &Tensor, classes: usize, dtype: DType) -> Result<Tensor> {
    sizes("one_hot", labels)?;
    on_cuda!(labels, labels::one_hot(labels, classes, dtype));
    let (ids, n, h, w) = ids("one_hot", labels)?;
    check_below("one_hot", &ids, (h, w), classes)?;
    by_name!(dtype, T => tensor(kernel::one_hot::<T>(&ids, n, classes), (n, classes, h, w)))
}

/// 1 where one of the four neighbors carries another id: instance ids `[N, 1, H, W]` (U8 or U32) → `[N, 1, H, W]`; the
/// image's border is no edge.
///
/// # Errors
/// `inst` is not `[N, 1, H, W]` of U8 or U32, or `dtype` is neither F32 nor F64.
pub fn instance_edges(inst: &Tensor, dtype: DType) -> Result<Tensor> {
    sizes("instance_edges", inst)?;
    on_cuda!(inst, labels::instance_edges(inst, dtype));
    let (ids, n, h, w) = ids("instance_edges", inst)?;
    by_name!(dtype, T => {
        tensor(kernel::instance_edges::<T>(&ids, (h, w)), (n, 1, h, w))
    })
}

/// Replaces every feature of `x` `[N, C, H, W]` by its mean over the pixels of the same image that share the instance id
/// (`inst` `[N, 1, H, W]`, U8 or U32).
///
/// The operator is symmetric: its backward is itself applied to the gradient.
///
/// # Errors
/// `x` is not four-dimensional, `inst` is not `[N, 1, H, W]` of U8 or U32, or they differ in images, height or width.
pub fn instance_mean(x: &Tensor, inst: &Tensor) -> Result<Tensor> {
    let (n, c, h, w) = match x.dims() {
        &[n, c, h, w] => (n, c, h, w),
        other => bail!("instance_mean: expected [N, C, H, W], got {other:?}"),
    };
    if (n, h, w) != sizes("instance_mean", inst)? {
        bail!("instance_mean: features {:?} and ids {:?} differ in size", x.dims(), inst.dims())
    }
    on_cuda!(x, labels::instance_mean(x, inst));
    let (ids, ..) = ids("instance_mean", inst)?;
    let x = plain(x)?;
    by_dtype!(x, T => {
        slices!(T; xs = x);
        tensor(kernel::instance_mean::<T>(xs, &ids, c, h * w), (n, c, h, w))
    })
}
