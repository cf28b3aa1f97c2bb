//! Where a TIFF file says that its pixels lie, and which of its pages is decoded.

use std::borrow::Cow;
use std::collections::HashSet;

use image::metadata::Orientation;

use super::layout::{Layout, changed};
use super::samples::{SAMPLES, Stored};
use crate::decode::bytes::Bytes;
use crate::decode::flaw::Flaw;
use crate::decode::source::Source;

const SUBFILE_TYPE: u16 = 254;
pub(super) const WIDTH: u16 = 256;
pub(super) const HEIGHT: u16 = 257;
pub(super) const STRIP_OFFSETS: u16 = 273;
const ORIENTATION: u16 = 274;
pub(super) const ROWS_PER_STRIP: u16 = 278;
pub(super) const STRIP_LENGTHS: u16 = 279;
const TILE_OFFSETS: u16 = 324;
const TILE_LENGTHS: u16 = 325;

/// A page of a file.
pub(in crate::decode) struct Page {
    /// Where its directory is.
    pub(in crate::decode) directory: u64,
    pub(in crate::decode) orientation: Option<Orientation>,
}

/// Checks that the strips and tiles of all pages lie within the file, and makes `page` (counted from 0) the first, which is the one
/// that decoders read. Nothing is left out: side data are not compressed, and the decoder reads them only when it is asked to.
pub(in crate::decode) fn source(file: &[u8], page: usize) -> Result<Source<'_>, Flaw> {
    let layout = Layout::of(file)?;
    let found = find(&layout, file.len() as u64, page)?;
    // Of strips that are stored as they are a decoder takes what it needs, even from behind their ends.
    let directory = layout.directory(found.directory)?;
    if let Some(stored) = Stored::of(&layout, &directory)?.filter(|stored| stored.raw) {
        let side = |tag, absent| Ok(layout.first(&directory, tag, absent)?.min(u64::from(u32::MAX)) as u32);
        let (width, height) = (side(WIDTH, 0)?, side(HEIGHT, 0)?);
        if !stored.strips_hold(width, height, side(ROWS_PER_STRIP, u64::from(u32::MAX))?) {
            return Err(Flaw::Truncated);
        }
    }
    let bytes = match page {
        0 => Cow::Borrowed(file),
        _ => Cow::Owned(changed(file, layout.change_start(found.directory))),
    };
    Ok(Source { bytes, stored_orientation: found.orientation })
}

/// The page of this number, in a file of `length` bytes of which all strips and tiles are there.
pub(in crate::decode) fn find<B: ?Sized + Bytes>(
    layout: &Layout<'_, B>,
    length: u64,
    page: usize,
) -> Result<Page, Flaw> {
    let mut next = layout.first_directory;
    let mut seen = HashSet::new();
    // Reduced copies of a page are no pages, but the first directory always is one.
    let mut pages = Vec::new();
    while next != 0 {
        if !seen.insert(next) {
            return Err(Flaw::Damaged("its pages are linked in a circle"));
        }
        let directory = layout.directory(next)?;
        let rows = layout.first(&directory, HEIGHT, 1)?.saturating_mul(layout.first(&directory, SAMPLES, 1)?);
        if rows > u64::from(u32::MAX) {
            // The decoder counts the strips of all planes in 32 bits, without a check.
            return Err(Flaw::Damaged("it claims more rows in all planes than a TIFF can have"));
        }
        for (offsets, lengths) in [(STRIP_OFFSETS, STRIP_LENGTHS), (TILE_OFFSETS, TILE_LENGTHS)] {
            let (Some(offsets), Some(lengths)) = (directory.field(offsets), directory.field(lengths)) else { continue };
            // One number after the other, where numbers may lie on a disk.
            let offsets: Vec<u64> = layout.numbers(offsets)?.collect();
            for (offset, count) in offsets.into_iter().zip(layout.numbers(lengths)?) {
                if offset.checked_add(count).is_none_or(|end| end > length) {
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
    Ok(Page { directory, orientation: Orientation::from_exif(orientation.min(255) as u8) })
}
