//! Bits: logic, shifts, fields, permutations. (Logic on predicates is in `decode`.)

use super::{Name, lanes, typed};
use crate::exec::regs::LaneFn;

macro_rules! words {
    ($ty:expr; $($rest:tt)*) => { typed!($ty; "b16": u16, "b32": u32, "b64": u64 => $($rest)*) };
}

/// The function for a bit instruction.
pub fn lane_fn(name: &Name<'_>) -> Option<LaneFn> {
    let ty = name.ty;
    match name.stem {
        "mov" | "cvta" if !matches!(ty, "pred") => lanes!(|a: u64| a),
        "and" => words!(ty; |a, b| a & b),
        "or" => words!(ty; |a, b| a | b),
        "xor" => words!(ty; |a, b| a ^ b),
        "not" => words!(ty; |a| !a),
        "cnot" => words!(ty; |a| if a == 0 { 1 } else { 0 }),
        "shl" => match ty {
            "b16" => lanes!(|a: u16, n: u32| a.checked_shl(n).unwrap_or(0)),
            "b32" => lanes!(|a: u32, n: u32| a.checked_shl(n).unwrap_or(0)),
            "b64" => lanes!(|a: u64, n: u32| a.checked_shl(n).unwrap_or(0)),
            _ => None,
        },
        "shr" => match ty {
            "u16" | "b16" => lanes!(|a: u16, n: u32| a.checked_shr(n).unwrap_or(0)),
            "u32" | "b32" => lanes!(|a: u32, n: u32| a.checked_shr(n).unwrap_or(0)),
            "u64" | "b64" => lanes!(|a: u64, n: u32| a.checked_shr(n).unwrap_or(0)),
            "s16" => lanes!(|a: i16, n: u32| a >> n.min(15)),
            "s32" => lanes!(|a: i32, n: u32| a >> n.min(31)),
            "s64" => lanes!(|a: i64, n: u32| a >> n.min(63)),
            _ => None,
        },
        "shf" => funnel(name),
        "prmt" if name.mods.is_empty() => lanes!(|a: u32, b: u32, c: u32| permute(a, b, c)),
        "popc" => typed!(ty; "b32": u32, "b64": u64 => |a| a.count_ones()),
        "clz" => typed!(ty; "b32": u32, "b64": u64 => |a| a.leading_zeros()),
        "brev" => typed!(ty; "b32": u32, "b64": u64 => |a| a.reverse_bits()),
        "bfind" => find(name),
        "bfe" => match ty {
            "u32" => lanes!(|a: u32, pos: u32, len: u32| extract(u64::from(a), pos, len, 32, false) as u32),
            "s32" => lanes!(|a: i32, pos: u32, len: u32| extract(a as u32 as u64, pos, len, 32, true) as u32),
            "u64" => lanes!(|a: u64, pos: u32, len: u32| extract(a, pos, len, 64, false)),
            "s64" => lanes!(|a: u64, pos: u32, len: u32| extract(a, pos, len, 64, true)),
            _ => None,
        },
        "dp4a" => match (name.mods, ty) {
            (["s32"], "s32") => lanes!(|a: u32, b: u32, c: i32| (0..4).fold(c, |sum, k| {
                sum.wrapping_add(i32::from((a >> (8 * k)) as i8) * i32::from((b >> (8 * k)) as i8))
            })),
            (["u32"], "u32") => lanes!(|a: u32, b: u32, c: u32| (0..4)
                .fold(c, |sum, k| { sum.wrapping_add(((a >> (8 * k)) & 255) * ((b >> (8 * k)) & 255)) })),
            _ => None,
        },
        _ => None,
    }
}

/// `lop3.b32` with its table.
pub fn lop3(a: u32, b: u32, c: u32, table: u32) -> u32 {
    (0..8).filter(|k| table >> k & 1 == 1).fold(0, |out, k| {
        let pick = |x: u32, bit: u32| if k & bit == 0 { !x } else { x };
        out | (pick(a, 4) & pick(b, 2) & pick(c, 1))
    })
}

/// `bfi`: the low `len` bits of `a` put into `b` at `pos`.
pub fn insert(a: u64, b: u64, pos: u32, len: u32, width: u32) -> u64 {
    let (pos, len) = (pos & 255, len & 255);
    if pos >= width || len == 0 {
        return b;
    }
    let field = if len >= 64 { u64::MAX } else { (1 << len) - 1 };
    let mask = field << pos;
    (b & !mask) | ((a << pos) & mask)
}

fn extract(a: u64, pos: u32, len: u32, width: u32, signed: bool) -> u64 {
    let (pos, len) = (pos & 255, len & 255);
    let bit = |at: u32| a >> at & 1;
    let sign = if !signed || len == 0 { 0 } else { bit((pos + len - 1).min(width - 1)) };
    (0..width).fold(0, |out, k| {
        let value = if k < len && pos + k < width { bit(pos + k) } else { sign };
        out | value << k
    })
}

/// `prmt.b32`: each nibble of `c` picks a byte of `b:a`, or its sign.
fn permute(a: u32, b: u32, c: u32) -> u32 {
    let bytes = u64::from(b) << 32 | u64::from(a);
    (0..4).fold(0, |out, k| {
        let pick = c >> (4 * k);
        let byte = (bytes >> (8 * (pick & 7))) as u8;
        let byte = if pick & 8 == 0 { byte } else { (byte as i8 >> 7) as u8 };
        out | u32::from(byte) << (8 * k)
    })
}

/// `shf`: a shift of `b:a`.
fn funnel(name: &Name<'_>) -> Option<LaneFn> {
    fn join(a: u32, b: u32) -> u64 {
        u64::from(b) << 32 | u64::from(a)
    }
    match (name.has("l"), name.has("wrap")) {
        (true, true) => lanes!(|a: u32, b: u32, n: u32| (join(a, b) << (n & 31) >> 32) as u32),
        (true, false) => lanes!(|a: u32, b: u32, n: u32| (join(a, b) << n.min(32) >> 32) as u32),
        (false, true) => lanes!(|a: u32, b: u32, n: u32| (join(a, b) >> (n & 31)) as u32),
        (false, false) => lanes!(|a: u32, b: u32, n: u32| (join(a, b) >> n.min(32)) as u32),
    }
}

/// `bfind`: the position of the highest bit that is not the sign.
fn find(name: &Name<'_>) -> Option<LaneFn> {
    match (name.ty, name.has("shiftamt")) {
        ("u32", false) => lanes!(|a: u32| a.checked_ilog2().unwrap_or(u32::MAX)),
        ("u64", false) => lanes!(|a: u64| a.checked_ilog2().unwrap_or(u32::MAX)),
        ("u32", true) => lanes!(|a: u32| if a == 0 { u32::MAX } else { a.leading_zeros() }),
        ("u64", true) => lanes!(|a: u64| if a == 0 { u32::MAX } else { a.leading_zeros() }),
        ("s32", false) => lanes!(|a: i32| (if a < 0 { !a } else { a } as u32).checked_ilog2().unwrap_or(u32::MAX)),
        _ => None,
    }
}
