//! Memory as a block sees it: every access is checked for bounds and alignment.

use std::{
    ops::Range,
    sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering},
};

use super::{
    Launch,
    races::{Kind, Trace},
    regs::{LANES, Regs, lanes},
};
use crate::{
    decode::{Access, AtomicFn, Code, DYNAMIC_SHARED, PARAM_IN_LOCAL, Space},
    memory::{self, POISON},
};

/// The memory of a block.
#[derive(Debug)]
pub struct Memory<'a> {
    ranges: &'a [Range<u64>],
    /// The range of the last access, tried first.
    last: Range<u64>,
    params: &'a [u8],
    /// The whole window; words, for their alignment.
    shared: Vec<Aligned>,
    fixed_shared: u64,
    dynamic_shared: u64,
    /// Who touched each byte of shared memory since the last barrier.
    traces: Vec<Trace>,
    epoch: u32,
    /// Local memory of all threads of the block.
    local: Vec<Aligned>,
    local_size: u64,
}

/// 16 bytes, aligned as the widest access wants.
#[repr(C, align(16))]
#[derive(Clone, Copy, Debug)]
struct Aligned([u8; 16]);

impl<'a> Memory<'a> {
    /// For the blocks of a launch.
    pub fn new(code: &Code, launch: &'a Launch, ranges: &'a [Range<u64>]) -> Self {
        let threads = launch.block.iter().product::<u32>() as usize;
        let window = if launch.shared > 0 { DYNAMIC_SHARED as usize + launch.shared } else { code.shared };
        let local_size = code.local.next_multiple_of(16);
        let zero = Aligned([0; 16]);
        Self {
            ranges,
            last: 0..0,
            params: &launch.params,
            shared: vec![zero; window.div_ceil(16)],
            fixed_shared: code.shared as u64,
            dynamic_shared: launch.shared as u64,
            traces: vec![Trace::default(); code.shared + launch.shared],
            epoch: 0,
            local: vec![zero; threads.next_multiple_of(LANES) * local_size / 16],
            local_size: local_size as u64,
        }
    }

    /// All threads of the block have met: what comes after cannot conflict with what came before.
    pub fn barrier(&mut self) {
        self.epoch += 1;
    }

    /// Shared and local memory as a block finds them: with anything in them.
    pub fn reset(&mut self) {
        self.barrier();
        let bytes = self.shared.as_mut_ptr().cast::<u8>();
        let fixed = (self.fixed_shared as usize).min(self.shared.len() * 16);
        // SAFETY: both parts lie within the window that was allocated in `new`.
        unsafe {
            bytes.write_bytes(POISON, fixed);
            if self.dynamic_shared > 0 {
                bytes.add(DYNAMIC_SHARED as usize).write_bytes(POISON, self.dynamic_shared as usize);
            }
        }
        self.local.fill(Aligned([POISON; 16]));
    }

    /// The host's address of offset 0 of a space, for thread `thread` of the block.
    pub fn origin(&self, space: Space, thread: u32) -> u64 {
        match space {
            Space::Shared => self.shared.as_ptr() as u64,
            Space::Local => self.local.as_ptr() as u64 + u64::from(thread) * self.local_size,
            Space::Param => self.params.as_ptr() as u64,
            Space::Generic | Space::Global => 0,
        }
    }

    /// Whether an address of the host lies in a space.
    pub fn is_in(&self, space: Space, at: u64, thread: u32) -> bool {
        let at = at.wrapping_sub(self.origin(space, thread));
        match space {
            Space::Shared => at < 16 * self.shared.len() as u64,
            Space::Local => at < self.local_size,
            Space::Param => at < self.params.len() as u64,
            Space::Generic | Space::Global => memory::containing(self.ranges, at).is_some(),
        }
    }

    /// The host's address of `bytes` bytes at `at` in a space.
    #[inline]
    fn resolve(&mut self, space: Space, at: u64, bytes: u64, thread: u32) -> Result<u64, String> {
        if !at.is_multiple_of(bytes) {
            return Err(format!("{bytes} bytes at {at:#x}: not aligned"));
        }
        let inside = |at: u64, size: u64| at.checked_add(bytes).is_some_and(|end| end <= size);
        match space {
            Space::Global | Space::Generic => {
                let end = at.saturating_add(bytes);
                if at >= self.last.start && end <= self.last.end {
                    return Ok(at);
                }
                if let Some(range) = memory::containing(self.ranges, at).filter(|range| end <= range.end) {
                    self.last = range;
                    return Ok(at);
                }
                if space == Space::Generic {
                    for space in [Space::Shared, Space::Local, Space::Param] {
                        let origin = self.origin(space, thread);
                        if self.is_in(space, at, thread) {
                            return self.resolve(space, at - origin, bytes, thread);
                        }
                    }
                }
                Err(format!("{bytes} bytes at {at:#x}: {}", memory::describe(at)))
            }
            Space::Shared => {
                // Shared addresses are 32 bits wide.
                let at = at & 0xFFFF_FFFF;
                if inside(at, self.fixed_shared)
                    || (at >= DYNAMIC_SHARED && inside(at - DYNAMIC_SHARED, self.dynamic_shared))
                {
                    return Ok(self.origin(space, thread) + at);
                }
                Err(if at >= DYNAMIC_SHARED {
                    format!(
                        "{bytes} bytes at {} of {} of dynamic shared memory",
                        at - DYNAMIC_SHARED,
                        self.dynamic_shared
                    )
                } else {
                    format!("{bytes} bytes at {at} of {} of shared memory", self.fixed_shared)
                })
            }
            Space::Local => {
                let at = at & 0xFFFF_FFFF;
                if inside(at, self.local_size) {
                    return Ok(self.origin(space, thread) + at);
                }
                Err(format!("{bytes} bytes at {at} of {} of local memory", self.local_size))
            }
            Space::Param => {
                if at >= PARAM_IN_LOCAL {
                    return self.resolve(Space::Local, at - PARAM_IN_LOCAL, bytes, thread);
                }
                if inside(at, self.params.len() as u64) {
                    return Ok(self.origin(space, thread) + at);
                }
                Err(format!("{bytes} bytes at {at} of {} of parameters", self.params.len()))
            }
        }
    }

    /// Notes an access to shared memory.
    ///
    /// # Errors
    /// If a thread of another warp has accessed it in a way that conflicts, with no barrier between.
    fn note(&mut self, at: u64, bytes: u64, kind: Kind, thread: u32) -> Result<(), String> {
        let at = at.wrapping_sub(self.origin(Space::Shared, thread));
        let index = if at < self.fixed_shared {
            at
        } else if at >= DYNAMIC_SHARED && at - DYNAMIC_SHARED < self.dynamic_shared {
            self.fixed_shared + at - DYNAMIC_SHARED
        } else {
            return Ok(());
        };
        let (epoch, warp) = (self.epoch, (thread / LANES as u32) as u8);
        for trace in &mut self.traces[index as usize..(index + bytes) as usize] {
            trace.note(kind, epoch, warp).map_err(|other| {
                format!("shared memory at {at}: a conflict with warp {other}, which accessed it since the last barrier")
            })?;
        }
        Ok(())
    }

    fn addresses(
        &mut self,
        regs: &Regs,
        access: &Access,
        kind: Kind,
        mask: u32,
        first: u32,
    ) -> Result<[u64; LANES], (u32, String)> {
        let base = &regs.rows[access.base as usize];
        let bytes = (access.width * access.rows.len()) as u64;
        let mut out = [0; LANES];
        for lane in lanes(mask) {
            let at = base[lane].wrapping_add_signed(access.offset);
            let at = self.resolve(access.space, at, bytes, first + lane as u32);
            out[lane] = at.map_err(|message| (lane as u32, message))?;
            if matches!(access.space, Space::Shared | Space::Generic) && !self.traces.is_empty() {
                self.note(out[lane], bytes, kind, first + lane as u32).map_err(|message| (lane as u32, message))?;
            }
        }
        Ok(out)
    }

    /// Loads in the lanes of `mask`. `first` is the block's number of lane 0.
    ///
    /// # Errors
    /// The lane, and what is wrong.
    pub fn load(&mut self, regs: &mut Regs, access: &Access, mask: u32, first: u32) -> Result<(), (u32, String)> {
        let addresses = self.addresses(regs, access, Kind::Read, mask, first)?;
        for (number, row) in access.rows.iter().enumerate() {
            let row = &mut regs.rows[*row as usize];
            let shift = (number * access.width) as u64;
            for lane in lanes(mask) {
                row[lane] = read(addresses[lane] + shift, access.width, access.signed);
            }
        }
        Ok(())
    }

    /// Stores in the lanes of `mask`.
    ///
    /// # Errors
    /// The lane, and what is wrong.
    pub fn store(&mut self, regs: &Regs, access: &Access, mask: u32, first: u32) -> Result<(), (u32, String)> {
        let addresses = self.addresses(regs, access, Kind::Write, mask, first)?;
        for (number, row) in access.rows.iter().enumerate() {
            let row = &regs.rows[*row as usize];
            let shift = (number * access.width) as u64;
            for lane in lanes(mask) {
                write(addresses[lane] + shift, access.width, row[lane]);
            }
        }
        Ok(())
    }

    /// Reads, changes and writes in the lanes of `mask`, one after another.
    ///
    /// # Errors
    /// The lane, and what is wrong.
    pub fn atomic(
        &mut self,
        regs: &mut Regs,
        (access, f): (&Access, AtomicFn),
        (operand, new): (u32, u32),
        mask: u32,
        first: u32,
    ) -> Result<(), (u32, String)> {
        let addresses = self.addresses(regs, access, Kind::Atomic, mask, first)?;
        let (operand, new) = (regs.rows[operand as usize], regs.rows[new as usize]);
        for lane in lanes(mask) {
            let old = update(addresses[lane], access.width, |old| f(old, operand[lane], new[lane]));
            regs.rows[access.rows[0] as usize][lane] = old;
        }
        Ok(())
    }
}

fn read(at: u64, width: usize, signed: bool) -> u64 {
    // SAFETY: `resolve` has found these bytes in live memory, aligned. Volatile, as other blocks may write there.
    unsafe {
        match (width, signed) {
            (1, false) => u64::from((at as *const u8).read_volatile()),
            (2, false) => u64::from((at as *const u16).read_volatile()),
            (4, false) => u64::from((at as *const u32).read_volatile()),
            (1, true) => i64::from((at as *const i8).read_volatile()).cast_unsigned(),
            (2, true) => i64::from((at as *const i16).read_volatile()).cast_unsigned(),
            (4, true) => i64::from((at as *const i32).read_volatile()).cast_unsigned(),
            _ => (at as *const u64).read_volatile(),
        }
    }
}

fn write(at: u64, width: usize, bits: u64) {
    // SAFETY: as in `read`.
    unsafe {
        match width {
            1 => (at as *mut u8).write_volatile(bits as u8),
            2 => (at as *mut u16).write_volatile(bits as u16),
            4 => (at as *mut u32).write_volatile(bits as u32),
            _ => (at as *mut u64).write_volatile(bits),
        }
    }
}

fn update(at: u64, width: usize, f: impl Fn(u64) -> u64) -> u64 {
    const ORDER: Ordering = Ordering::SeqCst;
    // SAFETY: as in `read`.
    unsafe {
        match width {
            2 => {
                let cell = AtomicU16::from_ptr(at as *mut u16);
                cell.fetch_update(ORDER, ORDER, |old| Some(f(u64::from(old)) as u16)).map_or(0, u64::from)
            }
            4 => {
                let cell = AtomicU32::from_ptr(at as *mut u32);
                cell.fetch_update(ORDER, ORDER, |old| Some(f(u64::from(old)) as u32)).map_or(0, u64::from)
            }
            _ => {
                let cell = AtomicU64::from_ptr(at as *mut u64);
                cell.fetch_update(ORDER, ORDER, |old| Some(f(old))).unwrap_or(0)
            }
        }
    }
}
