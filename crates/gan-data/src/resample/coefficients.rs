//! Filter weights of one axis.

use super::Filter;

/// For every output position: which inputs count, and how much.
pub(super) struct Coefficients {
    /// `(first input, number of inputs)` for each output.
    pub(super) spans: Vec<(usize, usize)>,
    /// Weights, `taps` for each output, padded with zeros.
    pub(super) weights: Vec<f64>,
    /// Weights stored for each output.
    pub(super) taps: usize,
}

impl Coefficients {
    /// Weights that take `from` samples to `to` samples; those of each output sum to 1.
    ///
    /// The filter must not be [`Filter::Nearest`], which has no weights.
    pub(super) fn new(from: usize, to: usize, filter: Filter) -> Self {
        let (kernel, support): (fn(f64) -> f64, f64) = match filter {
            Filter::Bilinear => (triangle, 1.0),
            Filter::Bicubic | Filter::Nearest => (cubic, 2.0),
        };
        let scale = from as f64 / to as f64;
        let widening = scale.max(1.0);
        let reach = support * widening;
        let taps = reach.ceil() as usize * 2 + 1;
        let mut spans = Vec::with_capacity(to);
        let mut weights = vec![0.0; to * taps];
        for (out, row) in weights.chunks_exact_mut(taps).enumerate() {
            let centre = (out as f64 + 0.5) * scale;
            let low = (centre - reach + 0.5).max(0.0) as usize;
            let high = ((centre + reach + 0.5) as usize).min(from);
            let row = &mut row[..high - low];
            for (j, weight) in row.iter_mut().enumerate() {
                *weight = kernel(((j + low) as f64 - centre + 0.5) * (1.0 / widening));
            }
            let sum: f64 = row.iter().sum();
            if sum != 0.0 {
                row.iter_mut().for_each(|w| *w /= sum);
            }
            spans.push((low, high - low));
        }
        Self { spans, weights, taps }
    }

    /// The weights in fixed point with `precision` fractional bits, rounded half away from zero.
    pub(super) fn fixed_point(&self, precision: u32) -> Vec<i32> {
        let one = f64::from(1u32 << precision);
        self.weights.iter().map(|w| (w * one + 0.5f64.copysign(*w)) as i32).collect()
    }
}

fn triangle(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}

fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}
