//! Bytes of a file, in memory or on a disk.

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

use crate::decode::flaw::{Flaw, part};

/// Something that bytes are read from by their place.
pub(in crate::decode) trait Bytes {
    /// How many there are.
    fn length(&self) -> u64;

    /// Those from a place on.
    fn read(&self, at: u64, to: &mut [u8]) -> Result<(), Flaw>;
}

impl Bytes for [u8] {
    fn length(&self) -> u64 {
        self.len() as u64
    }

    fn read(&self, at: u64, to: &mut [u8]) -> Result<(), Flaw> {
        let at = usize::try_from(at).map_err(|_| Flaw::Truncated)?;
        to.copy_from_slice(part(self, at, to.len())?);
        Ok(())
    }
}

/// A file that is open.
pub(in crate::decode) struct OnDisk {
    file: RefCell<(BufReader<File>, u64)>,
    length: u64,
}

impl OnDisk {
    pub(in crate::decode) fn new(file: File, length: u64) -> Self {
        OnDisk { file: RefCell::new((BufReader::with_capacity(4096, file), u64::MAX)), length }
    }
}

impl Bytes for OnDisk {
    fn length(&self) -> u64 {
        self.length
    }

    /// What the system does not give is as good as missing.
    fn read(&self, at: u64, to: &mut [u8]) -> Result<(), Flaw> {
        if at.checked_add(to.len() as u64).is_none_or(|end| end > self.length) {
            return Err(Flaw::Truncated);
        }
        let (file, place) = &mut *self.file.borrow_mut();
        let moved = match *place {
            u64::MAX => file.seek(SeekFrom::Start(at)).map(|_| ()),
            // Within the buffer nothing is read anew.
            place => file.seek_relative(at.wrapping_sub(place) as i64),
        };
        // Where the file is, is not known until this went well.
        *place = u64::MAX;
        moved.and_then(|()| file.read_exact(to)).map_err(|_| Flaw::Truncated)?;
        *place = at + to.len() as u64;
        Ok(())
    }
}
