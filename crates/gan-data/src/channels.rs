//! Giving images the channels that a network takes: what is converted, what is dropped, and what is never made up.

use std::path::Path;

use crate::decode::AlphaPolicy;
use crate::dynamic_image::{Image, luma};
use crate::error::{Error, Result};
use crate::image_name::is_planes;
use crate::raster::Raster;

/// Whether the last of so many channels of an image file is alpha: grey and alpha, or colour and alpha.
#[must_use]
pub fn has_alpha(channels: usize) -> bool {
    matches!(channels, 2 | 4)
}

/// Gives the image of a file the channels that a network takes.
///
/// Grey is repeated for colour, and colour becomes luma for grey. A network of 2 or 4 channels gets the file's alpha, whatever
/// the policy; for one of 1 or 3 channels the policy says what becomes of it ([`AlphaPolicy::Keep`] drops it: there is no place
/// for it). The planes of a `….planes` folder are never converted.
///
/// # Errors
/// [`Error::Item`] where a channel would have to be made up: alpha that the file does not have, or another number of planes.
pub fn adapt_channels(image: Image, channels: usize, alpha: AlphaPolicy, path: &Path) -> Result<Image> {
    let found = image.channels();
    if found == channels {
        return Ok(image);
    }
    let asks_for_alpha = has_alpha(channels) && !has_alpha(found);
    let refused = || {
        let reason = format!("it has {found} channels and {channels} are wanted");
        if asks_for_alpha && !is_planes(path) && found <= 4 {
            let remedy = "save it with an alpha channel, or use a network of 1 or 3 channels";
            return Error::item(path, format!("{reason}, the last of them alpha, which it does not have"), remedy);
        }
        let remedy = if channels > 4 {
            format!("store its channels as {channels} grey images in a folder NAME.planes")
        } else {
            format!("use a network of {found} channels, or an image of {channels}")
        };
        Error::item(path, reason, remedy)
    };
    if is_planes(path) {
        return Err(refused());
    }
    let image = if has_alpha(channels) { image } else { image.with_alpha(alpha) };
    image.with_channels(channels).ok_or_else(refused)
}

impl Image {
    /// Whether the last channel is alpha, if the image comes from one file.
    #[must_use]
    pub fn has_alpha(&self) -> bool {
        has_alpha(self.channels())
    }

    /// The image with `channels` samples a pixel: colour becomes luma (ITU-R 601), grey is repeated, alpha is kept where
    /// `channels` has a place for it and dropped elsewhere. `None` if there is no such way: alpha is never made up, and 5
    /// planes do not become 3.
    #[must_use]
    pub fn with_channels(self, channels: usize) -> Option<Self> {
        match self {
            Self::U8(raster) => with_channels(raster, channels).map(Self::U8),
            Self::U16(raster) => with_channels(raster, channels).map(Self::U16),
        }
    }

    /// The image after `policy` was applied to its alpha channel, if it has one.
    pub(crate) fn with_alpha(self, policy: AlphaPolicy) -> Self {
        if !self.has_alpha() || policy == AlphaPolicy::Keep {
            return self;
        }
        match self {
            Self::U8(raster) => Self::U8(without_alpha(&raster, policy, u8::MAX)),
            Self::U16(raster) => Self::U16(without_alpha(&raster, policy, u16::MAX)),
        }
    }
}

fn with_channels<T>(raster: Raster<T>, channels: usize) -> Option<Raster<T>>
where
    T: Copy + Default + Into<u32> + TryFrom<u32>,
{
    // Luma lies between the least and the most of its three samples, so it fits.
    let grey = |p: &[T]| T::try_from(luma(p[0].into(), p[1].into(), p[2].into())).unwrap_or(p[0]);
    let map = |pixel: &dyn Fn(&[T], &mut Vec<T>)| {
        let mut samples = Vec::with_capacity(raster.width() * raster.height() * channels);
        raster.samples().chunks_exact(raster.channels()).for_each(|p| pixel(p, &mut samples));
        Some(Raster::new(raster.width(), raster.height(), channels, samples))
    };
    match (raster.channels(), channels) {
        (from, to) if from == to => Some(raster),
        (2, 1) => map(&|p, out| out.push(p[0])),
        (3 | 4, 1) => map(&|p, out| out.push(grey(p))),
        (4, 2) => map(&|p, out| out.extend([grey(p), p[3]])),
        (1 | 2, 3) => map(&|p, out| out.extend([p[0]; 3])),
        (4, 3) => map(&|p, out| out.extend(&p[..3])),
        (2, 4) => map(&|p, out| out.extend([p[0], p[0], p[0], p[1]])),
        _ => None,
    }
}

fn without_alpha<T>(raster: &Raster<T>, policy: AlphaPolicy, white: T) -> Raster<T>
where
    T: Copy + Default + Into<u64> + TryFrom<u64>,
{
    let colours = raster.channels() - 1;
    let top: u64 = white.into();
    let mut samples = Vec::with_capacity(raster.width() * raster.height() * colours);
    for pixel in raster.samples().chunks_exact(raster.channels()) {
        let (colour, alpha) = pixel.split_at(colours);
        let alpha: u64 = alpha[0].into();
        samples.extend(colour.iter().map(|&c| match policy {
            AlphaPolicy::Composite => {
                let blended = (c.into() * alpha + top * (top - alpha) + top / 2) / top;
                T::try_from(blended).unwrap_or(white)
            }
            _ => c,
        }));
    }
    Raster::new(raster.width(), raster.height(), colours, samples)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn image<const C: usize>(pixel: [u8; C]) -> Image {
        Image::U8(Raster::new(1, 1, C, pixel.to_vec()))
    }

    #[test]
    fn channels_are_converted_or_refused_but_never_made_up() {
        let file = Path::new("a.png");
        let adapt = |image, channels| adapt_channels(image, channels, AlphaPolicy::Drop, file);
        let (grey, grey_alpha, rgb, rgba) =
            (image([9]), image([9, 51]), image([200, 100, 50]), image([200, 100, 50, 51]));
        let luma = image([124]);
        for (image, channels, expected) in [
            (&grey, 1, Some(grey.clone())),
            (&grey, 2, None),
            (&grey, 3, Some(image([9, 9, 9]))),
            (&grey, 4, None),
            (&grey_alpha, 1, Some(grey.clone())),
            (&grey_alpha, 2, Some(grey_alpha.clone())),
            (&grey_alpha, 3, Some(image([9, 9, 9]))),
            (&grey_alpha, 4, Some(image([9, 9, 9, 51]))),
            (&rgb, 1, Some(luma.clone())),
            (&rgb, 2, None),
            (&rgb, 3, Some(rgb.clone())),
            (&rgb, 4, None),
            (&rgba, 1, Some(luma)),
            (&rgba, 2, Some(image([124, 51]))),
            (&rgba, 3, Some(rgb.clone())),
            (&rgba, 4, Some(rgba.clone())),
            (&rgba, 5, None),
            (&rgb, 6, None),
        ] {
            let adapted = adapt(image.clone(), channels);
            let text = adapted.as_ref().err().map(ToString::to_string).unwrap_or_default();
            assert_eq!(adapted.ok(), expected, "{} to {channels}", image.channels());
            if expected.is_none() {
                assert!(text.contains("a.png") && text.contains(&format!("{channels} are wanted")), "{text}");
                assert_eq!(text.contains("alpha"), has_alpha(channels), "{text}");
                assert_eq!(text.contains(".planes"), channels > 4, "{text}");
            }
        }
    }

    #[test]
    fn the_policy_decides_only_where_the_network_has_no_alpha() {
        let rgba = || image([200, 100, 50, 51]);
        let adapt = |channels, policy| adapt_channels(rgba(), channels, policy, Path::new("a.png")).unwrap();
        for policy in [AlphaPolicy::Drop, AlphaPolicy::Keep, AlphaPolicy::Composite] {
            assert_eq!(adapt(4, policy), rgba());
        }
        assert_eq!(adapt(3, AlphaPolicy::Keep), image([200, 100, 50]));
        assert_eq!(adapt(3, AlphaPolicy::Composite), image([244, 224, 214]));
    }

    #[test]
    fn planes_are_taken_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.planes");
        std::fs::create_dir(&path).unwrap();
        assert!(adapt_channels(image([1, 2, 3, 4]), 4, AlphaPolicy::Drop, &path).is_ok());
        for channels in [1, 3, 5] {
            let error = adapt_channels(image([1, 2, 3, 4]), channels, AlphaPolicy::Drop, &path).unwrap_err();
            assert!(error.to_string().contains("4 channels"), "{error}");
        }
    }
}
