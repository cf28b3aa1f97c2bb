//! The decoder's state, and the walk over a function's statements.

use std::collections::HashMap;

use super::{
    Code, Instruction, Op, PARAM_IN_LOCAL, Space, Symbols,
    names::{Binding, SPECIAL, Scopes, special},
    place,
};
use crate::{
    exec::regs::Regs,
    ptx::{Arg, Function, Stmt, body, module::Variable},
};

/// Decodes kernel `name`.
///
/// # Errors
/// An unknown kernel or name, or text that cannot be read. An unknown instruction is an error only when it is reached.
pub fn decode(symbols: &dyn Symbols, name: &str) -> Result<Code, String> {
    let entry = symbols.module().functions.get(name).ok_or_else(|| format!("no kernel {name}"))?;
    let mut decoder = Decoder {
        symbols,
        code: Code { name: name.to_owned(), max_threads: entry.max_threads, ..Code::default() },
        scopes: Scopes::default(),
        calls: vec![],
        constants: HashMap::new(),
        module_shared: HashMap::new(),
        fixes: vec![],
        labels: HashMap::new(),
        tables: HashMap::new(),
        leave: None,
    };
    decoder.code.rows = SPECIAL.len();
    decoder.code.preds = 4;
    decoder.scopes.open();
    for param in &entry.params {
        let (at, end) = place(param, decoder.code.param_bytes);
        decoder.code.param_bytes = end;
        decoder.code.params.push((at, param.size));
        decoder.scopes.bind(&param.name, Binding::At(Space::Param, at as u64));
    }
    decoder.function(entry)?;
    Ok(decoder.code)
}

/// State while a kernel is decoded.
pub struct Decoder<'a> {
    pub symbols: &'a dyn Symbols,
    pub code: Code,
    pub scopes: Scopes,
    /// The functions that are being decoded, to refuse recursion.
    pub calls: Vec<String>,
    /// Rows of constants by their value.
    constants: HashMap<u64, u32>,
    /// Offsets of the module's shared variables used so far.
    module_shared: HashMap<String, u64>,
    /// Branches of the current function whose labels are not known yet: instruction, number in its table, label.
    pub fixes: Vec<(usize, usize, String)>,
    labels: HashMap<String, u32>,
    /// Lists of branch targets by name.
    pub tables: HashMap<String, Vec<String>>,
    /// In a device function: branches to its end.
    pub leave: Option<Vec<usize>>,
}

impl Decoder<'_> {
    /// Decodes a function whose parameters are bound already.
    pub fn function(&mut self, function: &Function) -> Result<(), String> {
        if self.calls.contains(&function.name) {
            return Err(format!("{} calls itself", function.name));
        }
        self.calls.push(function.name.clone());
        let statements = body::parse(&function.body).map_err(|e| format!("{}: {e}", function.name))?;
        // Tables stand after the branches that use them.
        for statement in &statements {
            if let Stmt::Targets(name, targets) = statement {
                self.tables.insert(name.clone(), targets.clone());
            }
        }
        self.scopes.open();
        for statement in &statements {
            self.statement(statement).map_err(|e| format!("{}: {e}", function.name))?;
        }
        if self.leave.is_none() {
            self.emit(None, Op::Exit, "end of the kernel")?;
        }
        let end = self.code.instructions.len() as u32;
        for (at, number, label) in std::mem::take(&mut self.fixes) {
            let target = *self.labels.get(&label).ok_or_else(|| format!("{}: no label {label}", function.name))?;
            match &mut self.code.instructions[at].op {
                Op::Branch(to) => *to = target,
                Op::Table(_, targets) => targets[number] = target,
                _ => {}
            }
        }
        for at in self.leave.take().into_iter().flatten() {
            self.code.instructions[at].op = Op::Branch(end);
        }
        self.labels.clear();
        self.scopes.close();
        self.calls.pop();
        Ok(())
    }

    fn statement(&mut self, statement: &Stmt) -> Result<(), String> {
        match statement {
            Stmt::Open => self.scopes.open(),
            Stmt::Close => self.scopes.close(),
            Stmt::Label(name) => {
                self.labels.insert(name.clone(), self.code.instructions.len() as u32);
            }
            Stmt::Registers(ty, names) => {
                for (name, count) in names {
                    let number = count.unwrap_or(1);
                    let first = self.registers(ty, number)?;
                    match count {
                        Some(_) => self.scopes.bind_range(name, first, number),
                        None => self.scopes.bind(name, first),
                    }
                }
            }
            Stmt::Variable(space, variable) => self.variable(space, variable),
            Stmt::Targets(..) => {}
            Stmt::Instruction { guard, op, args, text } => {
                self.instruction(guard.as_ref(), op, args, text).map_err(|e| format!("{e} (in: {op} …: {text})"))?;
            }
        }
        Ok(())
    }

    /// New registers of a type: the first.
    pub fn registers(&mut self, ty: &str, count: u32) -> Result<Binding, String> {
        if ty == "pred" {
            let first = self.code.preds as u32;
            self.code.preds += count as usize;
            return Ok(Binding::Pred(first));
        }
        if crate::ptx::module::size_of(ty).is_none() {
            return Err(format!("registers of type {ty}"));
        }
        let first = self.code.rows as u32;
        self.code.rows += count as usize;
        Ok(Binding::Row(first))
    }

    /// A new value register.
    pub fn row(&mut self) -> u32 {
        self.code.rows += 1;
        self.code.rows as u32 - 1
    }

    /// A new predicate.
    pub fn pred(&mut self) -> u32 {
        self.code.preds += 1;
        self.code.preds as u32 - 1
    }

    fn variable(&mut self, space: &str, variable: &Variable) {
        let binding = if space == "shared" {
            Binding::At(Space::Shared, self.shared(variable))
        } else {
            let (at, end) = place(variable, self.code.local);
            self.code.local = end;
            if space == "param" { Binding::LocalParam(at as u64) } else { Binding::At(Space::Local, at as u64) }
        };
        self.scopes.bind(&variable.name, binding);
    }

    fn shared(&mut self, variable: &Variable) -> u64 {
        if variable.size == 0 {
            return super::DYNAMIC_SHARED;
        }
        let (at, end) = place(variable, self.code.shared);
        self.code.shared = end;
        at as u64
    }

    /// The row that holds a constant.
    pub fn constant(&mut self, value: u64) -> u32 {
        if let Some(row) = self.constants.get(&value) {
            return *row;
        }
        let row = self.row();
        self.constants.insert(value, row);
        self.code.constants.push((row, value));
        row
    }

    /// What a name of any scope stands for.
    pub fn find(&mut self, name: &str) -> Option<Binding> {
        if let Some(binding) = self.scopes.find(name) {
            return Some(binding);
        }
        if let Some(row) = special(name) {
            return Some(Binding::Row(row));
        }
        if name == "WARP_SZ" {
            return Some(Binding::Row(self.constant(32)));
        }
        if let Some(at) = self.module_shared.get(name) {
            return Some(Binding::At(Space::Shared, *at));
        }
        let symbols = self.symbols;
        if let Some(variable) = symbols.module().shared.iter().find(|variable| variable.name == name) {
            let at = self.shared(variable);
            self.module_shared.insert(name.to_owned(), at);
            return Some(Binding::At(Space::Shared, at));
        }
        symbols.address(name).map(|address| Binding::At(Space::Global, address))
    }

    /// The row of a value operand.
    pub fn value(&mut self, arg: &Arg) -> Result<u32, String> {
        match arg {
            Arg::Number(bits) => Ok(self.constant(*bits)),
            Arg::Name(name, offset) => match self.find(name) {
                Some(Binding::Row(row)) if *offset == 0 => Ok(row),
                Some(Binding::At(_, at)) => Ok(self.constant(at.wrapping_add_signed(*offset))),
                Some(Binding::LocalParam(at)) => Ok(self.constant(PARAM_IN_LOCAL + at.wrapping_add_signed(*offset))),
                _ => Err(format!("operand {name}")),
            },
            _ => Err(format!("operand {arg:?}")),
        }
    }

    /// The row of a result; `_` gets one that nobody reads.
    pub fn result(&mut self, arg: &Arg) -> Result<u32, String> {
        match arg {
            Arg::Name(name, 0) if name == "_" => Ok(self.row()),
            Arg::Name(name, 0) => match self.find(name) {
                Some(Binding::Row(row)) => Ok(row),
                _ => Err(format!("result {name}")),
            },
            _ => Err(format!("result {arg:?}")),
        }
    }

    /// The predicate that a result names.
    pub fn pred_result(&mut self, arg: &Arg) -> Result<u32, String> {
        match arg {
            Arg::Name(name, 0) if name == "_" => Ok(Regs::BIN),
            Arg::Name(name, 0) => match self.find(name) {
                Some(Binding::Pred(pred)) => Ok(pred),
                _ => Err(format!("predicate {name}")),
            },
            _ => Err(format!("predicate {arg:?}")),
        }
    }

    /// The predicate of an operand; a negated one is computed first.
    pub fn pred_value(&mut self, arg: &Arg) -> Result<u32, String> {
        match arg {
            Arg::Number(0) => Ok(Regs::FALSE),
            Arg::Number(_) => Ok(Regs::TRUE),
            Arg::Not(name) => {
                let a = self.pred_result(&Arg::Name(name.clone(), 0))?;
                Ok(self.negated(a))
            }
            _ => self.pred_result(arg),
        }
    }

    /// Appends an instruction.
    pub fn emit(&mut self, guard: Option<&(String, bool)>, op: Op, text: &str) -> Result<(), String> {
        let (guard, negated) = match guard {
            None => (Regs::TRUE, false),
            Some((name, negated)) => (self.pred_result(&Arg::Name(name.clone(), 0))?, *negated),
        };
        let negated = if negated { u32::MAX } else { 0 };
        self.code.instructions.push(Instruction { guard, negated, op, text: text.to_owned() });
        Ok(())
    }

    /// Leaves the labels of the calling function aside while another is decoded by `inner`.
    pub fn apart(&mut self, inner: impl FnOnce(&mut Self) -> Result<(), String>) -> Result<(), String> {
        let outer = (
            std::mem::take(&mut self.scopes),
            std::mem::take(&mut self.fixes),
            std::mem::take(&mut self.labels),
            std::mem::take(&mut self.tables),
            self.leave.take(),
        );
        self.scopes.open();
        let result = inner(self);
        (self.scopes, self.fixes, self.labels, self.tables, self.leave) = outer;
        result
    }
}
