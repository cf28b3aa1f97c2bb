//! The stack machine: opcodes to values.

use std::collections::HashMap;

use super::super::budget::Budget;
use super::super::bytes::Cursor;
use super::super::refusal::{Checked, RESAVE, Refusal};
use super::globals::{Global, forbidden};
use super::inert::is_inert;
use super::value::{Allowed, Heap, Value, cost};
use super::{op, rebuild};

/// Picklers write containers in batches of a thousand, so that a deeper stack is an attack.
const MAX_STACK: usize = 1 << 14;

/// Every container that is still open holds a mark.
const MAX_MARKS: usize = 256;

/// A finished pickle.
#[derive(Debug)]
pub(in super::super) struct Pickle<'a> {
    /// What `STOP` left on the stack.
    pub(in super::super) root: Value<'a>,
    /// The containers that `root` refers to.
    pub(in super::super) heap: Heap<'a>,
    /// Position of the first byte after the pickle.
    pub(in super::super) end: usize,
}

/// Runs the pickle that starts at byte `at` of `data`.
pub(in super::super) fn run<'a>(data: &'a [u8], at: usize, budget: &mut Budget) -> Checked<Pickle<'a>> {
    let mut machine = Machine {
        code: Cursor::new(data, at),
        heap: Heap::default(),
        stack: Vec::new(),
        charged: 0,
        marks: Vec::new(),
        memo: HashMap::new(),
        budget,
    };
    if machine.code.u8("a pickle")? != op::PROTO {
        return Err(Refusal::Damaged(format!("no pickle of protocol 2 or later starts at byte {at}")));
    }
    let protocol = machine.code.u8("a pickle's protocol")?;
    if !(2..=5).contains(&protocol) {
        return Err(Refusal::Unsupported(format!("pickle protocol {protocol} is not supported"), RESAVE));
    }
    let root = loop {
        if let Some(root) = machine.step()? {
            break root;
        }
    };
    // Inside of something such an object does no harm; here it is what the pickle was wanted for.
    if let Value::Opaque(index) = root
        && !machine.heap.has_tensors()
    {
        let (module, name) = machine.heap.class(index);
        return Err(forbidden(module, name));
    }
    Ok(Pickle { root, heap: machine.heap, end: machine.code.position() })
}

struct Machine<'a, 'b> {
    code: Cursor<'a>,
    heap: Heap<'a>,
    stack: Vec<Value<'a>>,
    /// The stack depth that has been charged to the budget.
    charged: usize,
    /// Stack depths at which containers were opened.
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
    budget: &'b mut Budget,
}

impl<'a> Machine<'a, '_> {
    /// Executes one opcode; `Some` is the result of the program.
    fn step(&mut self) -> Checked<Option<Value<'a>>> {
        let opcode = self.code.u8("the pickle's next opcode")?;
        match opcode {
            op::STOP => return self.stop().map(Some),
            op::FRAME => {
                // Frames are read-ahead hints; the cursor needs none.
                self.code.u64("a pickle frame")?;
            }
            op::MARK => {
                if self.marks.len() == MAX_MARKS {
                    return Err(Refusal::Damaged(format!("pickle opens more than {MAX_MARKS} containers")));
                }
                self.marks.push(self.stack.len());
            }

            op::POP => {
                // Before a mark, it takes the mark away.
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                } else {
                    self.pop()?;
                }
            }
            op::POP_MARK => {
                let start = self.open()?;
                self.stack.truncate(start);
            }

            op::NONE => self.push(Value::None)?,
            op::NEWTRUE => self.push(Value::Bool(true))?,
            op::NEWFALSE => self.push(Value::Bool(false))?,
            op::BININT => {
                let n = self.code.u32("an integer")?.cast_signed();
                self.push(Value::Int(n.into()))?;
            }
            op::BININT1 => {
                let n = self.code.u8("an integer")?;
                self.push(Value::Int(n.into()))?;
            }
            op::BININT2 => {
                let n = self.code.u16("an integer")?;
                self.push(Value::Int(n.into()))?;
            }
            op::LONG1 => {
                let length = self.code.u8("an integer")?;
                let digits = self.code.take(length.into(), "an integer")?;
                self.push(long(digits))?;
            }
            op::BINFLOAT => {
                let x = self.code.f64_be("a float")?;
                self.push(Value::Float(x))?;
            }

            op::SHORT_BINUNICODE => {
                let length = self.code.u8("a string")?;
                self.text(length.into())?;
            }
            op::BINUNICODE => {
                let length = self.code.u32("a string")?;
                self.text(length.into())?;
            }
            op::BINUNICODE8 => {
                let length = self.code.u64("a string")?;
                self.text(length)?;
            }
            op::SHORT_BINSTRING => {
                let length = self.code.u8("a string")?;
                self.byte_string(length.into())?;
            }
            op::BINSTRING => {
                let length = self.code.u32("a string")?;
                self.byte_string(length.into())?;
            }
            op::SHORT_BINBYTES => {
                let length = self.code.u8("bytes")?;
                self.bytes(length.into())?;
            }
            op::BINBYTES => {
                let length = self.code.u32("bytes")?;
                self.bytes(length.into())?;
            }
            op::BINBYTES8 => {
                let length = self.code.u64("bytes")?;
                self.bytes(length)?;
            }

            op::EMPTY_TUPLE => self.tuple(0)?,
            op::TUPLE1 => self.tuple(1)?,
            op::TUPLE2 => self.tuple(2)?,
            op::TUPLE3 => self.tuple(3)?,
            op::TUPLE => {
                let start = self.open()?;
                self.tuple(self.stack.len() - start)?;
            }
            op::EMPTY_LIST => {
                let list = self.heap.new_list(self.budget)?;
                self.push(list)?;
            }
            op::APPEND => {
                let item = self.pop()?;
                self.append(&[item])?;
            }
            op::APPENDS => {
                let start = self.open()?;
                let items = self.stack.split_off(start);
                self.append(&items)?;
            }
            op::EMPTY_DICT => {
                let dict = self.heap.new_dict(self.budget)?;
                self.push(dict)?;
            }
            op::SETITEM => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_items(&[key, value])?;
            }
            op::SETITEMS => {
                let start = self.open()?;
                let items = self.stack.split_off(start);
                self.set_items(&items)?;
            }

            op::BINPUT => {
                let slot = self.code.u8("a memo slot")?;
                self.put(slot.into())?;
            }
            op::LONG_BINPUT => {
                let slot = self.code.u32("a memo slot")?;
                self.put(slot)?;
            }
            op::MEMOIZE => self.put(self.memo.len() as u32)?,
            op::BINGET => {
                let slot = self.code.u8("a memo slot")?;
                self.get(slot.into())?;
            }
            op::LONG_BINGET => {
                let slot = self.code.u32("a memo slot")?;
                self.get(slot)?;
            }

            op::EMPTY_SET => {
                let set = self.heap.new_opaque("builtins", "set", self.budget)?;
                self.push(set)?;
            }
            op::FROZENSET => {
                let start = self.open()?;
                self.stack.truncate(start);
                let set = self.heap.new_opaque("builtins", "frozenset", self.budget)?;
                self.push(set)?;
            }
            op::ADDITEMS => {
                let start = self.open()?;
                self.stack.truncate(start);
                let set = self.top()?;
                if !matches!(set, Value::Opaque(_)) {
                    return Err(Refusal::Damaged(format!("pickle adds to a {} as to a set", set.kind())));
                }
            }

            op::GLOBAL => {
                let global = self.named()?;
                self.push(global)?;
            }
            op::STACK_GLOBAL => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Text(module), Value::Text(name)) = (module, name) else {
                    return Err(Refusal::Damaged("pickle imports something whose name is not text".into()));
                };
                let global = self.import(module, name)?;
                self.push(global)?;
            }
            op::INST => {
                // Refuses by name where it can; the classes of a state dict are never written this way.
                let class = self.named()?;
                if !matches!(class, Value::Opaque(_)) {
                    return Err(Refusal::Damaged(format!("pickle instantiates {class:?} by INST")));
                }
                let start = self.open()?;
                self.stack.truncate(start);
                self.placeholder(Some(class), opcode)?;
            }
            op::OBJ => {
                let start = self.open()?;
                let class = self.stack.get(start).copied();
                self.stack.truncate(start);
                self.placeholder(class, opcode)?;
            }
            op::NEWOBJ | op::NEWOBJ_EX => {
                for _ in 0..if opcode == op::NEWOBJ { 1 } else { 2 } {
                    self.pop()?;
                }
                let class = self.pop()?;
                self.placeholder(Some(class), opcode)?;
            }
            op::BINPERSID => {
                let id = self.pop()?;
                let storage = rebuild::persistent(id, &mut self.heap, self.budget)?;
                self.push(storage)?;
            }
            op::REDUCE => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                let made = rebuild::call(callable, arguments, &mut self.heap, self.budget)?;
                self.push(made)?;
            }
            op::BUILD => self.build()?,

            other => return Err(self.unneeded(other)),
        }
        Ok(None)
    }

    /// Pushes what `opcode` makes of `class`: a placeholder like it.
    fn placeholder(&mut self, class: Option<Value<'a>>, opcode: u8) -> Checked<()> {
        let Some(Value::Opaque(class)) = class else { return Err(self.unneeded(opcode)) };
        let made = self.heap.new_instance(class, self.budget)?;
        self.push(made)
    }

    fn unneeded(&self, opcode: u8) -> Refusal {
        let at = self.code.position() - 1;
        Refusal::Unsupported(
            format!("refused: pickle uses opcode 0x{opcode:02x} at byte {at}, which no state dict needs"),
            RESAVE,
        )
    }

    fn stop(&mut self) -> Checked<Value<'a>> {
        let root = self.pop()?;
        if self.stack.is_empty() && self.marks.is_empty() {
            Ok(root)
        } else {
            Err(Refusal::Damaged("pickle stops with objects left over".into()))
        }
    }

    fn push(&mut self, value: Value<'a>) -> Checked<()> {
        if self.stack.len() == MAX_STACK {
            return Err(Refusal::Damaged(format!("pickle nests or lists more than {MAX_STACK} objects")));
        }
        if self.stack.len() == self.charged {
            // Twice: a batch of items is split off the stack while it is moved into its container.
            self.budget.take(2 * cost::<Value<'_>>(1), "the pickle's stack")?;
            self.charged += 1;
        }
        self.stack.push(value);
        Ok(())
    }

    /// Takes the top of the stack, but nothing from below the innermost mark.
    fn pop(&mut self) -> Checked<Value<'a>> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() > floor
            && let Some(value) = self.stack.pop()
        {
            return Ok(value);
        }
        Err(Refusal::Damaged(format!("pickle takes from an empty stack at byte {}", self.code.position())))
    }

    /// Closes the innermost mark and returns where its items start.
    fn open(&mut self) -> Checked<usize> {
        self.marks.pop().ok_or_else(|| {
            Refusal::Damaged(format!("pickle closes a container that it did not open at byte {}", self.code.position()))
        })
    }

    fn sized(&mut self, length: u64, what: &str) -> Checked<&'a [u8]> {
        // A length beyond the address space is certainly beyond the file.
        self.code.take(usize::try_from(length).unwrap_or(usize::MAX), what)
    }

    fn text(&mut self, length: u64) -> Checked<()> {
        let bytes = self.sized(length, "a string")?;
        let text = std::str::from_utf8(bytes).map_err(|_| Refusal::Damaged("a string that is not UTF-8".into()))?;
        self.push(Value::Text(text))
    }

    /// A Python 2 `str`, which is text in every state dict.
    fn byte_string(&mut self, length: u64) -> Checked<()> {
        let bytes = self.sized(length, "a string")?;
        self.push(std::str::from_utf8(bytes).map_or(Value::Bytes, Value::Text))
    }

    fn bytes(&mut self, length: u64) -> Checked<()> {
        self.sized(length, "bytes")?;
        self.push(Value::Bytes)
    }

    fn tuple(&mut self, length: usize) -> Checked<()> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let Some(start) = self.stack.len().checked_sub(length).filter(|&start| start >= floor) else {
            return Err(Refusal::Damaged(format!("pickle takes from an empty stack at byte {}", self.code.position())));
        };
        let tuple = self.heap.new_tuple(&self.stack[start..], self.budget)?;
        self.stack.truncate(start);
        self.push(tuple)
    }

    /// The object on top of the stack, which stays there.
    fn top(&mut self) -> Checked<Value<'a>> {
        let top = self.pop()?;
        self.stack.push(top);
        Ok(top)
    }

    fn append(&mut self, items: &[Value<'a>]) -> Checked<()> {
        match self.top()? {
            Value::List(list) => self.heap.extend_list(list, items, self.budget),
            Value::Opaque(_) => Ok(()),
            other => Err(Refusal::Damaged(format!("pickle appends to a {}", other.kind()))),
        }
    }

    fn set_items(&mut self, items: &[Value<'a>]) -> Checked<()> {
        if items.len() % 2 == 1 {
            return Err(Refusal::Damaged("pickle sets a key without a value".into()));
        }
        let top = self.top()?;
        let Some(dict) = self.heap.items_for(top, self.budget)? else {
            return Err(Refusal::Damaged("pickle sets items of something that is not a dict".into()));
        };
        for pair in items.chunks_exact(2) {
            self.heap.set_item(dict, pair[0], pair[1], self.budget)?;
        }
        Ok(())
    }

    fn put(&mut self, slot: u32) -> Checked<()> {
        let value = self.top()?;
        if self.memo.insert(slot, value).is_none() {
            self.budget.take(2 * cost::<(u32, Value<'_>)>(1), "the pickle's memo")?;
        }
        Ok(())
    }

    fn get(&mut self, slot: u32) -> Checked<()> {
        match self.memo.get(&slot) {
            Some(&value) => self.push(value),
            None => Err(Refusal::Damaged(format!("pickle recalls memo slot {slot}, which is empty"))),
        }
    }

    fn named(&mut self) -> Checked<Value<'a>> {
        let module = self.code.line("a module name")?;
        let name = self.code.line("a class name")?;
        match (std::str::from_utf8(module), std::str::from_utf8(name)) {
            (Ok(module), Ok(name)) => self.import(module, name),
            _ => Err(forbidden(&String::from_utf8_lossy(module), &String::from_utf8_lossy(name))),
        }
    }

    /// What `module.name` stands for: something that a state dict needs, or a placeholder. What runs a program refuses the
    /// file.
    fn import(&mut self, module: &'a str, name: &'a str) -> Checked<Value<'a>> {
        match Global::named(module, name) {
            Some(global) => Ok(Value::Global(Allowed(global))),
            None if is_inert(module, name) => self.heap.new_opaque(module, name, self.budget),
            None => Err(forbidden(module, name)),
        }
    }

    /// Placeholders keep their attributes, among which may be tensors. Those of a dict are left out: a state dict carries
    /// `_metadata` (module versions), which no reader needs.
    fn build(&mut self) -> Checked<()> {
        let state = self.pop()?;
        match (self.top()?, state) {
            (Value::Dict(_), Value::Dict(_) | Value::None) => Ok(()),
            (Value::Opaque(object), Value::Dict(state)) => self.heap.set_state(object, state, self.budget),
            (Value::Opaque(object), Value::Tuple(states)) => {
                // Attributes, then those of slots.
                if let &[attributes, slots] = self.heap.tuple(states) {
                    for state in [attributes, slots] {
                        if let Value::Dict(state) = state {
                            self.heap.set_state(object, state, self.budget)?;
                        }
                    }
                }
                Ok(())
            }
            (Value::Opaque(_), _) => Ok(()),
            (object, state) => {
                Err(Refusal::Damaged(format!("pickle sets a {} as the state of a {}", state.kind(), object.kind())))
            }
        }
    }
}

/// A two's complement integer of `digits.len()` little-endian bytes.
fn long(digits: &[u8]) -> Value<'_> {
    if digits.len() > 8 {
        return Value::Long(digits);
    }
    let negative = digits.last().is_some_and(|&top| top >= 0x80);
    let mut wide = [if negative { 0xff } else { 0 }; 8];
    wide[..digits.len()].copy_from_slice(digits);
    Value::Int(i64::from_le_bytes(wide))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_any_length_have_a_sign() {
        for (digits, n) in [(&[][..], 0), (&[0x7f], 127), (&[0x80], -128), (&[0, 0x80], -0x8000), (&[0xff; 8], -1)] {
            assert!(matches!(long(digits), Value::Int(read) if read == n), "{digits:?}");
        }
        assert!(matches!(long(&[0; 9]), Value::Long(_)));
    }

    /// Four values for each of the stack at its deepest, four for each of the memo.
    #[test]
    fn the_stack_and_the_memo_are_charged() {
        let value = cost::<Value<'_>>(1) / 2;
        let memo = cost::<(u32, Value<'_>)>(1) / 2;
        for (code, charged) in [
            (&b"N."[..], 4 * value),
            (b"N0N0N.", 4 * value),
            (b"NN0N0.", 8 * value),
            (b"Nq\x00.", 4 * value + 4 * memo),
            (b"Nq\x00q\x00q\x01.", 4 * value + 8 * memo),
        ] {
            let mut budget = Budget::for_file(100);
            let before = budget.left();
            assert!(run(&[b"\x80\x02", code].concat(), 0, &mut budget).is_ok(), "{code:?}");
            assert_eq!(before - budget.left(), charged, "{code:?}");
        }
    }
}
