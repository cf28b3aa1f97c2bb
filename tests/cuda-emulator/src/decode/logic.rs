//! Instructions that only use registers.

use super::{Op, Space, function::Decoder, pred_fn};
use crate::{
    exec::regs::{Args, LaneFn, Regs},
    ops::{self, Name, bits},
    ptx::Arg,
};

type Guard<'g> = Option<&'g (String, bool)>;

impl Decoder<'_> {
    /// Decodes one instruction.
    pub fn instruction(&mut self, guard: Guard<'_>, op: &str, args: &[Arg], text: &str) -> Result<(), String> {
        let parts: Vec<&str> = op.split('.').collect();
        let (stem, mods) = (parts[0], &parts[1..]);
        let ty = mods.last().copied().unwrap_or("");
        let name = Name { stem, mods: &mods[..mods.len().saturating_sub(1)], ty };
        if self.control(guard, stem, mods, args, text)? || self.access(guard, stem, mods, args, text)? {
            return Ok(());
        }
        let op = match (stem, args) {
            ("mov", [d, Arg::List(parts)]) => return self.join(guard, d, parts, ty, text),
            ("mov", [Arg::List(parts), a]) => return self.split(guard, parts, a, ty, text),
            ("mov" | "not" | "and" | "or" | "xor", [d, rest @ ..]) if ty == "pred" => {
                let rest: Vec<_> = rest.iter().map(|arg| self.pred_value(arg)).collect::<Result<_, _>>()?;
                let f = match stem {
                    "mov" => pred_fn!(|a, _b| a),
                    "not" => pred_fn!(|a, _b| !a),
                    "and" => pred_fn!(|a, b| a & b),
                    "or" => pred_fn!(|a, b| a | b),
                    _ => pred_fn!(|a, b| a ^ b),
                };
                let a = *rest.first().ok_or("operands")?;
                let b = *rest.get(1).unwrap_or(&a);
                Op::Lanes(f, Args { d: self.pred_result(d)?, a, b, ..Args::default() })
            }
            ("setp", [d, a, b, rest @ ..]) => {
                let (d, q) = match d {
                    Arg::Pair(d, q) => (self.pred_result(d)?, self.pred_result(q)?),
                    d => (self.pred_result(d)?, Regs::BIN),
                };
                let p = rest.first().map_or(Ok(Regs::TRUE), |p| self.pred_value(p))?;
                let e = ops::combination(&name);
                let args = Args { d, a: self.value(a)?, b: self.value(b)?, p, q, e, ..Args::default() };
                ops::lane_fn(&name).map_or(Op::Unknown, |f| Op::Lanes(f, args))
            }
            ("selp", [d, a, b, p]) if ty == "pred" => {
                let args =
                    Args { d: self.pred_result(d)?, a: self.pred_value(a)?, b: self.pred_value(b)?, ..Args::default() };
                let args = Args { p: self.pred_value(p)?, ..args };
                fn select(regs: &mut Regs, i: &Args, mask: u32) {
                    let p = regs.preds[i.p as usize];
                    let bits = (regs.preds[i.a as usize] & p) | (regs.preds[i.b as usize] & !p);
                    regs.write_pred(i.d, mask, bits);
                }
                Op::Lanes(select, args)
            }
            ("selp", [d, a, b, p]) => {
                let args = Args { d: self.result(d)?, a: self.value(a)?, b: self.value(b)?, ..Args::default() };
                let args = Args { p: self.pred_value(p)?, ..args };
                ops::lane_fn(&name).map_or(Op::Unknown, |f| Op::Lanes(f, args))
            }
            ("cvta", [d, a]) => {
                let args = Args { d: self.result(d)?, a: self.value(a)?, ..Args::default() };
                let space = space(mods);
                match space {
                    Some(Space::Global) | None => Op::Lanes(ops::lane_fn(&name).ok_or("cvta")?, args),
                    Some(space) if mods.first() == Some(&"to") => Op::FromGeneric(space, args),
                    Some(space) => Op::ToGeneric(space, args),
                }
            }
            ("isspacep", [p, a]) => {
                let args = Args { d: self.pred_result(p)?, a: self.value(a)?, ..Args::default() };
                space(mods).map_or(Op::Unknown, |space| Op::IsSpace(space, args))
            }
            ("bfi", [d, a, b, c, e]) => {
                let args = Args { d: self.result(d)?, a: self.value(a)?, b: self.value(b)?, ..Args::default() };
                let args = Args { c: self.value(c)?, e: self.value(e)?, ..args };
                Op::Lanes(if ty == "b64" { insert::<64> } else { insert::<32> }, args)
            }
            ("lop3", [d, a, b, c, Arg::Number(table)]) => {
                let args = Args { d: self.result(d)?, a: self.value(a)?, b: self.value(b)?, ..Args::default() };
                let args = Args { c: self.value(c)?, e: *table as u32, ..args };
                Op::Lanes(lop3, args)
            }
            (_, [d, rest @ ..]) if (1..=3).contains(&rest.len()) => match ops::lane_fn(&name) {
                None => Op::Unknown,
                Some(f) => {
                    let rest: Vec<_> = rest.iter().map(|arg| self.value(arg)).collect::<Result<_, _>>()?;
                    let get = |k: usize| rest.get(k).copied().unwrap_or(rest[0]);
                    Op::Lanes(f, Args { d: self.result(d)?, a: get(0), b: get(1), c: get(2), ..Args::default() })
                }
            },
            _ => Op::Unknown,
        };
        self.emit(guard, op, text)
    }

    /// A predicate that is the opposite of `a` from here on.
    pub fn negated(&mut self, a: u32) -> u32 {
        let d = self.pred();
        let op = Op::Lanes(pred_fn!(|a, _b| !a), Args { d, a, b: a, ..Args::default() });
        self.code.instructions.push(super::Instruction { guard: Regs::TRUE, negated: 0, op, text: String::new() });
        d
    }

    /// `mov.b64 d, {a, b}`
    fn join(&mut self, guard: Guard<'_>, d: &Arg, parts: &[Arg], ty: &str, text: &str) -> Result<(), String> {
        let width = part_width(ty, parts.len())?;
        let d = self.result(d)?;
        // Through a new register, should `d` be one of the parts.
        let sum = self.row();
        for (number, part) in parts.iter().enumerate() {
            let args =
                Args { d: sum, a: self.value(part)?, b: sum, c: width, e: number as u32 * width, ..Args::default() };
            let f: LaneFn = |regs, i, mask| {
                regs.map2(i, mask, |a, b| (if i.e == 0 { 0 } else { b }) | (a & low(i.c)) << i.e);
            };
            self.emit(guard, Op::Lanes(f, args), text)?;
        }
        let f: LaneFn = |regs, i, mask| regs.map1(i, mask, |a| a);
        self.emit(guard, Op::Lanes(f, Args { d, a: sum, ..Args::default() }), text)
    }

    /// `mov.b64 {a, b}, s`
    fn split(&mut self, guard: Guard<'_>, parts: &[Arg], a: &Arg, ty: &str, text: &str) -> Result<(), String> {
        let width = part_width(ty, parts.len())?;
        let a = self.value(a)?;
        for (number, part) in parts.iter().enumerate() {
            let args = Args { d: self.result(part)?, a, c: width, e: number as u32 * width, ..Args::default() };
            let f: LaneFn = |regs, i, mask| regs.map1(i, mask, |a| a >> i.e & low(i.c));
            self.emit(guard, Op::Lanes(f, args), text)?;
        }
        Ok(())
    }
}

fn part_width(ty: &str, parts: usize) -> Result<u32, String> {
    let bytes = crate::ptx::module::size_of(ty).ok_or_else(|| format!("type {ty}"))?;
    (8 * bytes).checked_div(parts).map(|width| width as u32).ok_or_else(|| "an empty list".to_owned())
}

fn low(width: u32) -> u64 {
    if width >= 64 { u64::MAX } else { (1 << width) - 1 }
}

/// The state space that a list of modifiers names.
pub fn space(mods: &[&str]) -> Option<Space> {
    mods.iter().find_map(|&modifier| match modifier {
        "global" | "const" => Some(Space::Global),
        "shared" | "shared::cta" => Some(Space::Shared),
        "local" => Some(Space::Local),
        "param" | "param::entry" | "param::func" => Some(Space::Param),
        _ => None,
    })
}

fn insert<const WIDTH: u32>(regs: &mut Regs, i: &Args, mask: u32) {
    let e = regs.rows[i.e as usize];
    let (a, b, c) = (regs.rows[i.a as usize], regs.rows[i.b as usize], regs.rows[i.c as usize]);
    regs.write(i.d, mask, |lane| bits::insert(a[lane], b[lane], c[lane] as u32, e[lane] as u32, WIDTH));
}

fn lop3(regs: &mut Regs, i: &Args, mask: u32) {
    regs.map3(i, mask, |a, b, c| u64::from(bits::lop3(a as u32, b as u32, c as u32, i.e)));
}
