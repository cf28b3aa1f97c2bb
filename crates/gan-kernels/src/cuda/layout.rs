//! Changes of element type and of place in memory.
use crate::cuda::launch::{BLOCK, Launch, size};
use crate::cuda::module::{Module, module};
use crate::cuda::operand::{Operand, Order, Output};
use candle_core::{DType, Result, Tensor};

const LAYOUT: Module = module!("layout");

/// Side of a tile, as `layout.cu` has it.
const TILE: usize = 32;
/// Up to so many channels a thread takes a whole pixel.
const FEW: usize = 8;

pub(crate) fn to_bf16(x: &Tensor) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    let x = Operand::new(x)?;
    let y = Output::new(&x.device, DType::BF16, &[n, c, h, w], Order::Pixels)?;
    turn(&x, x.address, y.address, "few_to_pixels", "planes_to_pixels", (n, c, h * w))?;
    Ok(y.tensor())
}

pub(crate) fn to_f32(x: &Tensor) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    let x = Operand::ordered(x, Order::Pixels)?;
    let y = Output::new(&x.device, DType::F32, &[n, c, h, w], Order::Planes)?;
    turn(&x, x.address, y.address, "few_to_planes", "pixels_to_planes", (n, c, h * w))?;
    Ok(y.tensor())
}

/// Runs the kernel for few channels or the one that turns tiles.
fn turn(
    x: &Operand,
    from: u64,
    to: u64,
    few: &'static str,
    tiles: &'static str,
    (n, c, pixels): (usize, usize, usize),
) -> Result<()> {
    let launch = Launch::new(&x.device, &LAYOUT, if c <= FEW { few } else { tiles })?.arg(from).arg(to);
    if c <= FEW {
        return launch.size(n * pixels)?.size(c)?.size(pixels)?.threads(n * pixels);
    }
    let (across, down) = (pixels.div_ceil(TILE), c.div_ceil(TILE));
    launch.size(c)?.size(pixels)?.size(down)?.grid((size(across * down * n)?, 1), BLOCK)
}

/// A tensor as rows of equal length that channels are adjacent parts of: pixels, or images.
struct Rows {
    operand: Operand,
    count: usize,
    /// Bytes of one channel in a row.
    channel: usize,
}

impl Rows {
    fn of(t: &Tensor, order: Order) -> Result<Self> {
        let (n, _, h, w) = t.dims4()?;
        let operand = Operand::ordered(t, order)?;
        let bytes = operand.dtype().size_in_bytes();
        Ok(match order {
            Order::Planes => Rows { operand, count: n, channel: h * w * bytes },
            Order::Pixels => Rows { operand, count: n * h * w, channel: bytes },
        })
    }
}

pub(crate) fn concat_channels(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let order = Operand::new(a)?.order;
    let (n, ca, h, w) = a.dims4()?;
    let cb = b.dim(1)?;
    let (a, b) = (Rows::of(a, order)?, Rows::of(b, order)?);
    let y = Output::new(&a.operand.device, a.operand.dtype(), &[n, ca + cb, h, w], order)?;
    columns("concat", &a, [a.operand.address, b.operand.address, y.address], (ca, cb))?;
    Ok(y.tensor())
}

pub(crate) fn split_channels(x: &Tensor, channels: usize) -> Result<(Tensor, Tensor)> {
    let order = Operand::new(x)?.order;
    let (n, c, h, w) = x.dims4()?;
    let x = Rows::of(x, order)?;
    let part = |c| Output::new(&x.operand.device, x.operand.dtype(), &[n, c, h, w], order);
    let (a, b) = (part(channels)?, part(c - channels)?);
    columns("split", &x, [a.address, b.address, x.operand.address], (channels, c - channels))?;
    Ok((a.tensor(), b.tensor()))
}

/// Runs a kernel over two parts and the whole, in the widest units that fit.
fn columns(what: &str, rows: &Rows, addresses: [u64; 3], (a, b): (usize, usize)) -> Result<()> {
    let (a, b) = (a * rows.channel, b * rows.channel);
    let fits = |unit: usize| {
        a.is_multiple_of(unit) && b.is_multiple_of(unit) && addresses.iter().all(|at| at.is_multiple_of(unit as u64))
    };
    let (unit, names) = match () {
        () if fits(16) => (16, ["concat_16", "split_16"]),
        () if fits(8) => (8, ["concat_8", "split_8"]),
        () if fits(4) => (4, ["concat_4", "split_4"]),
        () => (2, ["concat_2", "split_2"]),
    };
    let units = rows.count * (a + b) / unit;
    let [first, second, whole] = addresses;
    Launch::new(&rows.operand.device, &LAYOUT, if what == "concat" { names[0] } else { names[1] })?
        .arg(first)
        .arg(second)
        .arg(whole)
        .size(units)?
        .size(a / unit)?
        .size(b / unit)?
        .threads(units)
}
