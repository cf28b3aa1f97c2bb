//! Decoding, datasets, transforms and loading of images for image-to-image translation.
//!
//! Pictures come from files or from the procedural generators, pass a [`Transform`](transform), and reach the trainer
//! as candle tensors on the CPU: `[N, C, H, W]`, f32 in [-1, 1] for pictures, integers for label and instance maps.
//! Nothing here knows a GPU or the network, and nothing prints.

#![forbid(unsafe_code)]

mod decode;
mod encode;
mod error;
mod ids;
mod picture;
mod raster;
mod resample;

pub use decode::{AlphaPolicy, DecodeLimits, DecodeOptions, Header, decode, decode_ids, probe};
pub use encode::{Depth, Quantize, picture_from_tensor, write_ids, write_picture};
pub use error::{Error, Result};
pub use ids::IdMap;
pub use picture::Picture;
pub use raster::Raster;
pub use resample::{Filter, resize_deep, resize_eight, resize_nearest};
