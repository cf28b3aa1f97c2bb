//! The alpha channel of an image beside its colours.

use gan_data::{Filter, Image, Raster};

/// What becomes of the alpha of an input, for models that do not take it as a channel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Alpha {
    /// It is left out.
    #[default]
    Drop,
    /// It is written back onto the result.
    Restore,
}

/// The alpha `[H][W][1]` of an image of two (grey) or four (colour) channels; others have none.
pub(crate) fn of(image: &Image) -> Option<Image> {
    image.has_alpha().then(|| match image {
        Image::U8(raster) => Image::U8(raster.channel(raster.channels() - 1)),
        Image::U16(raster) => Image::U16(raster.channel(raster.channels() - 1)),
    })
}

/// Whether no pixel is transparent at all.
pub(crate) fn is_opaque(alpha: &Image) -> bool {
    match alpha {
        Image::U8(raster) => raster.samples().iter().all(|&a| a == u8::MAX),
        Image::U16(raster) => raster.samples().iter().all(|&a| a == u16::MAX),
    }
}

/// Adds `alpha` to an image of one or three channels, resized to it and in its depth. Others stay as they are.
pub(crate) fn join(image: Image, alpha: Image) -> Image {
    let (width, height) = image.size();
    let channels = image.channels();
    if !matches!(channels, 1 | 3) {
        return image;
    }
    let alpha = alpha.resize(width, height, Filter::Bicubic);
    match (image, alpha) {
        (Image::U8(colours), Image::U8(alpha)) => Image::U8(interleaved(&colours, alpha.samples())),
        (Image::U16(colours), Image::U16(alpha)) => Image::U16(interleaved(&colours, alpha.samples())),
        (Image::U8(colours), Image::U16(alpha)) => {
            let alpha: Vec<u8> = alpha.samples().iter().map(|&a| ((u32::from(a) + 128) / 257) as u8).collect();
            Image::U8(interleaved(&colours, &alpha))
        }
        (Image::U16(colours), Image::U8(alpha)) => {
            let alpha: Vec<u16> = alpha.samples().iter().map(|&a| u16::from(a) * 257).collect();
            Image::U16(interleaved(&colours, &alpha))
        }
    }
}

fn interleaved<T: Copy + Default>(colours: &Raster<T>, alpha: &[T]) -> Raster<T> {
    let channels = colours.channels();
    let mut samples = Vec::with_capacity(alpha.len() * (channels + 1));
    for (pixel, &alpha) in colours.samples().chunks_exact(channels).zip(alpha) {
        samples.extend_from_slice(pixel);
        samples.push(alpha);
    }
    Raster::new(colours.width(), colours.height(), channels + 1, samples)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn taken_apart_and_joined_is_the_same() {
        for channels in [2, 4] {
            let eight = Image::U8(Raster::new(3, 2, channels, (0..6 * channels as u8).collect()));
            let sixteen = Image::U16(Raster::new(3, 2, channels, (0..6 * channels as u16).map(|v| v * 900).collect()));
            for image in [eight, sixteen] {
                let colours = image.clone().with_channels(channels - 1).unwrap();
                assert_eq!(join(colours, of(&image).unwrap()), image);
            }
        }
        assert_eq!(of(&Image::U8(Raster::new(1, 1, 3, vec![1, 2, 3]))), None);
    }

    #[test]
    fn alpha_takes_the_size_and_the_depth_of_the_colours() {
        let colours = Image::U8(Raster::zeros(4, 4, 3));
        let joined = join(colours, Image::U16(Raster::new(2, 2, 1, vec![u16::MAX; 4])));
        assert_eq!((joined.size(), joined.channels(), joined.depth()), ((4, 4), 4, 8));
        assert!(is_opaque(&of(&joined).unwrap()));
        let deep = join(Image::U16(Raster::zeros(1, 1, 1)), Image::U8(Raster::new(1, 1, 1, vec![128])));
        assert_eq!(deep, Image::U16(Raster::new(1, 1, 2, vec![0, 128 * 257])));
        assert!(!is_opaque(&of(&deep).unwrap()));
    }
}
