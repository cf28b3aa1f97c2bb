//! Resizing of 8-bit images in fixed point, to the bit as Pillow does it.
//!
//! Both passes run many samples side by side under one weight, the shape that vector units like. Vertically a row's
//! samples already lie side by side; horizontally [`LANES`] rows are interleaved first.

use super::coefficients::Coefficients;
use super::lanes::{LANES, Lanes, PRECISION, Portable};
use super::{Filter, resize_nearest};
use crate::raster::Raster;

/// Resizes an 8-bit image of any channel count.
///
/// ```
/// use gan_data::{Filter, Raster, resize_u8};
/// let grey = Raster::new(2, 1, 1, vec![0u8, 255]);
/// assert_eq!(resize_u8(&grey, 1, 1, Filter::Bilinear).samples(), [128]);
/// ```
#[must_use]
pub fn resize_u8(source: &Raster<u8>, width: usize, height: usize, filter: Filter) -> Raster<u8> {
    if filter == Filter::Nearest {
        return resize_nearest(source, width, height);
    }
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = pulp::x86::V3::try_new() {
        return pulp::Simd::vectorize(avx2, Vectorized { avx2, source, width, height, filter });
    }
    resize_with(Portable, source, width, height, filter)
}

/// The call of [`resize_with`] that runs with AVX2 enabled. A closure would not do: it is called through a function
/// of its own, which lacks the instructions.
#[cfg(target_arch = "x86_64")]
struct Vectorized<'a> {
    avx2: pulp::x86::V3,
    source: &'a Raster<u8>,
    width: usize,
    height: usize,
    filter: Filter,
}

#[cfg(target_arch = "x86_64")]
impl pulp::NullaryFnOnce for Vectorized<'_> {
    type Output = Raster<u8>;

    #[inline(always)]
    fn call(self) -> Raster<u8> {
        resize_with(self.avx2, self.source, self.width, self.height, self.filter)
    }
}

#[inline(always)]
fn resize_with<L: Lanes>(lanes: L, source: &Raster<u8>, width: usize, height: usize, filter: Filter) -> Raster<u8> {
    match (width == source.width(), height == source.height()) {
        (true, true) => source.clone(),
        (false, true) => horizontal(lanes, source, width, filter),
        (true, false) => vertical(lanes, source, height, filter),
        (false, false) => vertical(lanes, &horizontal(lanes, source, width, filter), height, filter),
    }
}

#[inline(always)]
fn horizontal<L: Lanes>(lanes: L, source: &Raster<u8>, width: usize, filter: Filter) -> Raster<u8> {
    let channels = source.channels();
    let coefficients = Coefficients::new(source.width(), width, filter);
    let weights = coefficients.fixed_point(PRECISION);
    let (stride_in, stride_out) = (source.width() * channels, width * channels);
    let mut out = Raster::zeros(width, source.height(), channels);
    // `[sample of the row][lane]`, where a lane is one of 16 rows; whole tiles, so the end is padded.
    let mut block_in = vec![[0u8; LANES]; stride_in.next_multiple_of(LANES)];
    let mut block_out = vec![[0u8; LANES]; stride_out.next_multiple_of(LANES)];
    let rows_in = source.samples().chunks(stride_in * LANES);
    let rows_out = out.samples_mut().chunks_mut(stride_out * LANES);
    for (rows_in, rows_out) in rows_in.zip(rows_out) {
        interleave(lanes, rows_in, stride_in, &mut block_in);
        let outputs = block_out.chunks_exact_mut(channels);
        let taps = weights.chunks_exact(coefficients.taps).zip(&coefficients.spans);
        for (pixel, (weights, &(first, count))) in outputs.zip(taps) {
            let window = &block_in[first * channels..(first + count) * channels];
            for (channel, out) in pixel.iter_mut().enumerate() {
                let mut sums = lanes.start();
                let mut at = channel;
                for weight in &weights[..count] {
                    sums = lanes.accumulate(sums, &window[at], *weight);
                    at += channels;
                }
                *out = lanes.levels(sums);
            }
        }
        deinterleave(lanes, &block_out, stride_out, rows_out);
    }
    out
}

/// Up to 16 rows into lanes.
#[inline(always)]
fn interleave<L: Lanes>(lanes: L, rows: &[u8], stride: usize, block: &mut [[u8; LANES]]) {
    let (tiles, _) = block.as_chunks_mut::<LANES>();
    for (index, tile) in tiles.iter_mut().enumerate() {
        let from = index * LANES;
        let mut square = [[0; LANES]; LANES];
        for (line, row) in square.iter_mut().zip(rows.chunks_exact(stride)) {
            match row[from..].first_chunk() {
                Some(samples) => *line = *samples,
                None => line[..stride - from].copy_from_slice(&row[from..]),
            }
        }
        *tile = lanes.transpose(square);
    }
}

/// Lanes back into up to 16 rows.
#[inline(always)]
fn deinterleave<L: Lanes>(lanes: L, block: &[[u8; LANES]], stride: usize, rows: &mut [u8]) {
    let (tiles, _) = block.as_chunks::<LANES>();
    for (index, tile) in tiles.iter().enumerate() {
        let from = index * LANES;
        for (line, row) in lanes.transpose(*tile).iter().zip(rows.chunks_exact_mut(stride)) {
            match row[from..].first_chunk_mut() {
                Some(samples) => *samples = *line,
                None => row[from..].copy_from_slice(&line[..stride - from]),
            }
        }
    }
}

#[inline(always)]
fn vertical<L: Lanes>(lanes: L, source: &Raster<u8>, height: usize, filter: Filter) -> Raster<u8> {
    let coefficients = Coefficients::new(source.height(), height, filter);
    let weights = coefficients.fixed_point(PRECISION);
    let stride = source.width() * source.channels();
    let mut out = Raster::zeros(source.width(), height, source.channels());
    let rows_out = out.samples_mut().chunks_exact_mut(stride);
    let taps = weights.chunks_exact(coefficients.taps).zip(&coefficients.spans);
    for (row_out, (weights, &(first, count))) in rows_out.zip(taps) {
        let window = &source.samples()[first * stride..(first + count) * stride];
        let weights = &weights[..count];
        let mut from = 0;
        while from < stride {
            // Four groups of lanes at once: each weight is fetched for 64 samples.
            from += match stride - from {
                64.. => column::<L, 4>(lanes, window, stride, from, weights, row_out),
                16.. => column::<L, 1>(lanes, window, stride, from, weights, row_out),
                rest => last_column(lanes, window, stride, rest, weights, row_out),
            };
        }
    }
    out
}

/// `GROUPS * 16` samples of one output row; returns how many that are.
#[inline(always)]
fn column<L: Lanes, const GROUPS: usize>(
    lanes: L,
    window: &[u8],
    stride: usize,
    from: usize,
    weights: &[i32],
    row_out: &mut [u8],
) -> usize {
    let width = GROUPS * LANES;
    let mut sums = [lanes.start(); GROUPS];
    for (weight, row) in weights.iter().zip(window.chunks_exact(stride)) {
        let (samples, _) = row[from..from + width].as_chunks::<LANES>();
        for (sums, samples) in sums.iter_mut().zip(samples) {
            *sums = lanes.accumulate(*sums, samples, *weight);
        }
    }
    let (out, _) = row_out[from..from + width].as_chunks_mut::<LANES>();
    for (out, sums) in out.iter_mut().zip(sums) {
        *out = lanes.levels(sums);
    }
    width
}

/// The last few samples of one output row.
#[inline(always)]
fn last_column<L: Lanes>(
    lanes: L,
    window: &[u8],
    stride: usize,
    rest: usize,
    weights: &[i32],
    row_out: &mut [u8],
) -> usize {
    let mut sums = lanes.start();
    for (weight, row) in weights.iter().zip(window.chunks_exact(stride)) {
        let mut samples = [0; LANES];
        samples[..rest].copy_from_slice(&row[stride - rest..]);
        sums = lanes.accumulate(sums, &samples, *weight);
    }
    row_out[stride - rest..].copy_from_slice(&lanes.levels(sums)[..rest]);
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portable_and_vector_paths_agree_at_odd_sizes() {
        for (width, height, channels) in [(1, 1, 1), (7, 5, 3), (33, 18, 4), (50, 37, 2)] {
            let samples = (0..width * height * channels).map(|i| (i * i * 37 + i) as u8).collect();
            let source = Raster::new(width, height, channels, samples);
            for (to_width, to_height) in [(1, 1), (3, 29), (64, 11), (width, 9), (21, height)] {
                for filter in [Filter::Bilinear, Filter::Bicubic] {
                    let fast = resize_u8(&source, to_width, to_height, filter);
                    assert_eq!(fast, resize_with(Portable, &source, to_width, to_height, filter));
                }
            }
        }
    }

    #[test]
    fn flat_stays_flat() {
        let flat = Raster::new(40, 30, 3, vec![201; 40 * 30 * 3]);
        assert!(resize_u8(&flat, 17, 71, Filter::Bicubic).samples().iter().all(|&s| s == 201));
    }
}
