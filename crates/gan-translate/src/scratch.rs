//! Where results of layers go that memory has no room for: files without names, or the memory of the host.

use crate::limit::ScratchSpace;
use gan_layers::bands::{Scratch, ScratchFile};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// What a limit allows.
pub(crate) fn scratch(space: &ScratchSpace) -> Box<dyn Scratch + '_> {
    match space {
        ScratchSpace::Folder(folder) => Box::new(Files(folder)),
        ScratchSpace::HostMemory => Box::new(HostMemory),
    }
}

struct Files<'a>(&'a Path);

impl Scratch for Files<'_> {
    fn file(&self) -> io::Result<Box<dyn ScratchFile>> {
        let file = gan_fs::unnamed_file(self.0).map_err(|error| of_folder(self.0, &error))?;
        Ok(Box::new(Unnamed { file, folder: self.0.to_owned() }))
    }
}

struct Unnamed {
    file: File,
    folder: PathBuf,
}

impl ScratchFile for Unnamed {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.file.seek(SeekFrom::End(0)).and_then(|_| self.file.write_all(bytes));
        written.map_err(|error| of_folder(&self.folder, &error))
    }

    fn read_at(&mut self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let read = self.file.seek(SeekFrom::Start(offset)).and_then(|_| self.file.read_exact(bytes));
        read.map_err(|error| of_folder(&self.folder, &error))
    }
}

/// The same error, with the folder of the file, which has no name.
fn of_folder(folder: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("a scratch file in {}: {error}", folder.display()))
}

struct HostMemory;

impl Scratch for HostMemory {
    fn file(&self) -> io::Result<Box<dyn ScratchFile>> {
        Ok(Box::new(Chunks::default()))
    }
}

/// Bytes in the chunks in which they came, and where each begins.
#[derive(Default)]
struct Chunks {
    chunks: Vec<(u64, Vec<u8>)>,
    len: u64,
}

impl ScratchFile for Chunks {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut chunk = Vec::new();
        // Who has no memory left is told so.
        chunk.try_reserve_exact(bytes.len())?;
        chunk.extend_from_slice(bytes);
        self.chunks.push((self.len, chunk));
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn read_at(&mut self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let (mut at, mut to) = (offset, bytes);
        while !to.is_empty() {
            let chunk = self.chunks.partition_point(|(start, _)| *start <= at).checked_sub(1).map(|i| &self.chunks[i]);
            let rest = chunk.and_then(|(start, chunk)| chunk.get((at - start) as usize..)).unwrap_or_default();
            if rest.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let count = rest.len().min(to.len());
            to[..count].copy_from_slice(&rest[..count]);
            (at, to) = (at + count as u64, &mut to[count..]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn both_kinds_hold_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        for space in [ScratchSpace::HostMemory, ScratchSpace::Folder(folder.path().to_owned())] {
            let mut file = scratch(&space).file().unwrap();
            for part in [&b"one"[..], b"two", b"", b"three"] {
                file.append(part).unwrap();
            }
            let mut read = [0; 7];
            file.read_at(2, &mut read).unwrap();
            assert_eq!(&read, b"etwothr", "{space}");
            file.read_at(4, &mut read).unwrap();
            assert_eq!(&read, b"wothree", "{space}");
            assert!(file.read_at(5, &mut read).is_err(), "{space}");
        }
        let error = scratch(&ScratchSpace::Folder(folder.path().join("none"))).file().err().unwrap().to_string();
        assert!(error.contains("a scratch file in") && error.contains("none"), "{error}");
    }
}
