//! Convolution and transposed convolution.
use crate::cpu::conv as kernel;
use crate::cpu::real::{Real, by_dtype};
use crate::dispatch::on_cuda;
use crate::ops::act::act;
use crate::ops::concat::cat_channels;
use crate::ops::grad::GradState;
use crate::ops::storage::{apart, elements, plain, same_kind, slices, tensor, update};
use crate::spec::act::Act;
pub use crate::spec::conv::{Conv2d, ConvTranspose2d, PadMode};
use crate::spec::epilogue::Epilogue;
use crate::spec::geometry::{Geometry, dims4};
use crate::spec::rows::Span;
use crate::weight::Weight;
use candle_core::{Result, Tensor, bail};

/// A weight gradient that is wanted: the operator's input, and where the gradient is added.
#[derive(Debug, Clone, Copy)]
pub struct WeightGrad<'a> {
    /// The input of the forward pass.
    pub x: &'a Tensor,
    /// Accumulator of the weight's shape (may be a contiguous view into a larger tensor).
    pub into: &'a Tensor,
    /// What is known of the accumulator; where nothing was gathered yet, it is overwritten.
    pub state: Option<&'a GradState>,
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

/// `act(concat(parts))`, the channels of one part after those of the other, for a convolution to read.
///
/// A convolution on the CPU reads the parts of one image, two at most, where they lie: neither what is joined nor what is activated is made. Elsewhere
/// both are made first. Results are the same, bit for bit.
#[derive(Debug, Clone, Copy)]
pub struct Joined<'a> {
    /// Tensors `[N, C_i, H, W]`, at least one.
    pub parts: &'a [&'a Tensor],
    /// What each value passes.
    pub act: Act,
}

impl<'a> Joined<'a> {
    pub(super) fn one(x: &'a &'a Tensor) -> Self {
        Joined { parts: std::slice::from_ref(x), act: Act::Identity }
    }

    /// The shape, if it can be read where it lies.
    fn in_place(&self, op: &str) -> Result<Option<[usize; 4]>> {
        let [first, rest @ ..] = self.parts else { bail!("{op}: no input") };
        let mut dims = dims4(op, "input", first.dims())?;
        for part in rest {
            let [n, c, h, w] = dims4(op, "input", part.dims())?;
            if [n, h, w] != [dims[0], dims[2], dims[3]] {
                bail!("{op}: {:?} and {:?} cannot be joined", first.dims(), part.dims())
            }
            same_kind(op, first, part)?;
            dims[1] += c;
        }
        let cpu = self.parts.iter().all(|part| part.device().is_cpu());
        Ok((cpu && (rest.is_empty() || rest.len() == 1 && dims[0] == 1)).then_some(dims))
    }

    /// The tensor.
    fn made(&self) -> Result<Tensor> {
        let x = match self.parts {
            [x] => x.detach(),
            parts => cat_channels(parts)?,
        };
        if self.act == Act::Identity { Ok(x) } else { act(&x, self.act) }
    }
}

/// Binds what the kernels read of a [`Joined`] that lies on the CPU.
macro_rules! joined {
    ($t:ty; $name:ident = $parts:expr, $act:expr) => {
        let guards: Vec<_> = $parts.iter().map(|part| part.storage_and_layout()).collect();
        let mut parts: [&[$t]; 2] = [&[]; 2];
        for (part, guard) in parts.iter_mut().zip(&guards) {
            *part = elements(&guard.0, guard.1)?;
        }
        let $name = kernel::Joined { parts, act: $act };
    };
}

/// A gradient that several passes read: copied once if it has to be copied.
fn packed(dy: &Tensor) -> Result<Tensor> {
    if dy.device().is_cpu() { plain(dy) } else { Ok(dy.detach()) }
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
    let [_, _, h, w] = dims4(op, "gradient", dy.dims())?;
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
    WeightGrad { into, state, .. }: WeightGrad,
) -> Result<()> {
    same_kind(op, big, small)?;
    if big.dims() != [g.n, g.ci, g.h, g.w] || small.dims() != [g.n, g.co, g.ho, g.wo] {
        bail!("{op}: {:?} and {:?} are not the ends of {g:?}", big.dims(), small.dims())
    }
    if into.dims() != weight.dims() {
        bail!("{op}: the weight {:?} and its gradient {:?} differ in shape", weight.dims(), into.dims())
    }
    if let Some(state) = state.filter(|_| into.device().is_cuda()) {
        state.begin(into)?;
    }
    on_cuda!(big, conv::add_weight_gradient(op, g, big, small, weight, into));
    let fresh = state.is_some_and(GradState::is_empty);
    let (big, small) = (plain(&apart(big, into)?)?, plain(&apart(small, into)?)?);
    by_dtype!(big, T => {
        slices!(T; bs = big, ss = small);
        let finite = update(into, |into: &mut [T]| Ok(kernel::backward_weight(g, bs, ss, into, fresh)))?;
        if let Some(state) = state {
            state.set_finite(finite);
        }
        Ok(())
    })
}

/// From the big end `x` to the small end.
pub(super) fn forward(op: &str, g: &Geometry, x: &Tensor, w: &Weight, epilogue: Epilogue) -> Result<Tensor> {
    on_cuda!(x, conv::forward(op, g, x, w, epilogue));
    forward_rows(op, g, &g.forward_span(), &Joined::one(&x), w, epilogue)
}

/// What is read and the weight, dense.
fn on_cpu(op: &str, x: &Joined<'_>, w: &Weight) -> Result<(Vec<Tensor>, Tensor)> {
    for part in x.parts {
        same_kind(op, part, w.tensor())?;
    }
    Ok((x.parts.iter().map(|part| plain(part)).collect::<Result<_>>()?, plain(w.tensor())?))
}

/// The rows of `span` of the same, on the CPU.
pub(super) fn forward_rows(
    op: &str,
    g: &Geometry,
    span: &Span,
    x: &Joined<'_>,
    w: &Weight,
    epilogue: Epilogue,
) -> Result<Tensor> {
    let (parts, weight) = on_cpu(op, x, w)?;
    by_dtype!(weight, T => {
        let bias = bias_of::<T>(op, epilogue.bias, g.co)?;
        slices!(T; ws = weight);
        joined!(T; xs = parts, x.act);
        let epilogue = kernel::Epilogue { bias: bias.as_deref(), act: epilogue.act };
        tensor(kernel::forward(g, span, xs, ws, w, epilogue), (g.n, g.co, span.output.count, g.wo))
    })
}

/// From the small end `y` to the big end.
pub(super) fn backward_data(op: &str, g: &Geometry, y: &Tensor, w: &Weight, epilogue: Epilogue) -> Result<Tensor> {
    on_cuda!(y, conv::backward_data(op, g, y, w, epilogue));
    backward_data_rows(op, g, &g.backward_span(), &Joined::one(&y), w, epilogue)
}

/// The rows of `span` of the same, on the CPU.
pub(super) fn backward_data_rows(
    op: &str,
    g: &Geometry,
    span: &Span,
    y: &Joined<'_>,
    w: &Weight,
    epilogue: Epilogue,
) -> Result<Tensor> {
    let (parts, weight) = on_cpu(op, y, w)?;
    let x = by_dtype!(weight, T => {
        let bias = bias_of::<T>(op, epilogue.bias, g.ci)?;
        slices!(T; ws = weight);
        joined!(T; ys = parts, y.act);
        tensor(kernel::backward_data(g, span, ys, ws, w, bias.as_deref()), (g.n, g.ci, span.output.count, g.w))
    })?;
    if epilogue.act == Act::Identity { Ok(x) } else { act(&x, epilogue.act) }
}

/// `[N, C_in, H, W]` → `[N, C_out, H', W']`; weight `[C_out, C_in, kh, kw]`, bias `[C_out]`.
///
/// # Errors
/// The input or the weight is not four-dimensional or has no elements, or their channels or element types differ. The
/// bias is not `[C_out]` of the same type, or the kernel does not fit ([`Conv2d::output_hw`]).
pub fn conv2d(x: &Tensor, w: &Weight, bias: Option<&Tensor>, spec: &Conv2d) -> Result<Tensor> {
    conv2d_act(x, w, bias, spec, Act::Identity)
}

/// [`conv2d`] and the activation behind it, which takes no pass of its own over the result.
///
/// # Errors
/// As [`conv2d`].
pub fn conv2d_act(x: &Tensor, w: &Weight, bias: Option<&Tensor>, spec: &Conv2d, act: Act) -> Result<Tensor> {
    const OP: &str = "conv2d";
    let g = Geometry::conv2d(OP, dims4(OP, "input", x.dims())?, w.tensor().dims(), spec)?;
    forward(OP, &g, x, w, Epilogue { bias, act })
}

/// [`conv2d_act`] of what [`Joined`] stands for.
///
/// # Errors
/// As [`conv2d_act`]; the parts differ in more than their channels.
pub fn conv2d_joined(x: &Joined<'_>, w: &Weight, bias: Option<&Tensor>, spec: &Conv2d, act: Act) -> Result<Tensor> {
    const OP: &str = "conv2d";
    let Some(dims) = x.in_place(OP)? else { return conv2d_act(&x.made()?, w, bias, spec, act) };
    let g = Geometry::conv2d(OP, dims, w.tensor().dims(), spec)?;
    forward_rows(OP, &g, &g.forward_span(), x, w, Epilogue { bias, act })
}

/// Backward of [`conv2d`] from the output's gradient `dy`; returns the input's gradient if asked for.
///
/// # Errors
/// `dy` is no output of this convolution for the input and the weight. An accumulator has another shape or element
/// type than what is added to it, or is not contiguous.
pub fn conv2d_backward(dy: &Tensor, w: &Weight, spec: &Conv2d, grads: ConvGrads) -> Result<Option<Tensor>> {
    const OP: &str = "conv2d_backward";
    let dy = &packed(dy)?;
    let [n, co, ho, wo] = dims4(OP, "gradient", dy.dims())?;
    let weight = w.tensor();
    let [weight_co, ci, ..] = dims4(OP, "weight", weight.dims())?;
    let geometry = |h: usize, w: usize| -> Result<Geometry> {
        let g = Geometry::conv2d(OP, [n, ci, h, w], weight.dims(), spec)?;
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
        let [_, _, h, w] = dims4(OP, "input", wanted.x.dims())?;
        add_weight_gradient(OP, &geometry(h, w)?, wanted.x, dy, weight, wanted)?;
    }
    let Some((height, width)) = grads.input else { return Ok(None) };
    backward_data(OP, &geometry(height, width)?, dy, w, Epilogue::default()).map(Some)
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
    let g = Geometry::conv_transpose2d(OP, dims4(OP, "input", x.dims())?, w.tensor().dims(), spec)?;
    backward_data(OP, &g, x, w, Epilogue { bias, act })
}

/// [`conv_transpose2d_act`] of what [`Joined`] stands for.
///
/// # Errors
/// As [`conv_transpose2d_act`]; the parts differ in more than their channels.
pub fn conv_transpose2d_joined(
    x: &Joined<'_>,
    w: &Weight,
    bias: Option<&Tensor>,
    spec: &ConvTranspose2d,
    act: Act,
) -> Result<Tensor> {
    const OP: &str = "conv_transpose2d";
    let Some(dims) = x.in_place(OP)? else { return conv_transpose2d_act(&x.made()?, w, bias, spec, act) };
    let g = Geometry::conv_transpose2d(OP, dims, w.tensor().dims(), spec)?;
    backward_data_rows(OP, &g, &g.backward_span(), x, w, Epilogue { bias, act })
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
    let [n, c_out, ..] = dims4(OP, "gradient", dy.dims())?;
    let weight = w.tensor();
    let [c_in, weight_out, ..] = dims4(OP, "weight", weight.dims())?;
    let geometry = |h: usize, w: usize| -> Result<Geometry> {
        let g = Geometry::conv_transpose2d(OP, [n, c_in, h, w], weight.dims(), spec)?;
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
        let [_, _, h, w] = dims4(OP, "input", wanted.x.dims())?;
        add_weight_gradient(OP, &geometry(h, w)?, dy, wanted.x, weight, wanted)?;
    }
    let Some((height, width)) = grads.input else { return Ok(None) };
    forward(OP, &geometry(height, width)?, dy, w, Epilogue::default()).map(Some)
}
