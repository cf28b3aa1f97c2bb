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
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use gan_fs::{Durability, read_regular};

use super::catalog::Entry;
use super::download::Fetched;
use super::lock_file::{LockFile, Record};
use super::part::Part;
use super::{subset, unpack};
use crate::{digest, disk};

/// The most bytes that the listing of a dataset's files may have.
const MAX_LISTING: u64 = 1 << 28;

/// What is at an entry's place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum State {
    Absent,
    /// As it was when it was fetched.
    Intact,
    /// Something that fetch-data did not put there: the user's own.
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

    /// `DIR/.fetch`, created if need be.
    pub(crate) fn workshop(dir: &Path) -> Result<PathBuf> {
        let workshop = dir.join(".fetch");
        fs::create_dir_all(&workshop)
            .with_context(|| format!("cannot create {}; give another --dir", workshop.display()))?;
        Ok(workshop)
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
            return self.folder_state(entry, record);
        }
        if meta.len() != record.stored_bytes {
            return Ok(State::Damaged(format!("it has {} bytes instead of {}", meta.len(), record.stored_bytes)));
        }
        if look == Look::Full {
            let sha256 =
                digest::of_file(&path, |_| {}).with_context(|| format!("cannot read {}", path.display()))?.sha256;
            if sha256 != record.stored_sha256 {
                return Ok(State::Damaged("its hash has changed".into()));
            }
        }
        Ok(State::Intact)
    }

    /// Files that were added are no damage; a file that is gone or has another size is.
    fn folder_state(&self, entry: &Entry, record: &Record) -> Result<State> {
        let Some(listing) =
            read_regular(&self.listing(entry), MAX_LISTING).ok().and_then(|b| String::from_utf8(b).ok())
        else {
            return Ok(State::Damaged("the listing of its files is gone".into()));
        };
        if digest::sha256(listing.as_bytes()) != record.stored_sha256 {
            return Ok(State::Damaged("the listing of its files has changed".into()));
        }
        let root = self.path(entry);
        for line in listing.lines() {
            let Some((size, name)) = line.split_once('\t') else { continue };
            match fs::metadata(root.join(name)) {
                Err(_) => return Ok(State::Damaged(format!("{name} is missing"))),
                Ok(meta) if meta.len().to_string() != size => {
                    return Ok(State::Damaged(format!("{name} has {} bytes instead of {size}", meta.len())));
                }
                Ok(_) => {}
            }
        }
        Ok(State::Intact)
    }

    /// Puts what was fetched into its place: unpacked or cut down beside it first, then moved there in one rename.
    ///
    /// # Errors
    /// When the archive is refused, and on faults of the disk; the place is then as it was.
    pub(crate) fn place(&mut self, entry: &Entry, fetched: &Fetched) -> Result<Record> {
        let part = self.part(entry);
        let staging = self.dir.join(".fetch/staging").join(&entry.name);
        // The lock is held, so whatever is left there is of a fetch that was killed.
        remove_tree(&staging)?;
        fs::create_dir_all(&staging).with_context(|| format!("cannot create {}", staging.display()))?;
        let placed = self.stage_and_move(entry, fetched, &part, &staging);
        let swept = remove_tree(&staging);
        let record = placed?;
        swept?;
        part.discard()?;
        Ok(record)
    }

    fn stage_and_move(&mut self, entry: &Entry, fetched: &Fetched, part: &Part, staging: &Path) -> Result<Record> {
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
            let root = unpack::unpack(entry, part.path(), staging)
                .with_context(|| format!("the archive from {} is refused", fetched.url))?;
            let mut files = Vec::new();
            list_files(&root, "", &mut files)?;
            files.sort_unstable();
            let mut listing = String::new();
            for (name, size) in &files {
                writeln!(listing, "{size}\t{name}")?;
            }
            record.stored_bytes = files.iter().map(|(_, size)| size).sum();
            record.stored_files = files.len() as u64;
            record.stored_sha256 = digest::sha256(listing.as_bytes());
            // Nobody hashes the files again: what the listing vouches for must be on the disk before the listing is.
            disk::sync_tree(&root).with_context(|| format!("cannot flush {}", root.display()))?;
            let path = self.listing(entry);
            fs::create_dir_all(self.dir.join(".fetch/listings"))?;
            gan_fs::replace(&path, Durability::Flushed, |out| out.write_all(listing.as_bytes()))?;
            root
        } else if entry.keep.is_empty() {
            part.path().to_path_buf()
        } else {
            let target = staging.join("kept");
            subset::keep(part.path(), &target, &entry.keep)
                .with_context(|| format!("the file from {} is refused", fetched.url))?;
            record.stored_bytes = fs::metadata(&target)?.len();
            record.stored_sha256 = digest::of_file(&target, |_| {})?.sha256;
            target
        };
        let place = self.path(entry);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        }
        self.make_room(entry, &place)?;
        // The record first: should the rename not happen, the entry counts as absent, and nothing unverified is left.
        self.lock.put(entry.kind, &entry.name, record.clone())?;
        fs::rename(&staged, &place).with_context(|| format!("cannot move it to {}", place.display()))?;
        let folder = gan_fs::parent(&place);
        gan_fs::sync_folder(folder).with_context(|| format!("cannot flush {}", folder.display()))?;
        Ok(record)
    }

    /// Moves what is there aside; nothing of the user's is ever deleted.
    fn make_room(&self, entry: &Entry, place: &Path) -> Result<()> {
        if fs::symlink_metadata(place).is_err() {
            return Ok(());
        }
        let replaced = self.dir.join(".fetch/replaced");
        fs::create_dir_all(&replaced)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        let aside = replaced.join(format!("{}-{now}", entry.name));
        fs::rename(place, &aside).with_context(|| format!("cannot move {} aside", place.display()))?;
        eprintln!("{}: the damaged one is now {}", entry.name, aside.display());
        Ok(())
    }
}

fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Every file below a folder: its path with `/` between the parts, and its size.
fn list_files(folder: &Path, prefix: &str, files: &mut Vec<(String, u64)>) -> Result<()> {
    for child in fs::read_dir(folder)? {
        let child = child?;
        let name = child.file_name();
        let name = name.to_str().context("a name that is not UTF-8")?;
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
