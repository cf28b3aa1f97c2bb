//! Resizing of 8-bit pictures in fixed point, to the bit as Pillow does it.
//!
//! Both passes run many samples side by side under one weight, the shape that vector units like. Vertically a row's
//! samples already lie side by side; horizontally [`LANES`] rows are interleaved first.

use pulp::Arch;

use super::coefficients::Coefficients;
use super::{Filter, resize_nearest};
use crate::raster::Raster;

/// Fractional bits of a weight: 32 bits less 8 for the sample and 2 for overshoot of the sum.
pub(super) const PRECISION: u32 = 32 - 8 - 2;

/// Samples that share a weight.
const LANES: usize = 16;

/// Resizes an 8-bit picture of any channel count.
///
/// ```
/// use gan_data::{Filter, Raster, resize_eight};
/// let grey = Raster::new(2, 1, 1, vec![0u8, 255]);
/// assert_eq!(resize_eight(&grey, 1, 1, Filter::Bilinear).samples(), [128]);
/// ```
#[must_use]
pub fn resize_eight(source: &Raster<u8>, width: usize, height: usize, filter: Filter) -> Raster<u8> {
    if filter == Filter::Nearest {
        return resize_nearest(source, width, height);
    }
    let arch = Arch::new();
    let narrowed;
    let source = if width == source.width() {
        source
    } else {
        let coefficients = Coefficients::new(source.width(), width, filter);
        narrowed = arch.dispatch(
            #[inline(always)]
            || horizontal(source, width, &coefficients),
        );
        &narrowed
    };
    if height == source.height() {
        return source.clone();
    }
    let coefficients = Coefficients::new(source.height(), height, filter);
    arch.dispatch(
        #[inline(always)]
        || vertical(source, height, &coefficients),
    )
}

/// Adds `weight * sample` lane by lane.
#[inline(always)]
fn accumulate(sums: &mut [i32; LANES], samples: &[u8; LANES], weight: i32) {
    for lane in 0..LANES {
        sums[lane] += i32::from(samples[lane]) * weight;
    }
}

/// Fixed-point sums to levels. The sums already hold the half that makes the shift round.
#[inline(always)]
fn levels(sums: &[i32; LANES]) -> [u8; LANES] {
    let mut out = [0; LANES];
    for lane in 0..LANES {
        out[lane] = (sums[lane] >> PRECISION).clamp(0, 255) as u8;
    }
    out
}

const HALF: i32 = 1 << (PRECISION - 1);

#[inline(always)]
fn horizontal(source: &Raster<u8>, width: usize, coefficients: &Coefficients) -> Raster<u8> {
    let channels = source.channels();
    let weights = coefficients.fixed_point(PRECISION);
    let (stride_in, stride_out) = (source.width() * channels, width * channels);
    let mut out = Raster::zeros(width, source.height(), channels);
    // `[sample of the row][lane]`, where a lane is one of 16 rows.
    let mut block_in = vec![[0u8; LANES]; stride_in];
    let mut block_out = vec![[0u8; LANES]; stride_out];
    let rows_in = source.samples().chunks(stride_in * LANES);
    let rows_out = out.samples_mut().chunks_mut(stride_out * LANES);
    for (rows_in, rows_out) in rows_in.zip(rows_out) {
        interleave(rows_in, stride_in, &mut block_in);
        let outputs = block_out.chunks_exact_mut(channels);
        let taps = weights.chunks_exact(coefficients.taps).zip(&coefficients.spans);
        for (pixel, (weights, &(first, count))) in outputs.zip(taps) {
            let window = &block_in[first * channels..(first + count) * channels];
            for (channel, out) in pixel.iter_mut().enumerate() {
                let mut sums = [HALF; LANES];
                for (weight, samples) in weights.iter().zip(window[channel..].iter().step_by(channels)) {
                    accumulate(&mut sums, samples, *weight);
                }
                *out = levels(&sums);
            }
        }
        deinterleave(&block_out, stride_out, rows_out);
    }
    out
}

/// Up to 16 rows into lanes; in tiles, so that the lanes being filled stay in the nearest cache.
#[inline(always)]
fn interleave(rows: &[u8], stride: usize, block: &mut [[u8; LANES]]) {
    const TILE: usize = 256;
    for (tile, block) in block.chunks_mut(TILE).enumerate() {
        for (lane, row) in rows.chunks_exact(stride).enumerate() {
            let row = &row[tile * TILE..][..block.len()];
            block.iter_mut().zip(row).for_each(|(lanes, &sample)| lanes[lane] = sample);
        }
    }
}

#[inline(always)]
fn deinterleave(block: &[[u8; LANES]], stride: usize, rows: &mut [u8]) {
    const TILE: usize = 256;
    for (tile, block) in block.chunks(TILE).enumerate() {
        for (lane, row) in rows.chunks_exact_mut(stride).enumerate() {
            let row = &mut row[tile * TILE..][..block.len()];
            row.iter_mut().zip(block).for_each(|(sample, lanes)| *sample = lanes[lane]);
        }
    }
}

#[inline(always)]
fn vertical(source: &Raster<u8>, height: usize, coefficients: &Coefficients) -> Raster<u8> {
    let weights = coefficients.fixed_point(PRECISION);
    let stride = source.width() * source.channels();
    let mut out = Raster::zeros(source.width(), height, source.channels());
    let rows_out = out.samples_mut().chunks_exact_mut(stride);
    let taps = weights.chunks_exact(coefficients.taps).zip(&coefficients.spans);
    for (row_out, (weights, &(first, count))) in rows_out.zip(taps) {
        let window = &source.samples()[first * stride..(first + count) * stride];
        let (chunks, rest) = row_out.as_chunks_mut::<LANES>();
        for (index, chunk) in chunks.iter_mut().enumerate() {
            let mut sums = [HALF; LANES];
            for (weight, row) in weights.iter().zip(window.chunks_exact(stride)) {
                if let Some(samples) = row[index * LANES..].first_chunk() {
                    accumulate(&mut sums, samples, *weight);
                }
            }
            *chunk = levels(&sums);
        }
        let done = stride - rest.len();
        for (column, out) in rest.iter_mut().enumerate() {
            let mut sum = HALF;
            for (weight, row) in weights.iter().zip(window.chunks_exact(stride)) {
                sum += i32::from(row[done + column]) * weight;
            }
            *out = (sum >> PRECISION).clamp(0, 255) as u8;
        }
    }
    out
}
