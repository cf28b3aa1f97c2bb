//! The networks that metrics look through, with their weight files.

mod inception;
mod lpips;
mod tap_distance;
mod trunks;
mod weights;

pub use inception::InceptionV3;
pub use lpips::{Lpips, LpipsNet};
pub use weights::{Digest, INCEPTION, KnownFile, OtherFiles, WeightFiles, verify};
