//! Datasets and weights by name: downloads that resume, are checked, and appear whole or not at all.
//!
//! A [`Catalog`] says what there is, a [`Fetcher`] brings it into a data directory. The promise: either the file with the catalogue's
//! (or the lock file's) hash is in its place, or nothing is. Nothing is printed; what happens is told to a [`Progress`].

mod catalog;
pub mod digest;
mod disk;
mod download;
mod error;
mod fetcher;
#[doc(hidden)]
pub mod fuzzing;
mod headers;
mod http;
pub mod human;
mod list;
mod lock_file;
mod package;
mod part;
mod progress;
mod refusal;
mod sniff;
mod store;
mod subset;
mod tries;
mod unpack;

pub use catalog::{Catalog, Entry, Format, Kind, Section};
pub use error::{Error, MirrorFailure, Result};
pub use fetcher::{Fetcher, Options, Outcome};
pub use http::Patience;
pub use list::list;
pub use package::{PackageFile, package_files};
pub use progress::{Meter, Progress, Silent};

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
