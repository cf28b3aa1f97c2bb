//! Resizing of 16-bit images: the same filter in floating point, rounded once at the end.

use super::coefficients::Coefficients;
use super::{Filter, resize_nearest};
use crate::raster::Raster;

/// Resizes a 16-bit image; unlike the 8-bit path nothing is rounded between the two passes.
#[must_use]
pub fn resize_u16(source: &Raster<u16>, width: usize, height: usize, filter: Filter) -> Raster<u16> {
    if filter == Filter::Nearest {
        return resize_nearest(source, width, height);
    }
    let samples = source.samples().iter().map(|&s| f32::from(s)).collect();
    let mut raster = Raster::new(source.width(), source.height(), source.channels(), samples);
    if width != raster.width() {
        raster = horizontal(&raster, width, filter);
    }
    if height != raster.height() {
        raster = vertical(&raster, height, filter);
    }
    // `as` saturates: overshoot of the cubic stays within the levels.
    let samples = raster.samples().iter().map(|s| (s + 0.5) as u16).collect();
    Raster::new(width, height, source.channels(), samples)
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
