//! How many images one file holds: pages of a TIFF, frames of an animated PNG, WebP or GIF. Of frames only the first is ever used.

use std::io::{BufReader, Cursor, Read, Result, Seek, SeekFrom};
use std::path::Path;

use rayon::prelude::*;

use crate::image_file::ImageFile;
use crate::image_name::extension;

/// Endings of formats that may hold several images, in lower case.
const CANDIDATES: [&str; 5] = ["png", "webp", "gif", "tif", "tiff"];

/// Names spelt out in a note.
const NAMES_SHOWN: usize = 3;

/// More pages than this are not counted: a damaged file may chain its pages in a circle.
const MOST: usize = 1 << 16;

/// Number of images in the file `bytes`: 1 for formats that hold one, and where the structure cannot be followed.
/// Nothing is decoded.
#[must_use]
pub fn pages(bytes: &[u8]) -> usize {
    count(&mut Cursor::new(bytes))
}

/// One sentence about the files that have further pages. Reads headers of files whose names promise such a format.
pub(crate) fn note(files: &[ImageFile]) -> Option<String> {
    let several = files.par_iter().map(|file| (pages_of(&file.path), file)).filter(|(pages, _)| *pages > 1);
    sentence(&several.map(|(pages, file)| named(&file.name(), pages)).collect::<Vec<_>>())
}

/// The same sentence about files that were named one by one.
#[must_use]
pub fn pages_note<'a>(files: impl IntoIterator<Item = &'a Path>) -> Option<String> {
    let files: Vec<&Path> = files.into_iter().collect();
    let several = files.into_par_iter().map(|path| (pages_of(path), path)).filter(|(pages, _)| *pages > 1);
    sentence(&several.map(|(pages, path)| named(&path.display().to_string(), pages)).collect::<Vec<_>>())
}

/// A file and how much of it is used.
pub(crate) fn named(name: &str, pages: usize) -> String {
    format!("{name}: 1 of {pages}")
}

/// What to say about files, by their names, that have further pages.
pub(crate) fn sentence(names: &[String]) -> Option<String> {
    if names.is_empty() {
        return None;
    }
    let more = names.len().saturating_sub(NAMES_SHOWN);
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    let listed = names.iter().take(NAMES_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    let have = if names.len() == 1 { "1 file has".to_owned() } else { format!("{} files have", names.len()) };
    Some(format!("{have} further pages or frames; the first is used ({listed}{tail})"))
}

fn pages_of(path: &Path) -> usize {
    if extension(path).is_some_and(|e| CANDIDATES.contains(&e.as_str())) { of_file(path) } else { 1 }
}

/// Number of pages of a TIFF; 1 for files of other formats, whose frames are not to be had, and for what cannot be read.
#[must_use]
pub fn tiff_pages(path: &Path) -> usize {
    let is_tiff = extension(path).is_some_and(|extension| matches!(&*extension, "tif" | "tiff"));
    if is_tiff { of_file(path) } else { 1 }
}

/// As [`pages`], of a file; only headers are read.
pub(crate) fn of_file(path: &Path) -> usize {
    gan_fs::open_regular(path).map_or(1, |(file, _)| count(&mut BufReader::with_capacity(512, file)))
}

fn count(source: &mut (impl Read + Seek)) -> usize {
    let mut head = [0; 8];
    let found = source.read_exact(&mut head).and_then(|()| match &head {
        b"\x89PNG\r\n\x1a\n" => png(source),
        [b'R', b'I', b'F', b'F', ..] => webp(source),
        [b'G', b'I', b'F', b'8', ..] => gif(source),
        [b'I', b'I', 42 | 43, 0, ..] => tiff(source, false, head[2] == 43),
        [b'M', b'M', 0, 42 | 43, ..] => tiff(source, true, head[3] == 43),
        _ => Ok(1),
    });
    found.map_or(1, |pages| pages.max(1))
}

/// The frames that `acTL` announces; it stands before the first pixels.
fn png(source: &mut (impl Read + Seek)) -> Result<usize> {
    for _ in 0..MOST {
        let (length, kind) = (u32_be(source)?, bytes::<4>(source)?);
        match &kind {
            b"acTL" => return Ok(u32_be(source)? as usize),
            b"IDAT" | b"IEND" => break,
            _ => source.seek_relative(i64::from(length) + 4)?,
        }
    }
    Ok(1)
}

/// The `ANMF` chunks of an animation.
fn webp(source: &mut (impl Read + Seek)) -> Result<usize> {
    if &bytes::<4>(source)? != b"WEBP" {
        return Ok(1);
    }
    let mut frames = 0;
    for _ in 0..MOST {
        let Ok(kind) = bytes::<4>(source) else { break };
        let Ok(length) = bytes::<4>(source).map(u32::from_le_bytes) else { break };
        match &kind {
            b"VP8 " | b"VP8L" => break,
            b"ANMF" => frames += 1,
            _ => {}
        }
        source.seek_relative(i64::from(length) + i64::from(length % 2))?;
    }
    Ok(frames)
}

/// The images on the canvas.
fn gif(source: &mut (impl Read + Seek)) -> Result<usize> {
    let skip_table = |source: &mut _, flags: u8| {
        let length = if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
        Seek::seek_relative(source, length)
    };
    let canvas = bytes::<5>(source)?;
    skip_table(source, canvas[2])?;
    let mut frames = 0;
    for _ in 0..MOST {
        match bytes::<1>(source) {
            Ok([b',']) => {
                let image = bytes::<9>(source)?;
                skip_table(source, image[8])?;
                frames += 1;
            }
            Ok([b'!']) => {}
            _ => break,
        }
        // The size of codes, or the kind of an extension; then the blocks of data.
        source.seek_relative(1)?;
        loop {
            match bytes::<1>(source)? {
                [0] => break,
                [length] => source.seek_relative(length.into())?,
            }
        }
    }
    Ok(frames)
}

/// The directories that hold images of their own; reduced copies of a page do not count.
fn tiff(source: &mut (impl Read + Seek), big_endian: bool, big: bool) -> Result<usize> {
    let read = |source: &mut _, size: usize| number(source, size, big_endian);
    let (wide, count_size, entry) = if big { (8, 8, 20) } else { (4, 2, 12) };
    source.seek(SeekFrom::Start(if big { 8 } else { 4 }))?;
    let mut next = read(source, wide)?;
    let mut pages = 0;
    // Directories may be chained in a circle, and overlap: what is read in all of them together is bounded.
    let mut left = MOST as u64;
    while next != 0 && left > 0 {
        left -= 1;
        // A directory that lies beyond the end is left to the decoder.
        let Ok(entries) = source.seek(SeekFrom::Start(next)).and_then(|_| read(source, count_size)) else { break };
        let mut reduced = false;
        for _ in 0..entries {
            left = left.saturating_sub(1);
            if left == 0 {
                return Ok(pages);
            }
            let Ok(tag) = read(source, 2) else { return Ok(pages) };
            if tag == 254 {
                source.seek_relative(entry - 2 - wide as i64)?;
                reduced = read(source, 4)? & 1 == 1;
                source.seek_relative(wide as i64 - 4)?;
            } else {
                source.seek_relative(entry - 2)?;
            }
        }
        pages += usize::from(!reduced);
        next = read(source, wide).unwrap_or(0);
    }
    Ok(pages)
}

fn bytes<const N: usize>(source: &mut impl Read) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    source.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn u32_be(source: &mut impl Read) -> Result<u32> {
    bytes::<4>(source).map(u32::from_be_bytes)
}

/// An unsigned number of up to eight bytes.
fn number(source: &mut impl Read, size: usize, big_endian: bool) -> Result<u64> {
    let mut bytes = [0; 8];
    source.read_exact(&mut bytes[..size])?;
    if big_endian {
        bytes[..size].reverse();
    }
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn chunk(kind: &[u8], data: &[u8]) -> Vec<u8> {
        [&(data.len() as u32).to_be_bytes(), kind, data, &[0; 4]].concat()
    }

    #[test]
    fn frames_of_animated_pngs_are_counted() {
        let head = b"\x89PNG\r\n\x1a\n".to_vec();
        let animation = chunk(b"acTL", &[0, 0, 0, 7, 0, 0, 0, 0]);
        let still = [head.clone(), chunk(b"IHDR", &[0; 13]), chunk(b"IDAT", b""), animation.clone()].concat();
        assert_eq!(pages(&[head, chunk(b"IHDR", &[0; 13]), animation].concat()), 7);
        assert_eq!(pages(&still), 1, "after the pixels it means nothing");
    }

    #[test]
    fn frames_of_animated_webps_are_counted() {
        let chunk = |kind: &[u8], data: &[u8]| [kind, &(data.len() as u32).to_le_bytes(), data].concat();
        let file = |chunks: &[Vec<u8>]| [b"RIFF\0\0\0\0WEBP".to_vec(), chunks.concat()].concat();
        let frame = chunk(b"ANMF", &[0; 4]);
        assert_eq!(pages(&file(&[chunk(b"VP8X", &[0; 10]), chunk(b"ANIM", &[0; 6]), frame.clone(), frame])), 2);
        assert_eq!(pages(&file(&[chunk(b"VP8L", &[0; 3])])), 1);
    }

    /// A TIFF of directories that each hold the tag 254 with the given value; the last points to `last`.
    fn tiff_of(kinds: &[u32], last: u32, big_endian: bool) -> Vec<u8> {
        let two = |v: u16| if big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
        let four = |v: u32| if big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
        let mut file = [&(if big_endian { *b"MM" } else { *b"II" })[..], &two(42), &four(8)].concat();
        for (at, kind) in kinds.iter().enumerate() {
            let next = if at + 1 == kinds.len() { last } else { 8 + 18 * (at as u32 + 1) };
            file.extend([&two(1)[..], &two(254), &two(4), &four(1), &four(*kind), &four(next)].concat());
        }
        file
    }

    #[test]
    fn pages_of_tiffs_are_counted_and_circles_end() {
        for big_endian in [false, true] {
            assert_eq!(pages(&tiff_of(&[0], 0, big_endian)), 1);
            assert_eq!(pages(&tiff_of(&[2, 2, 2], 0, big_endian)), 3);
            assert_eq!(pages(&tiff_of(&[0, 1, 1], 0, big_endian)), 1, "reduced copies are no pages");
            assert_eq!(pages(&tiff_of(&[0, 0], 9999, big_endian)), 2);
            assert!(pages(&tiff_of(&[0, 0], 8, big_endian)) > 1);
        }
        for cut in 0..40 {
            assert!(pages(&tiff_of(&[0, 0], 0, true)[..cut]) <= 2);
        }
    }
}
