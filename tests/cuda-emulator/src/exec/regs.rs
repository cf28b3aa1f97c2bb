//! The registers of one warp: a row of 32 lanes per register, so that one decoded instruction works on all lanes.

use half::{bf16, f16};

/// Threads of a warp.
pub const LANES: usize = 32;

/// All lanes of a warp.
pub const ALL: u32 = u32::MAX;

/// One register of every lane. Narrow values stand in the low bits; what is above them is not looked at.
pub type Row = [u64; LANES];

/// A value that a register can hold.
pub trait Slot: Copy {
    /// Reads it from the low bits.
    fn get(bits: u64) -> Self;
    /// Its bits, zero-extended.
    fn put(self) -> u64;
}

macro_rules! slots {
    ($($ty:ty: |$bits:ident| $get:expr, |$value:ident| $put:expr;)*) => {
        $(impl Slot for $ty {
            #[inline(always)]
            fn get($bits: u64) -> Self { $get }
            #[inline(always)]
            fn put(self) -> u64 { let $value = self; $put }
        })*
    };
}

slots! {
    u8: |b| b as u8, |v| u64::from(v);
    u16: |b| b as u16, |v| u64::from(v);
    u32: |b| b as u32, |v| u64::from(v);
    u64: |b| b, |v| v;
    i8: |b| b as i8, |v| v as u8 as u64;
    i16: |b| b as i16, |v| v as u16 as u64;
    i32: |b| b as i32, |v| v as u32 as u64;
    i64: |b| b as i64, |v| v as u64;
    f32: |b| f32::from_bits(b as u32), |v| u64::from(v.to_bits());
    f64: |b| f64::from_bits(b), |v| v.to_bits();
    f16: |b| f16::from_bits(b as u16), |v| u64::from(v.to_bits());
    bf16: |b| bf16::from_bits(b as u16), |v| u64::from(v.to_bits());
}

/// Which rows an instruction uses. Immediates and special registers have rows of their own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Args {
    /// Result: a row, or a predicate for comparisons.
    pub d: u32,
    /// First operand.
    pub a: u32,
    /// Second operand.
    pub b: u32,
    /// Third operand.
    pub c: u32,
    /// A predicate read (`selp`, carry-less combinations), [`Regs::TRUE`] if there is none.
    pub p: u32,
    /// Second predicate written by `setp.… p|q`; [`Regs::BIN`] if it is not wanted.
    pub q: u32,
    /// Fourth operand: a row, or a constant of the instruction.
    pub e: u32,
}

/// Work of one instruction on the lanes of a mask.
pub type LaneFn = fn(&mut Regs, &Args, u32);

/// The registers of a warp.
#[derive(Clone, Debug, Default)]
pub struct Regs {
    /// Value registers.
    pub rows: Vec<Row>,
    /// Predicates, a bit per lane.
    pub preds: Vec<u32>,
}

impl Regs {
    /// The predicate that is always true.
    pub const TRUE: u32 = 0;
    /// The predicate that nobody reads.
    pub const BIN: u32 = 1;
    /// The predicate that is always false.
    pub const FALSE: u32 = 2;
    /// The carry flag.
    pub const CARRY: u32 = 3;

    /// `d = f(a)`
    #[inline(always)]
    pub fn map1(&mut self, i: &Args, mask: u32, f: impl Fn(u64) -> u64) {
        let a = self.rows[i.a as usize];
        self.write(i.d, mask, |lane| f(a[lane]));
    }

    /// `d = f(a, b)`
    #[inline(always)]
    pub fn map2(&mut self, i: &Args, mask: u32, f: impl Fn(u64, u64) -> u64) {
        let (a, b) = (self.rows[i.a as usize], self.rows[i.b as usize]);
        self.write(i.d, mask, |lane| f(a[lane], b[lane]));
    }

    /// `d = f(a, b, c)`
    #[inline(always)]
    pub fn map3(&mut self, i: &Args, mask: u32, f: impl Fn(u64, u64, u64) -> u64) {
        let (a, b, c) = (self.rows[i.a as usize], self.rows[i.b as usize], self.rows[i.c as usize]);
        self.write(i.d, mask, |lane| f(a[lane], b[lane], c[lane]));
    }

    /// The lanes of `mask` for which `f(a, b)` holds.
    #[inline(always)]
    pub fn test2(&self, i: &Args, f: impl Fn(u64, u64) -> bool) -> u32 {
        let (a, b) = (&self.rows[i.a as usize], &self.rows[i.b as usize]);
        (0..LANES).fold(0, |bits, lane| bits | (u32::from(f(a[lane], b[lane])) << lane))
    }

    /// Writes row `d` in the lanes of `mask`. (`f` is asked for all lanes: that makes one plain loop of it.)
    #[inline(always)]
    pub fn write(&mut self, d: u32, mask: u32, f: impl Fn(usize) -> u64) {
        let out: Row = std::array::from_fn(f);
        self.merge(d, mask, &out);
    }

    #[inline(never)]
    fn merge(&mut self, d: u32, mask: u32, new: &Row) {
        let d = &mut self.rows[d as usize];
        if mask == ALL {
            *d = *new;
        } else {
            lanes(mask).for_each(|lane| d[lane] = new[lane]);
        }
    }

    /// Writes predicate `d` in the lanes of `mask`.
    #[inline(always)]
    pub fn write_pred(&mut self, d: u32, mask: u32, bits: u32) {
        if d != Self::TRUE && d != Self::FALSE {
            let old = &mut self.preds[d as usize];
            *old = (*old & !mask) | (bits & mask);
        }
    }
}

/// The lanes of a mask, ascending.
pub fn lanes(mut mask: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        (mask != 0).then(|| {
            let lane = mask.trailing_zeros() as usize;
            mask &= mask - 1;
            lane
        })
    })
}
