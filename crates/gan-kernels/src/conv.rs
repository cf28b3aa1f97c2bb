//! Convolution and transposed convolution.
use crate::{MathMode, Weight};
use crate::act::{Act, act};
use crate::cpu::conv::{self as kernel, Geometry};
use crate::real::{Real, by_dtype};
use crate::storage::{apart, on_cuda, plain, slices, tensor, update};
use crate::sums::Sums;
use candle_core::{Result, Tensor, bail};

/// What lies outside the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PadMode {
    /// Zeros.
    #[default]
    Zero,
    /// The mirror image without the border pixel (needs `padding < size`).
    Reflect,
    /// The border pixel.
    Replicate,
}

/// Parameters of a convolution; the kernel's size comes from the weight `[C_out, C_in, kh, kw]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Conv2d {
    /// Step in both directions.
    pub stride: usize,
    /// Padding on all four sides.
    pub padding: usize,
    /// What the padding holds; the padded tensor is never materialised.
    pub pad_mode: PadMode,
    /// Arithmetic on CUDA devices.
    pub math: MathMode,
}

/// Stride 1 without padding.
impl Default for Conv2d {
    fn default() -> Self {
        Conv2d { stride: 1, padding: 0, pad_mode: PadMode::Zero, math: MathMode::default() }
    }
}

impl Conv2d {
    /// Output size for a kernel and an input size, each `(height, width)`.
    ///
    /// # Errors
    /// The stride is 0, the kernel or the input is empty, the kernel is larger than the padded input, or a reflection
    /// is as wide as the input.
    pub fn output_hw(&self, kernel: (usize, usize), input: (usize, usize)) -> Result<(usize, usize)> {
        if self.stride == 0 {
            bail!("conv2d: the stride must be at least 1")
        }
        let side = |k: usize, n: usize| -> Result<usize> {
            if k == 0 || n == 0 {
                bail!("conv2d: empty kernel {kernel:?} or input {input:?}")
            }
            if self.pad_mode == PadMode::Reflect && self.padding >= n {
                bail!("conv2d: a reflection of {} pixels needs a larger input than {input:?}", self.padding)
            }
            match (n + 2 * self.padding).checked_sub(k) {
                Some(room) => Ok(room / self.stride + 1),
                None => bail!("conv2d: the kernel {kernel:?} does not fit {input:?} with padding {}", self.padding),
            }
        };
        Ok((side(kernel.0, input.0)?, side(kernel.1, input.1)?))
    }
}

/// Parameters of a transposed convolution (zero padding only); weight `[C_in, C_out, kh, kw]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConvTranspose2d {
    /// Step in both directions.
    pub stride: usize,
    /// Rows and columns cut from each side of the full result.
    pub padding: usize,
    /// Rows and columns added at the bottom and right.
    pub output_padding: usize,
    /// Arithmetic on CUDA devices.
    pub math: MathMode,
}

/// Stride 1 without padding.
impl Default for ConvTranspose2d {
    fn default() -> Self {
        ConvTranspose2d { stride: 1, padding: 0, output_padding: 0, math: MathMode::default() }
    }
}

impl ConvTranspose2d {
    /// Output size for a kernel and an input size, each `(height, width)`.
    ///
    /// # Errors
    /// The output padding is not below the stride, the kernel or the input is empty, or the padding leaves nothing of
    /// the output.
    pub fn output_hw(&self, kernel: (usize, usize), input: (usize, usize)) -> Result<(usize, usize)> {
        if self.stride == 0 || self.output_padding >= self.stride {
            bail!("conv_transpose2d: output padding {} must be below stride {}", self.output_padding, self.stride)
        }
        let side = |k: usize, n: usize| -> Result<usize> {
            if k == 0 || n == 0 {
                bail!("conv_transpose2d: empty kernel {kernel:?} or input {input:?}")
            }
            match ((n - 1) * self.stride + k + self.output_padding).checked_sub(2 * self.padding) {
                Some(out) if out > 0 => Ok(out),
                _ => bail!("conv_transpose2d: padding {} leaves nothing of {input:?}", self.padding),
            }
        };
        Ok((side(kernel.0, input.0)?, side(kernel.1, input.1)?))
    }
}

/// A weight gradient that is wanted: the operator's input, and where the gradient is added.
#[derive(Debug, Clone, Copy)]
pub struct WeightGrad<'a> {
    /// The input of the forward pass.
    pub x: &'a Tensor,
    /// Accumulator of the weight's shape (may be a contiguous view into a larger tensor).
    pub into: &'a Tensor,
    /// What is known of the accumulator; where nothing was gathered yet, it is overwritten.
    pub sums: Option<&'a Sums>,
}

/// Which gradients a backward pass of a convolution is asked for; what is `None` costs nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct ConvGrads<'a> {
    /// Height and width of the input, if its gradient is wanted.
    pub input: Option<(usize, usize)>,
    /// The weight's gradient.
    pub weight: Option<WeightGrad<'a>>,
    /// Accumulator `[C_out]` of the bias gradient.
    pub bias: Option<&'a Tensor>,
}

pub(crate) fn dims4(op: &str, what: &str, t: &Tensor) -> Result<[usize; 4]> {
    match t.dims() {
        // An empty batch is served, empty images are not.
        &[_, b, c, d] if b * c * d == 0 => bail!("{op}: the {what} {:?} holds no elements", t.dims()),
        &[a, b, c, d] => Ok([a, b, c, d]),
        other => bail!("{op}: the {what} must have four dimensions, got {other:?}"),
    }
}

/// The geometry of `conv2d` for an input `[n, c, h, w]`.
pub(crate) fn conv_geometry(op: &str, [n, c, h, w]: [usize; 4], weight: &Tensor, spec: &Conv2d) -> Result<Geometry> {
    let [co, ci, kh, kw] = dims4(op, "weight", weight)?;
    if co == 0 {
        bail!("{op}: a weight {:?} has no output channels", weight.dims())
    }
    if ci != c {
        bail!("{op}: a weight {:?} takes {ci} channels, the input has {c}", weight.dims())
    }
    let (ho, wo) = spec.output_hw((kh, kw), (h, w))?;
    let Conv2d { stride, padding, pad_mode: mode, math } = *spec;
    Ok(Geometry { n, ci, co, h, w, ho, wo, kh, kw, stride, padding, mode, math })
}

/// The geometry of the convolution whose adjoint is `conv_transpose2d` for an input `[n, c, h, w]`.
fn transpose_geometry(op: &str, [n, c, h, w]: [usize; 4], weight: &Tensor, s: &ConvTranspose2d) -> Result<Geometry> {
    let [c_in, c_out, kh, kw] = dims4(op, "weight", weight)?;
    if c_in != c {
        bail!("{op}: a weight {:?} takes {c_in} channels, the input has {c}", weight.dims())
    }
    let (big_h, big_w) = s.output_hw((kh, kw), (h, w))?;
    Ok(Geometry {
        n,
        ci: c_out,
        co: c_in,
        h: big_h,
        w: big_w,
        ho: h,
        wo: w,
        kh,
        kw,
        stride: s.stride,
        padding: s.padding,
        mode: PadMode::Zero,
        math: s.math,
    })
}

/// A gradient that several passes read: copied once if it has to be copied.
fn packed(dy: &Tensor) -> Result<Tensor> {
    if dy.device().is_cpu() { plain(dy) } else { Ok(dy.detach()) }
}

fn same_dtype(op: &str, a: &Tensor, b: &Tensor) -> Result<()> {
    if a.dtype() != b.dtype() {
        bail!("{op}: element types differ, {:?} and {:?}", a.dtype(), b.dtype())
    }
    Ok(())
}

pub(crate) fn bias_of<T: Real>(op: &str, bias: Option<&Tensor>, channels: usize) -> Result<Option<Vec<T>>> {
    let Some(bias) = bias else { return Ok(None) };
    if bias.dims() != [channels] || bias.dtype() != T::DTYPE {
        bail!("{op}: the bias must be [{channels}] {:?}, got {:?} {:?}", T::DTYPE, bias.dims(), bias.dtype())
    }
    let bias = plain(bias)?;
    slices!(T; b = bias);
    Ok(Some(b.to_vec()))
}

/// Adds Σ dy over images and pixels to a bias gradient.
pub(crate) fn add_bias_gradient(op: &str, dy: &Tensor, channels: usize, into: &Tensor) -> Result<()> {
    if into.dims() != [channels] {
        bail!("{op}: the bias gradient must be [{channels}], got {:?}", into.dims())
    }
    let [_, _, h, w] = dims4(op, "gradient", dy)?;
    on_cuda!(dy, conv::add_bias_gradient(dy, into));
    let dy = plain(&apart(dy, into)?)?;
    by_dtype!(dy, T => {
        slices!(T; ds = dy);
        update(into, |into: &mut [T]| {
            kernel::bias_gradient(ds, h * w, into);
            Ok(())
        })
    })
}

/// Adds a weight gradient; `big` and `small` are the tensors at the two ends of the convolution.
fn add_weight_gradient(
    op: &str,
    g: &Geometry,
    big: &Tensor,
    small: &Tensor,
    weight: &Tensor,
    WeightGrad { into, sums, .. }: WeightGrad,
) -> Result<()> {
    same_dtype(op, big, small)?;
    if big.dims() != [g.n, g.ci, g.h, g.w] || small.dims() != [g.n, g.co, g.ho, g.wo] {
        bail!("{op}: {:?} and {:?} are not the ends of {g:?}", big.dims(), small.dims())
    }
    if into.dims() != weight.dims() {
        bail!("{op}: the weight {:?} and its gradient {:?} differ in shape", weight.dims(), into.dims())
    }
    if let Some(sums) = sums.filter(|_| into.device().is_cuda()) {
        sums.open(into)?;
    }
    on_cuda!(big, conv::add_weight_gradient(op, g, big, small, weight, into));
    let fresh = sums.is_some_and(Sums::is_empty);
    let (big, small) = (plain(&apart(big, into)?)?, plain(&apart(small, into)?)?);
    by_dtype!(big, T => {
        slices!(T; bs = big, ss = small);
        let finite = update(into, |into: &mut [T]| Ok(kernel::backward_weight(g, bs, ss, into, fresh)))?;
        if let Some(sums) = sums {
            sums.found(finite);
        }
        Ok(())
    })
}

/// What a forward pass does to each value of its result.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Finish<'a> {
    pub(crate) bias: Option<&'a Tensor>,
    pub(crate) act: Act,
}

impl Finish<'_> {
    /// The activation, where the kernel has added the bias already.
    fn activated(&self, y: Tensor) -> Result<Tensor> {
        if self.act == Act::Identity { Ok(y) } else { act(&y, self.act) }
    }
}

/// From the big end `x` to the small end.
fn forward(op: &str, g: &Geometry, x: &Tensor, w: &Weight, finish: Finish) -> Result<Tensor> {
    on_cuda!(x, conv::forward(op, g, x, w, finish));
    same_dtype(op, x, w.tensor())?;
    let (x, weight) = (plain(x)?, plain(w.tensor())?);
    finish.activated(by_dtype!(x, T => {
        let bias = bias_of::<T>(op, finish.bias, g.co)?;
        slices!(T; xs = x, ws = weight);
        tensor(kernel::forward(g, xs, ws, w, bias.as_deref()), (g.n, g.co, g.ho, g.wo))
    })?)
}

/// From the small end `y` to the big end.
fn backward_data(op: &str, g: &Geometry, y: &Tensor, w: &Weight, finish: Finish) -> Result<Tensor> {
    on_cuda!(y, conv::backward_data(op, g, y, w, finish));
    same_dtype(op, y, w.tensor())?;
    let (y, weight) = (plain(y)?, plain(w.tensor())?);
    finish.activated(by_dtype!(y, T => {
        let bias = bias_of::<T>(op, finish.bias, g.ci)?;
        slices!(T; ys = y, ws = weight);
        tensor(kernel::backward_data(g, ys, ws, w, bias.as_deref()), (g.n, g.ci, g.h, g.w))
    })?)
}

/// `[N, C_in, H, W]` → `[N, C_out, H', W']`; weight `[C_out, C_in, kh, kw]`, bias `[C_out]`.
///
/// # Errors
/// The input or the weight is not four-dimensional or has no elements, or their channels or element types differ. The
/// bias is not `[C_out]` of the same type, or the kernel does not fit ([`Conv2d::output_hw`]).
pub fn conv2d(x: &Tensor, w: &Weight, bias: Option<&Tensor>, spec: &Conv2d) -> Result<Tensor> {
    conv2d_act(x, w, bias, spec, Act::Identity)
}

/// [`conv2d`] and the activation behind it. On the GPU bias and activation are one walk over the result.
///
/// # Errors
/// As [`conv2d`].
pub fn conv2d_act(x: &Tensor, w: &Weight, bias: Option<&Tensor>, spec: &Conv2d, act: Act) -> Result<Tensor> {
    const OP: &str = "conv2d";
    let g = conv_geometry(OP, dims4(OP, "input", x)?, w.tensor(), spec)?;
    forward(OP, &g, x, w, Finish { bias, act })
}

/// Backward of [`conv2d`] from the output's gradient `dy`; returns the input's gradient if asked for.
///
/// # Errors
/// `dy` is no output of this convolution for the input and the weight. An accumulator has another shape or element
/// type than what is added to it, or is not contiguous.
pub fn conv2d_backward(dy: &Tensor, w: &Weight, spec: &Conv2d, grads: ConvGrads) -> Result<Option<Tensor>> {
    const OP: &str = "conv2d_backward";
    let dy = &packed(dy)?;
    let [n, co, ho, wo] = dims4(OP, "gradient", dy)?;
    let weight = w.tensor();
    let [weight_co, ci, ..] = dims4(OP, "weight", weight)?;
    let geometry = |h: usize, w: usize| -> Result<Geometry> {
        let g = conv_geometry(OP, [n, ci, h, w], weight, spec)?;
        if (g.ho, g.wo) != (ho, wo) || co != weight_co {
            bail!(
                "{OP}: a gradient {:?} does not belong to an input of {h}x{w} and a weight {:?}",
                dy.dims(),
                weight.dims()
            )
        }
        Ok(g)
    };
    if let Some(into) = grads.bias {
        add_bias_gradient(OP, dy, weight_co, into)?;
    }
    if let Some(wanted) = grads.weight {
        let [_, _, h, w] = dims4(OP, "input", wanted.x)?;
        add_weight_gradient(OP, &geometry(h, w)?, wanted.x, dy, weight, wanted)?;
    }
    let Some((height, width)) = grads.input else { return Ok(None) };
    backward_data(OP, &geometry(height, width)?, dy, w, Finish::default()).map(Some)
}

/// `[N, C_in, H, W]` → `[N, C_out, H', W']`; weight `[C_in, C_out, kh, kw]`, bias `[C_out]`.
///
/// # Errors
/// The input or the weight is not four-dimensional or has no elements, or their channels or element types differ. The
/// bias is not `[C_out]` of the same type, or nothing of the output would be left ([`ConvTranspose2d::output_hw`]).
pub fn conv_transpose2d(x: &Tensor, w: &Weight, bias: Option<&Tensor>, spec: &ConvTranspose2d) -> Result<Tensor> {
    conv_transpose2d_act(x, w, bias, spec, Act::Identity)
}

/// [`conv_transpose2d`] and the activation behind it. On the GPU bias and activation are one walk over the result.
///
/// # Errors
/// As [`conv_transpose2d`].
pub fn conv_transpose2d_act(
    x: &Tensor,
    w: &Weight,
    bias: Option<&Tensor>,
    spec: &ConvTranspose2d,
    act: Act,
) -> Result<Tensor> {
    const OP: &str = "conv_transpose2d";
    let g = transpose_geometry(OP, dims4(OP, "input", x)?, w.tensor(), spec)?;
    backward_data(OP, &g, x, w, Finish { bias, act })
}

/// Backward of [`conv_transpose2d`] from the output's gradient `dy`; returns the input's gradient if asked for.
///
/// # Errors
/// `dy` is no output of this convolution for the input and the weight. An accumulator has another shape or element
/// type than what is added to it, or is not contiguous.
pub fn conv_transpose2d_backward(
    dy: &Tensor,
    w: &Weight,
    spec: &ConvTranspose2d,
    grads: ConvGrads,
) -> Result<Option<Tensor>> {
    const OP: &str = "conv_transpose2d_backward";
    let dy = &packed(dy)?;
    let [n, c_out, ..] = dims4(OP, "gradient", dy)?;
    let weight = w.tensor();
    let [c_in, weight_out, ..] = dims4(OP, "weight", weight)?;
    let geometry = |h: usize, w: usize| -> Result<Geometry> {
        let g = transpose_geometry(OP, [n, c_in, h, w], weight, spec)?;
        if dy.dims() != [n, weight_out, g.h, g.w] {
            bail!(
                "{OP}: a gradient {:?} does not belong to an input of {h}x{w} and a weight {:?}",
                dy.dims(),
                weight.dims()
            )
        }
        Ok(g)
    };
    if let Some(into) = grads.bias {
        if c_out != weight_out {
            bail!("{OP}: a gradient {:?} does not belong to a weight {:?}", dy.dims(), weight.dims())
        }
        add_bias_gradient(OP, dy, weight_out, into)?;
    }
    if let Some(wanted) = grads.weight {
        let [_, _, h, w] = dims4(OP, "input", wanted.x)?;
        add_weight_gradient(OP, &geometry(h, w)?, dy, wanted.x, weight, wanted)?;
    }
    let Some((height, width)) = grads.input else { return Ok(None) };
    forward(OP, &geometry(height, width)?, dy, w, Finish::default()).map(Some)
}
