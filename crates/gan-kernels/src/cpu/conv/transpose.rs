//! Channels become the vector lanes.
#![allow(unsafe_code)]
use crate::cpu::simd::simd_entry;
use crate::isa::Isa;

/// `[channels][h][w]` → `[h][pitch][lanes]`, zeros elsewhere.
pub(super) fn transpose(isa: Isa, from: &[f32], to: &mut [f32], size: (usize, usize, usize), lanes: usize) {
    let (h, w, pitch) = size;
    assert!(from.len().is_multiple_of(h * w) && from.len() / (h * w) <= lanes && w <= pitch);
    assert!(to.len() >= h * pitch * lanes);
    squares(isa, from, to, size, lanes);
}

simd_entry! {
    fn squares[S](from: &[f32], to: &mut [f32], size: (usize, usize, usize), lanes: usize) {
        let (h, w, pitch) = size;
        let count = from.len() / (h * w);
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
                        let from = from.as_ptr().add((c * h + y) * w + x);
                        S::transpose(from, h * w, row.as_mut_ptr().add(x * lanes + c), lanes);
                    }
                }
            }
            for c in 0..count {
                let first = if c < channels { columns } else { 0 };
                for x in first..w {
                    row[x * lanes + c] = from[(c * h + y) * w + x];
                }
            }
        }
    }
}
