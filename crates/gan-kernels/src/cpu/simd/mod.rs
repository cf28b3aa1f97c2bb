//! A vector of F32 behind a trait, one page for each instruction set.
//!
//! Kernels are written once over [`Simd`]. Their bodies and these operations are inlined into functions that carry the
//! instruction set's target features (see [`simd_entry`]); without that inlining the operations would be calls.
#![allow(unsafe_code)]

mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use portable::Portable;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

/// Asks for a cache line that is needed soon; any address will do.
#[inline(always)]
pub(crate) fn prefetch(at: *const f32) {
    // SAFETY: a hint, which every processor of this kind takes and which has no effect where nothing can be read.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// As [`prefetch`], as far as the second-level cache.
#[inline(always)]
pub(crate) fn prefetch_far(at: *const f32) {
    // SAFETY: as above.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// Operations on a register of F32.
///
/// # Safety
/// All functions need the instruction set that the implementing type names; pointers must be good for
/// [`Simd::LANES`] elements (no alignment is asked for).
pub(crate) trait Simd: Copy + Send + Sync + 'static {
    /// Elements of a register.
    const LANES: usize;
    /// The register.
    type V: Copy;
    unsafe fn zero() -> Self::V;
    unsafe fn splat(x: f32) -> Self::V;
    unsafe fn load(from: *const f32) -> Self::V;
    unsafe fn store(to: *mut f32, v: Self::V);
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// a · b + c
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// Sum of the lanes, in an order of the implementation's own.
    unsafe fn sum(v: Self::V) -> f32;
    /// Transposes a square of [`Simd::LANES`] rows: `to[j · to_pitch + i] = from[i · from_pitch + j]`.
    unsafe fn transpose(from: *const f32, from_pitch: usize, to: *mut f32, to_pitch: usize);
    /// Deals the elements of `M` consecutive vectors, at most four, out to `M` vectors: element `M · i + b` becomes lane i of vector b.
    #[inline(always)]
    unsafe fn deal<const M: usize>(v: [Self::V; M]) -> [Self::V; M] {
        // SAFETY: the caller's promise, and vectors of at most sixteen lanes.
        unsafe { rearranged::<Self, M>(v, |i, b| (M * i + b, b * Self::LANES + i)) }
    }
    /// Undoes [`Simd::deal`]: lane i of vector b becomes element `M · i + b` of `M` consecutive vectors.
    #[inline(always)]
    unsafe fn gather<const M: usize>(v: [Self::V; M]) -> [Self::V; M] {
        // SAFETY: as above.
        unsafe { rearranged::<Self, M>(v, |i, b| (b * Self::LANES + i, M * i + b)) }
    }
}

/// `M` vectors of which element `from`, counted through all of them, becomes element `to`, for every lane i and vector b.
///
/// # Safety
/// As for [`Simd`], with at most four vectors of sixteen lanes.
#[inline(always)]
unsafe fn rearranged<S: Simd, const M: usize>(
    v: [S::V; M],
    places: impl Fn(usize, usize) -> (usize, usize),
) -> [S::V; M] {
    let (mut before, mut after) = ([0.0f32; 64], [0.0f32; 64]);
    // SAFETY: by this function's contract.
    unsafe {
        for (b, &v) in v.iter().enumerate() {
            S::store(before.as_mut_ptr().add(b * S::LANES), v);
        }
        for i in 0..S::LANES {
            for b in 0..M {
                let (from, to) = places(i, b);
                after[to] = before[from];
            }
        }
        std::array::from_fn(|b| S::load(after.as_ptr().add(b * S::LANES)))
    }
}

/// Runs `$body` with the type parameter bound to the vector type of an instruction set, inside a function that has its
/// features. The captured variables are named with their types, as for a function.
macro_rules! simd_entry {
    ($(#[$meta:meta])* $vis:vis fn $name:ident[$s:ident]($($arg:ident: $ty:ty),* $(,)?) $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name(isa: $crate::isa::Isa, $($arg: $ty),*) {
            #[inline(always)]
            fn body<$s: $crate::cpu::simd::Simd>($($arg: $ty),*) $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) { body::<$crate::cpu::simd::Avx2>($($arg),*) }
                #[target_feature(enable = "avx2,fma,avx512f,avx512vl,avx512dq,avx512bw")]
                fn avx512($($arg: $ty),*) { body::<$crate::cpu::simd::Avx512>($($arg),*) }
                match isa {
                    // SAFETY: `Isa` values above `Portable` are only made after the features were detected.
                    $crate::isa::Isa::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::isa::Isa::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::isa::Isa::Portable => {}
                }
            }
            let _ = isa;
            body::<$crate::cpu::simd::Portable>($($arg),*)
        }
    };
}
pub(crate) use simd_entry;
