//! Sixteen samples under one weight: the vector operations of [`super::resize_u8`], once portable and once for AVX2.

/// Samples that share a weight.
pub(super) const LANES: usize = 16;

/// Fractional bits of a weight: 32 bits less 8 for the sample and 2 for overshoot of the sum.
pub(super) const PRECISION: u32 = 32 - 8 - 2;

const HALF: i32 = 1 << (PRECISION - 1);

/// What an instruction set offers. Both implementations give the same bits.
pub(super) trait Lanes: Copy {
    /// Sixteen running sums.
    type Sums: Copy;
    /// Sums of zero, holding already the half that makes the final shift round.
    fn start(self) -> Self::Sums;
    /// Adds `weight * sample` lane by lane.
    fn accumulate(self, sums: Self::Sums, samples: &[u8; LANES], weight: i32) -> Self::Sums;
    /// Fixed-point sums to levels 0 … 255.
    fn levels(self, sums: Self::Sums) -> [u8; LANES];
    /// Exchanges rows and columns of a 16 x 16 tile.
    fn transpose(self, tile: [[u8; LANES]; LANES]) -> [[u8; LANES]; LANES];
}

/// Plain Rust, any processor.
#[derive(Clone, Copy)]
pub(super) struct Portable;

impl Lanes for Portable {
    type Sums = [i32; LANES];

    #[inline(always)]
    fn start(self) -> Self::Sums {
        [HALF; LANES]
    }

    #[inline(always)]
    fn accumulate(self, mut sums: Self::Sums, samples: &[u8; LANES], weight: i32) -> Self::Sums {
        for lane in 0..LANES {
            // The sums fit, as weights add up to one; a check would keep the compiler from using vectors.
            sums[lane] = sums[lane].wrapping_add(i32::from(samples[lane]).wrapping_mul(weight));
        }
        sums
    }

    #[inline(always)]
    fn levels(self, sums: Self::Sums) -> [u8; LANES] {
        sums.map(|sum| (sum >> PRECISION).clamp(0, 255) as u8)
    }

    #[inline(always)]
    fn transpose(self, tile: [[u8; LANES]; LANES]) -> [[u8; LANES]; LANES] {
        let mut turned = [[0; LANES]; LANES];
        for (y, row) in tile.iter().enumerate() {
            for (x, &sample) in row.iter().enumerate() {
                turned[x][y] = sample;
            }
        }
        turned
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2 {
    use core::arch::x86_64::{__m128i, __m256i};

    use pulp::cast;
    use pulp::x86::V3;

    use super::{HALF, LANES, Lanes, PRECISION};

    impl Lanes for V3 {
        type Sums = [__m256i; 2];

        #[inline(always)]
        fn start(self) -> Self::Sums {
            [self.avx._mm256_set1_epi32(HALF); 2]
        }

        #[inline(always)]
        fn accumulate(self, sums: Self::Sums, samples: &[u8; LANES], weight: i32) -> Self::Sums {
            let samples: __m128i = cast(*samples);
            let weight = self.avx._mm256_set1_epi32(weight);
            let low = self.avx2._mm256_cvtepu8_epi32(samples);
            let high = self.avx2._mm256_cvtepu8_epi32(self.sse2._mm_srli_si128::<8>(samples));
            [
                self.avx2._mm256_add_epi32(sums[0], self.avx2._mm256_mullo_epi32(low, weight)),
                self.avx2._mm256_add_epi32(sums[1], self.avx2._mm256_mullo_epi32(high, weight)),
            ]
        }

        #[inline(always)]
        fn levels(self, sums: Self::Sums) -> [u8; LANES] {
            // No closures here: they would become functions of their own, without the vector instructions.
            let [a, b]: [__m128i; 2] = cast(self.avx2._mm256_srai_epi32::<{ PRECISION as i32 }>(sums[0]));
            let [c, d]: [__m128i; 2] = cast(self.avx2._mm256_srai_epi32::<{ PRECISION as i32 }>(sums[1]));
            cast(self.sse2._mm_packus_epi16(self.sse2._mm_packs_epi32(a, b), self.sse2._mm_packs_epi32(c, d)))
        }

        #[inline(always)]
        fn transpose(self, tile: [[u8; LANES]; LANES]) -> [[u8; LANES]; LANES] {
            // Interleaving row i with row i + 8 four times over moves the index of a byte within its row to the
            // index of the row, one bit a time.
            let mut rows: [__m128i; LANES] = cast(tile);
            for _ in 0..4 {
                let mut next = rows;
                for i in 0..LANES / 2 {
                    next[2 * i] = self.sse2._mm_unpacklo_epi8(rows[i], rows[i + LANES / 2]);
                    next[2 * i + 1] = self.sse2._mm_unpackhi_epi8(rows[i], rows[i + LANES / 2]);
                }
                rows = next;
            }
            cast(rows)
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn both_implementations_agree() {
        let Some(v3) = pulp::x86::V3::try_new() else { return };
        let tile: [[u8; LANES]; LANES] = std::array::from_fn(|y| std::array::from_fn(|x| (31 * y + 7 * x * x) as u8));
        assert_eq!(v3.transpose(tile), Portable.transpose(tile));
        for weight in [0, 1 << PRECISION, -(1 << 18), 1_234_567, 5 << 20] {
            let mut portable = Portable.start();
            let mut fast = v3.start();
            for row in &tile[..2] {
                portable = Portable.accumulate(portable, row, weight);
                fast = v3.accumulate(fast, row, weight);
            }
            assert_eq!(v3.levels(fast), Portable.levels(portable), "weight {weight}");
        }
    }
}
