//! A CUDA driver that interprets PTX on the CPU, with the parts of cuDNN, cuBLAS, cuRAND and NCCL that the toolkit uses, so that
//! the CUDA code can be tested without a GPU. See the README for how programs are made to load it, and for its limits.
//!
//! `driver`, `cudnn`, `cublas`, `curand` and `nccl` export C functions; `ptx` reads modules, `decode` turns kernels into
//! instructions on the lanes of a warp (whose meaning is in `ops`), `exec` runs them, `memory` knows what may be touched.

// Everything here deals in addresses that C code hands over; functions state what they rely on. Exported names are CUDA's.
#![allow(unsafe_code, non_snake_case, unreachable_pub)]
// Registers hold bits: conversions between their widths are the point.
#![allow(clippy::precedence, clippy::too_many_arguments)]

mod cublas;
mod cudnn;
mod curand;
mod decode;
mod driver;
mod exec;
mod handle;
mod memory;
#[cfg(unix)]
mod nccl;
mod numbers;
mod ops;
mod ptx;
mod trace;

#[cfg(test)]
mod tests;
