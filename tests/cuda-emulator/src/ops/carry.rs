//! Integer arithmetic of several words, with the carry flag.

use super::Name;
use crate::exec::regs::{Args, LaneFn, Regs, lanes};

/// The function for an instruction that reads or writes the carry flag.
pub fn lane_fn(name: &Name<'_>) -> Option<LaneFn> {
    if !matches!(name.ty, "u32" | "s32" | "b32") {
        return None;
    }
    let (sets, hi) = (name.has("cc"), name.has("hi"));
    Some(match (name.stem, sets, hi) {
        ("add", true, _) => |r, i, m| words(r, i, m, (false, true), |a, b, _, _| a + b),
        ("addc", false, _) => |r, i, m| words(r, i, m, (true, false), |a, b, _, carry| a + b + carry),
        ("addc", true, _) => |r, i, m| words(r, i, m, (true, true), |a, b, _, carry| a + b + carry),
        // The flag is a borrow, which shows above the low word.
        ("sub", true, _) => |r, i, m| words(r, i, m, (false, true), |a, b, _, _| a.wrapping_sub(b)),
        ("subc", false, _) => |r, i, m| words(r, i, m, (true, false), |a, b, _, carry| a.wrapping_sub(b + carry)),
        ("subc", true, _) => |r, i, m| words(r, i, m, (true, true), |a, b, _, carry| a.wrapping_sub(b + carry)),
        ("mad", true, false) => |r, i, m| words(r, i, m, (false, true), |a, b, c, _| ((a * b) & LOW) + c),
        ("mad", true, true) => |r, i, m| words(r, i, m, (false, true), |a, b, c, _| ((a * b) >> 32) + c),
        ("madc", false, false) => |r, i, m| words(r, i, m, (true, false), |a, b, c, carry| ((a * b) & LOW) + c + carry),
        ("madc", false, true) => |r, i, m| words(r, i, m, (true, false), |a, b, c, carry| ((a * b) >> 32) + c + carry),
        ("madc", true, false) => |r, i, m| words(r, i, m, (true, true), |a, b, c, carry| ((a * b) & LOW) + c + carry),
        ("madc", true, true) => |r, i, m| words(r, i, m, (true, true), |a, b, c, carry| ((a * b) >> 32) + c + carry),
        _ => return None,
    })
}

const LOW: u64 = 0xFFFF_FFFF;

/// Computes in 64 bits: the low word is the result, anything above is the carry.
fn words(regs: &mut Regs, i: &Args, mask: u32, (reads, sets): (bool, bool), f: fn(u64, u64, u64, u64) -> u64) {
    let [a, b, c] = [i.a, i.b, i.c].map(|row| regs.rows[row as usize]);
    let flags = if reads { regs.preds[Regs::CARRY as usize] } else { 0 };
    let mut carry = 0;
    for lane in lanes(mask) {
        let out = f(a[lane] & LOW, b[lane] & LOW, c[lane] & LOW, u64::from(flags >> lane & 1));
        regs.rows[i.d as usize][lane] = out & LOW;
        carry |= u32::from(out > LOW) << lane;
    }
    if sets {
        regs.write_pred(Regs::CARRY, mask, carry);
    }
}
