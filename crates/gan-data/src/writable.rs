//! What the name of a file says about the format that it would be written in.

use std::path::Path;

use image::ImageFormat;

use crate::image_name::extension;

/// What [`crate::write_image`] would make of a file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteFormat {
    /// The extension is that of a format that is written.
    Writable {
        /// Whether the format stores alpha.
        alpha: bool,
        /// Whether it stores any number of channels; others store up to four.
        any_channels: bool,
    },
    /// The extension is that of an image format that is not written here.
    Unsupported,
    /// There is no extension, or it is not that of an image.
    NoImage,
}

impl WriteFormat {
    /// The formats that are written, in words.
    pub const WRITABLE: &str = "png, jpg, webp, tiff, bmp, ppm, pgm, npy or planes";

    /// What the extension of `path` says. The file need not exist.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let extension = extension(path).unwrap_or_default();
        let any_channels = matches!(&*extension, "npy" | "planes" | "tif" | "tiff");
        match &*extension {
            "npy" | "planes" => return Self::Writable { alpha: true, any_channels },
            // Bitmaps of black and white, and what few programs read.
            "pbm" | "pam" => return Self::Unsupported,
            _ => {}
        }
        match ImageFormat::from_path(path) {
            Ok(format) if format.writing_enabled() => {
                let alpha = !matches!(format, ImageFormat::Jpeg | ImageFormat::Pnm);
                Self::Writable { alpha, any_channels }
            }
            Ok(_) => Self::Unsupported,
            Err(_) => {
                // Formats that people have and the decoder's library has never heard of.
                let foreign = ["heic", "heif", "jxl", "jp2", "psd", "svg"];
                if foreign.contains(&&*extension) { Self::Unsupported } else { Self::NoImage }
            }
        }
    }

    /// Whether a path is called like a folder of planes.
    pub(crate) fn is_planes_name(path: &Path) -> bool {
        extension(path).is_some_and(|extension| extension == "planes")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{Image, Raster, write_image};

    #[test]
    fn it_agrees_with_what_is_written() {
        let dir = tempfile::TempDir::new().unwrap();
        let of_channels = |channels| Image::U8(Raster::new(2, 2, channels, vec![7; 4 * channels]));
        for name in [
            "a.png", "a.JPG", "a.jpeg", "a.webp", "a.tif", "a.tiff", "a.bmp", "a.ppm", "a.npy", "a.planes", "a.gif",
            "a.avif", "a.tga", "a.ico", "a.pbm",
        ] {
            let path = dir.path().join(name);
            let format = WriteFormat::of(&path);
            assert_eq!(
                write_image(&path, &of_channels(3)).is_ok(),
                matches!(format, WriteFormat::Writable { .. }),
                "{name}"
            );
            if let WriteFormat::Writable { alpha, any_channels } = format {
                assert_eq!(write_image(&path, &of_channels(4)).is_ok(), alpha, "{name}");
                assert_eq!(write_image(&path, &of_channels(6)).is_ok(), any_channels, "{name}");
            }
        }
        for word in WriteFormat::WRITABLE.split([',', ' ']).filter(|w| !["", "or"].contains(w)) {
            assert!(matches!(WriteFormat::of(Path::new(&format!("x.{word}"))), WriteFormat::Writable { .. }), "{word}");
        }
    }

    #[test]
    fn other_names_are_told_apart() {
        for name in ["out", "x.v2", "dir/.hidden", "a.txt", "2026.11"] {
            assert_eq!(WriteFormat::of(Path::new(name)), WriteFormat::NoImage, "{name}");
        }
        assert_eq!(WriteFormat::of(Path::new("a.HEIC")), WriteFormat::Unsupported);
    }
}
