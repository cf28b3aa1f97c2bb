//! Means over the Gaussian window of SSIM, and what SSIM makes of them.

use super::DATA_RANGE;
use super::plane::Plane;
use rayon::prelude::*;
use std::array::from_fn;

/// Pixels on a side of the window.
pub(super) const TAPS: usize = 11;
const SIGMA: f64 = 1.5;
const C1: f64 = (0.01 * DATA_RANGE) * (0.01 * DATA_RANGE);
const C2: f64 = (0.03 * DATA_RANGE) * (0.03 * DATA_RANGE);

/// Rows of windows that are one piece of work. Work is cut by the image's shape, so sums do not depend on threads.
const BAND: usize = 64;

/// Means of a channel's windows: of SSIM, and of its factor of contrast and structure.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Similarity {
    pub(super) ssim: f64,
    pub(super) contrast_structure: f64,
}

/// The means over all windows that lie inside the planes, which have one size and sides of at least [`TAPS`].
pub(super) fn similarity(x: &Plane, y: &Plane) -> Similarity {
    let rows = x.height + 1 - TAPS;
    let taps = taps();
    let bands: Vec<Similarity> = (0..rows.div_ceil(BAND))
        .into_par_iter()
        .map(|band| band_sum(x, y, &taps, band * BAND..rows.min((band + 1) * BAND)))
        .collect();
    let windows = (rows * (x.width + 1 - TAPS)) as f64;
    let total = |part: fn(&Similarity) -> f64| bands.iter().map(part).sum::<f64>() / windows;
    Similarity { ssim: total(|s| s.ssim), contrast_structure: total(|s| s.contrast_structure) }
}

fn taps() -> [f64; TAPS] {
    let weights: [f64; TAPS] = from_fn(|i| (-(i as f64 - (TAPS / 2) as f64).powi(2) / (2.0 * SIGMA * SIGMA)).exp());
    let sum: f64 = weights.iter().sum();
    weights.map(|w| w / sum)
}

/// Number of quantities whose windowed means SSIM needs: x, y, x², y², xy.
const MOMENTS: usize = 5;

/// The sums over the windows of some rows.
fn band_sum(x: &Plane, y: &Plane, taps: &[f64; TAPS], rows: std::ops::Range<usize>) -> Similarity {
    let columns = x.width + 1 - TAPS;
    // The last `TAPS` rows, filtered along the row; row `r` lies at `r % TAPS`.
    let mut ring = vec![[(); MOMENTS].map(|()| vec![0.0; columns]); TAPS];
    let mut products = vec![0.0; x.width];
    let mut means = [(); MOMENTS].map(|()| vec![0.0; columns]);
    let mut sum = Similarity::default();
    for row in rows.start..rows.end + TAPS - 1 {
        let (a, b) = (x.row(row), y.row(row));
        let filtered = &mut ring[row % TAPS];
        let terms: [fn(f64, f64) -> f64; MOMENTS] = [|a, _| a, |_, b| b, |a, _| a * a, |_, b| b * b, |a, b| a * b];
        for (term, out) in terms.iter().zip(filtered) {
            products.iter_mut().zip(a.iter().zip(b)).for_each(|(p, (a, b))| *p = term(*a, *b));
            out.fill(0.0);
            for (i, tap) in taps.iter().enumerate() {
                out.iter_mut().zip(&products[i..]).for_each(|(out, p)| *out += tap * p);
            }
        }
        let Some(first) = (row + 1).checked_sub(TAPS).filter(|first| *first >= rows.start) else { continue };
        for (moment, mean) in means.iter_mut().enumerate() {
            mean.fill(0.0);
            for (i, tap) in taps.iter().enumerate() {
                let from = &ring[(first + i) % TAPS][moment];
                mean.iter_mut().zip(from).for_each(|(mean, v)| *mean += tap * v);
            }
        }
        let [mx, my, xx, yy, xy] = &means;
        for (((mx, my), (xx, yy)), xy) in mx.iter().zip(my).zip(xx.iter().zip(yy)).zip(xy) {
            let (vx, vy, vxy) = (xx - mx * mx, yy - my * my, xy - mx * my);
            let contrast_structure = (2.0 * vxy + C2) / (vx + vy + C2);
            sum.contrast_structure += contrast_structure;
            sum.ssim += (2.0 * mx * my + C1) / (mx * mx + my * my + C1) * contrast_structure;
        }
    }
    sum
}
