//! Writing the real file system.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use super::{Disk, Storage, StorageFile};

struct DiskFile(File);

impl Write for DiskFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl StorageFile for DiskFile {
    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_all()
    }
}

/// Opening a named pipe for writing would wait for a reader. A missing file is fine: it is about to be made.
fn require_regular(file: &Path) -> io::Result<()> {
    match gan_fs::regular_metadata(file) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map(drop),
    }
}

impl Storage for Disk {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir).map_err(|taken| match fs::metadata(dir) {
            // A link that leads in a loop is the reason, not that it is there.
            Err(error) if taken.kind() == io::ErrorKind::AlreadyExists && error.kind() != io::ErrorKind::NotFound => {
                error
            }
            _ => taken,
        })
    }

    fn create(&self, file: &Path) -> io::Result<Box<dyn StorageFile>> {
        require_regular(file)?;
        Ok(Box::new(DiskFile(File::create(file)?)))
    }

    fn append(&self, file: &Path, length: u64) -> io::Result<Box<dyn StorageFile>> {
        require_regular(file)?;
        let mut opened = OpenOptions::new().write(true).create(length == 0).truncate(false).open(file)?;
        if opened.metadata()?.len() < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        opened.set_len(length)?;
        opened.seek(SeekFrom::Start(length))?;
        Ok(Box::new(DiskFile(opened)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        gan_fs::sync_folder(dir)
    }

    fn remove_file(&self, file: &Path) -> io::Result<()> {
        fs::remove_file(file)
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::remove_dir_all(dir)
    }
}
