//! The element types of the operators.
use crate::cpu::exponential;
use candle_core::{CpuStorage, WithDType};
use std::ops::Neg;

/// F32 or F64.
pub(crate) trait Real: WithDType + Default + Neg<Output = Self> {
    /// Converts with rounding.
    fn of(x: f64) -> Self;
    /// Converts exactly.
    fn f64(self) -> f64;
    fn abs(self) -> Self;
    fn sqrt(self) -> Self;
    fn tanh(self) -> Self;
    /// `e^−|x|`.
    fn decay(self) -> Self;
    /// `ln(1 + x)` for x in [0, 1].
    fn ln_1p(self) -> Self;
    fn is_finite(self) -> bool;
    fn is_nan(self) -> bool;
    /// The elements of a storage of this type.
    fn elements_mut(storage: &mut CpuStorage) -> Option<&mut [Self]>;
    /// The slice, if this is F32.
    fn as_f32(x: &[Self]) -> Option<&[f32]>;
    /// The slice, if this is F32.
    fn as_f32_mut(x: &mut [Self]) -> Option<&mut [f32]>;
    /// From F32: the same vector, or the values converted.
    fn from_f32(x: Vec<f32>) -> Vec<Self>;
}

macro_rules! real {
    ($t:ident, $variant:ident, $tanh:expr, $decay:expr, $ln_1p:expr, $as_f32:expr, $as_f32_mut:expr, $from_f32:expr) => {
        impl Real for $t {
            #[inline(always)]
            fn of(x: f64) -> Self {
                x as $t
            }
            #[inline(always)]
            fn f64(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn abs(self) -> Self {
                $t::abs(self)
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                $t::sqrt(self)
            }
            #[inline(always)]
            fn tanh(self) -> Self {
                $tanh(self)
            }
            #[inline(always)]
            fn decay(self) -> Self {
                $decay(self)
            }
            #[inline(always)]
            fn ln_1p(self) -> Self {
                $ln_1p(self)
            }
            #[inline(always)]
            fn is_finite(self) -> bool {
                $t::is_finite(self)
            }
            #[inline(always)]
            fn is_nan(self) -> bool {
                $t::is_nan(self)
            }
            fn elements_mut(storage: &mut CpuStorage) -> Option<&mut [Self]> {
                match storage {
                    CpuStorage::$variant(v) => Some(v),
                    _ => None,
                }
            }
            fn as_f32(x: &[Self]) -> Option<&[f32]> {
                $as_f32(x)
            }
            fn as_f32_mut(x: &mut [Self]) -> Option<&mut [f32]> {
                $as_f32_mut(x)
            }
            fn from_f32(x: Vec<f32>) -> Vec<Self> {
                $from_f32(x)
            }
        }
    };
}
real!(f32, F32, exponential::tanh, exponential::decay, exponential::ln_1p, Some, Some, |x| x);
real!(f64, F64, f64::tanh, |x: f64| (-x.abs()).exp(), f64::ln_1p, |_| None, |_| None, |x: Vec<f32>| x
    .into_iter()
    .map(f64::from)
    .collect());

/// Runs a block with the type parameter bound to the tensor's element type.
macro_rules! by_dtype {
    ($tensor:expr, $t:ident => $body:expr) => {
        match $tensor.dtype() {
            candle_core::DType::F32 => {
                type $t = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $t = f64;
                $body
            }
            other => candle_core::bail!("this operator takes F32 or F64 tensors, got {other:?}"),
        }
    };
}
pub(crate) use by_dtype;
