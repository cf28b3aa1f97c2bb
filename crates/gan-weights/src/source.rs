//! The bytes of a weight file, of which parts are read when they are needed.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::time::SystemTime;

use crate::limits::MAX_FILE;

/// A weight file: its bytes, or the open file.
#[derive(Debug)]
pub(crate) enum Source<'a> {
    Memory(&'a [u8]),
    File {
        file: File,
        /// Its bytes when it was opened, and when it had been written to.
        length: usize,
        modified: Option<SystemTime>,
    },
}

impl Source<'_> {
    /// Opens the regular file at `path`, of at most [`MAX_FILE`].
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let (file, metadata) = gan_fs::open_regular(path)?;
        let length = usize::try_from(metadata.len()).ok().filter(|&length| length as u64 <= MAX_FILE);
        let too_large = || io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {MAX_FILE} bytes"));
        Ok(Self::File { file, length: length.ok_or_else(too_large)?, modified: metadata.modified().ok() })
    }

    /// The number of its bytes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len(),
            Self::File { length, .. } => *length,
        }
    }

    /// The bytes of `range`, which lies within it.
    pub(crate) fn read(&self, range: Range<usize>) -> io::Result<Cow<'_, [u8]>> {
        if let Self::Memory(bytes) = self {
            return Ok(Cow::Borrowed(&bytes[range]));
        }
        let mut bytes = vec![0; range.len()];
        self.reader(range).read_exact(&mut bytes)?;
        Ok(Cow::Owned(bytes))
    }

    /// The bytes of `range`, which lies within it; those of a file are read into `buffer`.
    pub(crate) fn read_into<'s>(&'s self, range: Range<usize>, buffer: &'s mut Vec<u8>) -> io::Result<&'s [u8]> {
        if let Self::Memory(bytes) = self {
            return Ok(&bytes[range]);
        }
        if buffer.len() < range.len() {
            *buffer = vec![0; range.len()];
        }
        let bytes = &mut buffer[..range.len()];
        self.reader(range).read_exact(bytes)?;
        Ok(bytes)
    }

    /// A buffer for pieces of up to `largest` bytes.
    pub(crate) fn buffer(&self, largest: usize) -> Vec<u8> {
        match self {
            Self::Memory(_) => Vec::new(),
            Self::File { .. } => vec![0; largest],
        }
    }

    /// Its first `count` bytes, or all.
    pub(crate) fn head(&self, count: usize) -> io::Result<Cow<'_, [u8]>> {
        self.read(0..count.min(self.len()))
    }

    /// Reads the bytes of `range`, which lies within it, one after the other.
    pub(crate) fn reader(&self, range: Range<usize>) -> Reader<'_> {
        Reader { source: self, range }
    }

    /// Refuses a file that is not as it was when it was opened.
    pub(crate) fn check_unchanged(&self) -> io::Result<()> {
        let Self::File { file, length, modified } = self else { return Ok(()) };
        let now = file.metadata()?;
        if (now.len(), now.modified().ok()) == (*length as u64, *modified) {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::ResourceBusy, "it was written to while it was read"))
    }
}

/// Bytes of a [`Source`]. Readers of one source do not disturb each other.
#[derive(Debug)]
pub(crate) struct Reader<'s> {
    source: &'s Source<'s>,
    range: Range<usize>,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(self.range.len());
        let buffer = &mut buffer[..count];
        let read = match self.source {
            Source::Memory(bytes) => (&bytes[self.range.clone()]).read(buffer)?,
            Source::File { file, .. } => {
                let mut file = file;
                file.seek(SeekFrom::Start(self.range.start as u64))?;
                file.read(buffer)?
            }
        };
        self.range.start += read;
        Ok(read)
    }
}
