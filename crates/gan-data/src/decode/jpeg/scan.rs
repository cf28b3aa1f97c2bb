//! Walking over scans.

use super::bits::Bits;
use super::frame::{Component, Frame};
use super::huffman::{Table, Tables};
use super::segments::{END, SCAN, segment};
use crate::decode::flaw::{Flaw, part};

/// Checks that every scan of a file holds codes for all of its blocks, and that no scan is missing. The end marker alone may be.
///
/// What decoders refuse by themselves (arithmetic coding, lossless frames) is not looked into.
pub(in crate::decode) fn check(file: &[u8]) -> Result<(), Flaw> {
    let mut tables = Tables::standard()?;
    let mut frame = None;
    let mut restart_interval = 0;
    let mut at = 2;
    loop {
        let segment = segment(file, at)?;
        at = segment.end;
        match segment.marker {
            0xc4 => tables.define(segment.body)?,
            0xdd => {
                let interval = part(segment.body, 0, 2)?;
                restart_interval = usize::from(u16::from_be_bytes([interval[0], interval[1]]));
            }
            0xc0..=0xc2 => frame = Some(Frame::new(segment.body, segment.marker == 0xc2)?),
            0xc3 | 0xc5..=0xcf => return Ok(()),
            SCAN => {
                let frame = frame.as_mut().ok_or(Flaw::Damaged("a scan comes before its frame"))?;
                let bits =
                    Scan::new(segment.body, frame)?.walk(frame, &tables, restart_interval, Bits::new(file, at))?;
                if bits.unused() <= 1 {
                    return if frame.is_complete() { Ok(()) } else { Err(Flaw::Truncated) };
                }
                at = bits.position();
            }
            END => {
                let complete = frame.as_ref().is_some_and(Frame::has_all_components);
                return if complete { Ok(()) } else { Err(Flaw::Truncated) };
            }
            _ => {}
        }
    }
}

/// A scan header.
struct Scan {
    /// Indices of its components, and the numbers of their tables (DC, AC).
    parts: Vec<(usize, u8, u8)>,
    /// The coefficients it brings.
    first: u32,
    last: u32,
    /// Progressive: whether it adds a bit to coefficients that came before.
    refines: bool,
}

impl Scan {
    /// Reads a scan header, and notes in the frame what the scan brings.
    fn new(body: &[u8], frame: &mut Frame) -> Result<Self, Flaw> {
        const ODD: Flaw = Flaw::Damaged("a scan header makes no sense");
        let count = usize::from(part(body, 0, 1)?[0]);
        let mut parts = Vec::with_capacity(4);
        for part in part(body, 1, 2 * count)?.chunks_exact(2) {
            let index = frame.components.iter().position(|component| component.id == part[0]).ok_or(ODD)?;
            parts.push((index, part[1] >> 4, part[1] & 15));
        }
        let range = part(body, 1 + 2 * count, 3)?;
        let (first, last, high, low) =
            if frame.progressive { (range[0], range[1], range[2] >> 4, range[2] & 15) } else { (0, 63, 0, 0) };
        // A progressive scan brings either the DC coefficients or AC coefficients of one component.
        let split = if first == 0 { last == 0 } else { count == 1 };
        if !(1..=4).contains(&count) || first > last || last > 63 || (frame.progressive && !split) {
            return Err(ODD);
        }
        for &(index, ..) in &parts {
            frame.components[index].missing[usize::from(first)..=usize::from(last)].fill(Some(low));
        }
        Ok(Scan { parts, first: u32::from(first), last: u32::from(last), refines: high > 0 })
    }

    /// Passes the codes of all blocks; returns what lies behind.
    fn walk<'a>(
        &self,
        frame: &mut Frame,
        tables: &Tables,
        restart_interval: usize,
        mut bits: Bits<'a>,
    ) -> Result<Bits<'a>, Flaw> {
        let mut coders = Vec::with_capacity(4);
        for &(_, dc, ac) in &self.parts {
            coders.push(self.coder(frame.progressive, tables, dc, ac)?);
        }
        let alone = self.parts.len() == 1;
        let (across, down) = if alone { frame.components[self.parts[0].0].blocks } else { frame.mcus };
        // Blocks that have no coefficients of this scan's left: the run goes on from block to block.
        let mut run = 0;
        let mut left = restart_interval;
        for (row, column) in (0..down).flat_map(|row| (0..across).map(move |column| (row, column))) {
            if restart_interval > 0 {
                if left == 0 {
                    bits.restart()?;
                    (run, left) = (0, restart_interval);
                }
                left -= 1;
            }
            for (&(index, ..), coder) in self.parts.iter().zip(&coders) {
                let component = &mut frame.components[index];
                let (h, v) = if alone { (1, 1) } else { component.sampling };
                for line in row * v..(row + 1) * v {
                    let first = line * component.stride + column * h;
                    for at in first..first + h {
                        self.block(coder, component, at, &mut run, &mut bits)?;
                    }
                }
            }
        }
        Ok(bits)
    }

    fn coder<'t>(&self, progressive: bool, tables: &'t Tables, dc: u8, ac: u8) -> Result<Coder<'t>, Flaw> {
        Ok(match (progressive, self.first, self.refines) {
            (false, ..) => Coder::Sequential(tables.dc(dc)?, tables.ac(ac)?),
            (true, 0, false) => Coder::Dc(tables.dc(dc)?),
            (true, 0, true) => Coder::DcBit,
            (true, _, false) => Coder::Ac(tables.ac(ac)?),
            (true, _, true) => Coder::AcBit(tables.ac(ac)?),
        })
    }

    fn block(
        &self,
        coder: &Coder<'_>,
        component: &mut Component,
        at: usize,
        run: &mut u32,
        bits: &mut Bits<'_>,
    ) -> Result<(), Flaw> {
        match coder {
            Coder::Sequential(dc, ac) => bits.block(dc, ac),
            Coder::Dc(dc) => {
                let symbol = bits.symbol(dc)?;
                bits.skip(dc.value_bits(symbol))
            }
            Coder::DcBit => bits.skip(1),
            Coder::Ac(ac) => self.first_bits(ac, &mut component.nonzero[at], run, bits),
            Coder::AcBit(ac) => self.further_bit(ac, &mut component.nonzero[at], run, bits),
        }
    }

    /// A block's coefficients in a scan that brings them for the first time (G.1.2.2).
    fn first_bits(&self, ac: &Table, nonzero: &mut u64, run: &mut u32, bits: &mut Bits<'_>) -> Result<(), Flaw> {
        if *run > 0 {
            *run -= 1;
            return Ok(());
        }
        let mut k = self.first;
        while k <= self.last {
            let symbol = bits.symbol(ac)?;
            match (u32::from(symbol >> 4), u32::from(symbol & 15)) {
                (15, 0) => k += 16,
                (length, 0) => {
                    *run = (1 << length) - 1 + bits.number(length)?;
                    break;
                }
                (zeros, size) => {
                    k += zeros;
                    *nonzero |= coefficient(k)?;
                    bits.skip(size)?;
                    k += 1;
                }
            }
        }
        Ok(())
    }

    /// A block's coefficients in a scan that adds one bit to each (G.1.2.3). Those that are not zero yet have their bit in the
    /// data between the codes.
    fn further_bit(&self, ac: &Table, nonzero: &mut u64, run: &mut u32, bits: &mut Bits<'_>) -> Result<(), Flaw> {
        let before = *nonzero;
        let mut k = self.first;
        if *run == 0 {
            while k <= self.last {
                let symbol = bits.symbol(ac)?;
                let (mut zeros, size) = (u32::from(symbol >> 4), symbol & 15);
                if size > 0 {
                    bits.skip(1)?;
                } else if zeros < 15 {
                    *run = (1 << zeros) + bits.number(zeros)?;
                    break;
                }
                while k <= self.last {
                    if before & coefficient(k)? != 0 {
                        bits.skip(1)?;
                    } else if zeros == 0 {
                        break;
                    } else {
                        zeros -= 1;
                    }
                    k += 1;
                }
                if size > 0 && k <= self.last {
                    *nonzero |= coefficient(k)?;
                }
                k += 1;
            }
        }
        if *run > 0 {
            let rest = before & u64::MAX.checked_shl(k).unwrap_or(0) & u64::MAX >> (63 - self.last);
            for _ in 0..rest.count_ones() {
                bits.skip(1)?;
            }
            *run -= 1;
        }
        Ok(())
    }
}

/// How the blocks of one component are coded in a scan.
enum Coder<'t> {
    Sequential(&'t Table, &'t Table),
    Dc(&'t Table),
    DcBit,
    Ac(&'t Table),
    AcBit(&'t Table),
}

/// The bit that stands for coefficient `k`.
fn coefficient(k: u32) -> Result<u64, Flaw> {
    1_u64.checked_shl(k).ok_or(Flaw::Damaged("a block has too many coefficients"))
}
