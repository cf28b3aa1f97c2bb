//! Directories of a TIFF file and the numbers in them.

use std::ops::RangeInclusive;

use crate::decode::bytes::Bytes;
use crate::decode::flaw::Flaw;

/// Tags of the standard (TIFF 6.0), which decoders read. Others say nothing of pixels.
const TAGS: RangeInclusive<u16> = 254..=532;

/// How numbers are stored in a file: of TIFF, with offsets of 32 bits, or of BigTIFF, with 64.
pub(in crate::decode) struct Layout<'a, B: ?Sized + Bytes> {
    file: &'a B,
    big_endian: bool,
    big: bool,
    pub(in crate::decode) first_directory: u64,
}

/// The fields of one page.
pub(in crate::decode) struct Directory {
    fields: Vec<Field>,
    /// Tags of fields that hold no numbers, and of types that are not known.
    others: Vec<u16>,
    pub(in crate::decode) next: u64,
}

/// An array of numbers somewhere in the file.
#[derive(Clone, Copy)]
pub(in crate::decode) struct Field {
    tag: u16,
    kind: u16,
    /// Bytes of one number.
    width: usize,
    count: u64,
    at: u64,
}

impl Directory {
    /// A field of unsigned numbers.
    pub(in crate::decode) fn field(&self, tag: u16) -> Option<Field> {
        self.any(tag).filter(|field| matches!(field.kind, 1 | 3 | 4 | 16))
    }

    /// Whether there is a field of this tag that holds something else than unsigned numbers.
    pub(super) fn is_odd(&self, tag: u16) -> bool {
        self.others.contains(&tag) || self.any(tag).is_some() && self.field(tag).is_none()
    }

    fn any(&self, tag: u16) -> Option<Field> {
        self.fields.iter().find(|field| field.tag == tag).copied()
    }
}

impl<'a, B: ?Sized + Bytes> Layout<'a, B> {
    pub(in crate::decode) fn of(file: &'a B) -> Result<Self, Flaw> {
        let mut order = [0; 2];
        file.read(0, &mut order)?;
        let layout = Layout { file, big_endian: &order == b"MM", big: false, first_directory: 0 };
        let big = layout.number(2, 2)? == 43;
        let first_directory = if big { layout.number(8, 8)? } else { layout.number(4, 4)? };
        Ok(Layout { big, first_directory, ..layout })
    }

    pub(super) fn is_big_endian(&self) -> bool {
        self.big_endian
    }

    /// Bytes of an offset.
    fn offset_width(&self) -> usize {
        if self.big { 8 } else { 4 }
    }

    fn number(&self, at: u64, width: usize) -> Result<u64, Flaw> {
        let mut bytes = [0; 8];
        let bytes = &mut bytes[..width];
        self.file.read(at, bytes)?;
        let join = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Ok(if self.big_endian { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) })
    }

    pub(in crate::decode) fn directory(&self, at: u64) -> Result<Directory, Flaw> {
        let width = self.offset_width();
        // The number of entries, then of each its tag, its type, the number of its values, and they or where they are.
        let (head, entry) = if self.big { (8, 20) } else { (2, 12) };
        let start = at.checked_add(head as u64).ok_or(Flaw::Truncated)?;
        let length = self.number(at, head)?.checked_mul(entry).ok_or(Flaw::Truncated)?;
        let end = start.checked_add(length).filter(|end| *end < self.file.length()).ok_or(Flaw::Truncated)?;
        let next = self.number(end, width)?;
        let (mut fields, mut others) = (Vec::new(), Vec::new());
        for at in (start..end).step_by(entry as usize) {
            let tag = self.number(at, 2)? as u16;
            let kind = self.number(at + 2, 2)? as u16;
            let bytes = match kind {
                1 | 2 | 6 | 7 => 1,
                3 | 8 => 2,
                4 | 9 | 11 | 13 => 4,
                5 | 10 | 12 | 16..=18 => 8,
                _ => {
                    others.push(tag);
                    continue;
                }
            };
            let count = self.number(at + 4, width)?;
            let at = at + 4 + width as u64;
            // What an offset would take as well stands in the entry itself.
            let inside = count.checked_mul(bytes as u64).is_some_and(|length| length <= width as u64);
            let at = if inside { at } else { self.number(at, width)? };
            let field = Field { tag, kind, width: bytes, count, at };
            // A decoder takes memory for as many values as a field claims to have.
            if TAGS.contains(&tag) && !self.holds(field) {
                return Err(Flaw::Truncated);
            }
            // Text, fractions and places of other directories are no numbers.
            if matches!(kind, 2 | 5 | 7 | 10 | 13 | 17 | 18) {
                others.push(tag);
            } else {
                fields.push(field);
            }
        }
        Ok(Directory { fields, others, next })
    }

    /// Whether all values of a field are in the file.
    fn holds(&self, field: Field) -> bool {
        let end = field.count.checked_mul(field.width as u64).and_then(|length| length.checked_add(field.at));
        end.is_some_and(|end| end <= self.file.length())
    }

    pub(in crate::decode) fn numbers(&self, field: Field) -> Result<impl Iterator<Item = u64> + '_, Flaw> {
        if !self.holds(field) {
            return Err(Flaw::Truncated);
        }
        let at = move |index: u64| field.at + index * field.width as u64;
        Ok((0..field.count).map_while(move |index| self.number(at(index), field.width).ok()))
    }

    /// The first number of a field; `absent` where there is no such field.
    pub(in crate::decode) fn first(&self, directory: &Directory, tag: u16, absent: u64) -> Result<u64, Flaw> {
        let Some(field) = directory.field(tag) else { return Ok(absent) };
        Ok(self.numbers(field)?.next().unwrap_or(absent))
    }

    /// The first number of a field of any type.
    pub(super) fn real(&self, directory: &Directory, tag: u16) -> Result<Option<f64>, Flaw> {
        let Some(field) = directory.any(tag).filter(|field| field.count > 0) else { return Ok(None) };
        let bits = self.number(field.at, field.width)?;
        Ok(Some(match field.kind {
            6 => f64::from(bits as i8),
            8 => f64::from(bits as i16),
            9 => f64::from(bits as i32),
            11 => f64::from(f32::from_bits(bits as u32)),
            12 => f64::from_bits(bits),
            _ => bits as f64,
        }))
    }

    /// What has to be changed for another first number in a field: where, and to which bytes.
    pub(in crate::decode) fn change_first(&self, field: Field, value: u32) -> (u64, Vec<u8>) {
        (field.at, self.stored(value.into(), field.width))
    }

    /// What has to be changed for another first page.
    pub(in crate::decode) fn change_start(&self, directory: u64) -> (u64, Vec<u8>) {
        (if self.big { 8 } else { 4 }, self.stored(directory, self.offset_width()))
    }

    fn stored(&self, value: u64, width: usize) -> Vec<u8> {
        if self.big_endian { value.to_be_bytes()[8 - width..].to_vec() } else { value.to_le_bytes()[..width].to_vec() }
    }
}

/// The file with this change.
pub(super) fn changed(file: &[u8], (at, bytes): (u64, Vec<u8>)) -> Vec<u8> {
    let mut file = file.to_vec();
    file[at as usize..][..bytes.len()].copy_from_slice(&bytes);
    file
}
