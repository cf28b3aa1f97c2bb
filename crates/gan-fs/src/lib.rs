//! What a path leads to: whether it is a regular file, and whether it is the same file as another.
//!
//! Only the standard library is used. Every crate that reads or writes files goes through this one, so that a rule about files is
//! written once.

mod regular;
mod same;

pub use regular::{kind, open_regular, read_regular, regular_metadata};
pub use same::{FileId, is_same, is_within, resolve};

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
