//! `cvt`.

use half::{bf16, f16};

use super::{
    Name,
    float::{Real, to_bf16},
    lanes,
    rounding::{Round, flush, round_f32, saturate},
};
use crate::exec::regs::LaneFn;

/// The function for a conversion.
pub fn lane_fn(name: &Name<'_>) -> Option<LaneFn> {
    if name.stem != "cvt" {
        return None;
    }
    let (to, mods) = name.mods.split_last()?;
    let from = name.ty;
    let sat = mods.contains(&"sat");
    let mods: Vec<&str> = mods.iter().copied().filter(|m| *m != "sat").collect();
    match (float(from), float(to)) {
        (false, false) if !sat => ints(to, from),
        (false, true) if !sat => from_int(to, from, Round::of(&mods)),
        (true, false) => to_int(to, from, &mods),
        (true, true) => between(to, from, &mods, sat),
        _ => None,
    }
}

fn float(ty: &str) -> bool {
    ty.starts_with('f') || ty.starts_with("bf")
}

/// Integer to integer: cut off, or extended as the source says.
fn ints(to: &str, from: &str) -> Option<LaneFn> {
    macro_rules! from {
        ($($name:literal: $t:ty),*) => {
            match from {
                $($name => match to {
                    "u8" | "b8" => lanes!(|a: $t| a as u8),
                    "u16" | "b16" => lanes!(|a: $t| a as u16),
                    "u32" | "b32" => lanes!(|a: $t| a as u32),
                    "u64" | "b64" => lanes!(|a: $t| a as u64),
                    // An 8-bit result in a wider register is sign-extended.
                    "s8" => lanes!(|a: $t| a as i8 as i64),
                    "s16" => lanes!(|a: $t| a as i16 as i64),
                    "s32" => lanes!(|a: $t| a as i32 as i64),
                    "s64" => lanes!(|a: $t| a as i64),
                    _ => None,
                },)*
                _ => None,
            }
        };
    }
    from!("u8": u8, "u16": u16, "u32": u32, "u64": u64, "s8": i8, "s16": i16, "s32": i32, "s64": i64)
}

/// Integer to floating point.
fn from_int(to: &str, from: &str, round: Round) -> Option<LaneFn> {
    macro_rules! from {
        ($($name:literal: $t:ty),*) => {
            match (from, round) {
                $(($name, Round::Nearest) => match to {
                    "f32" => lanes!(|a: $t| a as f32),
                    "f64" => lanes!(|a: $t| a as f64),
                    "f16" => lanes!(|a: $t| f16::narrow(a as f64)),
                    "bf16" => lanes!(|a: $t| bf16::narrow(a as f64)),
                    _ => None,
                },)*
                $(($name, Round::Zero) if to == "f32" && <$t>::BITS <= 32 => lanes!(|a: $t| round_f32(a as f64, 0.0, Round::Zero)),)*
                $(($name, Round::Down) if to == "f32" && <$t>::BITS <= 32 => lanes!(|a: $t| round_f32(a as f64, 0.0, Round::Down)),)*
                $(($name, Round::Up) if to == "f32" && <$t>::BITS <= 32 => lanes!(|a: $t| round_f32(a as f64, 0.0, Round::Up)),)*
                _ => None,
            }
        };
    }
    from!("u8": u8, "u16": u16, "u32": u32, "u64": u64, "s8": i8, "s16": i16, "s32": i32, "s64": i64)
}

/// A number rounded to an integer.
fn integral(x: f64, mode: &str) -> f64 {
    match mode {
        "rni" => x.round_ties_even(),
        "rmi" => x.floor(),
        "rpi" => x.ceil(),
        _ => x.trunc(),
    }
}

/// Floating point to integer: rounded, then clamped; NaN gives 0.
fn to_int(to: &str, from: &str, mods: &[&str]) -> Option<LaneFn> {
    macro_rules! pick {
        ($f:ty, $mode:literal) => {
            match to {
                "u8" => lanes!(|a: $f| integral(a.wide(), $mode) as u8),
                "s8" => lanes!(|a: $f| integral(a.wide(), $mode) as i8 as i64),
                "u16" => lanes!(|a: $f| integral(a.wide(), $mode) as u16),
                "s16" => lanes!(|a: $f| integral(a.wide(), $mode) as i16),
                "u32" => lanes!(|a: $f| integral(a.wide(), $mode) as u32),
                "s32" => lanes!(|a: $f| integral(a.wide(), $mode) as i32),
                "u64" => lanes!(|a: $f| integral(a.wide(), $mode) as u64),
                "s64" => lanes!(|a: $f| integral(a.wide(), $mode) as i64),
                _ => None,
            }
        };
    }
    macro_rules! modes {
        ($f:ty) => {
            match mods.first() {
                Some(&"rzi") => pick!($f, "rzi"),
                Some(&"rni") => pick!($f, "rni"),
                Some(&"rmi") => pick!($f, "rmi"),
                Some(&"rpi") => pick!($f, "rpi"),
                _ => None,
            }
        };
    }
    match from {
        "f32" => modes!(f32),
        "f64" => modes!(f64),
        "f16" => modes!(f16),
        "bf16" => modes!(bf16),
        _ => None,
    }
}

/// Between floating-point types; with `.rni` and the like also to integral values of the same type.
fn between(to: &str, from: &str, mods: &[&str], sat: bool) -> Option<LaneFn> {
    let integral_mode = mods.iter().find(|m| m.ends_with('i')).copied();
    macro_rules! same {
        ($t:ty) => {
            match integral_mode {
                Some("rni") => lanes!(|a: $t| <$t>::narrow(integral(a.wide(), "rni"))),
                Some("rzi") => lanes!(|a: $t| <$t>::narrow(integral(a.wide(), "rzi"))),
                Some("rmi") => lanes!(|a: $t| <$t>::narrow(integral(a.wide(), "rmi"))),
                Some("rpi") => lanes!(|a: $t| <$t>::narrow(integral(a.wide(), "rpi"))),
                _ => lanes!(|a: $t| a),
            }
        };
    }
    let (ftz, round) = (mods.contains(&"ftz"), Round::of(mods));
    if mods.iter().any(|m| !matches!(*m, "ftz" | "rn" | "rz" | "rm" | "rp" | "rni" | "rzi" | "rmi" | "rpi")) {
        return None;
    }
    match (to, from) {
        ("f32", "f32") if sat => lanes!(|a: f32| saturate(a)),
        ("f64", "f64") if sat => lanes!(|a: f64| if a.is_nan() { 0.0 } else { a.clamp(0.0, 1.0) }),
        _ if sat => None,
        ("f32", "f32") if ftz && integral_mode.is_none() => lanes!(|a: f32| flush(a)),
        ("f32", "f32") => same!(f32),
        ("f64", "f64") => same!(f64),
        ("f16", "f16") => same!(f16),
        ("bf16", "bf16") => same!(bf16),
        ("f64", "f32") => lanes!(|a: f32| a.wide()),
        ("f64", "f16") => lanes!(|a: f16| a.wide()),
        ("f64", "bf16") => lanes!(|a: bf16| a.wide()),
        ("f32", "f16") => lanes!(|a: f16| a.wide() as f32),
        ("f32", "bf16") => lanes!(|a: bf16| a.wide() as f32),
        ("f32", "f64") => match round {
            Round::Nearest => lanes!(|a: f64| a as f32),
            Round::Zero => lanes!(|a: f64| round_f32(a, 0.0, Round::Zero)),
            Round::Down => lanes!(|a: f64| round_f32(a, 0.0, Round::Down)),
            Round::Up => lanes!(|a: f64| round_f32(a, 0.0, Round::Up)),
        },
        _ if round == Round::Zero => match (to, from) {
            ("bf16", "f32") => lanes!(|a: f32| if a.is_nan() { 0x7FFF } else { (a.to_bits() >> 16) as u16 }),
            _ => None,
        },
        _ if round != Round::Nearest => None,
        ("f16", "f32") => lanes!(|a: f32| f16::from_f32(a)),
        ("bf16", "f32") => lanes!(|a: f32| to_bf16(f64::from(a))),
        ("f16", "f64") => lanes!(|a: f64| f16::narrow(a)),
        ("bf16", "f64") => lanes!(|a: f64| to_bf16(a)),
        ("f16", "bf16") => lanes!(|a: bf16| f16::narrow(a.wide())),
        ("bf16", "f16") => lanes!(|a: f16| to_bf16(a.wide())),
        // The first operand becomes the upper half.
        ("bf16x2", "f32") => {
            lanes!(|a: f32, b: f32| (to_bf16(f64::from(a)).put() << 16 | to_bf16(f64::from(b)).put()) as u32)
        }
        ("f16x2", "f32") => lanes!(|a: f32, b: f32| (f16::from_f32(a).put() << 16 | f16::from_f32(b).put()) as u32),
        _ => None,
    }
}
