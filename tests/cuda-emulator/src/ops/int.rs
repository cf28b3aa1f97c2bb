//! Integer arithmetic.

use super::{Name, ints, lanes, typed};
use crate::exec::regs::LaneFn;

/// The function for an integer instruction.
pub fn lane_fn(name: &Name<'_>) -> Option<LaneFn> {
    let ty = name.ty;
    if name.has("sat") || name.has("cc") {
        return None;
    }
    match name.stem {
        "add" => ints!(ty; |a, b| a.wrapping_add(b)),
        "sub" => ints!(ty; |a, b| a.wrapping_sub(b)),
        "neg" => ints!(ty; |a| a.wrapping_neg()),
        "abs" => typed!(ty; "s16": i16, "s32": i32, "s64": i64 => |a| a.wrapping_abs()),
        "min" if name.mods.is_empty() => ints!(ty; |a, b| a.min(b)),
        "max" if name.mods.is_empty() => ints!(ty; |a, b| a.max(b)),
        "div" if name.mods.is_empty() => ints!(ty; |a, b| if b == 0 { !0 } else { a.wrapping_div(b) }),
        "rem" => ints!(ty; |a, b| if b == 0 { a } else { a.wrapping_rem(b) }),
        "mul" | "mul24" => match name.mods.first() {
            Some(&"lo") => ints!(ty; |a, b| a.wrapping_mul(b)),
            Some(&"hi") => high(ty),
            Some(&"wide") => wide(ty),
            _ => None,
        },
        "mad" | "mad24" => match name.mods.first() {
            Some(&"lo") => ints!(ty; |a, b, c| a.wrapping_mul(b).wrapping_add(c)),
            Some(&"hi") => match ty {
                "u32" => {
                    lanes!(|a: u32, b: u32, c: u32| (((u64::from(a) * u64::from(b)) >> 32) as u32).wrapping_add(c))
                }
                "s32" => {
                    lanes!(|a: i32, b: i32, c: i32| (((i64::from(a) * i64::from(b)) >> 32) as i32).wrapping_add(c))
                }
                "u64" => {
                    lanes!(|a: u64, b: u64, c: u64| (((u128::from(a) * u128::from(b)) >> 64) as u64).wrapping_add(c))
                }
                "s64" => {
                    lanes!(|a: i64, b: i64, c: i64| (((i128::from(a) * i128::from(b)) >> 64) as i64).wrapping_add(c))
                }
                _ => None,
            },
            Some(&"wide") => match ty {
                "u16" => lanes!(|a: u16, b: u16, c: u32| (u32::from(a) * u32::from(b)).wrapping_add(c)),
                "s16" => lanes!(|a: i16, b: i16, c: i32| (i32::from(a) * i32::from(b)).wrapping_add(c)),
                "u32" => lanes!(|a: u32, b: u32, c: u64| (u64::from(a) * u64::from(b)).wrapping_add(c)),
                "s32" => lanes!(|a: i32, b: i32, c: i64| (i64::from(a) * i64::from(b)).wrapping_add(c)),
                _ => None,
            },
            _ => None,
        },
        "sad" => match ty {
            "u32" => lanes!(|a: u32, b: u32, c: u32| a.abs_diff(b).wrapping_add(c)),
            "s32" => lanes!(|a: i32, b: i32, c: u32| a.abs_diff(b).wrapping_add(c)),
            _ => None,
        },
        _ => None,
    }
}

/// The upper half of a product.
fn high(ty: &str) -> Option<LaneFn> {
    match ty {
        "u16" => lanes!(|a: u16, b: u16| ((u32::from(a) * u32::from(b)) >> 16) as u16),
        "s16" => lanes!(|a: i16, b: i16| ((i32::from(a) * i32::from(b)) >> 16) as i16),
        "u32" => lanes!(|a: u32, b: u32| ((u64::from(a) * u64::from(b)) >> 32) as u32),
        "s32" => lanes!(|a: i32, b: i32| ((i64::from(a) * i64::from(b)) >> 32) as i32),
        "u64" => lanes!(|a: u64, b: u64| ((u128::from(a) * u128::from(b)) >> 64) as u64),
        "s64" => lanes!(|a: i64, b: i64| ((i128::from(a) * i128::from(b)) >> 64) as i64),
        _ => None,
    }
}

/// The whole product, twice as wide.
fn wide(ty: &str) -> Option<LaneFn> {
    match ty {
        "u16" => lanes!(|a: u16, b: u16| u32::from(a) * u32::from(b)),
        "s16" => lanes!(|a: i16, b: i16| i32::from(a) * i32::from(b)),
        "u32" => lanes!(|a: u32, b: u32| u64::from(a) * u64::from(b)),
        "s32" => lanes!(|a: i32, b: i32| i64::from(a) * i64::from(b)),
        _ => None,
    }
}
