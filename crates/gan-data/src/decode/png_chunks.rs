//! The chunks of a PNG file.

use std::borrow::Cow;
use std::ops::Range;

use image::metadata::Orientation;

use super::bytes::Bytes;
use super::flaw::Flaw;
use super::source::Source;

const SIGNATURE: u64 = 8;

/// Length, type and checksum of a chunk.
const FRAME: u64 = 12;

/// The largest orientation that is looked at, in bytes: EXIF data of a megabyte hold one, too, but nobody writes that.
const LARGEST_EXIF: u64 = 1 << 20;

/// What of a file makes pixels.
pub(super) struct Chunks {
    /// These parts, in order; those that touch are one.
    pub(super) kept: Vec<Range<u64>>,
    /// Whether there is anything else.
    dropped: bool,
    pub(super) orientation: Option<Orientation>,
}

/// Walks over all chunks up to the last. Of an animation, the first image makes pixels.
pub(super) fn walk<B: ?Sized + Bytes>(file: &B) -> Result<Chunks, Flaw> {
    let mut chunks = Chunks { kept: Vec::new(), dropped: false, orientation: None };
    if file.length() < SIGNATURE {
        return Err(Flaw::Truncated);
    }
    chunks.keep(0..SIGNATURE);
    let mut at = SIGNATURE;
    loop {
        let mut header = [0; 8];
        file.read(at, &mut header)?;
        let [a, b, c, d, kind @ ..] = header;
        let length = u64::from(u32::from_be_bytes([a, b, c, d]));
        let end = at + length + FRAME;
        if end > file.length() {
            return Err(Flaw::Truncated);
        }
        if &kind == b"eXIf" && chunks.orientation.is_none() && length <= LARGEST_EXIF {
            let mut exif = vec![0; length as usize];
            file.read(at + 8, &mut exif)?;
            chunks.orientation = Orientation::from_exif_chunk(&exif);
        }
        if makes_pixels(kind) {
            chunks.keep(at..end);
        } else {
            chunks.dropped = true;
        }
        at = end;
        if &kind == b"IEND" {
            return Ok(chunks);
        }
    }
}

/// The file without what makes no pixels.
pub(super) fn source(file: &[u8]) -> Result<Source<'_>, Flaw> {
    let chunks = walk(file)?;
    // They lie within the file.
    let part = |range: &Range<u64>| &file[range.start as usize..range.end as usize];
    let bytes = match chunks.dropped {
        true => Cow::Owned(chunks.kept.iter().map(part).collect::<Vec<_>>().concat()),
        false => Cow::Borrowed(file),
    };
    Ok(Source { bytes, stored_orientation: chunks.orientation })
}

impl Chunks {
    fn keep(&mut self, part: Range<u64>) {
        match self.kept.last_mut() {
            Some(last) if last.end == part.start => last.end = part.end,
            _ => self.kept.push(part),
        }
    }
}

/// Critical chunks have a capital first letter; of the others only transparency changes pixels.
fn makes_pixels(kind: [u8; 4]) -> bool {
    kind[0].is_ascii_uppercase() || &kind == b"tRNS"
}
