//! Resizing in floating point: sums in f64, each pass rounded to f32, as Pillow does with images of mode F.

use super::coefficients::Coefficients;
use super::{Filter, resize_nearest};
use crate::raster::Raster;

/// Resizes an image of f32 samples, horizontally first. Nothing is clamped: a cubic filter overshoots.
#[must_use]
pub fn resize_f32(source: &Raster<f32>, width: usize, height: usize, filter: Filter) -> Raster<f32> {
    if filter == Filter::Nearest {
        return resize_nearest(source, width, height);
    }
    match (width == source.width(), height == source.height()) {
        (true, true) => source.clone(),
        (false, true) => horizontal(source, width, filter),
        (true, false) => vertical(source, height, filter),
        (false, false) => vertical(&horizontal(source, width, filter), height, filter),
    }
}

fn horizontal(source: &Raster<f32>, width: usize, filter: Filter) -> Raster<f32> {
    let coefficients = Coefficients::new(source.width(), width, filter);
    let channels = source.channels();
    let mut samples = Vec::with_capacity(width * source.height() * channels);
    for y in 0..source.height() {
        let row = source.row(y);
        for (weights, &(first, count)) in coefficients.weights.chunks_exact(coefficients.taps).zip(&coefficients.spans)
        {
            let window = &row[first * channels..][..count * channels];
            for channel in 0..channels {
                let taps = window[channel..].iter().step_by(channels);
                let sum: f64 = weights.iter().zip(taps).map(|(w, &s)| w * f64::from(s)).sum();
                samples.push(sum as f32);
            }
        }
    }
    Raster::new(width, source.height(), channels, samples)
}

fn vertical(source: &Raster<f32>, height: usize, filter: Filter) -> Raster<f32> {
    let coefficients = Coefficients::new(source.height(), height, filter);
    let stride = source.width() * source.channels();
    let mut samples = Vec::with_capacity(height * stride);
    let mut sums = vec![0f64; stride];
    for (weights, &(first, count)) in coefficients.weights.chunks_exact(coefficients.taps).zip(&coefficients.spans) {
        sums.fill(0.0);
        for (weight, y) in weights.iter().zip(first..first + count) {
            sums.iter_mut().zip(source.row(y)).for_each(|(sum, &s)| *sum += weight * f64::from(s));
        }
        samples.extend(sums.iter().map(|&s| s as f32));
    }
    Raster::new(source.width(), height, source.channels(), samples)
}
