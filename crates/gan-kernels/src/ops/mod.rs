//! The public operators: each checks its arguments, then hands them to its kernels on the CPU or on CUDA.
pub mod act;
pub mod concat;
pub mod conv;
pub mod dropout;
pub mod elementwise;
pub mod grad;
pub mod image_pool;
mod l1;
pub mod labels;
pub mod loss;
mod non_finite;
pub mod norm;
pub mod onehot;
pub mod optim;
pub mod pool;
pub mod storage;
pub mod upsample;
