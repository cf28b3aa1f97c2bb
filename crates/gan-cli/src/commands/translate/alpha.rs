//! The alpha channel of an image beside its colours.

use clap::ValueEnum;
use gan_data::{Filter, Picture, Raster};

/// What becomes of the alpha of inputs, for models that do not take it as a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum AlphaArg {
    /// Write it back onto the result
    Keep,
    /// Leave it out, and say nothing about it
    Drop,
}

/// Colours `[H][W][C]` and alpha `[H][W][1]` of an image of two (grey) or four (colour) channels; others have no alpha.
pub(super) fn split(picture: Picture) -> (Picture, Option<Picture>) {
    if !matches!(picture.channels(), 2 | 4) {
        return (picture, None);
    }
    let colours = picture.channels() - 1;
    match picture {
        Picture::Eight(raster) => {
            (Picture::Eight(first(&raster, colours)), Some(Picture::Eight(raster.channel(colours))))
        }
        Picture::Sixteen(raster) => {
            (Picture::Sixteen(first(&raster, colours)), Some(Picture::Sixteen(raster.channel(colours))))
        }
    }
}

/// Whether no pixel is transparent at all.
pub(super) fn is_opaque(alpha: &Picture) -> bool {
    match alpha {
        Picture::Eight(raster) => raster.samples().iter().all(|&a| a == u8::MAX),
        Picture::Sixteen(raster) => raster.samples().iter().all(|&a| a == u16::MAX),
    }
}

/// Adds `alpha` to an image of one or three channels, resized to it and in its depth. Others stay as they are.
pub(super) fn join(picture: Picture, alpha: Picture) -> Picture {
    let (width, height) = picture.size();
    let channels = picture.channels();
    if !matches!(channels, 1 | 3) {
        return picture;
    }
    let alpha = alpha.resize(width, height, Filter::Bicubic);
    match (picture, alpha) {
        (Picture::Eight(colours), Picture::Eight(alpha)) => Picture::Eight(interleaved(&colours, alpha.samples())),
        (Picture::Sixteen(colours), Picture::Sixteen(alpha)) => {
            Picture::Sixteen(interleaved(&colours, alpha.samples()))
        }
        (Picture::Eight(colours), Picture::Sixteen(alpha)) => {
            let alpha: Vec<u8> = alpha.samples().iter().map(|&a| ((u32::from(a) + 128) / 257) as u8).collect();
            Picture::Eight(interleaved(&colours, &alpha))
        }
        (Picture::Sixteen(colours), Picture::Eight(alpha)) => {
            let alpha: Vec<u16> = alpha.samples().iter().map(|&a| u16::from(a) * 257).collect();
            Picture::Sixteen(interleaved(&colours, &alpha))
        }
    }
}

/// The first channels of each pixel.
fn first<T: Copy + Default>(raster: &Raster<T>, channels: usize) -> Raster<T> {
    let pixels = raster.samples().chunks_exact(raster.channels());
    let samples = pixels.flat_map(|pixel| &pixel[..channels]).copied().collect();
    Raster::new(raster.width(), raster.height(), channels, samples)
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
    fn split_and_joined_is_the_same() {
        for channels in [2, 4] {
            let eight = Picture::Eight(Raster::new(3, 2, channels, (0..6 * channels as u8).collect()));
            let sixteen =
                Picture::Sixteen(Raster::new(3, 2, channels, (0..6 * channels as u16).map(|v| v * 900).collect()));
            for picture in [eight, sixteen] {
                let (colours, alpha) = split(picture.clone());
                assert_eq!(colours.channels(), channels - 1);
                assert_eq!(join(colours, alpha.unwrap()), picture);
            }
        }
        let rgb = Picture::Eight(Raster::new(1, 1, 3, vec![1, 2, 3]));
        assert_eq!(split(rgb.clone()), (rgb, None));
    }

    #[test]
    fn alpha_takes_the_size_and_the_depth_of_the_colours() {
        let colours = Picture::Eight(Raster::zeros(4, 4, 3));
        let joined = join(colours, Picture::Sixteen(Raster::new(2, 2, 1, vec![u16::MAX; 4])));
        assert_eq!((joined.size(), joined.channels(), joined.depth()), ((4, 4), 4, 8));
        assert!(is_opaque(&split(joined).1.unwrap()));
        let deep = join(Picture::Sixteen(Raster::zeros(1, 1, 1)), Picture::Eight(Raster::new(1, 1, 1, vec![128])));
        assert_eq!(deep, Picture::Sixteen(Raster::new(1, 1, 2, vec![0, 128 * 257])));
        assert!(!is_opaque(&split(deep).1.unwrap()));
    }
}
