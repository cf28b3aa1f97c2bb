//! Operators that move pixels: padding, pooling, upsampling.
//!
//! Their kernels see a tensor as `[outer, H, W, inner]`: in planes outer = N · C and inner = 1, in pixels outer = N and
//! inner = C.

use crate::cuda::launch::{Arg, Launch};
use crate::cuda::module::{Module, module, typed};
use crate::cuda::operand::{MemoryFormat, Operand, Output};
use crate::spec::conv::PadMode;
use crate::spec::pool::Pool2d;
use candle_core::{Result, Tensor, bail};

const BLUR: Module = module!("blur");
const PAD: Module = module!("pad");
const POOL: Module = module!("pool");

/// The name of a kernel for an operand's type and order.
macro_rules! named {
    ($x:expr, $name:literal) => {
        match $x.order {
            MemoryFormat::Nchw => typed!($x.dtype(), $name)?,
            MemoryFormat::Nhwc => concat!($name, "_pixels_bf16"),
        }
    };
}
pub(crate) use named;

type Size = (usize, usize);

/// The kernel's arguments: addresses, `[outer, size, inner]`, others; one thread computes a pack of one pixel of `over`.
fn run(
    module: &Module,
    name: &'static str,
    x: &Operand,
    addresses: &[u64],
    size: Size,
    over: Size,
    others: &[Arg],
) -> Result<()> {
    let [n, c, ..] = x.dims4()?;
    let (outer, inner, packs) = match x.order {
        MemoryFormat::Nchw => (n * c, 1, 1),
        MemoryFormat::Nhwc => (n, c, c.div_ceil(x.pack())),
    };
    let mut launch = Launch::new(&x.device, module, name)?;
    for &address in addresses {
        launch = launch.arg(address);
    }
    launch = launch.size(outer)?.size(size.0)?.size(size.1)?.size(inner)?;
    for &other in others {
        launch = launch.arg(other);
    }
    launch.threads(outer * over.0 * over.1 * packs)
}

/// A kind of padding as kernels take it.
pub(crate) fn mode(mode: PadMode) -> Arg {
    Arg::I32(match mode {
        PadMode::Zero => 0,
        PadMode::Reflect => 1,
        PadMode::Replicate => 2,
    })
}

fn amount_fits(op: &str, mode: PadMode, [up, side]: [usize; 2], (h, w): Size) -> Result<[Arg; 2]> {
    if h * w == 0 || (mode == PadMode::Reflect && (up >= h || side >= w)) {
        bail!("{op}: images of {h}x{w} cannot be padded by {up} and {side} pixels")
    }
    Ok([Arg::U32(crate::cuda::launch::size(up)?), Arg::U32(crate::cuda::launch::size(side)?)])
}

/// `[N, C, H, W]` → `[N, C, H + 2 · up, W + 2 · side]`; `amount` is up and side.
pub(crate) fn pad(x: &Tensor, pad_mode: PadMode, amount: [usize; 2]) -> Result<Tensor> {
    let x = Operand::new(x)?;
    let [n, c, h, w] = x.dims4()?;
    let [up, side] = amount_fits("pad", pad_mode, amount, (h, w))?;
    let over = (h + 2 * amount[0], w + 2 * amount[1]);
    let y = Output::like(&x, &[n, c, over.0, over.1])?;
    run(&PAD, named!(x, "pad"), &x, &[x.address, y.address], (h, w), over, &[up, side, mode(pad_mode)])?;
    Ok(y.tensor())
}

/// Backward of [`pad`] for an input of height and width `hw`: every pixel collects from all places that show it.
pub(crate) fn pad_backward(dy: &Tensor, pad_mode: PadMode, amount: [usize; 2], hw: Size) -> Result<Tensor> {
    let dy = Operand::new(dy)?;
    let [n, c, h, w] = dy.dims4()?;
    let [up, side] = amount_fits("pad_backward", pad_mode, amount, hw)?;
    if (h, w) != (hw.0 + 2 * amount[0], hw.1 + 2 * amount[1]) {
        bail!("pad_backward: a gradient of {h}x{w} does not belong to {hw:?} padded by {amount:?}")
    }
    let dx = Output::like(&dy, &[n, c, hw.0, hw.1])?;
    run(&PAD, named!(dy, "pad_backward"), &dy, &[dy.address, dx.address], hw, hw, &[up, side, mode(pad_mode)])?;
    Ok(dx.tensor())
}

/// The last arguments of a kernel that pools: height and width of the small end, and the windows.
fn windows(p: &Pool2d, (ho, wo): Size) -> Result<[Arg; 5]> {
    let arg = |n: usize| crate::cuda::launch::size(n).map(Arg::U32);
    Ok([arg(ho)?, arg(wo)?, arg(p.kernel)?, arg(p.stride)?, arg(p.padding)?])
}

pub(crate) fn avg_pool(x: &Tensor, p: &Pool2d, over: Size) -> Result<Tensor> {
    let x = Operand::new(x)?;
    let [n, c, h, w] = x.dims4()?;
    let y = Output::like(&x, &[n, c, over.0, over.1])?;
    run(&POOL, named!(x, "avg_pool"), &x, &[x.address, y.address], (h, w), over, &windows(p, over)?)?;
    Ok(y.tensor())
}

pub(crate) fn avg_pool_backward(dy: &Tensor, hw: Size, p: &Pool2d) -> Result<Tensor> {
    let dy = Operand::new(dy)?;
    let [n, c, ho, wo] = dy.dims4()?;
    let dx = Output::like(&dy, &[n, c, hw.0, hw.1])?;
    let others = windows(p, (ho, wo))?;
    run(&POOL, named!(dy, "avg_pool_backward"), &dy, &[dy.address, dx.address], hw, hw, &others)?;
    Ok(dx.tensor())
}

/// The pooling with kernels of its own, whose windows do not overlap.
const PAIRS: Pool2d = Pool2d::new(2, 2);

pub(crate) fn max_pool(x: &Tensor, p: &Pool2d, over: Size) -> Result<Tensor> {
    let x = Operand::new(x)?;
    let [n, c, h, w] = x.dims4()?;
    let y = Output::like(&x, &[n, c, over.0, over.1])?;
    let addresses = [x.address, y.address];
    if *p == PAIRS {
        run(&POOL, named!(x, "max_pool2"), &x, &addresses, (h, w), over, &[])?;
    } else {
        run(&POOL, named!(x, "max_pool"), &x, &addresses, (h, w), over, &windows(p, over)?)?;
    }
    Ok(y.tensor())
}

pub(crate) fn max_pool_backward(x: &Tensor, dy: &Tensor, p: &Pool2d) -> Result<Tensor> {
    let x = Operand::new(x)?;
    let dy = Operand::ordered(dy, x.order)?;
    let ([.., h, w], [.., ho, wo]) = (x.dims4()?, dy.dims4()?);
    let dx = Output::like(&x, x.dims())?;
    let addresses = [x.address, dy.address, dx.address];
    if *p == PAIRS {
        run(&POOL, named!(x, "max_pool2_backward"), &x, &addresses, (h, w), (h, w), &[])?;
    } else {
        let others = windows(p, (ho, wo))?;
        run(&POOL, named!(x, "max_pool_backward"), &x, &addresses, (h, w), (h, w), &others)?;
    }
    Ok(dx.tensor())
}

pub(crate) fn upsample_nearest(x: &Tensor, factor: usize) -> Result<Tensor> {
    let x = Operand::new(x)?;
    let [n, c, h, w] = x.dims4()?;
    let over = (h * factor, w * factor);
    let y = Output::like(&x, &[n, c, over.0, over.1])?;
    let others = [Arg::U32(crate::cuda::launch::size(factor)?)];
    run(&POOL, named!(x, "upsample"), &x, &[x.address, y.address], (h, w), over, &others)?;
    Ok(y.tensor())
}

pub(crate) fn upsample_nearest_backward(dy: &Tensor, factor: usize) -> Result<Tensor> {
    let dy = Operand::new(dy)?;
    let [n, c, hf, wf] = dy.dims4()?;
    let hw = (hf / factor, wf / factor);
    let dx = Output::like(&dy, &[n, c, hw.0, hw.1])?;
    let others = [Arg::U32(crate::cuda::launch::size(factor)?)];
    run(&POOL, named!(dy, "upsample_backward"), &dy, &[dy.address, dx.address], hw, hw, &others)?;
    Ok(dx.tensor())
}

pub(crate) fn blur_pool(x: &Tensor) -> Result<Tensor> {
    let x = Operand::new(x)?;
    let [n, c, h, w] = x.dims4()?;
    let over = (h.div_ceil(2), w.div_ceil(2));
    let y = Output::like(&x, &[n, c, over.0, over.1])?;
    run(&BLUR, named!(x, "blur_pool"), &x, &[x.address, y.address], (h, w), over, &[])?;
    Ok(y.tensor())
}

pub(crate) fn blur_pool_backward(dy: &Tensor, hw: Size) -> Result<Tensor> {
    let dy = Operand::new(dy)?;
    let [n, c, ..] = dy.dims4()?;
    let dx = Output::like(&dy, &[n, c, hw.0, hw.1])?;
    run(&BLUR, named!(dy, "blur_pool_backward"), &dy, &[dy.address, dx.address], hw, hw, &[])?;
    Ok(dx.tensor())
}

pub(crate) fn blur_upsample(x: &Tensor) -> Result<Tensor> {
    let x = Operand::new(x)?;
    let [n, c, h, w] = x.dims4()?;
    let over = (2 * h, 2 * w);
    let y = Output::like(&x, &[n, c, over.0, over.1])?;
    run(&BLUR, named!(x, "blur_upsample"), &x, &[x.address, y.address], (h, w), over, &[])?;
    Ok(y.tensor())
}

pub(crate) fn blur_upsample_backward(dy: &Tensor) -> Result<Tensor> {
    let dy = Operand::new(dy)?;
    let [n, c, ho, wo] = dy.dims4()?;
    let hw = (ho / 2, wo / 2);
    let dx = Output::like(&dy, &[n, c, hw.0, hw.1])?;
    run(&BLUR, named!(dy, "blur_upsample_backward"), &dy, &[dy.address, dx.address], hw, hw, &[])?;
    Ok(dx.tensor())
}
