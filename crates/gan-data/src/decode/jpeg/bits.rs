//! Reading coded data bit by bit.

use super::huffman::Table;
use crate::decode::flaw::Flaw;

/// Bits of the coded data that begins at some place of a file and ends at the next marker.
pub(super) struct Bits<'a> {
    file: &'a [u8],
    /// The next byte to be taken.
    at: usize,
    /// Bits taken and not used yet, the next one on top. Below them may be the first bits of the next byte, or zeros.
    window: u64,
    /// How many they are.
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(file: &'a [u8], at: usize) -> Self {
        Self { file, at, window: 0, count: 0 }
    }

    /// Fills the window, which holds fewer than 32 bits, as far as data goes.
    fn fill(&mut self) {
        if let Some(word) = self.file.get(self.at..).and_then(<[u8]>::first_chunk) {
            let word = u64::from_be_bytes(*word);
            if !has_byte_of_ones(word) {
                let bytes = (63 - self.count) / 8;
                self.window |= word >> self.count;
                self.count += 8 * bytes;
                self.at += bytes as usize;
                return;
            }
        }
        while self.count <= 56 {
            let Some(&byte) = self.file.get(self.at) else { return };
            if byte == 0xff {
                // A zero is stuffed behind this byte; anything else is a marker.
                if self.file.get(self.at + 1) != Some(&0) {
                    return;
                }
                self.at += 1;
            }
            self.at += 1;
            self.window |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    /// Passes `bits` bits, up to 32.
    #[inline]
    pub(super) fn skip(&mut self, bits: u32) -> Result<(), Flaw> {
        if self.count < bits {
            self.fill();
        }
        self.count = self.count.checked_sub(bits).ok_or(Flaw::Truncated)?;
        self.window <<= bits;
        Ok(())
    }

    /// The next `bits` bits, up to 16, as a number.
    pub(super) fn number(&mut self, bits: u32) -> Result<u32, Flaw> {
        if bits == 0 {
            return Ok(0);
        }
        if self.count < bits {
            self.fill();
        }
        let number = (self.window >> (64 - bits)) as u32;
        self.skip(bits).map(|()| number)
    }

    /// The next Huffman code's symbol.
    #[inline]
    pub(super) fn symbol(&mut self, table: &Table) -> Result<u8, Flaw> {
        // Enough for a code and for the bits that most often follow.
        if self.count < 32 {
            self.fill();
        }
        match table.find(self.window) {
            Some((symbol, length)) => self.skip(length).map(|()| symbol),
            // The longest code has 16 bits.
            None if self.count < 16 => Err(Flaw::Truncated),
            None => Err(Flaw::Damaged("its image data holds an unknown code")),
        }
    }

    /// Passes the codes and values of one block of a sequential scan.
    pub(super) fn block(&mut self, dc: &Table, ac: &Table) -> Result<(), Flaw> {
        self.pass(dc)?;
        let mut k = 1;
        while k < 64 {
            k += self.pass(ac)?;
        }
        Ok(())
    }

    /// Passes a code and the value behind it; returns by how many coefficients they lead on.
    #[inline(always)]
    fn pass(&mut self, table: &Table) -> Result<u32, Flaw> {
        if self.count < 32 {
            self.fill();
        }
        if let Some((bits, step)) = table.pass(self.window) {
            self.count = self.count.checked_sub(bits).ok_or(Flaw::Truncated)?;
            self.window <<= bits;
            return Ok(step);
        }
        let symbol = self.symbol(table)?;
        self.skip(table.value_bits(symbol))?;
        Ok(table.step(symbol))
    }

    /// Passes a restart marker, and what is left of the data in front of it.
    pub(super) fn restart(&mut self) -> Result<(), Flaw> {
        (self.window, self.count) = (0, 0);
        loop {
            let rest = self.file.get(self.at..).ok_or(Flaw::Truncated)?;
            self.at += rest.iter().position(|&byte| byte == 0xff).ok_or(Flaw::Truncated)? + 1;
            match self.file.get(self.at).ok_or(Flaw::Truncated)? {
                0xd0..=0xd7 => {
                    self.at += 1;
                    return Ok(());
                }
                // Fill bytes and stuffed zeros.
                0xff | 0 => {}
                _ => return Err(Flaw::Truncated),
            }
        }
    }

    /// Whole bytes that nobody used, up to the end of the file.
    pub(super) fn unused(&self) -> usize {
        (self.count / 8) as usize + self.file.len() - self.at
    }

    /// Where to look for the next marker.
    pub(super) fn position(&self) -> usize {
        self.at
    }
}

/// Whether one of eight bytes is 0xff.
fn has_byte_of_ones(word: u64) -> bool {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = LOW << 7;
    (!word).wrapping_sub(LOW) & word & HIGH != 0
}
