//! The segments in front of the first scan.

use std::borrow::Cow;

use image::metadata::Orientation;

use crate::decode::flaw::{Flaw, part};
use crate::decode::source::Source;

/// Markers without a segment.
pub(super) const START: u8 = 0xd8;
pub(super) const END: u8 = 0xd9;
/// Start of a scan: coded data follows its segment.
pub(super) const SCAN: u8 = 0xda;

const EXIF: &[u8] = b"Exif\0\0";

/// Up to this many bytes of side data, the file is not copied to leave them out.
const FEW: usize = 64 << 10;

/// A marker and what belongs to it.
pub(super) struct Segment<'a> {
    pub(super) marker: u8,
    pub(super) body: &'a [u8],
    /// Where the next segment, or coded data, begins.
    pub(super) end: usize,
}

/// The first segment at or behind `at`. Bytes in front of its marker are skipped, as decoders do.
pub(super) fn segment(file: &[u8], at: usize) -> Result<Segment<'_>, Flaw> {
    let mut at = at;
    loop {
        at += part(file, at, file.len().saturating_sub(at))?.iter().position(|&b| b == 0xff).ok_or(Flaw::Truncated)?;
        while *file.get(at).ok_or(Flaw::Truncated)? == 0xff {
            at += 1;
        }
        let marker = file[at];
        at += 1;
        match marker {
            // A stuffed byte of coded data, or a restart marker nobody waits for.
            0 | 0x01 | 0xd0..=0xd7 => {}
            START | END => return Ok(Segment { marker, body: &[], end: at }),
            _ => {
                let length = part(file, at, 2)?;
                let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
                let body = length.checked_sub(2).ok_or(Flaw::Damaged("a segment has no length"))?;
                return Ok(Segment { marker, body: part(file, at + 2, body)?, end: at + length });
            }
        }
    }
}

/// Leaves out the side data of the segments in front of the first scan: there, decoders collect them.
pub(in crate::decode) fn source(file: &[u8]) -> Result<Source<'_>, Flaw> {
    let mut kept = vec![part(file, 0, 2)?];
    let (mut at, mut orientation) = (2, None);
    loop {
        let segment = segment(file, at)?;
        match segment.marker {
            SCAN => break,
            END => return Err(Flaw::Damaged("it ends before its image data")),
            0xe1 => {
                if let Some(exif) = segment.body.strip_prefix(EXIF) {
                    orientation = Orientation::from_exif_chunk(exif);
                }
            }
            // Comments and application data, but for those of JFIF and Adobe, which say what the colours are.
            0xe2..=0xed | 0xef | 0xfe => {}
            _ => kept.push(&file[at..segment.end]),
        }
        at = segment.end;
    }
    let dropped = at - kept.iter().map(|part| part.len()).sum::<usize>();
    kept.push(&file[at..]);
    let bytes = if dropped > FEW { Cow::Owned(kept.concat()) } else { Cow::Borrowed(file) };
    Ok(Source { bytes, stored_orientation: orientation })
}
