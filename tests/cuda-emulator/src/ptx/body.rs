//! The statements of one function.

use super::{
    cursor::Cursor,
    module::{Variable, variable},
};

/// An operand as written.
#[derive(Clone, Debug, PartialEq)]
pub enum Arg {
    /// A register, symbol or label, with a constant added (`name+4`).
    Name(String, i64),
    /// A number's bits; integers are sign-extended.
    Number(u64),
    /// `!%p`
    Not(String),
    /// `[base+offset]`
    Address(Box<Arg>),
    /// `{a, b}`, or the list of a call in parentheses.
    List(Vec<Arg>),
    /// `a|b`
    Pair(Box<Arg>, Box<Arg>),
}

/// A statement.
#[derive(Clone, Debug)]
pub enum Stmt {
    /// `{`: names declared from here on are local.
    Open,
    /// `}`
    Close,
    /// `name:`
    Label(String),
    /// `.reg .b32 %r<44>, x;`: type, and names with their count (`None`: a single one).
    Registers(String, Vec<(String, Option<u32>)>),
    /// `.local`, `.shared` or `.param` (without the dot) variable.
    Variable(&'static str, Variable),
    /// `name: .branchtargets a, b;`
    Targets(String, Vec<String>),
    /// An instruction: its guard (`@!%p`: negated), its name with modifiers, its operands, its text.
    Instruction { guard: Option<(String, bool)>, op: String, args: Vec<Arg>, text: String },
}

/// Reads the text between a function's braces.
///
/// # Errors
/// What could not be read.
pub fn parse(text: &str) -> Result<Vec<Stmt>, String> {
    let mut at = Cursor::new(text);
    let mut out = Vec::new();
    while let Some(c) = at.peek() {
        if at.eat('{') {
            out.push(Stmt::Open);
        } else if at.eat('}') {
            out.push(Stmt::Close);
        } else if at.eat(';') {
        } else if c == '@' {
            at.eat('@');
            let negated = at.eat('!');
            let guard = at.word().to_owned();
            out.push(instruction(Some((guard, negated)), at.until(';'))?);
        } else {
            statement(&mut at, &mut out)?;
        }
    }
    Ok(out)
}

/// A label, a declaration or an instruction without a guard.
fn statement(at: &mut Cursor<'_>, out: &mut Vec<Stmt>) -> Result<(), String> {
    let before = at.clone();
    let word = at.word();
    match word {
        "" => return Err(format!("not understood: {}", at.until('\n'))),
        ".loc" | ".file" => {
            at.until('\n');
        }
        ".pragma" => {
            at.until(';');
        }
        // Also written `.reg.b16`.
        _ if word == ".reg" || word.starts_with(".reg.") => {
            let ty = word.strip_prefix(".reg.").unwrap_or_else(|| at.word().trim_start_matches('.')).to_owned();
            let names = at.until(';').split(',').map(|name| {
                let name = name.trim();
                match name.split_once('<') {
                    Some((stem, count)) => (stem.to_owned(), count.trim_end_matches('>').parse().ok()),
                    None => (name.to_owned(), None),
                }
            });
            out.push(Stmt::Registers(ty, names.collect()));
        }
        ".local" => out.push(Stmt::Variable("local", variable(at.until(';'))?)),
        ".shared" => out.push(Stmt::Variable("shared", variable(at.until(';'))?)),
        ".param" => out.push(Stmt::Variable("param", variable(at.until(';'))?)),
        _ if word.ends_with(':') => {
            let name = word.trim_end_matches(':').to_owned();
            if at.peek() == Some('.') {
                let mut ahead = at.clone();
                if ahead.word() == ".branchtargets" {
                    let targets = ahead.until(';').split(',').map(|t| t.trim().to_owned()).collect();
                    *at = ahead;
                    out.push(Stmt::Targets(name, targets));
                    return Ok(());
                }
            }
            out.push(Stmt::Label(name));
        }
        _ => {
            *at = before;
            out.push(instruction(None, at.until(';'))?);
        }
    }
    Ok(())
}

/// An instruction without its guard and semicolon.
fn instruction(guard: Option<(String, bool)>, text: &str) -> Result<Stmt, String> {
    let mut at = Cursor::new(text);
    let op = at.word().to_owned();
    let mut args = Vec::new();
    while at.peek().is_some() {
        args.push(operand(&mut at).ok_or_else(|| format!("operands of: {}", text.trim()))?);
        if !at.eat(',') && at.peek().is_some() && at.peek() != Some('(') {
            return Err(format!("operands of: {}", text.trim()));
        }
    }
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(Stmt::Instruction { guard, op, args, text })
}

/// One operand.
fn operand(at: &mut Cursor<'_>) -> Option<Arg> {
    let first = match at.peek()? {
        '{' => Arg::List(list(at.bracketed('{', '}'))?),
        '(' => Arg::List(list(at.bracketed('(', ')'))?),
        '[' => {
            let mut inside = Cursor::new(at.bracketed('[', ']'));
            let base = operand(&mut inside)?;
            // `[a, b]` is a tensor or texture coordinate.
            if inside.peek().is_some() {
                return None;
            }
            Arg::Address(Box::new(base))
        }
        '!' => {
            at.eat('!');
            Arg::Not(at.word().to_owned())
        }
        '-' => {
            at.eat('-');
            Arg::Number(negate(at.word())?)
        }
        _ => {
            let word = at.word();
            match immediate(word) {
                Some(bits) => Arg::Number(bits),
                None if word.is_empty() => return None,
                None => Arg::Name(word.to_owned(), 0),
            }
        }
    };
    if at.eat('|') {
        return Some(Arg::Pair(Box::new(first), Box::new(operand(at)?)));
    }
    if let Arg::Name(name, _) = &first {
        if at.eat('+') {
            let negative = at.eat('-');
            let offset = immediate(at.word())?.cast_signed();
            return Some(Arg::Name(name.clone(), if negative { -offset } else { offset }));
        }
        if at.eat('-') {
            return Some(Arg::Name(name.clone(), -immediate(at.word())?.cast_signed()));
        }
    }
    Some(first)
}

fn list(text: &str) -> Option<Vec<Arg>> {
    let mut at = Cursor::new(text);
    let mut out = Vec::new();
    while at.peek().is_some() {
        out.push(operand(&mut at)?);
        at.eat(',');
    }
    Some(out)
}

/// The bits of a number after a minus.
fn negate(text: &str) -> Option<u64> {
    if text.contains('.') && !text.starts_with("0x") {
        return Some((-text.parse::<f64>().ok()?).to_bits());
    }
    Some(immediate(text)?.wrapping_neg())
}

/// The bits of a number: `12`, `0x1F`, `017`, `12U`, `0f3F800000`, `0d3FF0000000000000`, `-1`, `1.5` (as f64).
pub fn immediate(text: &str) -> Option<u64> {
    if let Some(rest) = text.strip_prefix('-') {
        return negate(rest);
    }
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let hex = |digits: &str| u64::from_str_radix(digits, 16).ok();
    match text.get(..2) {
        Some("0f" | "0F") => return hex(&text[2..]),
        Some("0d" | "0D") => return hex(&text[2..]),
        Some("0x" | "0X") => return hex(text[2..].trim_end_matches('U')),
        Some("0b" | "0B") => return u64::from_str_radix(text[2..].trim_end_matches('U'), 2).ok(),
        _ => {}
    }
    if text.contains('.') {
        return text.parse::<f64>().ok().map(f64::to_bits);
    }
    let digits = text.trim_end_matches('U');
    if digits.len() > 1 && digits.starts_with('0') {
        return u64::from_str_radix(digits, 8).ok();
    }
    digits.parse().ok()
}
