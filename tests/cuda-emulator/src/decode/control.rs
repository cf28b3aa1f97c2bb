//! Control flow, calls, and what lanes do together.

use super::{Op, Shuffle, Vote, function::Decoder, names::Binding, place};
use crate::{
    exec::regs::{Args, Regs},
    ptx::Arg,
};

type Guard<'g> = Option<&'g (String, bool)>;

impl Decoder<'_> {
    /// Decodes such an instruction; `false` if it is another.
    pub fn control(
        &mut self,
        guard: Guard<'_>,
        stem: &str,
        mods: &[&str],
        args: &[Arg],
        text: &str,
    ) -> Result<bool, String> {
        let here = self.code.instructions.len();
        let op = match (stem, args) {
            ("bra", [Arg::Name(label, 0)]) => {
                self.fixes.push((here, 0, label.clone()));
                Op::Branch(0)
            }
            ("brx", [index, Arg::Name(table, 0)]) => {
                let targets = self.tables.get(table).cloned().ok_or_else(|| format!("no table {table}"))?;
                for (number, label) in targets.iter().enumerate() {
                    self.fixes.push((here, number, label.clone()));
                }
                Op::Table(self.value(index)?, vec![0; targets.len()])
            }
            ("ret", _) if self.leave.is_some() => {
                self.leave.iter_mut().for_each(|leave| leave.push(here));
                Op::Branch(0)
            }
            ("ret" | "exit", _) => Op::Exit,
            ("trap" | "brkpt", _) => Op::Trap("trap".to_owned()),
            ("call", _) => return self.call(guard, args, text).map(|()| true),
            ("membar" | "fence" | "prefetch" | "prefetchu" | "nanosleep" | "discard" | "griddepcontrol", _) => {
                return Ok(true);
            }
            ("bar" | "barrier", _) => return self.barrier(guard, mods, args, text).map(|()| true),
            ("shfl", [d, a, b, c, mask]) => {
                let (d, p) = match d {
                    Arg::Pair(d, p) => (self.result(d)?, self.pred_result(p)?),
                    d => (self.result(d)?, Regs::BIN),
                };
                let mode = match mods.get(1) {
                    Some(&"up") => Shuffle::Up,
                    Some(&"down") => Shuffle::Down,
                    Some(&"bfly") => Shuffle::Butterfly,
                    Some(&"idx") => Shuffle::Index,
                    _ => return Err("shfl mode".to_owned()),
                };
                let args = Args { d, a: self.value(a)?, b: self.value(b)?, c: self.value(c)?, ..Args::default() };
                Op::Shuffle { mode, args, mask: self.value(mask)?, p }
            }
            ("vote", [d, p, mask]) => {
                let vote = vote(mods.get(1).copied().unwrap_or("")).ok_or("vote mode")?;
                let d = if vote == Vote::Ballot { self.result(d)? } else { self.pred_result(d)? };
                Op::Vote { vote, d, p: self.pred_value(p)?, mask: self.value(mask)? }
            }
            ("match", [d, a, mask]) if mods.first() == Some(&"any") => {
                // A 32-bit operand is cut off to its width first, as rows may hold more.
                let a = self.value(a)?;
                let cut = self.row();
                if mods.last() == Some(&"b32") {
                    let f: crate::exec::regs::LaneFn = |regs, i, mask| regs.map1(i, mask, |a| a & 0xFFFF_FFFF);
                    self.emit(guard, Op::Lanes(f, Args { d: cut, a, ..Args::default() }), text)?;
                }
                let a = if mods.last() == Some(&"b32") { cut } else { a };
                Op::Match { d: self.result(d)?, a, mask: self.value(mask)? }
            }
            ("redux", [d, a, mask]) => {
                let fold = super::memory::atomic_fn(mods[1], mods.last().copied().unwrap_or("")).ok_or("redux")?;
                Op::Redux { fold, d: self.result(d)?, a: self.value(a)?, mask: self.value(mask)? }
            }
            ("activemask", [d]) => Op::ActiveMask(self.result(d)?),
            _ => return Ok(false),
        };
        self.emit(guard, op, text)?;
        Ok(true)
    }

    fn barrier(&mut self, guard: Guard<'_>, mods: &[&str], args: &[Arg], text: &str) -> Result<(), String> {
        let mods: Vec<&str> = mods.iter().copied().filter(|m| !matches!(*m, "cta" | "aligned")).collect();
        let op = match (&mods[..], args) {
            (["warp", "sync"], [mask]) => Op::WarpBarrier(self.value(mask)?),
            (["sync"], [id]) => Op::Barrier { id: self.value(id)?, vote: None, d: 0 },
            (["red", kind, ty], [d, id, p]) => {
                let vote = vote(kind).ok_or("barrier reduction")?;
                let d = if *ty == "pred" { self.pred_result(d)? } else { self.result(d)? };
                Op::Barrier { id: self.value(id)?, vote: Some((vote, self.pred_value(p)?)), d }
            }
            // For a part of the block, or arriving without waiting.
            _ => Op::Unknown,
        };
        self.emit(guard, op, text)
    }

    /// A call: the function's instructions are put here, with new registers.
    fn call(&mut self, guard: Guard<'_>, args: &[Arg], text: &str) -> Result<(), String> {
        let (returns, name, params): (&[Arg], _, &[Arg]) = match args {
            [Arg::List(returns), Arg::Name(name, 0), Arg::List(params), ..] => (returns, name, params),
            [Arg::Name(name, 0), Arg::List(params), ..] => (&[], name, params),
            [Arg::List(returns), Arg::Name(name, 0)] => (returns, name, &[]),
            [Arg::Name(name, 0)] => (&[], name, &[]),
            _ => return self.emit(guard, Op::Unknown, text),
        };
        match name.as_str() {
            "__assertfail" => return self.emit(guard, Op::Trap("an assertion failed".to_owned()), text),
            // Prints; nothing to compute.
            "vprintf" => return Ok(()),
            _ => {}
        }
        let symbols = self.symbols;
        let Some(function) = symbols.module().functions.get(name) else {
            return self.emit(guard, Op::Unknown, text);
        };
        if guard.is_some() {
            return self.emit(guard, Op::Unknown, text);
        }
        let places = |list: &[Arg], this: &mut Self| {
            list.iter()
                .map(|arg| match arg {
                    Arg::Name(name, 0) => match this.find(name) {
                        Some(Binding::LocalParam(at)) => Ok(at),
                        _ => Err(format!("parameter {name}")),
                    },
                    _ => Err("parameter".to_owned()),
                })
                .collect::<Result<Vec<_>, _>>()
        };
        let (given, wanted) = (places(params, self)?, places(returns, self)?);
        self.apart(|inner| {
            // The caller's variables serve as the function's: it has the same layout of each.
            for (variable, at) in function.params.iter().zip(given).chain(function.returns.iter().zip(wanted)) {
                inner.scopes.bind(&variable.name, Binding::LocalParam(at));
            }
            let (_, end) = place(&crate::ptx::Variable::default(), inner.code.local);
            inner.code.local = end;
            inner.leave = Some(vec![]);
            inner.function(function)
        })
    }
}

fn vote(mode: &str) -> Option<Vote> {
    Some(match mode {
        "all" | "and" => Vote::All,
        "any" | "or" => Vote::Any,
        "uni" => Vote::Uniform,
        "ballot" => Vote::Ballot,
        "popc" => Vote::Count,
        _ => return None,
    })
}
