//! From a kernel's text to the array of instructions that a warp executes. Device functions are put in at each call, so
//! that every warp has one program counter, one set of registers and one piece of local memory.

mod control;
mod function;
mod logic;
mod memory;
mod names;

use crate::{
    exec::regs::{Args, LaneFn},
    ptx::{Module, module::Variable},
};

pub use function::decode;

/// A kernel ready to run.
#[derive(Debug, Default)]
pub struct Code {
    /// Its name.
    pub name: String,
    /// Its instructions.
    pub instructions: Vec<Instruction>,
    /// Value registers, special ones and immediates included.
    pub rows: usize,
    /// Predicates.
    pub preds: usize,
    /// Registers that hold a constant.
    pub constants: Vec<(u32, u64)>,
    /// Shared memory of fixed size, in bytes.
    pub shared: usize,
    /// Local memory of each thread, in bytes.
    pub local: usize,
    /// Parameters: offset and size.
    pub params: Vec<(usize, usize)>,
    /// Bytes of all parameters.
    pub param_bytes: usize,
    /// The most threads that a block may have, if it says so.
    pub max_threads: Option<u32>,
}

/// An instruction with its guard.
#[derive(Debug)]
pub struct Instruction {
    /// It happens in the lanes where this predicate is not `negated`.
    pub guard: u32,
    /// All bits set: where the predicate is false.
    pub negated: u32,
    /// What happens.
    pub op: Op,
    /// As written, for messages.
    pub text: String,
}

/// A state space of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// An address of the host: anything.
    Generic,
    /// An address of the host in device memory.
    Global,
    /// An offset in the block's shared memory; what the launch adds begins at [`DYNAMIC_SHARED`].
    Shared,
    /// An offset in the thread's local memory.
    Local,
    /// An offset in the kernel's parameters; with [`PARAM_IN_LOCAL`], in local memory.
    Param,
}

/// Where `extern __shared__` arrays begin. What lies between is not mapped, so running over a fixed array's end shows.
pub const DYNAMIC_SHARED: u64 = 1 << 18;

/// Marks the address of a device function's parameter.
pub const PARAM_IN_LOCAL: u64 = 1 << 40;

/// Memory operand and the registers that go with it.
#[derive(Clone, Debug)]
pub struct Access {
    /// Where.
    pub space: Space,
    /// Register with the base address.
    pub base: u32,
    /// Added to it.
    pub offset: i64,
    /// Bytes of one element.
    pub width: usize,
    /// Whether a loaded element is sign-extended.
    pub signed: bool,
    /// A register for each element; `v2` and `v4` have several.
    pub rows: Vec<u32>,
}

/// What an atomic instruction does.
pub type AtomicFn = fn(old: u64, operand: u64, new: u64) -> u64;

/// `shfl` modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shuffle {
    /// From a lower lane.
    Up,
    /// From a higher lane.
    Down,
    /// From the lane with some bits flipped.
    Butterfly,
    /// From a lane by its number.
    Index,
}

/// What lanes of a warp, or threads of a block, find out together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vote {
    /// Does it hold for all?
    All,
    /// Does it hold for one?
    Any,
    /// Is it the same for all?
    Uniform,
    /// For which does it hold?
    Ballot,
    /// For how many does it hold?
    Count,
}

/// What an instruction does.
#[derive(Debug)]
pub enum Op {
    /// Registers only.
    Lanes(LaneFn, Args),
    /// Go on there.
    Branch(u32),
    /// Go on at the target with the number in a register.
    Table(u32, Vec<u32>),
    /// The thread ends.
    Exit,
    /// The kernel fails.
    Trap(String),
    /// Read.
    Load(Access),
    /// Write.
    Store(Access),
    /// Read, change, write: the access's row is the result; then operand and (compare-and-swap) new value.
    Atomic(Access, AtomicFn, u32, u32),
    /// Wait for the block. Optionally with a vote on predicate `p`, its result in row or predicate `d`.
    Barrier { id: u32, vote: Option<(Vote, u32)>, d: u32 },
    /// Wait for the warp's lanes in the mask of a register.
    WarpBarrier(u32),
    /// Values exchanged in a warp; `p`: whether the source lane was in range.
    Shuffle { mode: Shuffle, args: Args, mask: u32, p: u32 },
    /// A vote on predicate `p` in a warp; a row `d` for ballots, else a predicate.
    Vote { vote: Vote, d: u32, p: u32, mask: u32 },
    /// `match.any`: the lanes with the same value.
    Match { d: u32, a: u32, mask: u32 },
    /// `redux`: a reduction over the lanes of a mask.
    Redux { fold: AtomicFn, d: u32, a: u32, mask: u32 },
    /// The mask of the active lanes.
    ActiveMask(u32),
    /// `cvta`: from a space's offsets to addresses of the host.
    ToGeneric(Space, Args),
    /// `cvta.to`
    FromGeneric(Space, Args),
    /// `isspacep`
    IsSpace(Space, Args),
    /// Not known; a failure if it is reached.
    Unknown,
}

/// What decoding needs besides the text: where the module's variables lie.
pub trait Symbols {
    /// The module.
    fn module(&self) -> &Module;
    /// The address of a global variable.
    fn address(&self, name: &str) -> Option<u64>;
}

/// Places a variable after `used` bytes: its offset and the bytes used then.
fn place(variable: &Variable, used: usize) -> (usize, usize) {
    let at = used.next_multiple_of(variable.align.max(1));
    (at, at + variable.size)
}

/// A [`LaneFn`] for predicates `d = f(a, b)`.
macro_rules! pred_fn {
    (|$a:ident, $b:ident| $e:expr) => {{
        fn run(regs: &mut $crate::exec::regs::Regs, i: &Args, mask: u32) {
            let ($a, $b) = (regs.preds[i.a as usize], regs.preds[i.b as usize]);
            regs.write_pred(i.d, mask, $e);
        }
        run as LaneFn
    }};
}
use pred_fn;
