//! AVX2 with FMA, and AVX-512.
use super::Simd;
use std::arch::x86_64::*;

#[derive(Clone, Copy)]
pub(crate) struct Avx2;

#[derive(Clone, Copy)]
pub(crate) struct Avx512;

macro_rules! operations {
    ($name:ident, $lanes:literal, $v:ty, $zero:ident, $splat:ident, $load:ident, $store:ident, $add:ident, $sub:ident,
     $mul:ident, $fma:ident) => {
        const LANES: usize = $lanes;
        type V = $v;
        #[inline(always)]
        unsafe fn zero() -> $v {
            // SAFETY: the caller has the instruction set (here and below).
            unsafe { $zero() }
        }
        #[inline(always)]
        unsafe fn splat(x: f32) -> $v {
            // SAFETY: as above.
            unsafe { $splat(x) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> $v {
            // SAFETY: as above; the pointer is good by the caller's promise.
            unsafe { $load(from) }
        }
        #[inline(always)]
        unsafe fn store(to: *mut f32, v: $v) {
            // SAFETY: as above.
            unsafe { $store(to, v) }
        }
        #[inline(always)]
        unsafe fn add(a: $v, b: $v) -> $v {
            // SAFETY: as above.
            unsafe { $add(a, b) }
        }
        #[inline(always)]
        unsafe fn sub(a: $v, b: $v) -> $v {
            // SAFETY: as above.
            unsafe { $sub(a, b) }
        }
        #[inline(always)]
        unsafe fn mul(a: $v, b: $v) -> $v {
            // SAFETY: as above.
            unsafe { $mul(a, b) }
        }
        #[inline(always)]
        unsafe fn fma(a: $v, b: $v, c: $v) -> $v {
            // SAFETY: as above.
            unsafe { $fma(a, b, c) }
        }
    };
}

impl Simd for Avx2 {
    operations!(
        Avx2,
        8,
        __m256,
        _mm256_setzero_ps,
        _mm256_set1_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_add_ps,
        _mm256_sub_ps,
        _mm256_mul_ps,
        _mm256_fmadd_ps
    );
    #[inline(always)]
    unsafe fn sum(v: __m256) -> f32 {
        // SAFETY: as above.
        unsafe {
            let v = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
            let v = _mm_add_ps(v, _mm_movehl_ps(v, v));
            _mm_cvtss_f32(_mm_add_ss(v, _mm_shuffle_ps::<1>(v, v)))
        }
    }
    #[allow(clippy::needless_range_loop)]
    #[inline(always)]
    unsafe fn transpose(from: *const f32, from_pitch: usize, to: *mut f32, to_pitch: usize) {
        // SAFETY: as above.
        unsafe {
            // Columns k and 4 + k of four rows at a time, in the halves of `four[group][k]`.
            let mut four = [[_mm256_setzero_ps(); 4]; 2];
            for (group, four) in four.iter_mut().enumerate() {
                let row = |i: usize| _mm256_loadu_ps(from.add((4 * group + i) * from_pitch));
                let (r0, r1, r2, r3) = (row(0), row(1), row(2), row(3));
                let (t0, t1) = (_mm256_unpacklo_ps(r0, r1), _mm256_unpackhi_ps(r0, r1));
                let (t2, t3) = (_mm256_unpacklo_ps(r2, r3), _mm256_unpackhi_ps(r2, r3));
                four[0] = _mm256_shuffle_ps::<0x44>(t0, t2);
                four[1] = _mm256_shuffle_ps::<0xee>(t0, t2);
                four[2] = _mm256_shuffle_ps::<0x44>(t1, t3);
                four[3] = _mm256_shuffle_ps::<0xee>(t1, t3);
            }
            for k in 0..4 {
                let (a, b) = (four[0][k], four[1][k]);
                _mm256_storeu_ps(to.add(k * to_pitch), _mm256_permute2f128_ps::<0x20>(a, b));
                _mm256_storeu_ps(to.add((4 + k) * to_pitch), _mm256_permute2f128_ps::<0x31>(a, b));
            }
        }
    }
}

impl Simd for Avx512 {
    operations!(
        Avx512,
        16,
        __m512,
        _mm512_setzero_ps,
        _mm512_set1_ps,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_add_ps,
        _mm512_sub_ps,
        _mm512_mul_ps,
        _mm512_fmadd_ps
    );
    #[inline(always)]
    unsafe fn sum(v: __m512) -> f32 {
        // SAFETY: as above.
        unsafe { _mm512_reduce_add_ps(v) }
    }
    #[allow(clippy::needless_range_loop)]
    #[inline(always)]
    unsafe fn transpose(from: *const f32, from_pitch: usize, to: *mut f32, to_pitch: usize) {
        // SAFETY: as above.
        unsafe {
            // Columns 4 q + k of four rows at a time, in the quarters q of `four[group][k]`.
            let mut four = [[_mm512_setzero_ps(); 4]; 4];
            for (group, four) in four.iter_mut().enumerate() {
                let row = |i: usize| _mm512_loadu_ps(from.add((4 * group + i) * from_pitch));
                let (r0, r1, r2, r3) = (row(0), row(1), row(2), row(3));
                let (t0, t1) = (_mm512_unpacklo_ps(r0, r1), _mm512_unpackhi_ps(r0, r1));
                let (t2, t3) = (_mm512_unpacklo_ps(r2, r3), _mm512_unpackhi_ps(r2, r3));
                four[0] = _mm512_shuffle_ps::<0x44>(t0, t2);
                four[1] = _mm512_shuffle_ps::<0xee>(t0, t2);
                four[2] = _mm512_shuffle_ps::<0x44>(t1, t3);
                four[3] = _mm512_shuffle_ps::<0xee>(t1, t3);
            }
            for k in 0..4 {
                let (a, b, c, d) = (four[0][k], four[1][k], four[2][k], four[3][k]);
                let (ab, ab2) = (_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xee>(a, b));
                let (cd, cd2) = (_mm512_shuffle_f32x4::<0x44>(c, d), _mm512_shuffle_f32x4::<0xee>(c, d));
                _mm512_storeu_ps(to.add(k * to_pitch), _mm512_shuffle_f32x4::<0x88>(ab, cd));
                _mm512_storeu_ps(to.add((4 + k) * to_pitch), _mm512_shuffle_f32x4::<0xdd>(ab, cd));
                _mm512_storeu_ps(to.add((8 + k) * to_pitch), _mm512_shuffle_f32x4::<0x88>(ab2, cd2));
                _mm512_storeu_ps(to.add((12 + k) * to_pitch), _mm512_shuffle_f32x4::<0xdd>(ab2, cd2));
            }
        }
    }
    #[inline(always)]
    unsafe fn deal<const M: usize>(v: [__m512; M]) -> [__m512; M] {
        // SAFETY: as above.
        unsafe { picked(v, &Picks::<M>::DEAL) }
    }
    #[inline(always)]
    unsafe fn gather<const M: usize>(v: [__m512; M]) -> [__m512; M] {
        // SAFETY: as above.
        unsafe { picked(v, &Picks::<M>::GATHER) }
    }
}

/// For each of `M` vectors, the lanes that are picked from what was picked so far and from the second vector, the third and so on.
struct Picks<const M: usize>;

impl<const M: usize> Picks<M> {
    const DEAL: [[[i32; 16]; 3]; M] = Self::picks(true);
    const GATHER: [[[i32; 16]; 3]; M] = Self::picks(false);

    const fn picks(deal: bool) -> [[[i32; 16]; 3]; M] {
        let mut picks = [[[0; 16]; 3]; M];
        let mut i = 0;
        while i < 16 * M * (M - 1) {
            let (b, step, lane) = (i / (16 * (M - 1)), i / 16 % (M - 1), i % 16);
            let (vector, from) = if deal {
                ((M * lane + b) / 16, (M * lane + b) % 16)
            } else {
                ((16 * b + lane) % M, (16 * b + lane) / M)
            };
            picks[b][step][lane] = match vector {
                0 if step == 0 => from as i32,
                _ if vector == step + 1 => 16 + from as i32,
                _ => lane as i32,
            };
            i += 1;
        }
        picks
    }
}

/// # Safety
/// The processor has AVX-512.
#[inline(always)]
unsafe fn picked<const M: usize>(v: [__m512; M], picks: &[[[i32; 16]; 3]; M]) -> [__m512; M] {
    std::array::from_fn(|b| {
        let mut picked = v[0];
        for (&v, lanes) in v[1..].iter().zip(&picks[b]) {
            // SAFETY: by this function's contract; sixteen lanes are a vector.
            unsafe { picked = _mm512_permutex2var_ps(picked, _mm512_loadu_si512(lanes.as_ptr().cast()), v) };
        }
        picked
    })
}
