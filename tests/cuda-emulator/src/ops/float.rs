//! Floating-point arithmetic. Approximations (`ex2.approx` …) are computed exactly and rounded: a GPU's differ in the
//! last places. Half-precision results are rounded once from f64.

use half::{bf16, f16};

use super::{
    Name, lanes,
    rounding::{Round, add_f32, add_f64_to_zero, flush, fma_f32, mul_f32, saturate},
    typed,
};
use crate::exec::regs::{LaneFn, Slot};

/// Floating-point numbers, all of which f64 holds exactly.
pub trait Real: Slot + PartialOrd {
    /// Exact.
    fn wide(self) -> f64;
    /// Rounded to nearest.
    fn narrow(x: f64) -> Self;
    /// Is it a NaN?
    fn nan(self) -> bool {
        self.wide().is_nan()
    }
}

macro_rules! reals {
    ($($ty:ty: |$x:ident| $wide:expr, $narrow:expr;)*) => {
        $(impl Real for $ty {
            fn wide(self) -> f64 { let $x = self; $wide }
            fn narrow($x: f64) -> Self { $narrow }
        })*
    };
}

reals! {
    f32: |x| f64::from(x), x as f32;
    f64: |x| x, x;
    f16: |x| x.to_f64(), f16::from_f64(x);
    bf16: |x| x.to_f64(), to_bf16(x);
}

/// `x` rounded to bf16 once (through f32 with the lost part kept as a sticky bit).
pub fn to_bf16(x: f64) -> bf16 {
    let near = x as f32;
    if x.is_nan() || f64::from(near) == x || !near.is_finite() {
        return bf16::from_f32(near);
    }
    let cut = if f64::from(near).abs() > x.abs() { f32::from_bits(near.to_bits() - 1) } else { near };
    bf16::from_f32(f32::from_bits(cut.to_bits() | 1))
}

/// Two packed numbers.
#[derive(Clone, Copy)]
struct Two<T>(T, T);

impl<T: Slot> Slot for Two<T> {
    fn get(bits: u64) -> Self {
        Self(T::get(bits & 0xFFFF), T::get(bits >> 16 & 0xFFFF))
    }
    fn put(self) -> u64 {
        self.0.put() | self.1.put() << 16
    }
}

impl<T: Real> Two<T> {
    fn map2(self, other: Self, f: fn(T, T) -> T) -> Self {
        Self(f(self.0, other.0), f(self.1, other.1))
    }
}

fn add<T: Real>(a: T, b: T) -> T {
    T::narrow(a.wide() + b.wide())
}
fn sub<T: Real>(a: T, b: T) -> T {
    T::narrow(a.wide() - b.wide())
}
fn mul<T: Real>(a: T, b: T) -> T {
    T::narrow(a.wide() * b.wide())
}
fn fma<T: Real>(a: T, b: T, c: T) -> T {
    T::narrow(a.wide().mul_add(b.wide(), c.wide()))
}
/// The smaller; a NaN only if both are.
fn min<T: Real>(a: T, b: T) -> T {
    if b.nan() || a < b || (a == b && a.wide().is_sign_negative()) { if a.nan() { b } else { a } } else { b }
}
fn max<T: Real>(a: T, b: T) -> T {
    if b.nan() || a > b || (a == b && a.wide().is_sign_positive()) { if a.nan() { b } else { a } } else { b }
}
/// The smaller; a NaN if one is.
fn min_nan<T: Real>(a: T, b: T) -> T {
    if a.nan() || b.nan() { T::narrow(f64::NAN) } else { min(a, b) }
}
fn max_nan<T: Real>(a: T, b: T) -> T {
    if a.nan() || b.nan() { T::narrow(f64::NAN) } else { max(a, b) }
}
fn neg<T: Real>(a: T) -> T {
    T::narrow(-a.wide())
}
fn abs<T: Real>(a: T) -> T {
    T::narrow(a.wide().abs())
}

/// `f` on scalar f32, f64, f16, bf16 and the packed pairs.
macro_rules! floats2 {
    ($ty:expr; $f:ident) => {
        match $ty {
            "f32" => lanes!(|a: f32, b: f32| $f(a, b)),
            "f64" => lanes!(|a: f64, b: f64| $f(a, b)),
            "f16" => lanes!(|a: f16, b: f16| $f(a, b)),
            "bf16" => lanes!(|a: bf16, b: bf16| $f(a, b)),
            "f16x2" => lanes!(|a: Two<f16>, b: Two<f16>| a.map2(b, $f)),
            "bf16x2" => lanes!(|a: Two<bf16>, b: Two<bf16>| a.map2(b, $f)),
            _ => None,
        }
    };
}

/// The function for a floating-point instruction.
pub fn lane_fn(name: &Name<'_>) -> Option<LaneFn> {
    let ty = name.ty;
    if ty == "f32"
        && let Some(found) = special_f32(name)
    {
        return Some(found);
    }
    if (name.stem, name.mods, ty) == ("add", &["rz"][..], "f64") {
        return lanes!(|a: f64, b: f64| add_f64_to_zero(a, b));
    }
    if Round::of(name.mods) != Round::Nearest || name.has("sat") || name.has("relu") || name.has("oob") {
        return None;
    }
    let nan = name.has("NaN");
    match name.stem {
        "add" => match ty {
            "f32" => lanes!(|a: f32, b: f32| a + b),
            _ => floats2!(ty; add),
        },
        "sub" => match ty {
            "f32" => lanes!(|a: f32, b: f32| a - b),
            _ => floats2!(ty; sub),
        },
        "mul" => match ty {
            "f32" => lanes!(|a: f32, b: f32| a * b),
            _ => floats2!(ty; mul),
        },
        "fma" | "mad" => match ty {
            "f32" => lanes!(|a: f32, b: f32, c: f32| a.mul_add(b, c)),
            "f64" => lanes!(|a: f64, b: f64, c: f64| a.mul_add(b, c)),
            "f16" => lanes!(|a: f16, b: f16, c: f16| fma(a, b, c)),
            "bf16" => lanes!(|a: bf16, b: bf16, c: bf16| fma(a, b, c)),
            "f16x2" => lanes!(|a: Two<f16>, b: Two<f16>, c: Two<f16>| Two(fma(a.0, b.0, c.0), fma(a.1, b.1, c.1))),
            "bf16x2" => lanes!(|a: Two<bf16>, b: Two<bf16>, c: Two<bf16>| Two(fma(a.0, b.0, c.0), fma(a.1, b.1, c.1))),
            _ => None,
        },
        "div" => typed!(ty; "f32": f32, "f64": f64 => |a, b| a / b),
        "min" if nan => floats2!(ty; min_nan),
        "max" if nan => floats2!(ty; max_nan),
        "min" => floats2!(ty; min),
        "max" => floats2!(ty; max),
        "neg" => match ty {
            "f32" => lanes!(|a: f32| -a),
            "f64" => lanes!(|a: f64| -a),
            "f16" => lanes!(|a: f16| neg(a)),
            "bf16" => lanes!(|a: bf16| neg(a)),
            "f16x2" => lanes!(|a: Two<f16>| Two(neg(a.0), neg(a.1))),
            "bf16x2" => lanes!(|a: Two<bf16>| Two(neg(a.0), neg(a.1))),
            _ => None,
        },
        "abs" => match ty {
            "f32" => lanes!(|a: f32| a.abs()),
            "f64" => lanes!(|a: f64| a.abs()),
            "f16" => lanes!(|a: f16| abs(a)),
            "bf16" => lanes!(|a: bf16| abs(a)),
            "f16x2" => lanes!(|a: Two<f16>| Two(abs(a.0), abs(a.1))),
            "bf16x2" => lanes!(|a: Two<bf16>| Two(abs(a.0), abs(a.1))),
            _ => None,
        },
        // The sign is that of the first operand.
        "copysign" => typed!(ty; "f32": f32, "f64": f64 => |a, b| b.copysign(a)),
        "rcp" => typed!(ty; "f32": f32, "f64": f64 => |a| 1.0 / a),
        "sqrt" => typed!(ty; "f32": f32, "f64": f64 => |a| a.sqrt()),
        "rsqrt" => match ty {
            "f32" => lanes!(|a: f32| (1.0 / f64::from(a).sqrt()) as f32),
            "f64" => lanes!(|a: f64| 1.0 / a.sqrt()),
            _ => None,
        },
        "ex2" => match ty {
            "f32" => lanes!(|a: f32| f64::from(a).exp2() as f32),
            "f16" => lanes!(|a: f16| f16::narrow(a.wide().exp2())),
            "bf16" => lanes!(|a: bf16| bf16::narrow(a.wide().exp2())),
            _ => None,
        },
        "lg2" => lanes!(|a: f32| f64::from(a).log2() as f32),
        "sin" => lanes!(|a: f32| f64::from(a).sin() as f32),
        "cos" => lanes!(|a: f32| f64::from(a).cos() as f32),
        "tanh" => match ty {
            "f32" => lanes!(|a: f32| f64::from(a).tanh() as f32),
            "f16" => lanes!(|a: f16| f16::narrow(a.wide().tanh())),
            "bf16" => lanes!(|a: bf16| bf16::narrow(a.wide().tanh())),
            _ => None,
        },
        "testp" => None,
        _ => None,
    }
}

/// f32 with directed rounding, saturation or subnormals flushed to zero.
fn special_f32(name: &Name<'_>) -> Option<LaneFn> {
    let (round, ftz, sat) = (Round::of(name.mods), name.has("ftz"), name.has("sat"));
    match (name.stem, round, ftz, sat) {
        ("add", Round::Zero, false, false) => lanes!(|a: f32, b: f32| add_f32(a, b, Round::Zero)),
        ("add", Round::Down, false, false) => lanes!(|a: f32, b: f32| add_f32(a, b, Round::Down)),
        ("add", Round::Up, false, false) => lanes!(|a: f32, b: f32| add_f32(a, b, Round::Up)),
        ("sub", Round::Zero, false, false) => lanes!(|a: f32, b: f32| add_f32(a, -b, Round::Zero)),
        ("mul", Round::Zero, false, false) => lanes!(|a: f32, b: f32| mul_f32(a, b, Round::Zero)),
        ("mul", Round::Down, false, false) => lanes!(|a: f32, b: f32| mul_f32(a, b, Round::Down)),
        ("mul", Round::Up, false, false) => lanes!(|a: f32, b: f32| mul_f32(a, b, Round::Up)),
        ("fma", Round::Zero, false, false) => lanes!(|a: f32, b: f32, c: f32| fma_f32(a, b, c, Round::Zero)),
        ("fma", Round::Down, false, false) => lanes!(|a: f32, b: f32, c: f32| fma_f32(a, b, c, Round::Down)),
        ("fma", Round::Up, false, false) => lanes!(|a: f32, b: f32, c: f32| fma_f32(a, b, c, Round::Up)),
        ("add", Round::Nearest, false, true) => lanes!(|a: f32, b: f32| saturate(a + b)),
        ("sub", Round::Nearest, false, true) => lanes!(|a: f32, b: f32| saturate(a - b)),
        ("mul", Round::Nearest, false, true) => lanes!(|a: f32, b: f32| saturate(a * b)),
        ("fma", Round::Nearest, false, true) => lanes!(|a: f32, b: f32, c: f32| saturate(a.mul_add(b, c))),
        ("add", Round::Nearest, true, false) => lanes!(|a: f32, b: f32| flush(flush(a) + flush(b))),
        ("sub", Round::Nearest, true, false) => lanes!(|a: f32, b: f32| flush(flush(a) - flush(b))),
        ("mul", Round::Nearest, true, false) => lanes!(|a: f32, b: f32| flush(flush(a) * flush(b))),
        ("fma", Round::Nearest, true, false) => {
            lanes!(|a: f32, b: f32, c: f32| flush(flush(a).mul_add(flush(b), flush(c))))
        }
        ("rcp", Round::Nearest, true, _) => lanes!(|a: f32| flush(1.0 / flush(a))),
        ("ex2", _, true, _) => lanes!(|a: f32| flush(f64::from(flush(a)).exp2() as f32)),
        ("lg2", _, true, _) => lanes!(|a: f32| f64::from(flush(a)).log2() as f32),
        ("div", Round::Nearest, true, _) => lanes!(|a: f32, b: f32| flush(flush(a) / flush(b))),
        ("sqrt", Round::Nearest, true, _) => lanes!(|a: f32| flush(a).sqrt()),
        ("rsqrt", _, true, _) => lanes!(|a: f32| (1.0 / f64::from(flush(a)).sqrt()) as f32),
        _ => None,
    }
}
