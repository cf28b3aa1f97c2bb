//! One warp: 32 threads in step. Where they part, those at the lowest instruction go first, so that they meet again where
//! the compiler lets the paths join. What waits for others (barriers, shuffles) is set aside until they are there.

use super::{
    Launch,
    access::Memory,
    regs::{ALL, LANES, Regs, lanes},
};
use crate::decode::{Code, Op, Space};

/// Why a warp stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// All threads ended.
    End,
    /// Those that have not ended wait at a barrier of the block.
    Barrier,
}

/// A warp.
#[derive(Clone, Debug)]
pub struct Warp {
    regs: Regs,
    /// The block's number of lane 0.
    pub(super) first: u32,
    /// Lanes that exist.
    all: u32,
    /// Lanes that have not ended.
    pub(super) live: u32,
    /// Groups of lanes that can go on: instruction and mask.
    ready: Vec<(u32, u32)>,
    /// Groups that wait for other lanes of the warp.
    pub(super) parked: Vec<(u32, u32)>,
    /// Groups at a barrier.
    barrier: Vec<(u32, u32)>,
}

impl Warp {
    /// Warp `number` of a block with so many threads.
    pub fn new(code: &Code, launch: &Launch, number: u32, threads: u32) -> Self {
        let mut regs = Regs { rows: vec![[u64::MAX; LANES]; code.rows], preds: vec![0; code.preds] };
        regs.preds[Regs::TRUE as usize] = ALL;
        for (row, value) in &code.constants {
            regs.rows[*row as usize] = [*value; LANES];
        }
        let first = number * LANES as u32;
        let [x, y, _] = launch.block;
        for lane in 0..LANES as u32 {
            let thread = first + lane;
            // In the order of `names::SPECIAL`.
            let special = [
                thread % x,
                thread / x % y,
                thread / x / y,
                launch.block[0],
                launch.block[1],
                launch.block[2],
                0,
                0,
                0,
                launch.grid[0],
                launch.grid[1],
                launch.grid[2],
                lane,
                number,
                threads.div_ceil(LANES as u32),
                1 << lane,
                ALL >> (31 - lane),
                (1 << lane) - 1,
                ALL << lane,
                (ALL << lane) & !(1 << lane),
                0,
                1,
                0,
                0,
                0,
                launch.shared as u32,
            ];
            for (row, value) in special.into_iter().enumerate() {
                regs.rows[row][lane as usize] = u64::from(value);
            }
        }
        let all = if threads - first >= 32 { ALL } else { (1 << (threads - first)) - 1 };
        Self { regs, first, all, live: 0, ready: vec![], parked: vec![], barrier: vec![] }
    }

    /// To the first instruction, in another block.
    pub fn reset(&mut self, block: [u64; 3]) {
        for (axis, index) in block.into_iter().enumerate() {
            self.regs.rows[6 + axis] = [index; LANES];
        }
        self.live = self.all;
        self.ready = vec![(0, self.all)];
        self.parked.clear();
        self.barrier.clear();
    }

    /// Its registers.
    pub fn regs(&self) -> &Regs {
        &self.regs
    }

    /// The groups at a barrier: instruction and mask.
    pub fn at_barrier(&self) -> impl Iterator<Item = (u32, u32)> {
        self.barrier.iter().copied()
    }

    /// Lets the groups at a barrier go on, after `before` has given each the barrier's result.
    pub fn release(&mut self, before: impl Fn(u32, u32, &mut Regs)) {
        for (pc, mask) in self.barrier.drain(..) {
            before(pc, mask, &mut self.regs);
            self.ready.push((pc + 1, mask));
        }
    }

    /// Names the first thread of a mask.
    pub fn name(&self, mask: u32) -> String {
        format!("thread {}", self.first + mask.trailing_zeros())
    }

    /// Takes the lanes that are furthest behind, and says where the next ones stand.
    fn next(&mut self) -> Option<(u32, u32, u32)> {
        let pc = self.ready.iter().map(|(pc, _)| *pc).min()?;
        let (mut mask, mut limit) = (0, u32::MAX);
        self.ready.retain(|&(other, lanes)| {
            if other == pc {
                mask |= lanes;
            } else {
                limit = limit.min(other);
            }
            other != pc
        });
        Some((pc, mask, limit))
    }

    /// Runs until nothing more can be done.
    ///
    /// # Errors
    /// What went wrong, with thread and instruction.
    pub fn run(&mut self, code: &Code, memory: &mut Memory<'_>) -> Result<Stop, String> {
        loop {
            while let Some((pc, mask, limit)) = self.next() {
                self.group(code, memory, pc, mask, limit)?;
            }
            if self.parked.is_empty() {
                return Ok(if self.barrier.is_empty() { Stop::End } else { Stop::Barrier });
            }
            self.unpark(code)?;
        }
    }

    /// Runs the lanes of `mask` from `pc` until they part, wait, end, or reach those at `limit`.
    fn group(
        &mut self,
        code: &Code,
        memory: &mut Memory<'_>,
        mut pc: u32,
        mask: u32,
        limit: u32,
    ) -> Result<(), String> {
        loop {
            if pc >= limit {
                self.ready.push((pc, mask));
                return Ok(());
            }
            let instruction = &code.instructions[pc as usize];
            let active = mask & (self.regs.preds[instruction.guard as usize] ^ instruction.negated);
            if active == 0 {
                pc += 1;
                continue;
            }
            let fail = |this: &Self, (lane, message): (u32, String)| {
                format!("thread {}: {message} (at: {})", this.first + lane, instruction.text)
            };
            match &instruction.op {
                Op::Lanes(f, args) => f(&mut self.regs, args, active),
                Op::Branch(target) if active == mask => {
                    pc = *target;
                    continue;
                }
                Op::Branch(target) => {
                    self.ready.push((*target, active));
                    self.ready.push((pc + 1, mask & !active));
                    return Ok(());
                }
                Op::Load(access) => {
                    memory.load(&mut self.regs, access, active, self.first).map_err(|e| fail(self, e))?;
                }
                Op::Store(access) => {
                    memory.store(&self.regs, access, active, self.first).map_err(|e| fail(self, e))?;
                }
                Op::Atomic(access, f, operand, new) => {
                    memory
                        .atomic(&mut self.regs, (access, *f), (*operand, *new), active, self.first)
                        .map_err(|e| fail(self, e))?;
                }
                Op::Exit => {
                    self.live &= !active;
                    if mask & !active == 0 {
                        return Ok(());
                    }
                    self.ready.push((pc + 1, mask & !active));
                    return Ok(());
                }
                Op::Barrier { .. } => {
                    self.barrier.push((pc, active));
                    if mask & !active != 0 {
                        self.ready.push((pc + 1, mask & !active));
                    }
                    return Ok(());
                }
                Op::Table(index, targets) => {
                    for lane in lanes(active) {
                        let index = self.regs.rows[*index as usize][lane] as u32;
                        let target = targets.get(index as usize).ok_or_else(|| {
                            fail(self, (lane as u32, format!("index {index} of {} targets", targets.len())))
                        })?;
                        self.ready.push((*target, 1 << lane));
                    }
                    if mask & !active != 0 {
                        self.ready.push((pc + 1, mask & !active));
                    }
                    return Ok(());
                }
                Op::Trap(message) => return Err(fail(self, (active.trailing_zeros(), message.clone()))),
                Op::Unknown => {
                    let message = "the emulator does not know this instruction".to_owned();
                    return Err(fail(self, (active.trailing_zeros(), message)));
                }
                Op::ToGeneric(space, args) => self.convert_address(memory, *space, args, active, true),
                Op::FromGeneric(space, args) => self.convert_address(memory, *space, args, active, false),
                Op::IsSpace(space, args) => {
                    let row = self.regs.rows[args.a as usize];
                    let bits = lanes(active)
                        .filter(|lane| memory.is_in(*space, row[*lane], self.first + *lane as u32))
                        .fold(0, |bits, lane| bits | 1 << lane);
                    self.regs.write_pred(args.d, active, bits);
                }
                Op::ActiveMask(d) => self.regs.write(*d, active, |_| u64::from(active)),
                op => {
                    if !self.meet(pc, active, op) {
                        if mask & !active != 0 {
                            self.ready.push((pc + 1, mask & !active));
                        }
                        return Ok(());
                    }
                }
            }
            pc += 1;
        }
    }

    fn convert_address(
        &mut self,
        memory: &Memory<'_>,
        space: Space,
        args: &super::regs::Args,
        mask: u32,
        generic: bool,
    ) {
        let a = self.regs.rows[args.a as usize];
        for lane in lanes(mask) {
            let origin = memory.origin(space, self.first + lane as u32);
            let at = if generic { a[lane].wrapping_add(origin) } else { a[lane].wrapping_sub(origin) };
            self.regs.rows[args.d as usize][lane] = at;
        }
    }

    /// `meet` with the registers to write to.
    pub(super) fn regs_mut(&mut self) -> &mut Regs {
        &mut self.regs
    }

    /// Lanes go on at an instruction.
    pub(super) fn resume(&mut self, pc: u32, mask: u32) {
        self.ready.push((pc, mask));
    }
}
