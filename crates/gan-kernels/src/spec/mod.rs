//! What operators are told: shapes, geometry, padding, epilogues, numbers. Nothing here computes or knows a device.
pub(crate) mod act;
pub(crate) mod adam;
pub(crate) mod augment;
pub(crate) mod conv;
pub(crate) mod dropout;
pub(crate) mod epilogue;
pub(crate) mod geometry;
pub(crate) mod l1;
pub mod math_mode;
pub(crate) mod norm;
pub(crate) mod onehot;
pub(crate) mod pool;
pub(crate) mod rows;
