//! Data of a file that were told to be somewhere in it: entries of archives, storages of legacy files.

use std::borrow::Cow;
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

    /// Reads the data, which messages call `name`, and compares them with their checksum.
    pub(super) fn read<'s>(&self, file: &'s Source<'_>, name: &str, budget: &mut Budget) -> Checked<Cow<'s, [u8]>> {
        let data = match self.method {
            STORED => file.read(self.range.clone())?,
            DEFLATED => Cow::Owned(self.inflate(file, name, budget)?),
            method => {
                return Err(Refusal::Unsupported(
                    format!("{} is compressed by method {method}, which is not supported", shown(name)),
                    "unpack the archive and pack it again without compression (zip -0)",
                ));
            }
        };
        if self.crc != 0 && self.crc != crc32fast::hash(&data) {
            return Err(Refusal::Damaged(format!("the checksum of {} does not match its data", shown(name))));
        }
        Ok(data)
    }

    /// The bytes of a deflated entry, as many as the directory says.
    fn inflate(&self, file: &Source<'_>, name: &str, budget: &mut Budget) -> Checked<Vec<u8>> {
        budget.take(self.size, "a compressed entry of the archive")?;
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let mut inflated = Vec::with_capacity(size);
        let mut decoder = DeflateDecoder::new(file.reader(self.range.clone()));
        let read = decoder.by_ref().take(self.size).read_to_end(&mut inflated);
        let whole = read.is_ok() && inflated.len() == size && matches!(decoder.read(&mut [0]), Ok(0));
        if !whole || decoder.total_in() != self.range.len() as u64 {
            return Err(Refusal::Damaged(format!("{} does not hold the {size} bytes that it says", shown(name))));
        }
        Ok(inflated)
    }
}
