//! Where results of layers go that memory has no room for: files without names, or the memory of the host.

use crate::limit::ScratchSpace;
use gan_layers::bands::{Scratch, ScratchFile};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// What a limit allows.
pub(crate) fn scratch(space: &ScratchSpace) -> Box<dyn Scratch + '_> {
    match space {
        ScratchSpace::Folder(folder) => Box::new(Files(folder)),
        ScratchSpace::HostMemory => Box::new(HostMemory),
    }
}

/// Whether files there give back the room of what is not needed any more.
pub(crate) fn frees(space: &ScratchSpace) -> bool {
    match space {
        ScratchSpace::Folder(folder) => gan_fs::unnamed_file(folder).is_ok_and(|file| free(&file, 0..BLOCK).is_ok()),
        ScratchSpace::HostMemory => true,
    }
}

/// Bytes that file systems give back at a time, and more.
const BLOCK: u64 = 1 << 16;

/// Makes a hole of a part of a file, which takes no room.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn free(file: &File, part: Range<u64>) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    Ok(fallocate(file, flags, part.start, part.end - part.start)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn free(_: &File, _: Range<u64>) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

struct Files<'a>(&'a Path);

impl Scratch for Files<'_> {
    fn file(&self) -> io::Result<Box<dyn ScratchFile>> {
        let file = gan_fs::unnamed_file(self.0).map_err(|error| of_folder(self.0, &error))?;
        Ok(Box::new(Unnamed { file, folder: self.0.to_owned(), freed: 0 }))
    }
}

struct Unnamed {
    file: File,
    folder: PathBuf,
    freed: u64,
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

    fn free_before(&mut self, offset: u64) {
        let end = offset / BLOCK * BLOCK;
        // Where it cannot be done, the plan does not count with it.
        if end > self.freed && free(&self.file, self.freed..end).is_ok() {
            self.freed = end;
        }
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
    chunks: VecDeque<(u64, Vec<u8>)>,
    len: u64,
}

impl ScratchFile for Chunks {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut chunk = Vec::new();
        // Who has no memory left is told so.
        chunk.try_reserve_exact(bytes.len())?;
        chunk.extend_from_slice(bytes);
        self.chunks.push_back((self.len, chunk));
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

    fn free_before(&mut self, offset: u64) {
        while self.chunks.front().is_some_and(|(start, chunk)| start + chunk.len() as u64 <= offset) {
            self.chunks.pop_front();
        }
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
            file.free_before(6);
            let mut rest = [0; 5];
            file.read_at(6, &mut rest).unwrap();
            assert_eq!(&rest, b"three", "{space}");
        }
        let error = scratch(&ScratchSpace::Folder(folder.path().join("none"))).file().err().unwrap().to_string();
        assert!(error.contains("a scratch file in") && error.contains("none"), "{error}");
    }

    /// A file system that makes no holes says so, and is not counted with.
    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_not_needed_takes_no_room() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let can = free(&gan_fs::unnamed_file(folder.path()).unwrap(), 0..BLOCK).is_ok();
        assert_eq!(frees(&ScratchSpace::Folder(folder.path().to_owned())), can);
        assert!(frees(&ScratchSpace::HostMemory));
        if !can {
            return;
        }
        let file = gan_fs::unnamed_file(folder.path()).unwrap();
        let taken = file.try_clone().unwrap();
        let mut file = Unnamed { file, folder: folder.path().to_owned(), freed: 0 };
        file.append(&[7; 40 * BLOCK as usize]).unwrap();
        taken.sync_all().unwrap();
        let before = taken.metadata().unwrap().blocks() * 512;
        file.free_before(30 * BLOCK + 1);
        let after = taken.metadata().unwrap().blocks() * 512;
        assert!(after + 30 * BLOCK <= before, "{before} bytes, then {after}");
        let mut rest = [0; 100];
        file.read_at(30 * BLOCK, &mut rest).unwrap();
        assert_eq!(rest, [7; 100]);
        // A second time, behind what is gone already, and no further than it was told.
        file.free_before(35 * BLOCK);
        let after = taken.metadata().unwrap().blocks() * 512;
        assert!(after + 35 * BLOCK <= before, "{before} bytes, then {after}");
        let mut rest = vec![0; 5 * BLOCK as usize];
        file.read_at(35 * BLOCK, &mut rest).unwrap();
        assert!(rest.iter().all(|&byte| byte == 7));
    }
}
