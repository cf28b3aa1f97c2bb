//! Features of images: from the network, or from what was kept of an earlier call.

mod cache;
mod extractor;
mod read;

pub use cache::{FeatureCache, ImageHash};
pub use extractor::Extractor;
pub use read::{alike, rgb8, to_u8};
