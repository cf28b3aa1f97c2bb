//! A cursor over bytes that cannot run past their end.

use std::ops::Range;

use super::refusal::{Checked, Refusal};

/// The `n` bytes at byte `at` of a file, all of which lie before `limit`; `what` names them where they are missing.
pub(super) fn range(at: usize, n: usize, limit: usize, what: &str) -> Checked<Range<usize>> {
    at.checked_add(n).filter(|&end| end <= limit).map(|end| at..end).ok_or_else(|| {
        let left = limit.saturating_sub(at);
        Refusal::Truncated(format!("{what} at byte {at} needs {n} bytes, {left} are left"))
    })
}

/// Reads forward through a slice.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    data: &'a [u8],
    at: usize,
    /// Where the slice begins in the file, for messages.
    start: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor at `at`; a position past the end reads nothing.
    pub(super) fn new(data: &'a [u8], at: usize) -> Self {
        Self { data, at: at.min(data.len()), start: 0 }
    }

    /// A cursor at the start of a slice that begins at byte `start` of a file.
    pub(super) fn of_part(data: &'a [u8], start: usize) -> Self {
        Self { data, at: 0, start }
    }

    /// The position of the next byte.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    pub(super) fn remaining(&self) -> usize {
        self.data.len() - self.at
    }

    /// The next `n` bytes; `what` names them where they are missing.
    pub(super) fn take(&mut self, n: usize, what: &str) -> Checked<&'a [u8]> {
        range(self.start + self.at, n, self.start + self.data.len(), what)?;
        let slice = &self.data[self.at..self.at + n];
        self.at += n;
        Ok(slice)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Checked<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    /// One byte.
    pub(super) fn u8(&mut self, what: &str) -> Checked<u8> {
        Ok(self.array::<1>(what)?[0])
    }

    /// A little-endian 16-bit number.
    pub(super) fn u16(&mut self, what: &str) -> Checked<u16> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    /// A little-endian 32-bit number.
    pub(super) fn u32(&mut self, what: &str) -> Checked<u32> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    /// A little-endian 64-bit number.
    pub(super) fn u64(&mut self, what: &str) -> Checked<u64> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// A little-endian signed 64-bit number.
    pub(super) fn i64(&mut self, what: &str) -> Checked<i64> {
        Ok(i64::from_le_bytes(self.array(what)?))
    }

    /// A big-endian double, as pickles store them.
    pub(super) fn f64_be(&mut self, what: &str) -> Checked<f64> {
        Ok(f64::from_be_bytes(self.array(what)?))
    }

    /// The bytes up to the next line feed, which is consumed and not returned.
    pub(super) fn line(&mut self, what: &str) -> Checked<&'a [u8]> {
        let rest = &self.data[self.at..];
        let Some(length) = rest.iter().take(MAX_LINE).position(|&byte| byte == b'\n') else {
            return Err(if rest.len() < MAX_LINE {
                Refusal::Truncated(format!("{what} at byte {} has no end", self.at))
            } else {
                Refusal::Damaged(format!("{what} at byte {} is longer than {MAX_LINE} bytes", self.at))
            });
        };
        self.at += length + 1;
        Ok(&rest[..length])
    }
}

/// No module or class name is longer.
const MAX_LINE: usize = 4096;
