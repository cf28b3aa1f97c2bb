//! Joining and cutting tensors along their channels.
use crate::cpu::elementwise::{CHUNK, for_overwrite};
use crate::cpu::real::by_dtype;
use crate::dispatch::on_cuda;
use crate::ops::storage::{elements, plain, same_kind, tensor};
use crate::spec::geometry::dims4;
use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;

/// The channels of all parts `[N, C_i, H, W]`, one part after the other: `[N, Σ C_i, H, W]`.
///
/// # Errors
/// There is no part, or they differ in anything but their channels: in images, height, width or element type.
pub fn cat_channels(parts: &[&Tensor]) -> Result<Tensor> {
    const OP: &str = "cat_channels";
    if parts.is_empty() {
        bail!("{OP}: no tensors")
    }
    on_cuda!(parts[0], layout::cat_channels(parts));
    let [n, _, h, w] = dims4(OP, "part", parts[0].dims())?;
    let mut channels = 0;
    for part in parts {
        let [images, c, height, width] = dims4(OP, "part", part.dims())?;
        same_kind(OP, parts[0], part)?;
        if [images, height, width] != [n, h, w] {
            bail!("{OP}: {:?} and {:?} differ in more than their channels", parts[0].dims(), part.dims())
        }
        channels += c;
    }
    let parts = parts.iter().map(|part| plain(part)).collect::<Result<Vec<_>>>()?;
    by_dtype!(parts[0], T => {
        let guards: Vec<_> = parts.iter().map(Tensor::storage_and_layout).collect();
        let values = guards.iter().map(|guard| elements(&guard.0, guard.1)).collect::<Result<Vec<&[T]>>>()?;
        let mut out = for_overwrite(n * channels * h * w);
        let (mut copies, mut rest) = (Vec::new(), &mut out[..]);
        for image in 0..n {
            for part in &values {
                let count = part.len() / n;
                let (to, behind) = rest.split_at_mut(count);
                copies.extend(to.chunks_mut(CHUNK).zip(part[image * count..][..count].chunks(CHUNK)));
                rest = behind;
            }
        }
        copies.into_par_iter().for_each(|(to, from)| to.copy_from_slice(from));
        tensor(out, (n, channels, h, w))
    })
}

/// The channels `from .. from + count` of `x` `[N, C, H, W]`, dense: `[N, count, H, W]`.
///
/// # Errors
/// `x` has fewer than `from + count` channels.
pub fn narrow_channels(x: &Tensor, from: usize, count: usize) -> Result<Tensor> {
    on_cuda!(x, layout::narrow_channels(x, from, count));
    x.detach().narrow(1, from, count)?.contiguous()
}
