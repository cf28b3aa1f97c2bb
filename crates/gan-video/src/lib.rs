//! Frames of videos: YUV4MPEG2 streams, and every other kind by an installed ffmpeg through pipes.
//!
//! Frames are RGB of 8 bits, three bytes a pixel, row by row from the top. Nothing here prints, and no file is written but by
//! [`ffmpeg`], where it is told to.

#![forbid(unsafe_code)]

mod error;
pub mod ffmpeg;
mod limits;
pub mod ppm;
mod rate;
pub mod y4m;
pub mod yuv;

pub use error::{Error, Result};
pub use limits::{MAX_PIXELS, MAX_SIDE};
pub use rate::Rate;

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
