//! The index of a module: its functions (bodies as unread text) and variables.

use std::collections::HashMap;

use super::cursor::{Cursor, strip_comments};

/// A variable or parameter: `.global .align 4 .b8 name[24] = {…}`.
#[derive(Clone, Debug, Default)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its size in bytes; 0 for `extern … name[]`.
    pub size: usize,
    /// Its alignment in bytes.
    pub align: usize,
    /// Its initial bytes, as far as given.
    pub init: Vec<u8>,
}

/// A kernel or a device function.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Whether it is a kernel.
    pub entry: bool,
    /// Return values (device functions).
    pub returns: Vec<Variable>,
    /// Parameters.
    pub params: Vec<Variable>,
    /// The statements between its braces.
    pub body: String,
    /// The most threads that a block may have, if it says so.
    pub max_threads: Option<u32>,
}

/// What one PTX text defines.
#[derive(Debug, Default)]
pub struct Module {
    /// Functions with a body, by name.
    pub functions: HashMap<String, Function>,
    /// Variables in global or constant memory.
    pub globals: Vec<Variable>,
    /// Variables in shared memory, outside of functions.
    pub shared: Vec<Variable>,
}

impl Module {
    /// Reads the index of `text`.
    ///
    /// # Errors
    /// What could not be read.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = strip_comments(text);
        let mut at = Cursor::new(&text);
        let mut module = Self::default();
        while at.peek().is_some() {
            let word = at.word();
            match word {
                ".version" | ".target" | ".address_size" | ".file" | ".loc" => {
                    at.until('\n');
                }
                ".visible" | ".extern" | ".weak" | ".common" => {}
                ".entry" | ".func" => {
                    if let Some(function) = function(&mut at, word == ".entry") {
                        module.functions.insert(function.name.clone(), function);
                    }
                }
                ".global" | ".const" => module.globals.push(variable(at.until(';'))?),
                ".shared" => module.shared.push(variable(at.until(';'))?),
                ".section" => {
                    at.word();
                    at.bracketed('{', '}');
                }
                ".pragma" | ".alias" => {
                    at.until(';');
                }
                _ => {
                    let from = at.pos();
                    let rest: String = text[from..].chars().take(40).collect();
                    return Err(format!("not understood at module level: {word} {rest}"));
                }
            }
        }
        Ok(module)
    }
}

/// A function after `.entry` or `.func`; `None` for a mere declaration.
fn function(at: &mut Cursor<'_>, entry: bool) -> Option<Function> {
    let mut function = Function {
        name: String::new(),
        entry,
        returns: vec![],
        params: vec![],
        body: String::new(),
        max_threads: None,
    };
    while function.name.is_empty() {
        if at.peek() == Some('(') {
            function.returns = parameters(at.bracketed('(', ')'));
            continue;
        }
        let word = at.word();
        if word.is_empty() {
            at.until(';');
            return None;
        }
        if !word.starts_with('.') {
            function.name = word.to_owned();
        }
    }
    loop {
        match at.peek() {
            Some('(') => function.params = parameters(at.bracketed('(', ')')),
            Some('{') => {
                function.body = at.bracketed('{', '}').to_owned();
                return Some(function);
            }
            Some('.') => {
                if at.word() == ".maxntid" {
                    let mut threads = 1;
                    loop {
                        threads *= at.word().parse::<u32>().unwrap_or(1);
                        if !at.eat(',') {
                            break;
                        }
                    }
                    function.max_threads = Some(threads);
                }
            }
            Some(';') => {
                at.eat(';');
                return None;
            }
            Some(',') => {
                at.eat(',');
            }
            Some(_) if !at.word().is_empty() => {}
            _ => return None,
        }
    }
}

/// A list of parameters; those that cannot be read are left out (their use is then reported as an unknown name).
fn parameters(text: &str) -> Vec<Variable> {
    text.split(',').filter_map(|one| variable(one).ok()).collect()
}

/// A declaration without its state space: `.align 4 .b8 name[24] = {…}`.
///
/// # Errors
/// What could not be read.
pub fn variable(text: &str) -> Result<Variable, String> {
    let mut at = Cursor::new(text);
    let (mut element, mut variable) = (0, Variable::default());
    while variable.name.is_empty() {
        let word = at.word();
        match word {
            "" => return Err(format!("not a declaration: {text}")),
            ".param" | ".ptr" | ".volatile" | ".reg" | ".global" | ".const" | ".shared" | ".local" => {}
            ".align" => variable.align = at.word().parse().map_err(|e| format!("{text}: {e}"))?,
            ".attribute" => {
                at.bracketed('(', ')');
            }
            ".v2" | ".v4" => element *= if word == ".v2" { 2 } else { 4 },
            _ if word.starts_with('.') => match size_of(&word[1..]) {
                Some(size) => element = size,
                None => return Err(format!("unknown type {word} in: {text}")),
            },
            _ => variable.name = word.to_owned(),
        }
    }
    variable.align = variable.align.max(element).max(1);
    variable.size = element;
    while at.peek() == Some('[') {
        let count = at.bracketed('[', ']').trim();
        variable.size *= if count.is_empty() { 0 } else { count.parse().map_err(|e| format!("{text}: {e}"))? };
    }
    if at.eat('=') {
        let list = if at.peek() == Some('{') { at.bracketed('{', '}') } else { at.until(';') };
        for item in list.split([',', '{', '}']).map(str::trim).filter(|item| !item.is_empty()) {
            let bits =
                super::body::immediate(item).ok_or_else(|| format!("initial value {item} of {}", variable.name))?;
            variable.init.extend_from_slice(&bits.to_le_bytes()[..element]);
        }
    }
    Ok(variable)
}

/// Bytes of a fundamental type, given without its dot.
pub fn size_of(ty: &str) -> Option<usize> {
    Some(match ty {
        "b8" | "u8" | "s8" => 1,
        "b16" | "u16" | "s16" | "f16" | "bf16" => 2,
        "b32" | "u32" | "s32" | "f32" | "f16x2" | "bf16x2" => 4,
        "b64" | "u64" | "s64" | "f64" => 8,
        "pred" => 1,
        _ => return None,
    })
}
