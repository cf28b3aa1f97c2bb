//! Data of a file that were told to be somewhere in it: entries of archives, storages of legacy files.

use std::io::Read;
use std::ops::Range;

use flate2::read::DeflateDecoder;

use super::budget::Budget;
use super::refusal::{Checked, Refusal};
use crate::shown;
use crate::source::Source;

/// Methods of entries: not compressed, and compressed.
pub(super) const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// Where data are, and how.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) range: Range<usize>,
    pub(super) method: u16,
    /// Zero is what torch.save writes when it was told to save time on checksums.
    pub(super) crc: u32,
    /// Bytes of what they hold.
    pub(super) size: u64,
}

impl Stored {
    /// Data as they are, without a checksum.
    pub(super) fn plain(range: Range<usize>) -> Self {
        Self { method: STORED, crc: 0, size: range.len() as u64, range }
    }

    /// Whether nothing can be wrong with the data.
    pub(super) fn is_unchecked(&self) -> bool {
        self.method == STORED && self.crc == 0
    }

    /// The data, which messages call `name`, compared with their checksum. What is not in memory is read into `buffer`.
    pub(super) fn read<'s>(
        &self,
        file: &'s Source<'_>,
        name: &str,
        buffer: &'s mut Vec<u8>,
        budget: &mut Budget,
    ) -> Checked<&'s [u8]> {
        let data = match self.method {
            STORED => file.read_into(self.range.clone(), buffer)?,
            DEFLATED => {
                self.inflate(file, name, buffer, budget)?;
                buffer
            }
            method => {
                return Err(Refusal::Unsupported(
                    format!("{} is compressed by method {method}, which is not supported", shown(name)),
                    "unpack the archive and pack it again without compression (zip -0)",
                ));
            }
        };
        if self.crc != 0 && self.crc != crc32fast::hash(data) {
            return Err(Refusal::Damaged(format!("the checksum of {} does not match its data", shown(name))));
        }
        Ok(data)
    }

    /// Puts the bytes of a deflated entry, as many as the directory says, into `inflated`.
    fn inflate(&self, file: &Source<'_>, name: &str, inflated: &mut Vec<u8>, budget: &mut Budget) -> Checked<()> {
        budget.take(self.size, "a compressed entry of the archive")?;
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        inflated.clear();
        inflated.reserve_exact(size);
        let mut decoder = DeflateDecoder::new(file.reader(self.range.clone()));
        let read = decoder.by_ref().take(self.size).read_to_end(inflated);
        let whole = read.is_ok() && inflated.len() == size && matches!(decoder.read(&mut [0]), Ok(0));
        if !whole || decoder.total_in() != self.range.len() as u64 {
            return Err(Refusal::Damaged(format!("{} does not hold the {size} bytes that it says", shown(name))));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_checksum_or_is_compressed_can_be_wrong() {
        for (method, crc, unchecked) in
            [(STORED, 0, true), (STORED, 1, false), (DEFLATED, 0, false), (DEFLATED, 1, false)]
        {
            assert_eq!(Stored { range: 0..4, method, crc, size: 4 }.is_unchecked(), unchecked, "{method} {crc}");
        }
    }
}
