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
}
