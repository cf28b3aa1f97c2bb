//! The meaning of instructions that only use registers: from a name with modifiers to a function on lanes.

pub mod bits;
mod carry;
mod compare;
mod convert;
pub mod float;
mod int;
mod rounding;

pub use compare::combination;

use crate::exec::regs::LaneFn;

/// An instruction's name taken apart: `mul.wide.s32` is `mul`, `["wide"]`, `s32`.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a> {
    /// `mul`
    pub stem: &'a str,
    /// What stands between stem and type.
    pub mods: &'a [&'a str],
    /// The last part: the type of (most) operands.
    pub ty: &'a str,
}

impl Name<'_> {
    /// Whether a modifier is given.
    pub fn has(&self, modifier: &str) -> bool {
        self.mods.contains(&modifier)
    }
}

/// The function for an instruction `d = op(a, b, c)`, if it is one of these.
pub fn lane_fn(name: &Name<'_>) -> Option<LaneFn> {
    carry::lane_fn(name)
        .or_else(|| int::lane_fn(name))
        .or_else(|| bits::lane_fn(name))
        .or_else(|| float::lane_fn(name))
        .or_else(|| convert::lane_fn(name))
        .or_else(|| compare::lane_fn(name))
}

/// `lanes!(|a: u32, b: u32| a + b)`: a [`LaneFn`] that applies the expression to each lane.
macro_rules! lanes {
    (|$a:ident: $ta:ty| $e:expr) => {{
        fn run(regs: &mut $crate::exec::regs::Regs, i: &$crate::exec::regs::Args, mask: u32) {
            use $crate::exec::regs::Slot;
            regs.map1(i, mask, |a| {
                let $a = <$ta as Slot>::get(a);
                Slot::put($e)
            });
        }
        Some(run as $crate::exec::regs::LaneFn)
    }};
    (|$a:ident: $ta:ty, $b:ident: $tb:ty| $e:expr) => {{
        fn run(regs: &mut $crate::exec::regs::Regs, i: &$crate::exec::regs::Args, mask: u32) {
            use $crate::exec::regs::Slot;
            regs.map2(i, mask, |a, b| {
                let ($a, $b) = (<$ta as Slot>::get(a), <$tb as Slot>::get(b));
                Slot::put($e)
            });
        }
        Some(run as $crate::exec::regs::LaneFn)
    }};
    (|$a:ident: $ta:ty, $b:ident: $tb:ty, $c:ident: $tc:ty| $e:expr) => {{
        fn run(regs: &mut $crate::exec::regs::Regs, i: &$crate::exec::regs::Args, mask: u32) {
            use $crate::exec::regs::Slot;
            regs.map3(i, mask, |a, b, c| {
                let ($a, $b, $c) = (<$ta as Slot>::get(a), <$tb as Slot>::get(b), <$tc as Slot>::get(c));
                Slot::put($e)
            });
        }
        Some(run as $crate::exec::regs::LaneFn)
    }};
}

/// `typed!(name.ty; u32, s32 => |a, b| a.wrapping_add(b))`: [`lanes!`] with all operands of the type that `ty` names.
macro_rules! typed {
    ($ty:expr; $($name:literal: $t:ty),* => |$a:ident| $e:expr) => {
        match $ty { $($name => lanes!(|$a: $t| $e),)* _ => None }
    };
    ($ty:expr; $($name:literal: $t:ty),* => |$a:ident, $b:ident| $e:expr) => {
        match $ty { $($name => lanes!(|$a: $t, $b: $t| $e),)* _ => None }
    };
    ($ty:expr; $($name:literal: $t:ty),* => |$a:ident, $b:ident, $c:ident| $e:expr) => {
        match $ty { $($name => lanes!(|$a: $t, $b: $t, $c: $t| $e),)* _ => None }
    };
}

/// [`typed!`] for all integer types.
macro_rules! ints {
    ($ty:expr; $($rest:tt)*) => {
        typed!($ty; "u16": u16, "u32": u32, "u64": u64, "s16": i16, "s32": i32, "s64": i64 => $($rest)*)
    };
}

pub(crate) use {ints, lanes, typed};
