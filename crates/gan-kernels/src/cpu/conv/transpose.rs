//! Channels become the vector lanes.
#![allow(unsafe_code)]
use crate::cpu::simd::simd_entry;
use crate::isa::Isa;

/// Some channels of planes that lie `step` elements apart.
#[derive(Clone, Copy)]
pub(super) struct Channels<'a> {
    /// From the first row that is meant, of the first channel, to the last row of the last one at least.
    pub(super) from: &'a [f32],
    pub(super) count: usize,
    pub(super) step: usize,
}

/// `[channels][h][w]` → `[h][pitch][lanes]`, zeros elsewhere.
pub(super) fn transpose(isa: Isa, from: Channels<'_>, to: &mut [f32], size: (usize, usize, usize), lanes: usize) {
    let (h, w, pitch) = size;
    assert!(from.from.len() >= from.count.saturating_sub(1) * from.step + h * w && from.count <= lanes && w <= pitch);
    assert!(to.len() >= h * pitch * lanes);
    squares(isa, from, to, size, lanes);
}

simd_entry! {
    fn squares[S](from: Channels<'_>, to: &mut [f32], size: (usize, usize, usize), lanes: usize) {
        let (h, w, pitch) = size;
        let Channels { from, count, step } = from;
        let (body, end) = to.split_at_mut(h * pitch * lanes);
        end.fill(0.0);
        let (columns, channels) = (w / S::LANES * S::LANES, count / S::LANES * S::LANES);
        for (y, row) in body.chunks_exact_mut(pitch * lanes).enumerate() {
            row[w * lanes..].fill(0.0);
            if count < lanes {
                row.fill(0.0);
            }
            for x in (0..columns).step_by(S::LANES) {
                for c in (0..channels).step_by(S::LANES) {
                    // SAFETY: the square lies inside both tensors by the lengths checked above; the entry has the
                    // instruction set.
                    unsafe {
                        let from = from.as_ptr().add(c * step + y * w + x);
                        S::transpose(from, step, row.as_mut_ptr().add(x * lanes + c), lanes);
                    }
                }
            }
            for c in 0..count {
                let first = if c < channels { columns } else { 0 };
                for x in first..w {
                    row[x * lanes + c] = from[c * step + y * w + x];
                }
            }
        }
    }
}
