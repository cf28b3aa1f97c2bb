//! The chunks of a PNG file.

use std::borrow::Cow;

use image::metadata::Orientation;

use super::flaw::{Flaw, part};
use super::source::Source;

const SIGNATURE: usize = 8;

/// Length, type and checksum of a chunk.
const FRAME: usize = 12;

/// Walks over all chunks up to the last. Those that make no pixels are left out; of an animation that is all but the first
/// image.
pub(super) fn source(file: &[u8]) -> Result<Source<'_>, Flaw> {
    let mut kept = vec![part(file, 0, SIGNATURE)?];
    let (mut at, mut dropped, mut orientation) = (SIGNATURE, false, None);
    loop {
        let header = part(file, at, 8)?;
        let length = u32::from_be_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let kind = [header[4], header[5], header[6], header[7]];
        let chunk = part(file, at, length.saturating_add(FRAME))?;
        if &kind == b"eXIf" && orientation.is_none() {
            orientation = Orientation::from_exif_chunk(&chunk[8..8 + length]);
        }
        if makes_pixels(kind) {
            kept.push(chunk);
        } else {
            dropped = true;
        }
        at += chunk.len();
        if &kind == b"IEND" {
            break;
        }
    }
    let bytes = if dropped { Cow::Owned(kept.concat()) } else { Cow::Borrowed(file) };
    Ok(Source { bytes, stored_orientation: orientation })
}

/// Critical chunks have a capital first letter; of the others only transparency changes pixels.
fn makes_pixels(kind: [u8; 4]) -> bool {
    kind[0].is_ascii_uppercase() || &kind == b"tRNS"
}
