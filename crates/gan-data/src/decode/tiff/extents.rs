//! Where a TIFF file says that its pixels lie, and which of its pages is decoded.

use std::borrow::Cow;
use std::collections::HashSet;

use image::metadata::Orientation;

use super::layout::Layout;
use crate::decode::flaw::Flaw;
use crate::decode::source::Source;

const SUBFILE_TYPE: u16 = 254;
const STRIP_OFFSETS: u16 = 273;
const ORIENTATION: u16 = 274;
const STRIP_LENGTHS: u16 = 279;
const TILE_OFFSETS: u16 = 324;
const TILE_LENGTHS: u16 = 325;

/// Checks that the strips and tiles of all pages lie within the file, and makes `page` (counted from 0) the first, which is the one
/// that decoders read. Nothing is left out: side data are not compressed, and the decoder reads them only when it is asked to.
pub(in crate::decode) fn source(file: &[u8], page: usize) -> Result<Source<'_>, Flaw> {
    let layout = Layout::of(file)?;
    let mut next = layout.first_directory;
    let mut seen = HashSet::new();
    // Reduced copies of a page are no pages, but the first directory always is one.
    let mut pages = Vec::new();
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
        if pages.is_empty() || layout.first(&directory, SUBFILE_TYPE, 0)? & 1 == 0 {
            pages.push((next, layout.first(&directory, ORIENTATION, 1)?));
        }
        next = directory.next;
    }
    let Some(&(directory, orientation)) = pages.get(page) else {
        return Err(Flaw::NoPage { page, pages: pages.len() });
    };
    let bytes = match page {
        0 => Cow::Borrowed(file),
        _ => Cow::Owned(layout.starting_with(directory)),
    };
    Ok(Source { bytes, stored_orientation: Orientation::from_exif(orientation.min(255) as u8) })
}
