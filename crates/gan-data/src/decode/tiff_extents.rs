//! Where a TIFF file says that its pixels lie.

use std::borrow::Cow;
use std::collections::HashSet;

use image::metadata::Orientation;

use super::flaw::{Flaw, part};
use super::source::Source;

const STRIP_OFFSETS: u16 = 273;
const ORIENTATION: u16 = 274;
const STRIP_LENGTHS: u16 = 279;
const TILE_OFFSETS: u16 = 324;
const TILE_LENGTHS: u16 = 325;

/// Bytes of a directory's entry.
const ENTRY: u64 = 12;

/// Checks that the strips and tiles of all pages lie within the file. Nothing is left out: side data are not compressed, and the
/// decoder reads them only when it is asked to.
pub(super) fn source(file: &[u8]) -> Result<Source<'_>, Flaw> {
    let layout = Layout::of(file)?;
    let mut next = layout.first_directory;
    let (mut seen, mut orientation) = (HashSet::new(), None);
    while next != 0 {
        if !seen.insert(next) {
            return Err(Flaw::Damaged("its pages are linked in a circle"));
        }
        let directory = layout.directory(next)?;
        for (offsets, lengths) in [(STRIP_OFFSETS, STRIP_LENGTHS), (TILE_OFFSETS, TILE_LENGTHS)] {
            let (Some(offsets), Some(lengths)) = (directory.field(offsets), directory.field(lengths)) else { continue };
            for (offset, length) in layout.numbers(offsets)?.zip(layout.numbers(lengths)?) {
                if offset + length > file.len() as u64 {
                    return Err(Flaw::Truncated);
                }
            }
        }
        if seen.len() == 1
            && let Some(field) = directory.field(ORIENTATION)
        {
            let value = layout.numbers(field)?.next().unwrap_or(1);
            orientation = Orientation::from_exif(value.min(255) as u8);
        }
        next = directory.next;
    }
    Ok(Source { bytes: Cow::Borrowed(file), stored_orientation: orientation })
}

/// How numbers are stored in a file.
struct Layout<'a> {
    file: &'a [u8],
    big_endian: bool,
    first_directory: u64,
}

struct Directory {
    fields: Vec<Field>,
    next: u64,
}

/// An array of numbers somewhere in the file.
#[derive(Clone, Copy)]
struct Field {
    tag: u16,
    /// Bytes of one number.
    width: usize,
    count: u64,
    at: u64,
}

impl Directory {
    fn field(&self, tag: u16) -> Option<Field> {
        self.fields.iter().find(|field| field.tag == tag).copied()
    }
}

impl<'a> Layout<'a> {
    fn of(file: &'a [u8]) -> Result<Self, Flaw> {
        let layout = Layout { file, big_endian: part(file, 0, 2)? == b"MM", first_directory: 0 };
        Ok(Layout { first_directory: layout.number(4, 4)?, ..layout })
    }

    fn number(&self, at: u64, width: usize) -> Result<u64, Flaw> {
        let bytes = part(self.file, usize::try_from(at).map_err(|_| Flaw::Truncated)?, width)?;
        let join = |value: u64, &byte: &u8| value << 8 | u64::from(byte);
        Ok(if self.big_endian { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) })
    }

    fn directory(&self, at: u64) -> Result<Directory, Flaw> {
        let start = at + 2;
        let end = start + ENTRY * self.number(at, 2)?;
        let next = self.number(end, 4)?;
        let mut fields = Vec::new();
        for at in (start..end).step_by(ENTRY as usize) {
            let tag = self.number(at, 2)? as u16;
            let width = match self.number(at + 2, 2)? {
                1 => 1,
                3 => 2,
                4 => 4,
                _ => continue,
            };
            let count = self.number(at + 4, 4)?;
            // Up to four bytes stand in the entry itself.
            let at = if count * width as u64 <= 4 { at + 8 } else { self.number(at + 8, 4)? };
            fields.push(Field { tag, width, count, at });
        }
        Ok(Directory { fields, next })
    }

    fn numbers(&self, field: Field) -> Result<impl Iterator<Item = u64> + '_, Flaw> {
        if field.at + field.count * field.width as u64 > self.file.len() as u64 {
            return Err(Flaw::Truncated);
        }
        let at = move |index: u64| field.at + index * field.width as u64;
        Ok((0..field.count).map_while(move |index| self.number(at(index), field.width).ok()))
    }
}
