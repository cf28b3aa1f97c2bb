//! Convolutions by cuDNN.
//!
//! Three passes serve convolutions and transposed ones (see [`Geometry`]). A [`plan::Problem`] (pass, shape, arithmetic)
//! meets cuDNN once: its descriptors and its algorithm are kept, the latter between runs as well ([`saved`]). BF16 has the
//! channels last, with a BF16 copy of the weight that lives as long as the weight's version, and its weight gradient
//! comes as BF16 and is added in F32; with few channels at one end, there is a way around ([`few_channels`]). Padding with zeros is cuDNN's; other kinds are made, then convolved without padding.

mod bias;
mod descriptors;
mod engine;
mod few_channels;
mod filter;
mod library;
mod plan;
mod saved;

use crate::cuda::act::act;
use crate::cuda::buffer::add_assign;
use crate::cuda::image::{pad, pad_backward};
use crate::cuda::layout::convert;
use crate::cuda::operand::{MemoryFormat, Operand, Output, accumulator};
use crate::spec::act::Act;
use crate::spec::conv::PadMode;
use crate::spec::epilogue::Epilogue;
use crate::spec::geometry::Geometry;
use crate::spec::math_mode::MathMode;
use crate::weight::Weight;
use candle_core::cuda::CudaDevice;
use candle_core::cuda::cudarc::cudnn::result::CudnnError;
use candle_core::{DType, Result, Tensor, bail};
use few_channels::FewChannels;
use filter::Filter;
use plan::{Arithmetic, Pass, Problem};

/// What cuDNN's kernels expect of addresses; candle's allocations keep it, views may not.
const ALIGNMENT: u64 = 16;

/// cuDNN's answer with the name of the function that gave it.
fn status<T>(function: &str, answer: std::result::Result<T, CudnnError>) -> Result<T> {
    match answer {
        Ok(value) => Ok(value),
        Err(e) => bail!("{function}: {e}"),
    }
}

/// How a convolution of such tensors is calculated.
fn arithmetic(op: &str, x: &Tensor, weight: &Tensor, math: MathMode) -> Result<Arithmetic> {
    match (x.dtype(), weight.dtype()) {
        (DType::F32, DType::F32) if math.tf32 => Ok(Arithmetic::Tf32),
        (DType::F32, DType::F32) => Ok(Arithmetic::F32),
        (DType::F64, DType::F64) => Ok(Arithmetic::F64),
        (DType::BF16, DType::F32) => Ok(Arithmetic::Bf16),
        (x, w) => bail!("{op}: a convolution on CUDA takes F32, F64, or BF16 with an F32 weight, got {x:?} and {w:?}"),
    }
}

/// The tensor as cuDNN takes it: dense, in the order of its type, aligned.
fn operand(t: &Tensor) -> Result<Operand> {
    let order = order(t.dtype());
    let dense = Operand::ordered(t, order)?;
    if dense.address % ALIGNMENT == 0 {
        return Ok(dense);
    }
    let t = t.detach();
    let copy = match order {
        MemoryFormat::Nchw => t.force_contiguous()?,
        MemoryFormat::Nhwc => t.permute((0, 2, 3, 1))?.force_contiguous()?.permute((0, 3, 1, 2))?,
    };
    Operand::ordered(&copy, order)
}

/// The order in which a type is convolved.
fn order(dtype: DType) -> MemoryFormat {
    if dtype == DType::BF16 { MemoryFormat::Nhwc } else { MemoryFormat::Nchw }
}

/// The convolution without padding that is left when the big end has been padded.
fn padded(g: &Geometry) -> Geometry {
    let [up, side] = g.padding;
    Geometry { h: g.h + 2 * up, w: g.w + 2 * side, padding: [0; 2], mode: PadMode::Zero, ..*g }
}

/// Whether cuDNN's own padding will do.
fn pads_itself(g: &Geometry) -> bool {
    g.mode == PadMode::Zero || g.padding == [0; 2]
}

/// The small end of a convolution from its big end `x`.
pub(crate) fn forward(op: &str, g: &Geometry, x: &Tensor, w: &Weight, epilogue: Epilogue) -> Result<Tensor> {
    if let Some(few) = FewChannels::of(arithmetic(op, x, w.tensor(), g.math)?, g)
        && let Some(y) = few.forward(op, x, w, epilogue)?
    {
        return Ok(y);
    }
    if !pads_itself(g) {
        return forward(op, &padded(g), &pad(x, g.mode, g.padding)?, w, epilogue);
    }
    to_end(op, Pass::Forward, g, x, w, epilogue, [g.n, g.co, g.ho, g.wo])
}

/// The big end from the small end `y`: the input's gradient of a convolution, or a transposed convolution.
pub(crate) fn backward_data(op: &str, g: &Geometry, y: &Tensor, w: &Weight, epilogue: Epilogue) -> Result<Tensor> {
    if let Some(few) = FewChannels::of(arithmetic(op, y, w.tensor(), g.math)?, g)
        && let Some(x) = few.backward_data(op, y, w, epilogue)?
    {
        return Ok(x);
    }
    if !pads_itself(g) {
        // Only the backward pass of a convolution has such a padding, and it has no epilogue.
        let padded = backward_data(op, &padded(g), y, w, epilogue)?;
        return pad_backward(&padded, g.mode, g.padding, (g.h, g.w));
    }
    to_end(op, Pass::Data, g, y, w, epilogue, [g.n, g.ci, g.h, g.w])
}

/// One of the two passes from one end to the other, whose dimensions are `dims`.
fn to_end(
    op: &str,
    pass: Pass,
    g: &Geometry,
    from: &Tensor,
    w: &Weight,
    epilogue: Epilogue,
    dims: [usize; 4],
) -> Result<Tensor> {
    let arithmetic = arithmetic(op, from, w.tensor(), g.math)?;
    let x = operand(from)?;
    let y = Output::new(&x.device, x.dtype(), &dims, order(x.dtype()))?;
    if g.n == 0 {
        return Ok(y.tensor());
    }
    let p = Problem::new(pass, arithmetic, g);
    let done = match Filter::of(w, arithmetic, g)? {
        Some(filter) => engine::run(&x.device, &p, [x.address, filter.address()], y.address, false)?,
        None => false,
    };
    if !done {
        refuse_unless_bf16(op, &p)?;
        let y = to_end(op, pass, g, &convert(from, DType::F32)?, w, epilogue, dims)?;
        return convert(&y, DType::BF16);
    }
    finished(op, &x.device, y, x.dtype(), dims, epilogue)
}

/// A convolution's result with bias and activation.
fn finished(
    op: &str,
    device: &CudaDevice,
    y: Output,
    dtype: DType,
    dims: [usize; 4],
    epilogue: Epilogue,
) -> Result<Tensor> {
    match epilogue.bias {
        Some(bias) => {
            bias::add(op, device, &y, dtype, dims, bias, epilogue.act)?;
            Ok(y.tensor())
        }
        None if epilogue.act == Act::Identity => Ok(y.tensor()),
        None => act(&y.tensor(), epilogue.act),
    }
}

/// Adds the weight's gradient from the tensors at the two ends.
pub(crate) fn add_weight_gradient(
    op: &str,
    g: &Geometry,
    big: &Tensor,
    small: &Tensor,
    weight: &Tensor,
    into: &Tensor,
) -> Result<()> {
    let arithmetic = arithmetic(op, big, weight, g.math)?;
    let address = accumulator(into, weight.dtype())?;
    if let Some(few) = FewChannels::of(arithmetic, g)
        && few.add_weight_gradient(big, small, address)?
    {
        return Ok(());
    }
    if !pads_itself(g) {
        return add_weight_gradient(op, &padded(g), &pad(big, g.mode, g.padding)?, small, weight, into);
    }
    if g.n == 0 {
        return Ok(());
    }
    let (x, y) = (operand(big)?, operand(small)?);
    let p = Problem::new(Pass::Filter, arithmetic, g);
    let run = |out, add| engine::run(&x.device, &p, [x.address, y.address], out, add);
    let direct = arithmetic != Arithmetic::Bf16 && address % ALIGNMENT == 0;
    let gradient =
        if direct { None } else { Some(Output::new(&x.device, x.dtype(), &[g.co * g.taps()], MemoryFormat::Nchw)?) };
    let possible = direct || filter::fits(g) || arithmetic != Arithmetic::Bf16;
    if !possible || !run(gradient.as_ref().map_or(address, |gradient| gradient.address), direct)? {
        refuse_unless_bf16(op, &p)?;
        let (big, small) = (convert(big, DType::F32)?, convert(small, DType::F32)?);
        return add_weight_gradient(op, g, &big, &small, weight, into);
    }
    match gradient {
        None => Ok(()),
        Some(gradient) if arithmetic == Arithmetic::Bf16 => {
            filter::add_from_pixels(&x.device, gradient.address, address, g)
        }
        Some(gradient) => add_assign(into, &gradient.tensor().reshape(into.shape())?),
    }
}

/// What cuDNN cannot do in BF16 is done in F32; without another way it is an error.
fn refuse_unless_bf16(op: &str, p: &Problem) -> Result<()> {
    if p.arithmetic != Arithmetic::Bf16 {
        let kind = if p.deterministic { " deterministic" } else { "" };
        bail!("{op}: cuDNN has no{kind} algorithm for {p}")
    }
    Ok(())
}

pub(crate) use bias::add_bias_gradient;
