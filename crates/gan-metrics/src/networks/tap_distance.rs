//! The distance of two feature maps.

use candle_core::{CpuStorage, Device, Result, Storage, Tensor, bail};
use rayon::prelude::*;

/// Added to the length of a position's channels.
const EPS: f64 = 1e-10;
/// Pixels whose sums one task holds.
const PIXELS: usize = 256;

/// For each image of `a` and `b` `[N, C, H, W]`: the mean over positions of Σ_c head_c · (â_c − b̂_c)², where `â = a / (|a| + 1e-10)` has
/// unit length along the channels. Sums are F64.
pub(super) fn tap_distance(a: &Tensor, b: &Tensor, head: &[f64]) -> Result<Vec<f64>> {
    let (n, c, h, w) = a.dims4()?;
    let (a, b) = (a.to_device(&Device::Cpu)?.contiguous()?, b.to_device(&Device::Cpu)?.contiguous()?);
    if b.dims() != [n, c, h, w] || head.len() != c {
        bail!("maps {:?} and {:?} do not go with a head of {} channels", a.dims(), b.dims(), head.len())
    }
    let range = |t: &Tensor| {
        let from = t.layout().start_offset();
        from..from + n * c * h * w
    };
    let ((a_storage, _), (b_storage, _)) = (a.storage_and_layout(), b.storage_and_layout());
    match (&*a_storage, &*b_storage) {
        (Storage::Cpu(CpuStorage::F32(x)), Storage::Cpu(CpuStorage::F32(y))) => {
            Ok(images(&x[range(&a)], &y[range(&b)], n, head))
        }
        (Storage::Cpu(CpuStorage::F64(x)), Storage::Cpu(CpuStorage::F64(y))) => {
            Ok(images(&x[range(&a)], &y[range(&b)], n, head))
        }
        _ => bail!("maps of {:?} and {:?}, where both must be F32 or F64", a.dtype(), b.dtype()),
    }
}

fn images<T: Copy + Into<f64> + Sync>(a: &[T], b: &[T], n: usize, head: &[f64]) -> Vec<f64> {
    if n == 0 {
        return Vec::new();
    }
    let image = a.len() / n;
    a.chunks(image).zip(b.chunks(image)).map(|(a, b)| one(a, b, head)).collect()
}

/// Of one image `[C, H · W]`.
fn one<T: Copy + Into<f64> + Sync>(a: &[T], b: &[T], head: &[f64]) -> f64 {
    let area = a.len() / head.len();
    let parts: Vec<f64> = (0..area.div_ceil(PIXELS)).into_par_iter().map(|part| some(a, b, head, part, area)).collect();
    parts.iter().sum::<f64>() / area as f64
}

/// The sum over the positions of one part.
fn some<T: Copy + Into<f64> + Sync>(a: &[T], b: &[T], head: &[f64], part: usize, area: usize) -> f64 {
    let from = part * PIXELS;
    let count = PIXELS.min(area - from);
    let rows =
        || a.chunks_exact(area).zip(b.chunks_exact(area)).map(|(a, b)| (&a[from..][..count], &b[from..][..count]));
    let mut lengths = [[0.0; 2]; PIXELS];
    for (a, b) in rows() {
        for (l, (&a, &b)) in lengths.iter_mut().zip(a.iter().zip(b)) {
            let (a, b): (f64, f64) = (a.into(), b.into());
            l[0] += a * a;
            l[1] += b * b;
        }
    }
    let scales = lengths.map(|l| l.map(|squares| 1.0 / (f64::sqrt(squares) + EPS)));
    let mut total = [0.0; PIXELS];
    for ((a, b), weight) in rows().zip(head) {
        for ((t, s), (&a, &b)) in total.iter_mut().zip(&scales).zip(a.iter().zip(b)) {
            let (a, b): (f64, f64) = (a.into(), b.into());
            let apart = a * s[0] - b * s[1];
            *t += weight * apart * apart;
        }
    }
    total[..count].iter().sum()
}
