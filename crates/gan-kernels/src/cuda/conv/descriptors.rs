//! cuDNN's descriptors, destroyed when dropped.
#![allow(unsafe_code)]
use super::plan::{Arithmetic, Problem};
use super::status;
use candle_core::cuda::cudarc::cudnn::{result, sys};
use candle_core::{Result, bail};
use std::ffi::c_int;

/// The two ends of a convolution, its weight, and how it is done.
#[derive(Debug)]
pub(super) struct Descriptors {
    /// The end that a forward convolution reads.
    pub(super) big: TensorDescriptor,
    /// The end that it writes.
    pub(super) small: TensorDescriptor,
    pub(super) filter: FilterDescriptor,
    pub(super) conv: ConvDescriptor,
}

impl Descriptors {
    pub(super) fn new(p: &Problem) -> Result<Self> {
        let (kind, format) = (p.arithmetic.data_type(), p.arithmetic.format());
        Ok(Descriptors {
            big: TensorDescriptor::new(kind, format, int4([p.n, p.ci, p.h, p.w])?)?,
            small: TensorDescriptor::new(kind, format, int4([p.n, p.co, p.ho, p.wo])?)?,
            filter: FilterDescriptor::new(kind, format, int4([p.co, p.ci, p.kh, p.kw])?)?,
            conv: ConvDescriptor::new(p)?,
        })
    }
}

fn int4(dims: [usize; 4]) -> Result<[c_int; 4]> {
    if dims.iter().product::<usize>() > c_int::MAX as usize {
        bail!("a convolution on the GPU takes tensors of less than 2^31 elements, got {dims:?}")
    }
    Ok(dims.map(|d| d as c_int))
}

#[derive(Debug)]
pub(super) struct TensorDescriptor(pub(super) sys::cudnnTensorDescriptor_t);

impl TensorDescriptor {
    fn new(kind: sys::cudnnDataType_t, format: sys::cudnnTensorFormat_t, dims: [c_int; 4]) -> Result<Self> {
        let this = Self(status("cudnnCreateTensorDescriptor", result::create_tensor_descriptor())?);
        // SAFETY: the descriptor was made just now.
        let set = unsafe { result::set_tensor4d_descriptor(this.0, format, kind, dims) };
        status("cudnnSetTensor4dDescriptor", set)?;
        Ok(this)
    }
}

impl Drop for TensorDescriptor {
    fn drop(&mut self) {
        // SAFETY: made by `new`, destroyed only here. A failure leaves nothing to be done.
        let _ = unsafe { result::destroy_tensor_descriptor(self.0) };
    }
}

#[derive(Debug)]
pub(super) struct FilterDescriptor(pub(super) sys::cudnnFilterDescriptor_t);

impl FilterDescriptor {
    fn new(kind: sys::cudnnDataType_t, format: sys::cudnnTensorFormat_t, dims: [c_int; 4]) -> Result<Self> {
        let this = Self(status("cudnnCreateFilterDescriptor", result::create_filter_descriptor())?);
        // SAFETY: the descriptor was made just now.
        let set = unsafe { result::set_filter4d_descriptor(this.0, kind, format, dims) };
        status("cudnnSetFilter4dDescriptor", set)?;
        Ok(this)
    }
}

impl Drop for FilterDescriptor {
    fn drop(&mut self) {
        // SAFETY: made by `new`, destroyed only here. A failure leaves nothing to be done.
        let _ = unsafe { result::destroy_filter_descriptor(self.0) };
    }
}

#[derive(Debug)]
pub(super) struct ConvDescriptor(pub(super) sys::cudnnConvolutionDescriptor_t);

impl ConvDescriptor {
    fn new(p: &Problem) -> Result<Self> {
        let this = Self(status("cudnnCreateConvolutionDescriptor", result::create_convolution_descriptor())?);
        let ([up, side], [down, right]) = (p.padding.map(|n| n as c_int), p.stride.map(|n| n as c_int));
        let mode = sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
        let compute = match p.arithmetic {
            Arithmetic::F64 => sys::cudnnDataType_t::CUDNN_DATA_DOUBLE,
            Arithmetic::F32 | Arithmetic::Tf32 | Arithmetic::Bf16 => sys::cudnnDataType_t::CUDNN_DATA_FLOAT,
        };
        // SAFETY: the descriptor was made just now.
        let set = unsafe { result::set_convolution2d_descriptor(this.0, up, side, down, right, 1, 1, mode, compute) };
        status("cudnnSetConvolution2dDescriptor", set)?;
        this.set_math(p.arithmetic.math())?;
        Ok(this)
    }

    /// Which units may be used.
    pub(super) fn set_math(&self, math: sys::cudnnMathType_t) -> Result<()> {
        // SAFETY: the descriptor lives as long as `self`.
        status("cudnnSetConvolutionMathType", unsafe { result::set_convolution_math_type(self.0, math) })
    }
}

impl Drop for ConvDescriptor {
    fn drop(&mut self) {
        // SAFETY: made by `new`, destroyed only here. A failure leaves nothing to be done.
        let _ = unsafe { result::destroy_convolution_descriptor(self.0) };
    }
}
