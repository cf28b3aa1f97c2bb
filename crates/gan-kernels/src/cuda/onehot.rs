//! Convolution of one-hot tensors that are not materialized.

use crate::cuda::launch::{Arg, Launch, size};
use crate::cuda::module::{Module, module};
use crate::cuda::operand::{MemoryFormat, Operand, Output, Scratch, statistics};
use crate::spec::conv::PadMode;
use crate::spec::geometry::Geometry;
use crate::spec::onehot::OneHot;
use crate::weight::Weight;
use candle_core::{DType, Result, Tensor, bail};

const ONEHOT: Module = module!("onehot");

/// Output pixels of a block, channels of a thread, and the largest side of a kernel; as `onehot.cu` has it.
const TILE: (usize, usize) = (8, 32);
const CHANNELS: usize = 16;
const SIDE: usize = 7;

/// The kernel's name for a type of ids and one of results.
macro_rules! pair {
    ($ids:expr, $result:expr, $name:literal) => {
        match ($ids, $result) {
            (DType::U8, DType::F32) => concat!($name, "_u8_f32"),
            (DType::U8, DType::F64) => concat!($name, "_u8_f64"),
            (DType::U8, DType::BF16) => concat!($name, "_u8_bf16"),
            (DType::U32, DType::F32) => concat!($name, "_u32_f32"),
            (DType::U32, DType::F64) => concat!($name, "_u32_f64"),
            (DType::U32, DType::BF16) => concat!($name, "_u32_bf16"),
            (_, other) => bail!("a convolution of labels makes F32, F64 or BF16, not {other:?}"),
        }
    };
}

/// What all kernels are told of the shapes.
struct Shape([Arg; 12]);

impl Shape {
    fn new(g: &Geometry, classes: usize) -> Result<Self> {
        let [padding, side] = g.padding;
        if g.stride != 1 || g.kh.max(g.kw) > SIDE || padding != side {
            bail!(
                "labels are convolved with stride 1 and equal padding by kernels of at most {SIDE}x{SIDE} on CUDA, not {g:?}"
            )
        }
        let mode = match g.mode {
            PadMode::Zero => 0,
            PadMode::Reflect => 1,
            PadMode::Replicate => 2,
        };
        let arg = |n: usize| size(n).map(Arg::U32);
        Ok(Shape([
            arg(g.n)?,
            arg(g.h)?,
            arg(g.w)?,
            arg(g.ho)?,
            arg(g.wo)?,
            arg(classes)?,
            arg(g.ci - classes)?,
            arg(g.co)?,
            arg(g.kh)?,
            arg(g.kw)?,
            arg(padding)?,
            Arg::I32(mode),
        ]))
    }

    fn add<'a>(self, launch: Launch<'a>) -> Launch<'a> {
        self.0.into_iter().fold(launch, Launch::arg)
    }
}

/// The other planes, of the type of the weights.
fn others(x: &OneHot, dtype: DType) -> Result<Option<Operand>> {
    let Some(rest) = x.rest() else { return Ok(None) };
    if rest.dtype() != dtype {
        bail!("one-hot planes: the others are {:?} beside weights of type {dtype:?}", rest.dtype())
    }
    Operand::ordered(rest, MemoryFormat::Nchw).map(Some)
}

pub(crate) fn forward(
    op: &str,
    g: &Geometry,
    x: &OneHot,
    w: &Weight,
    bias: Option<&Tensor>,
    dtype: DType,
) -> Result<Tensor> {
    let [_, planes, ..] = x.dims();
    let classes = planes - x.rest().map_or(0, |r| r.dims()[1]);
    let shape = Shape::new(g, classes)?;
    let weight = Operand::ordered(w.tensor(), MemoryFormat::Nchw)?;
    let inner = weight.dtype();
    if inner != statistics(dtype) {
        bail!("{op}: the result cannot be {dtype:?}, the weight is {inner:?}")
    }
    let bias = match bias {
        Some(b) if b.dims() != [g.co] || b.dtype() != inner => {
            bail!("{op}: the bias must be [{}] {inner:?}, got {:?} {:?}", g.co, b.dims(), b.dtype())
        }
        other => other.map(Operand::new).transpose()?,
    };
    let (ids, others) = (Operand::ordered(x.labels(), MemoryFormat::Nchw)?, others(x, inner)?);
    let device = &ids.device;
    let (taps, pitch) = (g.kh * g.kw, g.co.next_multiple_of(CHANNELS));
    let elements = taps * (g.ci + 1) * pitch;
    let rows = Scratch::new(device, elements * inner.size_in_bytes())?;
    Launch::new(device, &ONEHOT, if inner == DType::F64 { "onehot_table_f64" } else { "onehot_table_f32" })?
        .arg(weight.address)
        .arg(rows.address)
        .size(classes)?
        .size(g.ci - classes)?
        .size(g.co)?
        .size(taps)?
        .size(pitch)?
        .threads(elements)?;
    let order = if dtype == DType::BF16 { MemoryFormat::Nhwc } else { MemoryFormat::Nchw };
    let y = Output::new(device, dtype, &[g.n, g.co, g.ho, g.wo], order)?;
    size(g.n * g.co * g.ho * g.wo)?;
    let launch = Launch::new(device, &ONEHOT, pair!(ids.dtype(), dtype, "onehot_forward"))?
        .arg(ids.address)
        .arg(others.as_ref().map(|o| o.address))
        .arg(rows.address)
        .arg(bias.as_ref().map(|b| b.address))
        .arg(y.address)
        .size(pitch)?;
    let tiles = g.n * g.ho.div_ceil(TILE.0) * g.wo.div_ceil(TILE.1);
    shape.add(launch).grid((size(tiles)?, size(pitch / CHANNELS)?), (TILE.0 * TILE.1) as u32)?;
    Ok(y.tensor())
}
