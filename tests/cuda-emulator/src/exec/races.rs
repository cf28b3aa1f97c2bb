//! Conflicting accesses to shared memory: two warps touch a byte between two barriers, and one of them writes. (Lanes of one
//! warp run in step here, so conflicts among them are not looked for.)

/// How memory is accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Read,
    Write,
    Atomic,
}

/// The last accesses to a byte: the epoch (number of barriers before) and the warp of each kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trace {
    written: (u32, u8),
    changed: (u32, u8),
    read: (u32, u8),
    /// Other warps have read it in the same epoch.
    read_by_others: bool,
}

impl Trace {
    /// Notes an access.
    ///
    /// # Errors
    /// The warp with which it conflicts.
    pub fn note(&mut self, kind: Kind, epoch: u32, warp: u8) -> Result<(), u8> {
        let conflict = |(at, other): (u32, u8)| if at == epoch && other != warp { Err(other) } else { Ok(()) };
        conflict(self.written)?;
        // Atomic operations do not conflict with one another.
        if kind != Kind::Atomic {
            conflict(self.changed)?;
        }
        if kind == Kind::Read {
            self.read_by_others = self.read.0 == epoch && (self.read_by_others || self.read.1 != warp);
            self.read = (epoch, warp);
            return Ok(());
        }
        conflict(self.read)?;
        if self.read.0 == epoch && self.read_by_others {
            return Err(self.read.1);
        }
        if kind == Kind::Write {
            self.written = (epoch, warp);
        } else {
            self.changed = (epoch, warp);
        }
        Ok(())
    }
}
