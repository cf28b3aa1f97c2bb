//! The layer kinds, one file each. A new one is a file with everything about it and a line here.

pub mod act;
pub mod conv;
pub mod conv_transpose;
pub mod dropout;
pub mod identity;
pub mod linear;
pub mod nested;
pub mod norm;
pub mod pad;
pub mod pool;
pub mod residual;
pub mod skip;
