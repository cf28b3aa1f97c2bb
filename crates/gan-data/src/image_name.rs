//! Which names are those of images.

use std::path::Path;

/// File names that count as images, in lower case; the case of a name does not matter.
const EXTENSIONS: [&str; 15] =
    ["jpg", "jpeg", "jpe", "jfif", "jif", "png", "webp", "gif", "bmp", "ppm", "pgm", "pbm", "pnm", "tif", "tiff"];

/// Endings of images and films that cannot be read here.
pub(crate) const UNSUPPORTED: [&str; 45] = [
    "3fr", "arw", "avi", "avif", "bpg", "cr2", "cr3", "dds", "dng", "eps", "exr", "farbfeld", "hdr", "heic", "heics",
    "heif", "hif", "icns", "ico", "j2k", "jp2", "jpx", "jxl", "jxr", "kra", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg",
    "nef", "orf", "pam", "pcx", "pdf", "pfm", "psd", "qoi", "raf", "rw2", "svg", "tga", "webm", "xcf",
];

/// Whether a name is that of an image. (`._x.jpg` holds a desktop's notes about `x.jpg`, not an image.)
pub(crate) fn is_image(path: &Path) -> bool {
    !is_desktop_note(path) && extension(path).is_some_and(|e| EXTENSIONS.contains(&e.as_str()))
}

pub(crate) fn is_desktop_note(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"._"))
}

/// The extension in lower case.
pub(crate) fn extension(path: &Path) -> Option<String> {
    path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase())
}

/// Whether a path is a folder of planes: an image whose channels are files of their own.
pub(crate) fn is_planes(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("planes")) && path.is_dir()
}
