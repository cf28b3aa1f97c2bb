//! The chunks of a WebP file.

use std::borrow::Cow;

use image::metadata::Orientation;

use super::flaw::{Flaw, part};
use super::source::Source;

/// Bytes of a chunk's type and size.
const HEADER: usize = 8;

/// In an `ANMF` chunk, bytes of the frame's place, size and duration; the chunks of the frame follow.
const FRAME_INFO: usize = 16;

/// Width and height in pixels.
type Extent = (u32, u32);

/// Walks over all chunks, those of all frames included. Nothing is left out: the decoder reads side data only when it is asked
/// to, and nothing in this format is compressed but pixels.
pub(super) fn source(file: &[u8]) -> Result<Source<'_>, Flaw> {
    let riff = little_endian(part(file, 4, 4)?) as usize;
    let end = HEADER.saturating_add(riff);
    // Some writers leave out the last byte, which only makes the length even.
    if end > file.len() + 1 {
        return Err(Flaw::Truncated);
    } else if end < 12 + HEADER {
        return Err(Flaw::Damaged("its header leaves no room for an image"));
    }
    let body = &file[..end.min(file.len())];
    let (mut at, mut canvas, mut orientation) = (12, None, None);
    while at + HEADER <= body.len() {
        let (kind, data) = chunk(body, at)?;
        match kind {
            b"VP8X" => canvas = Some(extent(part(data, 4, 6)?)),
            b"VP8 " => lossy(data, canvas)?,
            b"ANMF" => frame(data)?,
            b"EXIF" if orientation.is_none() => orientation = Orientation::from_exif_chunk(data),
            _ => {}
        }
        at += HEADER + data.len().next_multiple_of(2);
    }
    Ok(Source { bytes: Cow::Borrowed(file), stored_orientation: orientation })
}

/// One frame of an animation.
fn frame(data: &[u8]) -> Result<(), Flaw> {
    let size = extent(part(data, 6, 6)?);
    let mut at = FRAME_INFO;
    while at + HEADER <= data.len() {
        let (kind, inner) = chunk(data, at)?;
        if kind == b"VP8 " {
            lossy(inner, Some(size))?;
        }
        at += HEADER + inner.len().next_multiple_of(2);
    }
    Ok(())
}

/// Refuses a lossy image of another size than the file announces: the decoder takes memory for it before it compares the two.
fn lossy(data: &[u8], announced: Option<Extent>) -> Result<(), Flaw> {
    let sides = part(data, 6, 4)?;
    let side = |at: usize| u32::from(u16::from_le_bytes([sides[at], sides[at + 1]]) & 0x3fff);
    if announced.is_some_and(|announced| announced != (side(0), side(2))) {
        return Err(Flaw::Damaged("its header and its image data differ in size"));
    }
    Ok(())
}

/// Two sides of 24 bits, each stored one lower.
fn extent(sides: &[u8]) -> Extent {
    let side = |at: usize| u32::from_le_bytes([sides[at], sides[at + 1], sides[at + 2], 0]) + 1;
    (side(0), side(3))
}

fn chunk(within: &[u8], at: usize) -> Result<(&[u8], &[u8]), Flaw> {
    let length = little_endian(part(within, at + 4, 4)?) as usize;
    Ok((part(within, at, 4)?, part(within, at + HEADER, length)?))
}

fn little_endian(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte))
}
