//! A file as a decoder sees it: some of its parts, with changes.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

/// Parts of an open file, one behind the other, in which some bytes are changed.
#[derive(Debug, Clone)]
pub(in crate::decode) struct Excerpt {
    file: Arc<File>,
    /// Each part, and where it begins in the excerpt.
    parts: Arc<Vec<(Range<u64>, u64)>>,
    /// Bytes that are read in place of those at a place of the excerpt.
    changes: Arc<Vec<(u64, Vec<u8>)>>,
    length: u64,
    at: u64,
}

impl Excerpt {
    /// From the beginning of these parts.
    pub(in crate::decode) fn new(
        file: Arc<File>,
        parts: impl IntoIterator<Item = Range<u64>>,
        changes: Vec<(u64, Vec<u8>)>,
    ) -> Self {
        let mut length = 0;
        let placed = parts.into_iter().map(|part| {
            let start = length;
            length += part.end - part.start;
            (part, start)
        });
        let parts = Arc::new(placed.collect());
        Excerpt { file, parts, changes: Arc::new(changes), length, at: 0 }
    }

    /// The same from its beginning.
    pub(in crate::decode) fn again(&self) -> Self {
        Excerpt { at: 0, ..self.clone() }
    }
}

impl Read for Excerpt {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.length || to.is_empty() {
            return Ok(0);
        }
        let index = self.parts.partition_point(|(_, start)| *start <= self.at) - 1;
        let (part, start) = &self.parts[index];
        let place = part.start + (self.at - start);
        let count = usize::try_from(part.end - place).map_or(to.len(), |left| left.min(to.len()));
        let mut file = &*self.file;
        file.seek(SeekFrom::Start(place))?;
        let count = file.read(&mut to[..count])?;
        for (from, bytes) in self.changes.iter() {
            for (i, &byte) in bytes.iter().enumerate() {
                let place = (from + i as u64).wrapping_sub(self.at);
                if place < count as u64 {
                    to[place as usize] = byte;
                }
            }
        }
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Excerpt {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (from, step) = match to {
            SeekFrom::Start(at) => {
                self.at = at;
                return Ok(at);
            }
            SeekFrom::End(step) => (self.length, step),
            SeekFrom::Current(step) => (self.at, step),
        };
        self.at = from.checked_add_signed(step).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write;

    #[test]
    fn parts_are_read_as_one_file() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789abcdef").unwrap();
        let mut excerpt = Excerpt::new(Arc::new(file), [0..3, 5..6, 10..14], vec![(2, b"XY".to_vec())]);
        let mut text = String::new();
        excerpt.read_to_string(&mut text).unwrap();
        assert_eq!(text, "01XYabcd");
        excerpt.seek(SeekFrom::End(-2)).unwrap();
        let mut rest = String::new();
        excerpt.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "cd");
        excerpt.seek(SeekFrom::Start(100)).unwrap();
        assert_eq!(excerpt.read(&mut [0; 4]).unwrap(), 0);
        assert!(excerpt.seek(SeekFrom::Current(-101)).is_err());
    }
}
