//! Loads, stores and atomic operations.

use half::{bf16, f16};

use super::{Access, AtomicFn, Op, Space, function::Decoder, logic::space, names::Binding};
use crate::{
    exec::regs::Slot,
    ops::float::Real,
    ptx::{Arg, module::size_of},
};

type Guard<'g> = Option<&'g (String, bool)>;

impl Decoder<'_> {
    /// Decodes such an instruction; `false` if it is another.
    pub fn access(
        &mut self,
        guard: Guard<'_>,
        stem: &str,
        mods: &[&str],
        args: &[Arg],
        text: &str,
    ) -> Result<bool, String> {
        let ty = mods.last().copied().unwrap_or("");
        let op = match (stem, args) {
            ("ld" | "ldu", [d, Arg::Address(address), ..]) => {
                let rows = match d {
                    Arg::List(parts) => parts.iter().map(|part| self.result(part)).collect::<Result<_, _>>()?,
                    d => vec![self.result(d)?],
                };
                Op::Load(self.operand(mods, ty, address, rows)?)
            }
            ("st", [Arg::Address(address), a, ..]) => {
                let rows = match a {
                    Arg::List(parts) => parts.iter().map(|part| self.value(part)).collect::<Result<_, _>>()?,
                    a => vec![self.value(a)?],
                };
                Op::Store(self.operand(mods, ty, address, rows)?)
            }
            ("atom", [d, Arg::Address(address), rest @ ..]) => {
                let d = self.result(d)?;
                self.atomic(mods, ty, d, address, rest)?
            }
            ("red", [Arg::Address(address), rest @ ..]) => {
                let d = self.row();
                self.atomic(mods, ty, d, address, rest)?
            }
            _ => return Ok(false),
        };
        self.emit(guard, op, text)?;
        Ok(true)
    }

    fn atomic(&mut self, mods: &[&str], ty: &str, d: u32, address: &Arg, rest: &[Arg]) -> Result<Op, String> {
        let Some(f) = mods.iter().find_map(|operation| atomic_fn(operation, ty)) else { return Ok(Op::Unknown) };
        let access = self.operand(mods, ty, address, vec![d])?;
        let operand = self.value(rest.first().ok_or("operands")?)?;
        let new = rest.get(1).map_or(Ok(operand), |new| self.value(new))?;
        Ok(Op::Atomic(access, f, operand, new))
    }

    /// The operand `[base+offset]`.
    fn operand(&mut self, mods: &[&str], ty: &str, address: &Arg, rows: Vec<u32>) -> Result<Access, String> {
        let width = size_of(ty).ok_or_else(|| format!("type {ty}"))?;
        let mut access = Access {
            space: space(mods).unwrap_or(Space::Generic),
            base: 0,
            offset: 0,
            width,
            signed: ty.starts_with('s'),
            rows,
        };
        match address {
            Arg::Name(name, offset) => match self.find(name) {
                Some(Binding::Row(row)) => (access.base, access.offset) = (row, *offset),
                Some(Binding::At(at_space, at)) => {
                    access.space = at_space;
                    access.base = self.constant(at.wrapping_add_signed(*offset));
                }
                Some(Binding::LocalParam(at)) => {
                    access.space = Space::Local;
                    access.base = self.constant(at.wrapping_add_signed(*offset));
                }
                _ => return Err(format!("address {name}")),
            },
            Arg::Number(bits) => access.base = self.constant(*bits),
            _ => return Err(format!("address {address:?}")),
        }
        Ok(access)
    }
}

/// What an atomic operation (or `redux`) does to the old value.
pub fn atomic_fn(operation: &str, ty: &str) -> Option<AtomicFn> {
    macro_rules! on {
        ($t:ty, |$old:ident, $x:ident| $e:expr) => {{
            let f: AtomicFn = |old, x, _| {
                let ($old, $x) = (<$t as Slot>::get(old), <$t as Slot>::get(x));
                Slot::put($e)
            };
            Some(f)
        }};
    }
    macro_rules! float {
        ($t:ty) => {
            match operation {
                "add" => on!($t, |old, x| <$t>::narrow(old.wide() + x.wide())),
                "min" => on!($t, |old, x| if x.wide() < old.wide() { x } else { old }),
                "max" => on!($t, |old, x| if x.wide() > old.wide() { x } else { old }),
                _ => None,
            }
        };
    }
    macro_rules! int {
        ($t:ty) => {
            match operation {
                "add" => on!($t, |old, x| old.wrapping_add(x)),
                "min" => on!($t, |old, x| old.min(x)),
                "max" => on!($t, |old, x| old.max(x)),
                "inc" => on!($t, |old, x| if old >= x { 0 } else { old + 1 }),
                "dec" => on!($t, |old, x| if old == 0 || old > x { x } else { old - 1 }),
                _ => None,
            }
        };
    }
    match (operation, ty) {
        ("exch", "b32" | "b64") => return Some(|_, x, _| x),
        ("cas", "b16") => return Some(|old, x, new| if old as u16 == x as u16 { new } else { old }),
        ("cas", "b32") => return Some(|old, x, new| if old as u32 == x as u32 { new } else { old }),
        ("cas", "b64") => return Some(|old, x, new| if old == x { new } else { old }),
        ("and", "b32" | "b64") => return Some(|old, x, _| old & x),
        ("or", "b32" | "b64") => return Some(|old, x, _| old | x),
        ("xor", "b32" | "b64") => return Some(|old, x, _| old ^ x),
        _ => {}
    }
    match ty {
        "u32" => int!(u32),
        "s32" => int!(i32),
        "u64" => int!(u64),
        "s64" => int!(i64),
        "f32" => float!(f32),
        "f64" => float!(f64),
        "f16" => float!(f16),
        "bf16" => float!(bf16),
        _ => None,
    }
}
