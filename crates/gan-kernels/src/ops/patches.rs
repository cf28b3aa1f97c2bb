//! What patch-wise contrastive losses need: random positions, features there and their gradients, mirrored images.
use crate::cpu::patches as kernel;
use crate::cpu::real::by_dtype;
use crate::dispatch::on_cuda;
use crate::ops::storage::{plain, slices, tensor, update};
use crate::spec::dropout::MaskKey;
use candle_core::{DType, Device, Result, Tensor, bail};

/// Most pixels of an image: positions are counted in 31 bits.
const MAX_PIXELS: usize = i32::MAX as usize;

/// `count` different positions `y · W + x` of an image of `pixels` pixels, drawn at random under a key; all of them in random order where
/// there are no more. U32 `[min(count, pixels)]`. A captured step finds another key at every launch, as for the masks of dropout.
///
/// # Errors
/// An image without pixels, or with more than 2^31 - 1.
pub fn positions(device: &Device, key: impl Into<MaskKey>, pixels: usize, count: usize) -> Result<Tensor> {
    if pixels == 0 || pixels > MAX_PIXELS {
        bail!("positions: an image of {pixels} pixels")
    }
    let (key, count) = (key.into(), count.min(pixels));
    #[cfg(feature = "cuda")]
    if let Device::Cuda(device) = device {
        return crate::cuda::patches::positions(device, key, pixels, count);
    }
    let key = key.sequence();
    Tensor::from_iter((0..count as u32).map(|i| key.permuted(i, pixels as u32)), device)
}

/// The positions that show the same in the image mirrored left to right, for images `width` pixels wide.
///
/// # Errors
/// `positions` is not U32, or there is no width.
pub fn mirrored(positions: &Tensor, width: usize) -> Result<Tensor> {
    check_positions("mirrored", positions)?;
    if width == 0 {
        bail!("mirrored: an image without columns")
    }
    on_cuda!(positions, patches::mirrored(positions, width));
    let mirror = |at: u32| at - at % width as u32 + (width as u32 - 1 - at % width as u32);
    Tensor::from_iter(positions.to_vec1::<u32>()?.into_iter().map(mirror), positions.device())
}

/// Images `[N, C, H, W]` mirrored left to right.
///
/// # Errors
/// `x` is not four-dimensional, has no pixels, or has an unsupported element type.
pub fn mirrored_images(x: &Tensor) -> Result<Tensor> {
    let (_, _, h, w) = x.dims4()?;
    if h * w == 0 {
        bail!("mirrored_images: {:?} has no pixels", x.dims())
    }
    on_cuda!(x, patches::mirrored_images(x));
    let x = plain(x)?;
    by_dtype!(x, T => {
        slices!(T; xs = x);
        tensor(kernel::mirrored::<T>(xs, w), x.shape())
    })
}

/// The features of images `[N, C, H, W]` at `P` positions, the same in every image: `[N·P, C]`, one image's rows after the other's. In BF16
/// the rows are F32.
///
/// # Errors
/// Shapes and types that do not go together. On the CPU also a position outside of the image (on CUDA nobody looks, and its row holds
/// zeros).
pub fn gather(x: &Tensor, positions: &Tensor) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    check_positions("gather", positions)?;
    on_cuda!(x, patches::gather(x, positions));
    let at = inside("gather", positions, h * w)?;
    let x = plain(x)?;
    by_dtype!(x, T => {
        slices!(T; xs = x);
        tensor(kernel::gather::<T>(xs, c, h * w, &at), (n * at.len(), c))
    })
}

/// Backward of [`gather`]: adds the gradient of the rows `[N·P, C]` to that of the images, `into`, in place. No position may come twice.
///
/// # Errors
/// As [`gather`].
pub fn gather_backward(rows: &Tensor, positions: &Tensor, into: &Tensor) -> Result<()> {
    let (n, c, h, w) = into.dims4()?;
    check_positions("gather_backward", positions)?;
    if rows.dims() != [n * positions.elem_count(), c] {
        bail!("gather_backward: rows {:?} do not fit images {:?}", rows.dims(), into.dims())
    }
    on_cuda!(into, patches::gather_backward(rows, positions, into));
    let at = inside("gather_backward", positions, h * w)?;
    let rows = plain(rows)?;
    by_dtype!(rows, T => {
        slices!(T; rs = rows);
        update(into, |into: &mut [T]| {
            kernel::gather_backward(rs, c, h * w, &at, into);
            Ok(())
        })
    })
}

fn check_positions(op: &str, positions: &Tensor) -> Result<()> {
    if positions.rank() != 1 || positions.dtype() != DType::U32 || positions.elem_count() == 0 {
        bail!("{op}: expected positions U32 [P], got {:?} {:?}", positions.dtype(), positions.dims())
    }
    Ok(())
}

/// The positions as places in a plane of `pixels` pixels.
fn inside(op: &str, positions: &Tensor, pixels: usize) -> Result<Vec<usize>> {
    let at: Vec<usize> = positions.to_vec1::<u32>()?.into_iter().map(|at| at as usize).collect();
    match at.iter().find(|at| **at >= pixels) {
        Some(at) => bail!("{op}: position {at} in an image of {pixels} pixels"),
        None => Ok(at),
    }
}
