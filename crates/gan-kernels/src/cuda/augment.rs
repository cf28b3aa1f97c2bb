//! Differentiable augmentation.

use crate::cuda::dropout_key::dropout_key;
use crate::cuda::launch::{BLOCK, Launch, size};
use crate::cuda::module::{Module, module, typed};
use crate::cuda::operand::{MemoryFormat, Operand, Output, Scratch, accumulator};
use crate::spec::augment::{Ada, AugmentPass, DRAWS, Probability};
use crate::spec::dropout::MaskKey;
use candle_core::cuda::CudaDevice;
use candle_core::{DType, Result, Tensor};

const AUGMENT: Module = module!("augment");

/// Most blocks that add the elements of one image; a warp adds their parts.
const PARTS: usize = 32;

pub(crate) fn draws(device: &CudaDevice, key: MaskKey, [n, h, w]: [usize; 3], p: Probability<'_>) -> Result<Tensor> {
    let to = Output::new(device, DType::F64, &[n, DRAWS], MemoryFormat::Nchw)?;
    // In a captured step: where the key is found, and the index of the sequence under it.
    let live = dropout_key(key)?;
    let [low, high] = match live {
        Some((_, index)) => [index as u32, (index >> 32) as u32],
        None => key.sequence().words(),
    };
    let (p, state) = match p {
        Probability::Fixed(p) => (p, None),
        Probability::Adaptive(state) => (0.0, Some(accumulator(state, DType::F64)?)),
    };
    Launch::new(device, &AUGMENT, "draws")?
        .arg(to.address)
        .size(n)?
        .size(h)?
        .size(w)?
        .arg(low)
        .arg(high)
        .arg(live.map(|(address, _)| address))
        .arg(p)
        .arg(state)
        .threads(n)?;
    Ok(to.tensor())
}

pub(crate) fn augment(x: &Tensor, draws: &Tensor, pass: &AugmentPass, backward: bool) -> Result<Tensor> {
    let x = Operand::new(x)?;
    let draws = Operand::ordered(draws, MemoryFormat::Nchw)?;
    let y = Output::like(&x, x.dims())?;
    let [n, c, h, w] = x.dims4()?;
    let pixels = h * w;
    let blocks = if pass.color { pixels.div_ceil(BLOCK as usize * 4).clamp(1, PARTS) } else { 0 };
    let parts = Scratch::new(&x.device, n * blocks * size_of::<f64>())?;
    let flags = u32::from(pass.color) | u32::from(pass.translation) << 1 | u32::from(pass.cutout) << 2;
    // The steps from pixel to pixel and from channel to channel.
    let (pixel, channel) = match x.order {
        MemoryFormat::Nchw => (1, pixels),
        MemoryFormat::Nhwc => (c, 1),
    };
    let launch = |kernel, addresses: &[u64], grid| {
        let launch = Launch::new(&x.device, &AUGMENT, kernel)?;
        let launch = addresses.iter().fold(launch, |launch, &address| launch.arg(address));
        let launch = launch.arg(draws.address).arg(parts.address).size(blocks)?;
        let launch = launch.size(c)?.size(h)?.size(w)?.size(pixel)?.size(channel)?;
        launch.size(pass.uncolored)?.arg(flags).arg(backward).grid(grid, BLOCK)
    };
    if pass.color {
        launch(typed!(x.dtype(), "augment_sums")?, &[x.address], (size(blocks)?, size(n)?))?;
    }
    let grid = (size(pixels.div_ceil(BLOCK as usize))?, size(n)?);
    launch(typed!(x.dtype(), "augment")?, &[x.address, y.address], grid)?;
    Ok(y.tensor())
}

pub(crate) fn observe(scores: &Tensor, images: usize, state: &Tensor, ada: &Ada, last: bool) -> Result<()> {
    let scores = Operand::new(scores)?;
    Launch::new(&scores.device, &AUGMENT, typed!(scores.dtype(), "observe")?)?
        .arg(scores.address)
        .size(scores.len())?
        .size(images)?
        .arg(accumulator(state, DType::F64)?)
        .arg(ada.threshold)
        .arg(ada.target)
        .arg(ada.images)
        .arg(ada.interval)
        .arg(last)
        .grid((1, 1), BLOCK)
}
