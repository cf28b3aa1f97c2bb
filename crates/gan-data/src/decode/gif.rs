//! GIF files: the walk over all blocks, and the first image.

use std::path::Path;

use weezl::BitOrder;
use weezl::decode::Decoder;

use super::Header;
use super::flaw::{Flaw, part};
use super::limits::{DecodeLimits, MOST_EXPANSION};
use crate::dynamic_image::Image;
use crate::error::Result;
use crate::raster::Raster;

/// Bytes of the signature and of the description of the canvas.
const HEADER: usize = 13;

/// Kinds of blocks.
const IMAGE: u8 = b',';
const EXTENSION: u8 = b'!';
const TRAILER: u8 = b';';
const GRAPHIC_CONTROL: u8 = 0xf9;

/// The first image of a file that is whole.
///
/// Source: CompuServe, *Graphics Interchange Format, version 89a* (1990).
pub(super) struct Gif<'a> {
    /// `(width, height)` of the canvas.
    size: (usize, usize),
    /// `(x, y, width, height)` of the image on it.
    frame: (usize, usize, usize, usize),
    /// Colours, three bytes each.
    palette: &'a [u8],
    /// Index of transparent pixels.
    transparent: Option<u8>,
    /// What the canvas shows around the image, where that is a colour.
    background: Option<&'a [u8]>,
    interlaced: bool,
    code_size: u8,
    blocks: Vec<&'a [u8]>,
    /// Bytes of the file.
    length: usize,
}

impl<'a> Gif<'a> {
    /// Walks over all blocks up to the trailer.
    pub(super) fn of(file: &'a [u8]) -> Result<Self, Flaw> {
        let head = part(file, 0, HEADER)?;
        let (global, mut at) = colour_table(file, HEADER, head[10])?;
        let mut transparent = None;
        let mut first = None;
        loop {
            let kind = part(file, at, 1)?[0];
            match kind {
                TRAILER => break,
                // Some writers end their data twice.
                0 => at += 1,
                EXTENSION => {
                    let (blocks, end) = sub_blocks(file, at + 2)?;
                    if part(file, at + 1, 1)?[0] == GRAPHIC_CONTROL
                        && first.is_none()
                        && let Some(&[flags, _, _, index]) = blocks.first()
                    {
                        transparent = (flags & 1 == 1).then_some(*index);
                    }
                    at = end;
                }
                IMAGE => {
                    let info = part(file, at + 1, 9)?;
                    let side = |at: usize| usize::from(u16::from_le_bytes([info[at], info[at + 1]]));
                    let (local, table_end) = colour_table(file, at + 10, info[8])?;
                    let code_size = part(file, table_end, 1)?[0];
                    let (blocks, end) = sub_blocks(file, table_end + 1)?;
                    let frame = (side(0), side(2), side(4), side(6));
                    first.get_or_insert((frame, local.or(global), info[8] & 0x40 != 0, code_size, blocks));
                    at = end;
                }
                _ => return Err(Flaw::Damaged("between its blocks there is something else")),
            }
        }
        let (frame, palette, interlaced, code_size, blocks) = first.ok_or(Flaw::Damaged("there is no image in it"))?;
        let palette = palette.ok_or(Flaw::Damaged("its palette is missing"))?;
        let side = |at: usize| usize::from(u16::from_le_bytes([head[at], head[at + 1]]));
        // Writers that leave the canvas empty, or too small, mean the image.
        let size = (side(6).max(frame.0 + frame.2), side(8).max(frame.1 + frame.3));
        let background = global.and_then(|table| table.get(3 * usize::from(head[11])..)?.get(..3));
        Ok(Gif { size, frame, palette, transparent, background, interlaced, code_size, blocks, length: file.len() })
    }

    /// What [`Gif::decode`] will make, if it is within the limits: colour, with alpha where what is behind the canvas may show.
    pub(super) fn header(&self, path: &Path, limits: &DecodeLimits) -> Result<Header> {
        let (width, height) = (self.size.0 as u32, self.size.1 as u32);
        let has_alpha = self.transparent.is_some() || self.frame != (0, 0, self.size.0, self.size.1);
        let channels = if has_alpha { 4 } else { 3 };
        let bytes = u64::from(width) * u64::from(height) * u64::from(channels);
        limits.check(path, width, height, bytes)?;
        limits.check_ratio(path, self.length as u64, bytes, MOST_EXPANSION)?;
        Ok(Header { width, height, channels, depth: 8 })
    }

    /// The canvas with the first image on it.
    pub(super) fn decode(&self, path: &Path, limits: &DecodeLimits) -> Result<Image> {
        let channels = usize::from(self.header(path, limits)?.channels);
        let (width, height) = self.size;
        let (left, top, columns, rows) = self.frame;
        let mut around = self.background.unwrap_or(&[0; 3]).to_vec();
        around.resize(channels, 0);
        let mut canvas = Raster::new(width, height, channels, around.repeat(width * height));
        let indices = self.indices(columns * rows).map_err(|flaw| flaw.of(path))?;
        for (row, line) in indices.chunks_exact(columns.max(1)).enumerate() {
            let y = top + if self.interlaced { interlaced(row, rows) } else { row };
            for (x, &index) in line.iter().enumerate() {
                let colour = self.palette.get(3 * usize::from(index)..).and_then(|rest| rest.get(..3));
                let missing = || Flaw::Damaged("a pixel has a colour that its palette lacks").of(path);
                let pixel = canvas.pixel_mut(left + x, y);
                if self.transparent == Some(index) {
                    // A transparent index may lie beyond the palette.
                    pixel[..3].copy_from_slice(colour.unwrap_or(&[0; 3]));
                    continue;
                }
                pixel[..3].copy_from_slice(colour.ok_or_else(missing)?);
                if let Some(alpha) = pixel.get_mut(3) {
                    *alpha = u8::MAX;
                }
            }
        }
        Ok(Image::U8(canvas))
    }

    /// The indices of the image in the order in which they are stored.
    fn indices(&self, count: usize) -> Result<Vec<u8>, Flaw> {
        if !(1..=8).contains(&self.code_size) {
            return Err(Flaw::Damaged("its codes have an impossible size"));
        }
        let mut decoder = Decoder::new(BitOrder::Lsb, self.code_size);
        let mut indices = vec![0; count];
        let mut done = 0;
        for block in &self.blocks {
            let mut input = *block;
            while done < count && !input.is_empty() {
                let step = decoder.decode_bytes(input, &mut indices[done..]);
                step.status.map_err(|_| Flaw::Damaged("its image data are damaged"))?;
                if (step.consumed_in, step.consumed_out) == (0, 0) {
                    return Err(Flaw::Truncated);
                }
                input = &input[step.consumed_in..];
                done += step.consumed_out;
            }
        }
        // The last codes may still be in the decoder.
        while done < count {
            let step = decoder.decode_bytes(&[], &mut indices[done..]);
            if step.status.is_err() || step.consumed_out == 0 {
                return Err(Flaw::Truncated);
            }
            done += step.consumed_out;
        }
        Ok(indices)
    }
}

/// The row of the image that is stored as number `stored` of `rows`: every eighth, then those between, and so on.
fn interlaced(stored: usize, rows: usize) -> usize {
    let mut before = 0;
    for (start, step) in [(0, 8), (4, 8), (2, 4), (1, 2)] {
        let count = rows.saturating_sub(start).div_ceil(step);
        if stored < before + count {
            return start + (stored - before) * step;
        }
        before += count;
    }
    stored
}

/// The colour table at a place, if the flags say that there is one, and where it ends.
fn colour_table(file: &[u8], at: usize, flags: u8) -> Result<(Option<&[u8]>, usize), Flaw> {
    if flags & 0x80 == 0 {
        return Ok((None, at));
    }
    let length = 3 << ((flags & 7) + 1);
    Ok((Some(part(file, at, length)?), at + length))
}

/// The data blocks at a place, and where they end.
fn sub_blocks(file: &[u8], mut at: usize) -> Result<(Vec<&[u8]>, usize), Flaw> {
    let mut blocks = Vec::new();
    loop {
        let length = usize::from(part(file, at, 1)?[0]);
        if length == 0 {
            return Ok((blocks, at + 1));
        }
        blocks.push(part(file, at + 1, length)?);
        at += 1 + length;
    }
}
