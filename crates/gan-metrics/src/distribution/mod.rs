//! Metrics of two sets of images, each image a point in the space of a network's features.

mod features;
mod fid;
mod kid;
mod linear_algebra;
mod mersenne_twister;
mod precision_recall;
mod subsets;

pub use features::Features;
pub use fid::{Fid, fid};
pub use kid::{Kid, kid, kid_interval};
pub use precision_recall::{PrecisionRecall, precision_recall};
pub use subsets::Subsets;
