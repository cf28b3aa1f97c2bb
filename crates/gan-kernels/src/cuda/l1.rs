//! Sums of L1 distances: all terms in one launch, which finds them in a table among its parameters.

use crate::cuda::buffer::add;
use crate::cuda::launch::{BLOCK, Launch, Table, size};
use crate::cuda::layout::convert;
use crate::cuda::module::{Module, module, typed};
use crate::cuda::operand::{MemoryFormat, Operand, Output, statistics};
use crate::cuda::workspace::Workspace;
use crate::spec::l1::L1Term;
use candle_core::{Result, Tensor};

const L1: Module = module!("l1");

/// Terms of a launch, as `l1.cu` has it.
const TERMS: usize = 64;
/// Words of a term: three addresses, the share as F64, and two numbers of 32 bits.
const WORDS: usize = 5;
/// The most blocks that work on a term.
const BLOCKS: usize = 256;

/// The terms of a launch as operands, and in how many blocks.
struct Launched {
    pairs: Vec<[Operand; 2]>,
    table: Box<Table>,
    blocks: usize,
}

impl Launched {
    /// `out` gives the address of each result, if there is one for each term.
    fn new(terms: &[L1Term], outs: Option<&[Output]>, pairs: Vec<[Operand; 2]>) -> Result<Self> {
        let mut table = Table::new();
        let mut blocks = 0;
        for (k, (term, [x, y])) in terms.iter().zip(&pairs).enumerate() {
            let n = x.len();
            let words = [
                x.address,
                y.address,
                outs.map_or(0, |outs| outs[k].address),
                (term.weight / n as f64).to_bits(),
                u64::from(size(n)?) | (u64::from(size(blocks)?) << 32),
            ];
            table.0[k * WORDS..][..WORDS].copy_from_slice(&words);
            // Four packs a thread.
            blocks += n.div_ceil(BLOCK as usize * x.pack() * 4).clamp(1, BLOCKS);
        }
        Ok(Launched { pairs, table, blocks })
    }
}

fn operands(terms: &[L1Term]) -> Result<Vec<[Operand; 2]>> {
    let pair = |term: &L1Term| {
        let x = Operand::new(&term.x)?;
        Ok([x.clone(), Operand::ordered(&term.y, x.order)?])
    };
    terms.iter().map(pair).collect()
}

pub(crate) fn sum(terms: &[L1Term]) -> Result<Tensor> {
    let mut total: Option<Tensor> = None;
    for terms in terms.chunks(TERMS) {
        let Launched { pairs, table, blocks } = Launched::new(terms, None, operands(terms)?)?;
        let (device, dtype) = (&pairs[0][0].device, pairs[0][0].dtype());
        let value = Output::new(device, statistics(dtype), &[], MemoryFormat::Nchw)?;
        let room = Workspace::of(device, 1, blocks * size_of::<f64>())?;
        Launch::new(device, &L1, typed!(dtype, "l1_sum")?)?
            .table(table)
            .size(terms.len())?
            .arg(room.parts)
            .arg(room.counters)
            .arg(value.address)
            .grid((size(blocks)?, 1), BLOCK)?;
        let value = value.tensor();
        total = Some(match total {
            Some(total) => add(&total, &value)?,
            None => value,
        });
    }
    total.ok_or_else(|| candle_core::Error::Msg("l1_sum: a sum without terms".into()))
}

pub(crate) fn backward(terms: &[L1Term], upstream: &Tensor) -> Result<Vec<Tensor>> {
    let mut all = Vec::with_capacity(terms.len());
    for terms in terms.chunks(TERMS) {
        let pairs = operands(terms)?;
        let outs: Vec<Output> = pairs.iter().map(|[x, _]| Output::like(x, x.dims())).collect::<Result<_>>()?;
        let Launched { pairs, table, blocks } = Launched::new(terms, Some(&outs), pairs)?;
        let x = &pairs[0][0];
        let upstream = Operand::new(&convert(upstream, statistics(x.dtype()))?)?;
        Launch::new(&x.device, &L1, typed!(x.dtype(), "l1_gradient")?)?
            .table(table)
            .size(terms.len())?
            .arg(upstream.address)
            .grid((size(blocks)?, 1), BLOCK)?;
        all.extend(outs.into_iter().map(Output::tensor));
    }
    Ok(all)
}
