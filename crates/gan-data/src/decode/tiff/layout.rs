//! Directories of a TIFF file and the numbers in them.

use crate::decode::flaw::{Flaw, part};

/// Bytes of a directory's entry.
const ENTRY: u64 = 12;

/// How numbers are stored in a file.
pub(super) struct Layout<'a> {
    file: &'a [u8],
    big_endian: bool,
    pub(super) first_directory: u64,
}

/// The fields of one page.
pub(super) struct Directory {
    fields: Vec<Field>,
    pub(super) next: u64,
}

/// An array of numbers somewhere in the file.
#[derive(Clone, Copy)]
pub(super) struct Field {
    tag: u16,
    kind: u16,
    /// Bytes of one number.
    width: usize,
    count: u64,
    at: u64,
}

impl Directory {
    /// A field of unsigned numbers.
    pub(super) fn field(&self, tag: u16) -> Option<Field> {
        self.any(tag).filter(|field| matches!(field.kind, 1 | 3 | 4))
    }

    fn any(&self, tag: u16) -> Option<Field> {
        self.fields.iter().find(|field| field.tag == tag).copied()
    }
}

impl<'a> Layout<'a> {
    pub(super) fn of(file: &'a [u8]) -> Result<Self, Flaw> {
        let layout = Layout { file, big_endian: part(file, 0, 2)? == b"MM", first_directory: 0 };
        Ok(Layout { first_directory: layout.number(4, 4)?, ..layout })
    }

    fn number(&self, at: u64, width: usize) -> Result<u64, Flaw> {
        let bytes = part(self.file, usize::try_from(at).map_err(|_| Flaw::Truncated)?, width)?;
        let join = |value: u64, &byte: &u8| value << 8 | u64::from(byte);
        Ok(if self.big_endian { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) })
    }

    pub(super) fn directory(&self, at: u64) -> Result<Directory, Flaw> {
        let start = at + 2;
        let end = start + ENTRY * self.number(at, 2)?;
        let next = self.number(end, 4)?;
        let mut fields = Vec::new();
        for at in (start..end).step_by(ENTRY as usize) {
            let tag = self.number(at, 2)? as u16;
            let kind = self.number(at + 2, 2)? as u16;
            let width = match kind {
                1 | 6 => 1,
                3 | 8 => 2,
                4 | 9 | 11 => 4,
                12 => 8,
                _ => continue,
            };
            let count = self.number(at + 4, 4)?;
            // Up to four bytes stand in the entry itself.
            let at = if count * width as u64 <= 4 { at + 8 } else { self.number(at + 8, 4)? };
            fields.push(Field { tag, kind, width, count, at });
        }
        Ok(Directory { fields, next })
    }

    pub(super) fn numbers(&self, field: Field) -> Result<impl Iterator<Item = u64> + '_, Flaw> {
        if field.at + field.count * field.width as u64 > self.file.len() as u64 {
            return Err(Flaw::Truncated);
        }
        let at = move |index: u64| field.at + index * field.width as u64;
        Ok((0..field.count).map_while(move |index| self.number(at(index), field.width).ok()))
    }

    /// The first number of a field; `absent` where there is no such field.
    pub(super) fn first(&self, directory: &Directory, tag: u16, absent: u64) -> Result<u64, Flaw> {
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

    /// The file with another first number in a field.
    pub(super) fn with_first(&self, field: Field, value: u32) -> Vec<u8> {
        self.patched(field.at, field.width.min(4), value)
    }

    /// The file with another first page.
    pub(super) fn starting_with(&self, directory: u64) -> Vec<u8> {
        self.patched(4, 4, directory as u32)
    }

    fn patched(&self, at: u64, width: usize, value: u32) -> Vec<u8> {
        let (big, little) = (value.to_be_bytes(), value.to_le_bytes());
        let bytes = if self.big_endian { &big[4 - width..] } else { &little[..width] };
        let mut file = self.file.to_vec();
        file[at as usize..][..width].copy_from_slice(bytes);
        file
    }
}
