//! Names while a function is decoded: registers, variables, special registers.

use std::collections::HashMap;

use super::Space;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// A value register.
    Row(u32),
    /// A predicate.
    Pred(u32),
    /// A variable at an offset of a state space; kernel parameters are in `Param`, others in `Local`.
    At(Space, u64),
    /// A parameter of a device function or of a call, kept in local memory.
    LocalParam(u64),
}

/// Special registers, in the order of their rows.
pub const SPECIAL: [&str; 26] = [
    "%tid.x",
    "%tid.y",
    "%tid.z",
    "%ntid.x",
    "%ntid.y",
    "%ntid.z",
    "%ctaid.x",
    "%ctaid.y",
    "%ctaid.z",
    "%nctaid.x",
    "%nctaid.y",
    "%nctaid.z",
    "%laneid",
    "%warpid",
    "%nwarpid",
    "%lanemask_eq",
    "%lanemask_le",
    "%lanemask_lt",
    "%lanemask_ge",
    "%lanemask_gt",
    "%smid",
    "%nsmid",
    "%clock",
    "%clock64",
    "%globaltimer",
    "%dynamic_smem_size",
];

/// The row of a special register.
pub fn special(name: &str) -> Option<u32> {
    SPECIAL.iter().position(|special| *special == name).map(|row| row as u32)
}

/// Nested scopes of names.
#[derive(Debug, Default)]
pub struct Scopes {
    scopes: Vec<Scope>,
}

#[derive(Debug, Default)]
struct Scope {
    names: HashMap<String, Binding>,
    /// `%r<44>`: the stem, its first row (or predicate), their number.
    ranges: Vec<(String, Binding, u32)>,
}

impl Scopes {
    /// Opens a scope.
    pub fn open(&mut self) {
        self.scopes.push(Scope::default());
    }

    /// Closes the innermost scope.
    pub fn close(&mut self) {
        self.scopes.pop();
    }

    /// Binds a name in the innermost scope.
    pub fn bind(&mut self, name: &str, binding: Binding) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.names.insert(name.to_owned(), binding);
        }
    }

    /// Binds `stem0`, `stem1`, … to consecutive registers.
    pub fn bind_range(&mut self, stem: &str, first: Binding, count: u32) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.ranges.push((stem.to_owned(), first, count));
        }
    }

    /// What a name stands for, looked for from the inside out.
    pub fn find(&self, name: &str) -> Option<Binding> {
        let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        self.scopes.iter().rev().find_map(|scope| {
            scope.names.get(name).copied().or_else(|| {
                scope.ranges.iter().find_map(|(stem, first, count)| {
                    // A stem may itself end in digits, so it is compared rather than cut off.
                    let number = name.strip_prefix(stem.as_str())?;
                    if number.is_empty() || number.len() > digits {
                        return None;
                    }
                    let number = number.parse::<u32>().ok().filter(|number| number < count)?;
                    Some(match *first {
                        Binding::Row(row) => Binding::Row(row + number),
                        Binding::Pred(pred) => Binding::Pred(pred + number),
                        other => other,
                    })
                })
            })
        })
    }
}
