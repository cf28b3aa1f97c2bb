//! Instance and batch normalization.
//!
//! The statistics take one launch, and so do the gradient's sums and each of the maps.

use crate::cuda::act::code;
use crate::cuda::image::named;
use crate::cuda::launch::{BLOCK, Launch, size};
use crate::cuda::module::{Module, module, typed};
use crate::cuda::operand::{MemoryFormat, Operand, Output, Scratch, accumulator};
use crate::cuda::workspace::Workspace;
use crate::spec::norm::{Affine, Group, Moments, Norm, NormGrads};
use candle_core::{DType, Result, Tensor};

const NORM: Module = module!("norm");
const BUFFER: Module = module!("buffer");

/// Parts of one sum at most, for tensors below [`LARGE`] elements and above: the last block adds them, while all others
/// are done.
const PARTS: [usize; 2] = [128, 256];
const LARGE: usize = 4 << 20;
/// Blocks that treat pixels at most, likewise, for sums and for maps: those of a second wave would begin anew what costs a
/// block more than some pixels. (The largest GPUs hold 264, whatever the GPU: sums depend on the shape alone.)
const SUM_BLOCKS: [usize; 2] = [132, 264];
const MAP_BLOCKS: usize = 264;
/// Packs of channels that a block treats, likewise: few, so that a small tensor makes as many blocks as the device has
/// multiprocessors, and the last one has few sums to add; more where rows of memory count.
const COLS: [usize; 2] = [4, 8];

/// How a tensor is cut into the blocks' tiles; a function of its shape, type and order.
struct Cut {
    n: usize,
    c: usize,
    hw: usize,
    /// Chunks of a plane, and the pixels of each.
    chunks: usize,
    len: usize,
    /// Packs of channels that a block treats (a power of two), and blocks for all channels.
    cols: usize,
    col_blocks: usize,
    blocks: usize,
}

impl Cut {
    /// For sums over groups, which are added in parts.
    fn sums(x: &Operand, group: Group) -> Result<Self> {
        let large = usize::from(x.len() >= LARGE);
        let parts = PARTS[large];
        let most = if group == Group::Batch { parts.div_ceil(x.dims4()?[0]) } else { parts };
        Self::new(x, most, SUM_BLOCKS[large])
    }

    /// For maps.
    fn map(x: &Operand) -> Result<Self> {
        Self::new(x, usize::MAX, MAP_BLOCKS)
    }

    /// With so many chunks of a plane at most, and in pixels so many blocks, unless images and channels make more.
    fn new(x: &Operand, most: usize, most_blocks: usize) -> Result<Self> {
        let [n, c, h, w] = x.dims4()?;
        let (hw, pack, threads) = (h * w, x.pack(), BLOCK as usize);
        let (cols, col_blocks, whole, step) = match x.order {
            // Four packs a thread.
            MemoryFormat::Nchw => (1, 1, 4 * threads * pack, pack),
            // Two pixels a thread.
            MemoryFormat::Nhwc => {
                let packs = c.div_ceil(pack);
                let cols = packs.next_power_of_two().min(COLS[usize::from(x.len() >= LARGE)]);
                (cols, packs.div_ceil(cols), 2 * threads / cols, 1)
            }
        };
        let most = match x.order {
            MemoryFormat::Nchw => most,
            MemoryFormat::Nhwc => most.min(most_blocks / (n * col_blocks).max(1)).max(1),
        };
        let chunks = hw.div_ceil(whole).clamp(1, most);
        let len = hw.div_ceil(chunks).next_multiple_of(step);
        let chunks = hw.div_ceil(len);
        let blocks = match x.order {
            MemoryFormat::Nchw => n * c * chunks,
            MemoryFormat::Nhwc => n * chunks * col_blocks,
        };
        Ok(Cut { n, c, hw, chunks, len, cols, col_blocks, blocks })
    }

    /// Adds the kernels' common last arguments.
    fn args<'a>(&self, launch: Launch<'a>) -> Result<Launch<'a>> {
        [self.c, self.hw, self.chunks, self.len, self.cols, self.col_blocks].into_iter().try_fold(launch, Launch::size)
    }

    /// Launches one block a tile.
    fn tiles(&self, launch: Launch) -> Result<()> {
        self.args(launch)?.grid((size(self.blocks)?, 1), BLOCK)
    }

    fn groups(&self, group: Group) -> usize {
        match group {
            Group::Instance => self.n * self.c,
            Group::Batch => self.c,
        }
    }

    /// Room for two numbers of every channel of every chunk, and a counter for every plane or block of channels.
    fn workspace(&self, x: &Operand, statistics: DType) -> Result<Workspace> {
        let counters = self.n * self.c.max(self.col_blocks);
        Workspace::of(&x.device, counters, self.n * self.chunks * self.c * 2 * statistics.size_in_bytes())
    }
}

/// The scale and shift, or nothing.
struct Line(Option<(Operand, Operand)>);

impl Line {
    fn new(affine: Option<Affine>) -> Result<Self> {
        Ok(Line(
            affine
                .map(|a| Ok::<_, candle_core::Error>((Operand::new(a.weight)?, Operand::new(a.bias)?)))
                .transpose()?,
        ))
    }
    fn scale(&self) -> Option<u64> {
        self.0.as_ref().map(|l| l.0.address)
    }
    fn shift(&self) -> Option<u64> {
        self.0.as_ref().map(|l| l.1.address)
    }
}

/// The mean and variance of `x`'s own groups.
fn moments(x: &Operand, group: Group, statistics: DType) -> Result<Moments> {
    let cut = Cut::sums(x, group)?;
    let groups = cut.groups(group);
    let room = cut.workspace(x, statistics)?;
    let both = Output::new(&x.device, statistics, &[2, groups], MemoryFormat::Nchw)?;
    let launch = Launch::new(&x.device, &NORM, named!(x, "norm_moments"))?
        .arg(x.address)
        .arg(room.parts)
        .arg(room.counters)
        .arg(both.address)
        .arg(both.address + (groups * statistics.size_in_bytes()) as u64)
        .size(cut.n)?
        .arg(group == Group::Batch);
    cut.tiles(launch)?;
    let both = both.tensor();
    Ok(Moments { mean: both.get(0)?, var: both.get(1)? })
}

/// The mean and variance of each channel of an image `[1, C, H, W]` of F32.
pub(crate) fn statistics(x: &Tensor) -> Result<Moments> {
    moments(&Operand::new(x)?, Group::Instance, DType::F32)
}

/// `residual + act(affine(normalized x))` with given statistics, or those of `x`, which are returned.
pub(crate) fn forward(
    x: &Tensor,
    given: Option<&Moments>,
    spec: &Norm,
    affine: Option<Affine>,
    residual: Option<&Tensor>,
    statistics: DType,
) -> Result<(Tensor, Moments)> {
    let x = Operand::new(x)?;
    let residual = residual.map(|r| Operand::ordered(r, x.order)).transpose()?;
    let used = match given {
        Some(given) => given.clone(),
        None => moments(&x, spec.group, statistics)?,
    };
    let (mean, var, line) = (Operand::new(&used.mean)?, Operand::new(&used.var)?, Line::new(affine)?);
    let y = Output::like(&x, x.dims())?;
    let apply = Launch::new(&x.device, &NORM, named!(x, "norm_apply"))?
        .arg(x.address)
        .arg(residual.as_ref().map(|r| r.address))
        .arg(y.address)
        .arg(mean.address)
        .arg(var.address)
        .arg(line.scale())
        .arg(line.shift())
        .arg(spec.eps)
        .arg(code(spec.act))
        .arg(spec.group == Group::Batch);
    Cut::map(&x)?.tiles(apply)?;
    Ok((y.tensor(), used))
}

/// Gradient of [`forward`]; `own`: the statistics are those of `x`, not constants.
#[allow(clippy::too_many_arguments)]
pub(crate) fn backward(
    x: &Tensor,
    used: &Moments,
    dy: &Tensor,
    spec: &Norm,
    affine: Option<Affine>,
    own: bool,
    grads: NormGrads,
    statistics: DType,
) -> Result<Option<Tensor>> {
    let x = Operand::new(x)?;
    let dy = Operand::ordered(dy, x.order)?;
    let cut = Cut::sums(&x, spec.group)?;
    let (mean, var, line) = (Operand::new(&used.mean)?, Operand::new(&used.var)?, Line::new(affine)?);
    let batch = spec.group == Group::Batch;
    let mut sums = None;
    if grads.affine.is_some() || (own && grads.input) {
        let into = match grads.affine {
            Some(a) => Some((accumulator(a.weight, statistics)?, accumulator(a.bias, statistics)?)),
            None => None,
        };
        let room = cut.workspace(&x, statistics)?;
        let all = Scratch::new(&x.device, cut.groups(spec.group) * 2 * statistics.size_in_bytes())?;
        let launch = Launch::new(&x.device, &NORM, named!(x, "norm_sums"))?
            .arg(x.address)
            .arg(dy.address)
            .arg(room.parts)
            .arg(room.counters)
            .arg(all.address)
            .arg(into.map(|i| i.0))
            .arg(into.map(|i| i.1))
            .size(cut.n)?
            .arg(mean.address)
            .arg(var.address)
            .arg(line.scale())
            .arg(line.shift())
            .arg(spec.eps)
            .arg(code(spec.act))
            .arg(batch);
        cut.tiles(launch)?;
        sums = Some(all);
    }
    if !grads.input {
        return Ok(None);
    }
    let dx = Output::like(&x, x.dims())?;
    let count = cut.hw * if batch { cut.n } else { 1 };
    let gradient = Launch::new(&x.device, &NORM, named!(x, "norm_gradient"))?
        .arg(x.address)
        .arg(dy.address)
        .arg(dx.address)
        .arg(mean.address)
        .arg(var.address)
        .arg(line.scale())
        .arg(line.shift())
        .arg(sums.as_ref().filter(|_| own).map(|s| s.address))
        .arg(1.0 / count as f64)
        .arg(spec.eps)
        .arg(code(spec.act))
        .arg(batch);
    Cut::map(&x)?.tiles(gradient)?;
    Ok(Some(dx.tensor()))
}

pub(crate) fn update_running(new: &Moments, unbias: f64, momentum: f64, running: &Moments) -> Result<()> {
    let (mean, var) = (Operand::new(&new.mean)?, Operand::new(&new.var)?);
    Launch::new(&mean.device, &BUFFER, typed!(mean.dtype(), "update_running")?)?
        .arg(mean.address)
        .arg(var.address)
        .arg(accumulator(&running.mean, mean.dtype())?)
        .arg(accumulator(&running.var, mean.dtype())?)
        .size(mean.len())?
        .arg(momentum)
        .arg(unbias)
        .threads(mean.len())
}
