//! Images of 8 bits: their values are 256 levels, and each fits into a byte.

use crate::dispatch::isa;
use crate::isa::vectorised;

/// Values that are looked at before the rest is given up.
const CHUNK: usize = 1 << 12;

/// What loaders make of a level: the arithmetic of PyTorch's `ToTensor` and `Normalize(0.5, 0.5)`. `values_of_levels` of
/// `upload.cu` does the same.
#[inline(always)]
fn value(level: u8) -> f32 {
    (f32::from(level) / 255.0 - 0.5) / 0.5
}

/// Writes the level of every value, if each value is that of a level, bit for bit. What is written otherwise means nothing.
pub(super) fn pack(values: &[f32], levels: &mut [u8]) -> bool {
    let isa = isa();
    values.chunks(CHUNK).zip(levels.chunks_mut(CHUNK)).all(|(values, levels)| pack_chunk(isa, values, levels))
}

vectorised! {
    fn pack_chunk(values: &[f32], levels: &mut [u8]) -> bool {
        let mut difference = 0;
        for (level, &v) in levels.iter_mut().zip(values) {
            *level = ((v * 0.5 + 0.5) * 255.0 + 0.5) as u8;
            difference |= value(*level).to_bits() ^ v.to_bits();
        }
        difference == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_told_from_other_values() {
        let values: Vec<f32> = (0..10_000).map(|i| value((i * 7 % 256) as u8)).collect();
        let mut levels = vec![0; values.len()];
        assert!(pack(&values, &mut levels));
        assert!(levels.iter().enumerate().all(|(i, &l)| usize::from(l) == i * 7 % 256));
        for other in [f32::NAN, f32::INFINITY, 0.0, -0.0, 1.5, f32::from_bits(value(200).to_bits() + 1)] {
            let mut values = values.clone();
            values[9_000] = other;
            assert!(!pack(&values, &mut levels), "{other}");
        }
    }
}
