//! Instructions that lanes of a warp do together: they wait for the lanes of their mask that have not ended.

use super::{
    regs::{LANES, Regs, lanes},
    warp::Warp,
};
use crate::decode::{Code, Op, Shuffle, Vote};

/// What a lane reads from one that takes no part.
const UNDEFINED: u64 = 0xFFFF_FFFF;

impl Warp {
    /// Lanes `active` are at an instruction that wants others too: does it if all are there, otherwise sets them aside.
    /// `false`: they do not simply go on (they wait, or go on together with others).
    pub(super) fn meet(&mut self, pc: u32, active: u32, op: &Op) -> bool {
        let there = self.parked.iter().filter(|(at, _)| *at == pc).fold(active, |mask, (_, lanes)| mask | lanes);
        if !self.complete(there, op) {
            self.parked.retain(|(at, _)| *at != pc);
            self.parked.push((pc, there));
            return false;
        }
        together(self.regs_mut(), op, there);
        if there != active {
            self.parked.retain(|(at, _)| *at != pc);
            self.resume(pc + 1, there);
            return false;
        }
        true
    }

    /// Whether the lanes `there` are all that the instruction waits for.
    fn complete(&self, there: u32, op: &Op) -> bool {
        let row = match op {
            Op::Shuffle { mask, .. } | Op::Vote { mask, .. } | Op::Match { mask, .. } | Op::Redux { mask, .. } => *mask,
            Op::WarpBarrier(mask) => *mask,
            _ => return true,
        };
        let wanted = self.regs().rows[row as usize][there.trailing_zeros() as usize] as u32 & self.live;
        wanted & !there == 0
    }

    /// No lane can go on: those set aside do so if the ones they wait for have ended meanwhile.
    pub(super) fn unpark(&mut self, code: &Code) -> Result<(), String> {
        let parked = std::mem::take(&mut self.parked);
        let mut done = false;
        for (pc, mask) in parked {
            let instruction = &code.instructions[pc as usize];
            if self.complete(mask, &instruction.op) {
                together(self.regs_mut(), &instruction.op, mask);
                self.resume(pc + 1, mask);
                done = true;
            } else {
                self.parked.push((pc, mask));
            }
        }
        if done {
            return Ok(());
        }
        let (pc, mask) = self.parked[0];
        let text = &code.instructions[pc as usize].text;
        Err(format!(
            "{}: waits for lanes of its mask that never come (lanes {mask:#010x}, at: {text})",
            self.name(mask)
        ))
    }
}

/// Does the instruction for the lanes `mask`.
fn together(regs: &mut Regs, op: &Op, mask: u32) {
    match op {
        Op::Shuffle { mode, args, p, .. } => {
            let (a, b, c) = (regs.rows[args.a as usize], regs.rows[args.b as usize], regs.rows[args.c as usize]);
            let mut in_range = 0;
            let mut out = [0; LANES];
            for lane in lanes(mask) {
                let (source, valid) = source(*mode, lane as u32, b[lane] as u32, c[lane] as u32);
                in_range |= u32::from(valid) << lane;
                out[lane] = if mask >> source & 1 == 1 { a[source as usize] & 0xFFFF_FFFF } else { UNDEFINED };
            }
            regs.write(args.d, mask, |lane| out[lane]);
            regs.write_pred(*p, mask, in_range);
        }
        Op::Vote { vote, d, p, .. } => {
            let bits = regs.preds[*p as usize] & mask;
            let holds = match vote {
                Vote::All => bits == mask,
                Vote::Any => bits != 0,
                Vote::Uniform => bits == mask || bits == 0,
                Vote::Ballot | Vote::Count => return regs.write(*d, mask, |_| u64::from(bits)),
            };
            regs.write_pred(*d, mask, if holds { u32::MAX } else { 0 });
        }
        Op::Match { d, a, .. } => {
            let a = regs.rows[*a as usize];
            regs.write(*d, mask, |lane| {
                lanes(mask).filter(|other| a[*other] == a[lane]).fold(0, |m, other| m | 1 << other)
            });
        }
        Op::Redux { fold, d, a, .. } => {
            let a = regs.rows[*a as usize];
            let all = lanes(mask).map(|lane| a[lane] & 0xFFFF_FFFF).reduce(|x, y| fold(x, y, 0)).unwrap_or(0);
            regs.write(*d, mask, |_| all);
        }
        _ => {}
    }
}

/// The lane that `lane` reads from, and whether it lies in its segment.
fn source(mode: Shuffle, lane: u32, b: u32, c: u32) -> (u32, bool) {
    let (bound, segment) = (c & 31, c >> 8 & 31);
    let max = (lane & segment) | (bound & !segment);
    let b = b & 31;
    let (source, valid) = match mode {
        Shuffle::Up => (lane.wrapping_sub(b), lane as i32 - b as i32 >= max as i32),
        Shuffle::Down => (lane + b, lane + b <= max),
        Shuffle::Butterfly => (lane ^ b, lane ^ b <= max),
        Shuffle::Index => {
            let source = (lane & segment) | (b & !segment);
            (source, source <= max)
        }
    };
    if valid { (source, true) } else { (lane, false) }
}
