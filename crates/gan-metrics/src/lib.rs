//! Image metrics: how far translated images are from real ones.
//!
//! [`networks`] holds the networks that metrics look through: the Inception V3 of FID, KID, precision and recall, and the trunks and
//! heads of LPIPS.

mod error;
pub mod networks;

pub use error::{Error, Result};

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
