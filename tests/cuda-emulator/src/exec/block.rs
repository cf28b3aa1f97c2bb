//! One block: its warps run in turn, each until it ends or waits at a barrier.

use std::ops::Range;

use super::{
    Launch,
    access::Memory,
    regs::LANES,
    warp::{Stop, Warp},
};
use crate::{
    decode::{Code, Op, Vote},
    exec::regs::{Regs, lanes},
};

/// The state of a block; used again for the next one.
#[derive(Debug)]
pub struct Block<'a> {
    code: &'a Code,
    launch: &'a Launch,
    memory: Memory<'a>,
    warps: Vec<Warp>,
    backwards: bool,
}

impl<'a> Block<'a> {
    /// Before the first block.
    pub fn new(code: &'a Code, launch: &'a Launch, ranges: &'a [Range<u64>], backwards: bool) -> Self {
        let threads = launch.block.iter().product::<u32>();
        let warps =
            (0..threads.div_ceil(LANES as u32)).map(|number| Warp::new(code, launch, number, threads)).collect();
        Self { code, launch, memory: Memory::new(code, launch, ranges), warps, backwards }
    }

    /// Runs the block with this number in the grid.
    ///
    /// # Errors
    /// What went wrong, with kernel, block, thread and instruction.
    pub fn run(&mut self, number: u64) -> Result<(), String> {
        let [nx, ny, _] = self.launch.grid.map(u64::from);
        let index = [number % nx, number / nx % ny, number / nx / ny];
        self.memory.reset();
        for warp in &mut self.warps {
            warp.reset(index);
        }
        self.run_warps().map_err(|message| {
            let [x, y, z] = index;
            format!("kernel {}, block ({x}, {y}, {z}): {message}", self.code.name)
        })
    }

    fn run_warps(&mut self) -> Result<(), String> {
        loop {
            let mut waiting = false;
            // In either order: what depends on it is a bug.
            let count = self.warps.len();
            for number in 0..count {
                let warp = &mut self.warps[if self.backwards { count - 1 - number } else { number }];
                waiting |= warp.run(self.code, &mut self.memory)? == Stop::Barrier;
            }
            if !waiting {
                return Ok(());
            }
            self.release()?;
            self.memory.barrier();
        }
    }

    /// All threads that have not ended wait at a barrier: lets them go on, after the vote if there is one.
    fn release(&mut self) -> Result<(), String> {
        let mut place = None;
        let (mut all, mut any, mut count) = (true, false, 0);
        for warp in &self.warps {
            for (pc, mask) in warp.at_barrier() {
                let Op::Barrier { id, vote, .. } = &self.code.instructions[pc as usize].op else { continue };
                let id = warp.regs().rows[*id as usize][mask.trailing_zeros() as usize] as u32;
                let kind = vote.map(|(vote, _)| vote);
                if *place.get_or_insert((id, kind, pc)) != (id, kind, pc) {
                    let text = &self.code.instructions[pc as usize].text;
                    return Err(format!(
                        "{}: threads of one block wait at different barriers ({text})",
                        warp.name(mask)
                    ));
                }
                if let Some((_, p)) = vote {
                    let bits = warp.regs().preds[*p as usize] & mask;
                    all &= bits == mask;
                    any |= bits != 0;
                    count += bits.count_ones();
                }
            }
        }
        for warp in &mut self.warps {
            warp.release(|pc, mask, regs: &mut Regs| {
                let Op::Barrier { vote: Some((vote, _)), d, .. } = self.code.instructions[pc as usize].op else {
                    return;
                };
                match vote {
                    Vote::Count => lanes(mask).for_each(|lane| regs.rows[d as usize][lane] = u64::from(count)),
                    Vote::All => regs.write_pred(d, mask, if all { u32::MAX } else { 0 }),
                    _ => regs.write_pred(d, mask, if any { u32::MAX } else { 0 }),
                }
            });
        }
        Ok(())
    }
}
