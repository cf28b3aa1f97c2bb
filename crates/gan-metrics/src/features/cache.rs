//! Features that were computed before, by the content of the images.

use crate::networks::Digest;
use crate::protocol::Protocol;
use gan_data::Raster;
use gan_fs::Durability;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the cache is, instead of the user's cache folder; empty: nothing is kept.
const PATH: &str = "GAN_FEATURE_CACHE";

/// First bytes of a file. Changes with the format, and with what computes features.
const MAGIC: &[u8; 16] = b"gan-features 1\n\0";
const CHECKSUM: usize = 32;

/// What an image is, by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageHash(blake3::Hash);

impl ImageHash {
    /// Of the bytes of an image file.
    pub fn of_file(bytes: &[u8]) -> Self {
        ImageHash(blake3::hash(bytes))
    }

    /// Of an image that is no file.
    pub fn of_pixels(image: &Raster<u8>) -> Self {
        let mut hasher = blake3::Hasher::new();
        let sizes = [image.width(), image.height(), image.channels()];
        // No image file begins like this.
        hasher.update(format!("pixels {sizes:?}\n").as_bytes()).update(image.samples());
        ImageHash(hasher.finalize())
    }
}

/// Features of single images in the user's cache folder: a file an image, in a folder for each protocol, weight file and kind of
/// device. It can be deleted at any time. A damaged file is as good as none, and one that cannot be written costs the next call a
/// computation.
#[derive(Debug, Clone)]
pub struct FeatureCache {
    folder: Option<PathBuf>,
}

impl FeatureCache {
    /// The cache at the place that `GAN_FEATURE_CACHE` names, or in the user's cache folder.
    pub fn open(protocol: Protocol, weights: &Digest, device: &str) -> Self {
        let root = match env::var_os(PATH) {
            Some(path) if path.is_empty() => None,
            Some(path) => Some(PathBuf::from(path)),
            None => cache_folder().map(|folder| folder.join("features")),
        };
        root.map_or_else(Self::none, |root| Self::at(&root, protocol, weights, device))
    }

    /// The cache below a folder.
    pub fn at(root: &Path, protocol: Protocol, weights: &Digest, device: &str) -> Self {
        FeatureCache { folder: Some(root.join(format!("{protocol}-{device}-{weights}"))) }
    }

    /// No cache.
    pub fn none() -> Self {
        FeatureCache { folder: None }
    }

    fn path(&self, image: &ImageHash) -> Option<PathBuf> {
        let name = image.0.to_hex();
        Some(self.folder.as_ref()?.join(&name[..2]).join(&name[2..]))
    }

    /// The features of an image, if they are there and undamaged.
    pub fn get(&self, image: &ImageHash, dimensions: usize) -> Option<Vec<f32>> {
        let bytes = fs::read(self.path(image)?).ok()?;
        let (checksum, values) = bytes.strip_prefix(MAGIC)?.split_at_checked(CHECKSUM)?;
        let sound = values.len() == 4 * dimensions && blake3::hash(values).as_bytes()[..] == *checksum;
        let value = |four: &[u8]| f32::from_le_bytes([four[0], four[1], four[2], four[3]]);
        sound.then(|| values.chunks_exact(4).map(value).collect())
    }

    /// Keeps the features of an image.
    pub fn put(&self, image: &ImageHash, features: &[f32]) {
        let Some(path) = self.path(image) else { return };
        let values: Vec<u8> = features.iter().flat_map(|v| v.to_le_bytes()).collect();
        let checksum = blake3::hash(&values);
        let parts = [&MAGIC[..], checksum.as_bytes(), &values];
        // Not worth an error: without the file, the next call computes again.
        let _ = fs::create_dir_all(gan_fs::parent(&path));
        let _ = gan_fs::replace(&path, Durability::Visible, |out| out.write_all(&parts.concat()));
    }
}

/// The folder of this project in the user's cache folder.
fn cache_folder() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = if cfg!(windows) { set("LOCALAPPDATA") } else { None };
    let cache = cache.or_else(|| set("XDG_CACHE_HOME"));
    cache.or_else(|| set("HOME").map(|home| home.join(".cache"))).map(|cache| cache.join("gan-cli"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_was_kept_comes_back_unless_it_is_damaged() {
        let root = tempfile::tempdir().unwrap();
        let open = |protocol, byte| FeatureCache::at(root.path(), protocol, &Digest([byte; 32]), "cpu");
        let (cache, image) = (open(Protocol::Clean, 1), ImageHash::of_file(b"an image"));
        assert_eq!(cache.get(&image, 3), None);
        cache.put(&image, &[1.5, -2.0, 0.0]);
        assert_eq!(cache.get(&image, 3), Some(vec![1.5, -2.0, 0.0]));
        assert_eq!(cache.get(&image, 4), None, "features of another length");
        for (other, name) in [(open(Protocol::Pytorch, 1), "protocol"), (open(Protocol::Clean, 2), "weights")] {
            assert_eq!(other.get(&image, 3), None, "another {name}");
        }
        let path = cache.path(&image).unwrap();
        let whole = fs::read(&path).unwrap();
        for at in [0, MAGIC.len(), whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).unwrap();
            assert_eq!(cache.get(&image, 3), None, "byte {at}");
            fs::write(&path, &whole[..at]).unwrap();
            assert_eq!(cache.get(&image, 3), None, "cut at {at}");
        }
        cache.put(&image, &[7.0; 3]);
        assert_eq!(cache.get(&image, 3), Some(vec![7.0; 3]));
        FeatureCache::none().put(&image, &[1.0]);
        assert_eq!(FeatureCache::none().get(&image, 1), None);
    }

    #[test]
    fn pixels_of_another_shape_are_another_image() {
        let hash = |width, height| ImageHash::of_pixels(&Raster::new(width, height, 1, vec![7u8; 6]));
        assert_eq!(hash(2, 3), hash(2, 3));
        assert_ne!(hash(2, 3), hash(3, 2));
    }
}
