//! The data directory: what is there, whether it is intact, and how something new is put there.
//!
//! ```text
//! DIR/datasets/NAME/…            DIR/weights/NAME.safetensors      what gan-cli looks for
//! DIR/fetch.lock.toml            what was fetched, and its hashes
//! DIR/.fetch/lock                held by the fetcher at work
//! DIR/.fetch/parts/              half-fetched files
//! DIR/.fetch/staging/            where archives are unpacked before they are moved into place
//! DIR/.fetch/listings/NAME       size and path of each file of a dataset
//! DIR/.fetch/replaced/           damaged things that made room for new ones
//! ```

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use gan_fs::{Durability, FileLock, LockError, read_regular};

use crate::catalog::Entry;
use crate::download::Fetched;
use crate::error::{Error, Result};
use crate::lock_file::{LockFile, Record};
use crate::part::Part;
use crate::progress::Reporter;
use crate::{digest, disk, subset, unpack};

/// The most bytes that the listing of a dataset's files may have.
const MAX_LISTING: u64 = 1 << 28;

/// What is at an entry's place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum State {
    Absent,
    /// As it was when it was fetched.
    Intact,
    /// Something that was not fetched: the user's own.
    Unverified,
    /// Fetched once, but changed since; says how.
    Damaged(String),
}

/// How closely to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// Names and sizes.
    Quick,
    /// Hashes of single files too.
    Full,
}

/// A data directory.
#[derive(Debug)]
pub(crate) struct Store {
    dir: PathBuf,
    lock: LockFile,
}

impl Store {
    /// # Errors
    /// When the lock file is damaged.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        Ok(Self { dir: dir.to_path_buf(), lock: LockFile::read(dir)? })
    }

    /// Locks `DIR/.fetch`, which is created if need be: one process at a time changes a data directory.
    ///
    /// # Errors
    /// [`Error::Busy`] when another process holds the lock.
    pub(crate) fn lock(dir: &Path) -> Result<FileLock> {
        let workshop = dir.join(".fetch");
        fs::create_dir_all(&workshop).map_err(Error::io("create", &workshop))?;
        let lock = FileLock::path_in(&workshop);
        FileLock::acquire(&workshop).map_err(|error| match error {
            LockError::Held { process } => Error::Busy { process, lock },
            LockError::Io(error) => Error::io("lock", lock)(error),
        })
    }

    pub(crate) fn path(&self, entry: &Entry) -> PathBuf {
        self.dir.join(entry.stored())
    }

    pub(crate) fn part(&self, entry: &Entry) -> Part {
        Part::new(&self.dir.join(".fetch/parts"), &entry.name)
    }

    pub(crate) fn record(&self, entry: &Entry) -> Option<&Record> {
        self.lock.get(entry.kind, &entry.name)
    }

    fn listing(&self, entry: &Entry) -> PathBuf {
        self.dir.join(".fetch/listings").join(&entry.name)
    }

    /// Looks at an entry's place.
    pub(crate) fn state(&self, entry: &Entry, look: Look) -> Result<State> {
        let path = self.path(entry);
        let Ok(meta) = fs::metadata(&path) else { return Ok(State::Absent) };
        let Some(record) = self.record(entry) else { return Ok(State::Unverified) };
        if meta.is_dir() {
            return Ok(self.folder_state(entry, record));
        }
        if meta.len() != record.stored_bytes {
            return Ok(State::Damaged(format!("it has {} bytes instead of {}", meta.len(), record.stored_bytes)));
        }
        if look == Look::Full {
            let sha256 = digest::of_file(&path, |_| {}).map_err(Error::io("read", &path))?.sha256;
            if sha256 != record.stored_sha256 {
                return Ok(State::Damaged("its hash has changed".into()));
            }
        }
        Ok(State::Intact)
    }

    /// Files that were added are no damage; a file that is gone or has another size is.
    fn folder_state(&self, entry: &Entry, record: &Record) -> State {
        let Some(listing) =
            read_regular(&self.listing(entry), MAX_LISTING).ok().and_then(|b| String::from_utf8(b).ok())
        else {
            return State::Damaged("the listing of its files is gone".into());
        };
        if digest::sha256(listing.as_bytes()) != record.stored_sha256 {
            return State::Damaged("the listing of its files has changed".into());
        }
        let root = self.path(entry);
        for line in listing.lines() {
            let Some((size, name)) = line.split_once('\t') else { continue };
            match fs::metadata(root.join(name)) {
                Err(_) => return State::Damaged(format!("{name} is missing")),
                Ok(meta) if meta.len().to_string() != size => {
                    return State::Damaged(format!("{name} has {} bytes instead of {size}", meta.len()));
                }
                Ok(_) => {}
            }
        }
        State::Intact
    }

    /// Puts what was fetched into its place: unpacked or cut down beside it first, then moved there in one rename.
    ///
    /// # Errors
    /// When the archive is refused, and on faults of the disk; the place is then as it was. A file that was refused is not kept, unless
    /// a published hash vouches for it: the next fetch asks the mirrors again.
    pub(crate) fn place(&mut self, entry: &Entry, fetched: &Fetched, progress: &mut Reporter<'_>) -> Result<Record> {
        let part = self.part(entry);
        let staging = self.dir.join(".fetch/staging").join(&entry.name);
        // The lock is held, so whatever is left there is of a fetch that was killed.
        remove_tree(&staging)?;
        fs::create_dir_all(&staging).map_err(Error::io("create", &staging))?;
        let placed = self.stage_and_move(entry, fetched, &part, &staging, progress);
        let swept = remove_tree(&staging);
        if matches!(&placed, Err(Error::Refused { .. })) && !fetched.vouched {
            part.discard().map_err(Error::io("remove", part.path()))?;
        }
        let record = placed?;
        swept?;
        part.discard().map_err(Error::io("remove", part.path()))?;
        Ok(record)
    }

    fn stage_and_move(
        &mut self,
        entry: &Entry,
        fetched: &Fetched,
        part: &Part,
        staging: &Path,
        progress: &mut Reporter<'_>,
    ) -> Result<Record> {
        let mut record = Record {
            url: fetched.url.clone(),
            bytes: fetched.bytes,
            sha256: fetched.sha256.clone(),
            stored: entry.stored(),
            stored_bytes: fetched.bytes,
            stored_files: 1,
            stored_sha256: fetched.sha256.clone(),
        };
        let staged = if entry.format.is_archive() {
            disk::require_room(staging, entry.unpacked_bytes.unwrap_or(0))?;
            progress.begin_unpacking(entry.unpacked_bytes);
            let root = unpack::unpack(entry, part.path(), staging, &mut |bytes| progress.advance(bytes))
                .map_err(|refusal| refusal.of("archive", &fetched.url))?;
            let mut files = Vec::new();
            list_files(&root, "", &mut files).map_err(Error::io("read", &root))?;
            files.sort_unstable();
            let mut listing = String::new();
            for (name, size) in &files {
                // Writing to a string does not fail.
                let _ = writeln!(listing, "{size}\t{name}");
            }
            record.stored_bytes = files.iter().map(|(_, size)| size).sum();
            record.stored_files = files.len() as u64;
            record.stored_sha256 = digest::sha256(listing.as_bytes());
            // Nobody hashes the files again: what the listing vouches for must be on the disk before the listing is.
            disk::sync_tree(&root).map_err(Error::io("flush", &root))?;
            let path = self.listing(entry);
            let folder = gan_fs::parent(&path);
            fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
            gan_fs::replace(&path, Durability::Flushed, |out| out.write_all(listing.as_bytes()))?;
            root
        } else if entry.keep.is_empty() {
            part.path().to_path_buf()
        } else {
            let target = staging.join("kept");
            subset::keep(part.path(), &target, &entry.keep).map_err(|refusal| refusal.of("file", &fetched.url))?;
            record.stored_bytes = fs::metadata(&target).map_err(Error::io("read", &target))?.len();
            record.stored_sha256 = digest::of_file(&target, |_| {}).map_err(Error::io("read", &target))?.sha256;
            target
        };
        let place = self.path(entry);
        let folder = gan_fs::parent(&place);
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        self.make_room(entry, &place, progress)?;
        // The record first: should the rename not happen, the entry counts as absent, and nothing unverified is left.
        self.lock.put(entry.kind, &entry.name, record.clone())?;
        fs::rename(&staged, &place).map_err(Error::io("replace", &place))?;
        gan_fs::sync_folder(folder).map_err(Error::io("flush", folder))?;
        Ok(record)
    }

    /// Moves what is there aside; nothing of the user's is ever deleted.
    fn make_room(&self, entry: &Entry, place: &Path, progress: &mut Reporter<'_>) -> Result<()> {
        if fs::symlink_metadata(place).is_err() {
            return Ok(());
        }
        let replaced = self.dir.join(".fetch/replaced");
        fs::create_dir_all(&replaced).map_err(Error::io("create", &replaced))?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        let aside = replaced.join(format!("{}-{now}", entry.name));
        fs::rename(place, &aside).map_err(Error::io("move aside", place))?;
        progress.note(&format!("the damaged one is now {}", aside.display()));
        Ok(())
    }
}

fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Every file below a folder: its path with `/` between the parts, and its size.
fn list_files(folder: &Path, prefix: &str, files: &mut Vec<(String, u64)>) -> io::Result<()> {
    for child in fs::read_dir(folder)? {
        let child = child?;
        let name = child.file_name();
        // Only names that are UTF-8 are unpacked.
        let name = name.to_str().ok_or(io::ErrorKind::InvalidData)?;
        let name = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
        let meta = child.metadata()?;
        if meta.is_dir() {
            list_files(&child.path(), &name, files)?;
        } else {
            files.push((name, meta.len()));
        }
    }
    Ok(())
}
