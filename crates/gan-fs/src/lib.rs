//! Rules about files that every crate shares: what a path leads to, replacing a file as a whole, locking a folder, and where data lies.
//!
//! Only the standard library is used. Every crate that reads or writes files goes through this one, so that a rule about files is
//! written once.

mod data_dir;
mod lock;
mod regular;
mod remedy;
mod replace;
mod same;
mod unnamed;

pub use data_dir::data_dir;
pub use lock::{FileLock, LockError};
pub use regular::{kind, open_regular, read_regular, regular_metadata};
pub use remedy::remedy;
pub use replace::{
    Durability, ReplaceError, Replacement, is_temporary, parent, remove_temporaries, replace, sync_folder,
    temporary_beside,
};
pub use same::{FileId, is_same, is_within, resolve};
pub use unnamed::unnamed_file;

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
