//! Huffman tables.

use crate::decode::flaw::{Flaw, part};

/// Codes up to this length are found with one look.
const QUICK: u32 = 9;

/// A code that is found with one look.
#[derive(Clone, Copy, Default)]
struct Quick {
    symbol: u8,
    /// Bits of the code; 0: it is longer, or none.
    length: u8,
    /// In a sequential scan, bits of the code and of the value behind it.
    bits: u8,
    /// In a sequential scan, by how many coefficients the code leads on.
    step: u8,
}

/// Codes by their length.
pub(super) struct Table {
    /// Codes by the next bits.
    quick: Box<[Quick; 1 << QUICK]>,
    /// Whether the values are differences of DC coefficients.
    dc: bool,
    /// One more than the last code of each length, aligned to 16 bits.
    limit: [u32; 17],
    /// What to add to a code of some length to get the index of its symbol.
    offset: [i32; 17],
    symbols: Vec<u8>,
}

impl Table {
    /// The table with `counts[n - 1]` codes of `n` bits.
    fn new(counts: &[u8], symbols: &[u8], dc: bool) -> Result<Self, Flaw> {
        let quick = Box::new([Quick::default(); 1 << QUICK]);
        let mut table = Table { quick, dc, limit: [0; 17], offset: [0; 17], symbols: symbols.to_vec() };
        let (mut code, mut index) = (0_u32, 0_usize);
        for length in 1..=16_u32 {
            let count = u32::from(counts[length as usize - 1]);
            if code + count > 1 << length {
                return Err(Flaw::Damaged("a Huffman table has too many codes"));
            }
            table.offset[length as usize] = index as i32 - code as i32;
            for _ in 0..count {
                if length <= QUICK {
                    let first = (code << (QUICK - length)) as usize;
                    let symbol = symbols[index];
                    let bits = (length + table.value_bits(symbol)) as u8;
                    let entry = Quick { symbol, length: length as u8, bits, step: table.step(symbol) as u8 };
                    table.quick[first..first + (1 << (QUICK - length))].fill(entry);
                }
                (code, index) = (code + 1, index + 1);
            }
            table.limit[length as usize] = code << (16 - length);
            code <<= 1;
        }
        Ok(table)
    }

    /// Symbol and length of the code on top of `window`.
    #[inline]
    pub(super) fn find(&self, window: u64) -> Option<(u8, u32)> {
        let quick = self.quick[(window >> (64 - QUICK)) as usize];
        if quick.length > 0 {
            return Some((quick.symbol, u32::from(quick.length)));
        }
        let next = (window >> 48) as u32;
        let length = (QUICK + 1..=16).find(|&length| next < self.limit[length as usize])?;
        let index = (next >> (16 - length)) as i32 + self.offset[length as usize];
        Some((*self.symbols.get(usize::try_from(index).ok()?)?, length))
    }

    /// Bits of the code on top of `window` and of the value behind it, and by how many coefficients they lead on; `None` if one
    /// look does not tell.
    #[inline(always)]
    pub(super) fn pass(&self, window: u64) -> Option<(u32, u32)> {
        let quick = self.quick[(window >> (64 - QUICK)) as usize];
        (quick.length > 0).then_some((u32::from(quick.bits), u32::from(quick.step)))
    }

    /// Bits of the value behind a symbol's code in a sequential scan.
    pub(super) fn value_bits(&self, symbol: u8) -> u32 {
        u32::from(if self.dc { symbol.min(16) } else { symbol & 15 })
    }

    /// By how many coefficients a symbol leads on in a sequential scan: over a run of zeros, or to the end of the block.
    pub(super) fn step(&self, symbol: u8) -> u32 {
        match symbol {
            0xf0 => 16,
            _ if symbol & 15 == 0 => 64,
            _ => u32::from(symbol >> 4) + 1,
        }
    }
}

/// Tables by class and number.
pub(super) struct Tables {
    dc: [Option<Table>; 4],
    ac: [Option<Table>; 4],
}

impl Tables {
    /// The tables of Annex K, which single images of MJPEG streams leave out.
    pub(super) fn standard() -> Result<Self, Flaw> {
        let dc = |counts: &[u8; 16]| Table::new(counts, &DC_SYMBOLS, true).map(Some);
        let ac = |counts: &[u8; 16], symbols: &[u8]| Table::new(counts, symbols, false).map(Some);
        Ok(Tables {
            dc: [dc(&DC_LUMA)?, dc(&DC_CHROMA)?, None, None],
            ac: [ac(&AC_LUMA, &AC_LUMA_SYMBOLS)?, ac(&AC_CHROMA, &AC_CHROMA_SYMBOLS)?, None, None],
        })
    }

    /// Takes the tables of a segment.
    pub(super) fn define(&mut self, mut body: &[u8]) -> Result<(), Flaw> {
        while body.len() > 16 {
            let (class, number) = (body[0] >> 4, usize::from(body[0] & 15));
            let counts = &body[1..17];
            let symbols = part(body, 17, counts.iter().map(|&count| usize::from(count)).sum())?;
            let tables = if class == 0 { &mut self.dc } else { &mut self.ac };
            let table = tables.get_mut(number).ok_or(Flaw::Damaged("a Huffman table has no place"))?;
            *table = Some(Table::new(counts, symbols, class == 0)?);
            body = &body[17 + symbols.len()..];
        }
        Ok(())
    }

    pub(super) fn dc(&self, number: u8) -> Result<&Table, Flaw> {
        found(&self.dc, number)
    }

    pub(super) fn ac(&self, number: u8) -> Result<&Table, Flaw> {
        found(&self.ac, number)
    }
}

fn found(tables: &[Option<Table>], number: u8) -> Result<&Table, Flaw> {
    tables.get(usize::from(number)).and_then(Option::as_ref).ok_or(Flaw::Damaged("a Huffman table is missing"))
}

const DC_LUMA: [u8; 16] = [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0];

const DC_CHROMA: [u8; 16] = [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0];

const DC_SYMBOLS: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

const AC_LUMA: [u8; 16] = [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125];

const AC_CHROMA: [u8; 16] = [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119];

#[rustfmt::skip]
const AC_LUMA_SYMBOLS: [u8; 162] = [
    1, 2, 3, 0, 4, 17, 5, 18, 33, 49, 65, 6, 19, 81, 97, 7, 34, 113, 20, 50, 129, 145, 161, 8, 35, 66, 177,
    193, 21, 82, 209, 240, 36, 51, 98, 114, 130, 9, 10, 22, 23, 24, 25, 26, 37, 38, 39, 40, 41, 42, 52, 53, 54, 55,
    56, 57, 58, 67, 68, 69, 70, 71, 72, 73, 74, 83, 84, 85, 86, 87, 88, 89, 90, 99, 100, 101, 102, 103, 104, 105, 106,
    115, 116, 117, 118, 119, 120, 121, 122, 131, 132, 133, 134, 135, 136, 137, 138, 146, 147, 148, 149, 150, 151, 152, 153, 154, 162, 163,
    164, 165, 166, 167, 168, 169, 170, 178, 179, 180, 181, 182, 183, 184, 185, 186, 194, 195, 196, 197, 198, 199, 200, 201, 202, 210, 211,
    212, 213, 214, 215, 216, 217, 218, 225, 226, 227, 228, 229, 230, 231, 232, 233, 234, 241, 242, 243, 244, 245, 246, 247, 248, 249, 250,
];

#[rustfmt::skip]
const AC_CHROMA_SYMBOLS: [u8; 162] = [
    0, 1, 2, 3, 17, 4, 5, 33, 49, 6, 18, 65, 81, 7, 97, 113, 19, 34, 50, 129, 8, 20, 66, 145, 161, 177, 193,
    9, 35, 51, 82, 240, 21, 98, 114, 209, 10, 22, 36, 52, 225, 37, 241, 23, 24, 25, 26, 38, 39, 40, 41, 42, 53, 54,
    55, 56, 57, 58, 67, 68, 69, 70, 71, 72, 73, 74, 83, 84, 85, 86, 87, 88, 89, 90, 99, 100, 101, 102, 103, 104, 105,
    106, 115, 116, 117, 118, 119, 120, 121, 122, 130, 131, 132, 133, 134, 135, 136, 137, 138, 146, 147, 148, 149, 150, 151, 152, 153, 154,
    162, 163, 164, 165, 166, 167, 168, 169, 170, 178, 179, 180, 181, 182, 183, 184, 185, 186, 194, 195, 196, 197, 198, 199, 200, 201, 202,
    210, 211, 212, 213, 214, 215, 216, 217, 218, 226, 227, 228, 229, 230, 231, 232, 233, 234, 242, 243, 244, 245, 246, 247, 248, 249, 250,
];
