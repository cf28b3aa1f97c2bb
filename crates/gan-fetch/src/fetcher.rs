//! Fetches entries of a catalogue into a data directory, one after the other.

use std::fmt;
use std::path::{Path, PathBuf};

use gan_fs::FileLock;

use crate::catalog::Entry;
use crate::download::{Wanted, download};
use crate::error::{Error, Result};
use crate::http::{self, Client, Patience};
use crate::human;
use crate::progress::{Progress, Reporter};
use crate::store::{Look, State, Store};

/// How to fetch.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Look at what is there, and fetch nothing.
    pub offline: bool,
    /// Fetch what has terms that restrict use.
    pub accept_licence: bool,
    /// Scheme, host and beginning of the path to fetch every path from, in place of the mirrors' own.
    pub base_url: Option<String>,
    /// How long to wait for servers.
    pub patience: Patience,
}

/// How a fetch ended well. As text, it is what a user is told.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It was there, as it was when it was fetched.
    Intact {
        /// Where.
        place: PathBuf,
    },
    /// Something of its name is there that was not fetched: the user's own. It was left as it is.
    Unverified {
        /// Where.
        place: PathBuf,
    },
    /// It came.
    Fetched {
        /// Where it is now.
        place: PathBuf,
        /// Files stored.
        files: u64,
        /// Bytes stored.
        bytes: u64,
        /// The sha256 that the lock file remembers from now on, where nobody publishes one.
        remembered: Option<String>,
    },
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Intact { place } => write!(f, "present and intact at {}", place.display()),
            Self::Unverified { place } => {
                write!(f, "{} is there already; it was not fetched, and is left as it is", place.display())
            }
            Self::Fetched { place, files, bytes, remembered } => {
                let noun = if *files == 1 { "file" } else { "files" };
                write!(f, "{files} {noun}, {}, at {}", human::bytes(*bytes), place.display())?;
                match remembered {
                    Some(hash) => write!(f, "; no hash is published, and fetch.lock.toml now remembers {hash}"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// A data directory, and the means to bring something into it. While it lives, no other process fetches into the directory, unless it
/// is offline.
pub struct Fetcher {
    store: Store,
    client: Client,
    options: Options,
    _lock: Option<FileLock>,
}

impl Fetcher {
    /// Opens the data directory `dir`, and creates it unless it is offline.
    ///
    /// # Errors
    /// [`Error::Busy`] when another process fetches into it, [`Error::LockFile`], [`Error::Address`] when `base_url` is none, and
    /// what the system answers.
    pub fn open(dir: &Path, options: Options) -> Result<Self> {
        if let Some(base) = &options.base_url {
            http::rebase("http://host/", base)?;
        }
        let lock = if options.offline { None } else { Some(Store::lock(dir)?) };
        Ok(Self { store: Store::open(dir)?, client: Client::new(options.patience), options, _lock: lock })
    }

    /// Brings an entry into the directory: what is there and intact stays, what broke off goes on, what is damaged is moved aside and
    /// fetched again.
    ///
    /// # Errors
    /// When it cannot be had: the place is then as it was, and what came is kept where that is of use.
    pub fn fetch(&mut self, entry: &Entry, progress: &mut dyn Progress) -> Result<Outcome> {
        let place = self.store.path(entry);
        let mut progress = Reporter::new(&entry.name, progress);
        match self.store.state(entry, Look::Full)? {
            State::Intact => return Ok(Outcome::Intact { place }),
            State::Unverified => return Ok(Outcome::Unverified { place }),
            State::Damaged(how) if self.options.offline => return Err(Error::Damaged { how }),
            State::Damaged(how) => progress.note(&format!("damaged ({how}); fetching it again")),
            State::Absent if self.options.offline => return Err(Error::Absent { place }),
            State::Absent => {}
        }
        if entry.urls.is_empty() {
            return Err(Error::ByHand { terms: entry.terms.clone() });
        }
        if entry.restricted && !self.options.accept_licence {
            return Err(Error::Restricted { terms: entry.terms.clone() });
        }
        progress.note(&format!("{} [{}]", entry.about, entry.licence));
        let urls = self.urls(entry)?;
        let remembered = self.store.record(entry).map(|record| record.sha256.clone());
        let wanted = Wanted {
            urls: &urls,
            format: entry.format,
            bytes: entry.bytes,
            approx: entry.approx_bytes(),
            sha256: entry.sha256.as_deref(),
            md5: entry.md5.as_deref(),
            remembered: remembered.as_deref(),
        };
        let fetched = download(&self.client, &wanted, &self.store.part(entry), &mut progress)?;
        let record = self.store.place(entry, &fetched, &mut progress)?;
        let unpublished = entry.sha256.is_none() && entry.md5.is_none() && remembered.is_none();
        Ok(Outcome::Fetched {
            place,
            files: record.stored_files,
            bytes: record.stored_bytes,
            remembered: unpublished.then_some(record.sha256),
        })
    }

    /// The addresses to ask, in this order.
    fn urls(&self, entry: &Entry) -> Result<Vec<String>> {
        let Some(base) = &self.options.base_url else { return Ok(entry.urls.clone()) };
        let mut urls = entry.urls.iter().map(|url| http::rebase(url, base)).collect::<Result<Vec<_>>>()?;
        urls.dedup();
        Ok(urls)
    }
}
