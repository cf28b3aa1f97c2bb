//! Image metrics: how far translated images are from real ones.
//!
//! [`image`] compares an image with the one that it should be: L1, MSE, PSNR, SSIM, MS-SSIM. [`distribution`] compares two sets of
//! images by the features of a network: FID, KID, precision and recall. [`protocol`] makes the network's input of an image as the
//! reference packages do, and [`features`] keeps what was computed of a file. [`networks`] holds the networks: the Inception V3 of FID,
//! KID, precision and recall, and the trunks and heads of LPIPS. [`bootstrap`] says how sure a mean is.

#![forbid(unsafe_code)]

pub mod bootstrap;
pub mod distribution;
mod error;
pub mod features;
pub mod image;
pub mod networks;
pub mod protocol;

pub use error::{Error, Result};

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
