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

/// The images of a pair in 8 bits and, where one is grey and the other colour, both as colour. `paths` are for messages.
///
/// # Errors
/// As [`rgb8`].
pub fn alike([a, b]: [Image; 2], paths: [&Path; 2]) -> Result<[Raster<u8>; 2]> {
    if a.channels() == b.channels() {
        return Ok([to_u8(a), to_u8(b)]);
    }
    Ok([rgb8(a, paths[0])?, rgb8(b, paths[1])?])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sixteen_bits_are_rounded() {
        let levels = vec![0u16, 128, 129, 257 * 100, 257 * 100 + 129, 65535];
        let raster = to_u8(Image::U16(Raster::new(levels.len(), 1, 1, levels)));
        assert_eq!(raster.samples(), [0, 0, 1, 100, 101, 255]);
    }

    #[test]
    fn grey_beside_colour_is_repeated() {
        let paths = [Path::new("a"), Path::new("b")];
        let image = |samples: &[u8]| Image::U8(Raster::new(1, 1, samples.len(), samples.to_vec()));
        let [grey, colour] = alike([image(&[7]), image(&[1, 2, 3])], paths).unwrap();
        assert_eq!((grey.samples(), colour.samples()), (&[7, 7, 7][..], &[1, 2, 3][..]));
        let [a, b] = alike([image(&[7, 9]), image(&[1, 2])], paths).unwrap();
        assert_eq!((a.channels(), b.channels()), (2, 2));
        assert!(alike([image(&[1; 5]), image(&[1])], paths).is_err());
    }
}
