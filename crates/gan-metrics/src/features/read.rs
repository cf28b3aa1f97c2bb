//! Images as metrics see them: 8 bits a sample.

use crate::{Error, Result};
use gan_data::{AlphaPolicy, Image, Raster, adapt_channels};
use std::path::Path;

/// The image in 8 bits a sample. Samples of 16 bits are rounded to the nearest level.
#[must_use]
pub fn to_u8(image: Image) -> Raster<u8> {
    match image {
        Image::U8(raster) => raster,
        Image::U16(raster) => {
            let samples = raster.samples().iter().map(|v| ((u32::from(*v) + 128) / 257) as u8).collect();
            Raster::new(raster.width(), raster.height(), raster.channels(), samples)
        }
    }
}

/// The image as colour of 8 bits: grey is repeated, alpha is dropped. `path` is for messages.
///
/// # Errors
/// [`Error::Data`] for planes, which are no colours.
pub fn rgb8(image: Image, path: &Path) -> Result<Raster<u8>> {
    adapt_channels(image, 3, AlphaPolicy::Drop, path).map(to_u8).map_err(Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bits_are_rounded() {
        let levels = vec![0u16, 128, 129, 257 * 100, 257 * 100 + 129, 65535];
        let raster = to_u8(Image::U16(Raster::new(levels.len(), 1, 1, levels)));
        assert_eq!(raster.samples(), [0, 0, 1, 100, 101, 255]);
    }
}
