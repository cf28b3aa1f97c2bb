//! Comparisons and selections.

// PTX has ordered and unordered comparisons, which differ for NaN; here they are as they read there.
#![allow(clippy::double_comparisons, clippy::neg_cmp_op_on_partial_ord)]

use half::{bf16, f16};

use super::{Name, float::Real, lanes};
use crate::exec::regs::{Args, LaneFn, Regs, Slot};

/// The function for `setp`, `set`, `selp` and `slct`.
pub fn lane_fn(name: &Name<'_>) -> Option<LaneFn> {
    match name.stem {
        "setp" => {
            let mods: Vec<_> = name.mods.iter().filter(|m| **m != "ftz").copied().collect();
            setp(mods.first()?, name.ty)
        }
        "set" => set(name),
        "selp" => Some(select),
        "slct" => match (name.mods.first()?, name.ty) {
            (_, "s32") => lanes!(|a: u64, b: u64, c: i32| if c >= 0 { a } else { b }),
            (_, "f32") => lanes!(|a: u64, b: u64, c: f32| if c >= 0.0 { a } else { b }),
            _ => None,
        },
        _ => None,
    }
}

/// `selp d, a, b, p`
fn select(regs: &mut Regs, i: &Args, mask: u32) {
    let (a, b) = (regs.rows[i.a as usize], regs.rows[i.b as usize]);
    let p = regs.preds[i.p as usize];
    regs.write(i.d, mask, |lane| if p >> lane & 1 == 1 { a[lane] } else { b[lane] });
}

/// How `setp` combines its result with a predicate: the number for [`Args::e`].
pub fn combination(name: &Name<'_>) -> u32 {
    ["and", "or", "xor"].iter().position(|combination| name.has(combination)).map_or(0, |at| at as u32 + 1)
}

/// Stores a comparison's two results.
fn store(regs: &mut Regs, i: &Args, mask: u32, holds: u32) {
    let p = regs.preds[i.p as usize];
    let combine = |bits: u32| match i.e {
        1 => bits & p,
        2 => bits | p,
        3 => bits ^ p,
        _ => bits,
    };
    regs.write_pred(i.d, mask, combine(holds));
    regs.write_pred(i.q, mask, combine(!holds));
}

macro_rules! test {
    (|$a:ident: $t:ty, $b:ident| $e:expr) => {{
        fn run(regs: &mut Regs, i: &Args, mask: u32) {
            let holds = regs.test2(i, |a, b| {
                let ($a, $b) = (<$t as Slot>::get(a), <$t as Slot>::get(b));
                $e
            });
            store(regs, i, mask, holds);
        }
        Some(run as LaneFn)
    }};
}

macro_rules! tests {
    ($ty:expr; |$a:ident, $b:ident| $e:expr; $($name:literal: $t:ty),*) => {
        match $ty { $($name => test!(|$a: $t, $b| $e),)* _ => None }
    };
}

macro_rules! numbers {
    ($ty:expr; |$a:ident, $b:ident| $e:expr) => {
        tests!($ty; |$a, $b| $e; "u16": u16, "u32": u32, "u64": u64, "s16": i16, "s32": i32, "s64": i64,
            "b16": u16, "b32": u32, "b64": u64, "f32": f32, "f64": f64, "f16": f16, "bf16": bf16)
    };
}

macro_rules! floats {
    ($ty:expr; |$a:ident, $b:ident| $e:expr) => {
        tests!($ty; |$a, $b| $e; "f32": f32, "f64": f64, "f16": f16, "bf16": bf16)
    };
}

fn setp(relation: &str, ty: &str) -> Option<LaneFn> {
    match relation {
        "eq" => numbers!(ty; |a, b| a == b),
        // The ordered `ne` is false for NaN.
        "ne" if ty.contains('f') => floats!(ty; |a, b| a < b || a > b),
        "ne" => numbers!(ty; |a, b| a != b),
        "lt" | "lo" => numbers!(ty; |a, b| a < b),
        "le" | "ls" => numbers!(ty; |a, b| a <= b),
        "gt" | "hi" => numbers!(ty; |a, b| a > b),
        "ge" | "hs" => numbers!(ty; |a, b| a >= b),
        "equ" => floats!(ty; |a, b| !(a < b || a > b)),
        "neu" => floats!(ty; |a, b| a != b),
        "ltu" => floats!(ty; |a, b| !(a >= b)),
        "leu" => floats!(ty; |a, b| !(a > b)),
        "gtu" => floats!(ty; |a, b| !(a <= b)),
        "geu" => floats!(ty; |a, b| !(a < b)),
        "num" => floats!(ty; |a, b| !a.nan() && !b.nan()),
        "nan" => floats!(ty; |a, b| a.nan() || b.nan()),
        _ => None,
    }
}

/// `set.relation.dtype.stype`: 1.0 or all bits for true. The result is an integer or of the operands' type.
fn set(name: &Name<'_>) -> Option<LaneFn> {
    let mods: Vec<_> = name.mods.iter().filter(|m| **m != "ftz").copied().collect();
    let [relation, result] = mods[..] else { return None };
    macro_rules! row {
        ($t:ty, |$a:ident, $b:ident| $e:expr) => {
            if result == name.ty {
                lanes!(|$a: $t, $b: $t| if $e { <$t>::narrow(1.0) } else { <$t>::narrow(0.0) })
            } else if matches!(result, "u32" | "s32") {
                lanes!(|$a: $t, $b: $t| if $e { u32::MAX } else { 0 })
            } else {
                None
            }
        };
    }
    macro_rules! relations {
        ($t:ty) => {
            match relation {
                "eq" => row!($t, |a, b| a == b),
                "neu" => row!($t, |a, b| a != b),
                "lt" => row!($t, |a, b| a < b),
                "le" => row!($t, |a, b| a <= b),
                "gt" => row!($t, |a, b| a > b),
                "ge" => row!($t, |a, b| a >= b),
                _ => None,
            }
        };
    }
    match name.ty {
        "f32" => relations!(f32),
        "f16" => relations!(f16),
        "bf16" => relations!(bf16),
        _ => None,
    }
}
