//! Descriptors of tensors, filters and convolutions.

use std::sync::{Mutex, PoisonError};

use super::{Refusal, create, destroy, get, refuse, status};
use crate::{driver::put, memory, numbers::Element};

/// A tensor or filter in four dimensions, with the stride of each in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Type of its elements.
    pub element: Element,
    /// `[N, C, H, W]` or `[K, C, R, S]`.
    pub dims: [usize; 4],
    /// In the same order.
    pub strides: [usize; 4],
}

/// Order of dimensions in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Planes of channels.
    Nchw,
    /// Channels last.
    Nhwc,
    /// Both at once, where a dimension is 1.
    Either,
    /// Neither is packed so.
    Other,
}

impl Shape {
    fn packed(element: Element, dims: [usize; 4], channels_last: bool) -> Self {
        let [_, c, h, w] = dims;
        let strides = if channels_last { [c * h * w, 1, w * c, c] } else { [c * h * w, h * w, w, 1] };
        Self { element, dims, strides }
    }

    /// How it lies in memory.
    pub fn layout(&self) -> Layout {
        // The stride of a dimension of size 1 does not matter.
        let same = |other: Self| (0..4).all(|k| self.dims[k] == 1 || self.strides[k] == other.strides[k]);
        match (same(Self::packed(self.element, self.dims, false)), same(Self::packed(self.element, self.dims, true))) {
            (true, true) => Layout::Either,
            (true, false) => Layout::Nchw,
            (false, true) => Layout::Nhwc,
            (false, false) => Layout::Other,
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// The place of the element with this number in logical order.
    fn place(&self, number: usize) -> [usize; 4] {
        let [_, c, h, w] = self.dims;
        [number / (c * h * w), number / (h * w) % c, number / w % h, number % w]
    }

    /// Where the element with this number lies.
    pub fn index(&self, number: usize) -> usize {
        self.place(number).iter().zip(self.strides).map(|(at, stride)| at * stride).sum()
    }

    /// Where the element that goes with number `number` of `large` lies, if this shape is repeated along its dimensions of
    /// size 1.
    pub fn repeated(&self, large: &Shape, number: usize) -> usize {
        let at = large.place(number);
        (0..4).filter(|&k| self.dims[k] != 1).map(|k| at[k] * self.strides[k]).sum()
    }

    /// Whether an array has all its elements in one live allocation.
    pub fn check(&self, at: u64, name: &str) -> Result<(), String> {
        let last: usize = (0..4).map(|k| (self.dims[k] - 1) * self.strides[k]).sum();
        memory::check(at, (last + 1) * self.element.size()).map_err(|e| format!("cuDNN: {name}: {e}"))
    }
}

/// A tensor descriptor; nothing is known of a new one.
#[derive(Debug, Default)]
pub struct Tensor(Mutex<Option<Shape>>);

impl Tensor {
    fn set(&self, shape: Shape) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(shape);
    }

    /// Its shape.
    ///
    /// # Errors
    /// If none was set.
    pub fn shape(&self) -> Result<Shape, Refusal> {
        let shape = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shape.ok_or_else(|| refuse(Refusal::BadParam, "a descriptor that was not set"))
    }
}

/// A convolution, in height and width.
#[derive(Clone, Copy, Debug)]
pub struct Geometry {
    pub pad: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    /// Whether the filter is not turned around.
    pub cross: bool,
    pub compute: Element,
    pub groups: usize,
    pub math: i32,
}

/// A convolution descriptor.
#[derive(Debug, Default)]
pub struct Convolution(Mutex<Option<Geometry>>);

impl Convolution {
    /// What was set.
    ///
    /// # Errors
    /// If nothing was set.
    pub fn geometry(&self) -> Result<Geometry, Refusal> {
        let geometry = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        geometry.ok_or_else(|| refuse(Refusal::BadParam, "a convolution that was not set"))
    }

    fn change(&self, f: impl FnOnce(&mut Geometry)) -> Result<(), Refusal> {
        let mut geometry = self.geometry()?;
        f(&mut geometry);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(geometry);
        Ok(())
    }
}

fn element(ty: i32) -> Result<Element, Refusal> {
    Ok(match ty {
        0 => Element::F32,
        1 => Element::F64,
        2 => Element::F16,
        9 => Element::Bf16,
        _ => return Err(refuse(Refusal::NotSupported, &format!("data type {ty}"))),
    })
}

fn positive(dims: [i32; 4]) -> Result<[usize; 4], Refusal> {
    if dims.iter().any(|n| *n <= 0) {
        return Err(refuse(Refusal::BadParam, &format!("dimensions {dims:?}")));
    }
    Ok(dims.map(|n| n as usize))
}

/// Reads `count` ints.
///
/// # Safety
/// So many are there.
unsafe fn ints(at: *const i32, count: i32) -> Vec<i32> {
    // SAFETY: as above.
    (0..count.max(0) as usize).map(|k| unsafe { at.add(k).read() }).collect()
}

fn four(list: &[i32]) -> Result<[i32; 4], Refusal> {
    list.try_into().map_err(|_| refuse(Refusal::NotSupported, "other than four dimensions"))
}

#[unsafe(no_mangle)]
extern "C" fn cudnnCreateTensorDescriptor(out: *mut *mut Tensor) -> i32 {
    create(out)
}

#[unsafe(no_mangle)]
extern "C" fn cudnnDestroyTensorDescriptor(tensor: *mut Tensor) -> i32 {
    // SAFETY: the caller destroys what it created.
    unsafe { destroy(tensor) }
}

#[unsafe(no_mangle)]
extern "C" fn cudnnCreateFilterDescriptor(out: *mut *mut Tensor) -> i32 {
    create(out)
}

#[unsafe(no_mangle)]
extern "C" fn cudnnDestroyFilterDescriptor(filter: *mut Tensor) -> i32 {
    // SAFETY: the caller destroys what it created.
    unsafe { destroy(filter) }
}

#[unsafe(no_mangle)]
extern "C" fn cudnnSetTensor4dDescriptor(
    tensor: *mut Tensor,
    format: i32,
    ty: i32,
    n: i32,
    c: i32,
    h: i32,
    w: i32,
) -> i32 {
    // SAFETY: a handle made here.
    status(unsafe { get(tensor) }.and_then(|tensor| {
        tensor.set(Shape::packed(element(ty)?, positive([n, c, h, w])?, format == 1));
        Ok(())
    }))
}

#[unsafe(no_mangle)]
extern "C" fn cudnnSetFilter4dDescriptor(
    filter: *mut Tensor,
    ty: i32,
    format: i32,
    k: i32,
    c: i32,
    h: i32,
    w: i32,
) -> i32 {
    cudnnSetTensor4dDescriptor(filter, format, ty, k, c, h, w)
}

#[unsafe(no_mangle)]
extern "C" fn cudnnSetTensor4dDescriptorEx(
    tensor: *mut Tensor,
    ty: i32,
    n: i32,
    c: i32,
    h: i32,
    w: i32,
    n_stride: i32,
    c_stride: i32,
    h_stride: i32,
    w_stride: i32,
) -> i32 {
    // SAFETY: a handle made here.
    status(unsafe { get(tensor) }.and_then(|tensor| {
        let strides = positive([n_stride, c_stride, h_stride, w_stride])?;
        tensor.set(Shape { element: element(ty)?, dims: positive([n, c, h, w])?, strides });
        Ok(())
    }))
}

#[unsafe(no_mangle)]
extern "C" fn cudnnSetTensorNdDescriptor(
    tensor: *mut Tensor,
    ty: i32,
    count: i32,
    dims: *const i32,
    strides: *const i32,
) -> i32 {
    // SAFETY: a handle made here; both arrays have `count` ints.
    status(unsafe { get(tensor) }.and_then(|tensor| {
        // SAFETY: as above.
        let (dims, strides) = unsafe { (ints(dims, count), ints(strides, count)) };
        let (dims, strides) = (positive(four(&dims)?)?, positive(four(&strides)?)?);
        tensor.set(Shape { element: element(ty)?, dims, strides });
        Ok(())
    }))
}

#[unsafe(no_mangle)]
extern "C" fn cudnnSetFilterNdDescriptor(
    filter: *mut Tensor,
    ty: i32,
    format: i32,
    count: i32,
    dims: *const i32,
) -> i32 {
    // SAFETY: a handle made here; the array has `count` ints.
    status(unsafe { get(filter) }.and_then(|filter| {
        // SAFETY: as above.
        let dims = unsafe { ints(dims, count) };
        let dims = positive(four(&dims)?)?;
        filter.set(Shape::packed(element(ty)?, dims, format == 1));
        Ok(())
    }))
}

#[unsafe(no_mangle)]
extern "C" fn cudnnCreateConvolutionDescriptor(out: *mut *mut Convolution) -> i32 {
    create(out)
}

#[unsafe(no_mangle)]
extern "C" fn cudnnDestroyConvolutionDescriptor(convolution: *mut Convolution) -> i32 {
    // SAFETY: the caller destroys what it created.
    unsafe { destroy(convolution) }
}

#[unsafe(no_mangle)]
extern "C" fn cudnnSetConvolution2dDescriptor(
    convolution: *mut Convolution,
    pad_h: i32,
    pad_w: i32,
    stride_h: i32,
    stride_w: i32,
    dilation_h: i32,
    dilation_w: i32,
    mode: i32,
    compute: i32,
) -> i32 {
    // SAFETY: a handle made here.
    status(unsafe { get(convolution) }.and_then(|convolution| {
        if pad_h < 0 || pad_w < 0 {
            return Err(refuse(Refusal::BadParam, "negative padding"));
        }
        let [stride_h, stride_w, dilation_h, dilation_w] = positive([stride_h, stride_w, dilation_h, dilation_w])?;
        let geometry = Geometry {
            pad: [pad_h as usize, pad_w as usize],
            stride: [stride_h, stride_w],
            dilation: [dilation_h, dilation_w],
            cross: mode == 1,
            compute: element(compute)?,
            groups: 1,
            math: 0,
        };
        *convolution.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(geometry);
        Ok(())
    }))
}

#[unsafe(no_mangle)]
extern "C" fn cudnnSetConvolutionNdDescriptor(
    convolution: *mut Convolution,
    count: i32,
    pad: *const i32,
    stride: *const i32,
    dilation: *const i32,
    mode: i32,
    compute: i32,
) -> i32 {
    if count != 2 {
        return refuse(Refusal::NotSupported, "convolutions in other than two dimensions") as i32;
    }
    // SAFETY: the arrays have `count` ints.
    let (p, s, d) = unsafe { (ints(pad, 2), ints(stride, 2), ints(dilation, 2)) };
    cudnnSetConvolution2dDescriptor(convolution, p[0], p[1], s[0], s[1], d[0], d[1], mode, compute)
}

#[unsafe(no_mangle)]
extern "C" fn cudnnSetConvolutionMathType(convolution: *mut Convolution, math: i32) -> i32 {
    // SAFETY: a handle made here.
    status(unsafe { get(convolution) }.and_then(|convolution| convolution.change(|geometry| geometry.math = math)))
}

#[unsafe(no_mangle)]
extern "C" fn cudnnGetConvolutionMathType(convolution: *mut Convolution, math: *mut i32) -> i32 {
    // SAFETY: a handle made here.
    status(
        unsafe { get(convolution) }
            .and_then(|convolution| put(math, convolution.geometry()?.math).map_err(|_| Refusal::BadParam)),
    )
}

#[unsafe(no_mangle)]
extern "C" fn cudnnSetConvolutionGroupCount(convolution: *mut Convolution, groups: i32) -> i32 {
    // SAFETY: a handle made here.
    status(unsafe { get(convolution) }.and_then(|convolution| {
        if groups < 1 {
            return Err(refuse(Refusal::BadParam, "no groups"));
        }
        convolution.change(|geometry| geometry.groups = groups as usize)
    }))
}

#[unsafe(no_mangle)]
extern "C" fn cudnnSetConvolutionReorderType(_convolution: *mut Convolution, _reorder: i32) -> i32 {
    0
}

/// An activation descriptor: its mode.
#[derive(Debug, Default)]
pub struct Activation(pub Mutex<i32>);

#[unsafe(no_mangle)]
extern "C" fn cudnnCreateActivationDescriptor(out: *mut *mut Activation) -> i32 {
    create(out)
}

#[unsafe(no_mangle)]
extern "C" fn cudnnDestroyActivationDescriptor(activation: *mut Activation) -> i32 {
    // SAFETY: the caller destroys what it created.
    unsafe { destroy(activation) }
}

#[unsafe(no_mangle)]
extern "C" fn cudnnSetActivationDescriptor(
    activation: *mut Activation,
    mode: i32,
    _nan: i32,
    _coefficient: f64,
) -> i32 {
    // SAFETY: a handle made here.
    status(unsafe { get(activation) }.map(|activation| {
        *activation.0.lock().unwrap_or_else(PoisonError::into_inner) = mode;
    }))
}
