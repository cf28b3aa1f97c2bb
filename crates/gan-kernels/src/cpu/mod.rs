//! The operators over slices.
pub(crate) mod adam;
pub(crate) mod augment;
pub(crate) mod blur;
pub(crate) mod conv;
pub(crate) mod dropout;
pub(crate) mod elementwise;
pub(crate) mod exponential;
pub(crate) mod labels;
pub(crate) mod loss;
pub(crate) mod moments;
pub(crate) mod norm;
pub(crate) mod patches;
pub(crate) mod planes;
pub(crate) mod pool;
pub(crate) mod real;
mod simd;
pub(crate) mod upsample;
