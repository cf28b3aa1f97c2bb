//! How datasets read their files: with the options of the configuration, and through the cache if there is one.

use std::path::Path;

use crate::cache::Cache;
use crate::channels::{adapt_channels, has_alpha};
use crate::config::DataConfig;
use crate::decode::{AlphaPolicy, DecodeOptions, decode_bytes, decode_ids_bytes, join_planes};
use crate::dynamic_image::Image;
use crate::error::Result;
use crate::ids::IdMap;
use crate::image_name::is_planes;

/// Decodes files, or takes what was decoded before.
#[derive(Debug)]
pub(crate) struct Reader {
    /// With the alpha policy of the configuration.
    options: DecodeOptions,
    cache: Option<Cache>,
}

impl Reader {
    /// A reader for a configuration; makes the folder of the cache.
    pub(crate) fn open(config: &DataConfig) -> Result<Self> {
        let cache = if config.cache.as_os_str().is_empty() { None } else { Some(Cache::open(&config.cache)?) };
        Ok(Self { options: DecodeOptions { alpha: config.alpha, ..config.decode_options() }, cache })
    }

    /// An image with the channels that a network takes.
    pub(crate) fn image(&self, path: &Path, channels: usize) -> Result<Image> {
        self.adapt(self.decode(path, has_alpha(channels))?, channels, path)
    }

    /// Gives an image that was read from `path` the channels that a network takes.
    pub(crate) fn adapt(&self, image: Image, channels: usize, path: &Path) -> Result<Image> {
        adapt_channels(image, channels, self.options.alpha, path)
    }

    /// An image as stored, or with its alpha treated as configured; see [`crate::decode`].
    pub(crate) fn decode(&self, path: &Path, keep_alpha: bool) -> Result<Image> {
        if is_planes(path) {
            // The planes are cached one by one.
            return join_planes(path, &self.options, |file| self.decode(file, false));
        }
        let alpha = if keep_alpha { AlphaPolicy::Keep } else { self.options.alpha };
        let options = DecodeOptions { alpha, ..self.options };
        // Hashing and decoding see the same bytes: a file replaced in between cannot enter under a wrong key.
        let bytes = self.options.limits.read(path)?;
        let decode = || decode_bytes(path, &bytes, &options);
        match &self.cache {
            Some(cache) => cache.image(&bytes, &options, decode),
            None => decode(),
        }
    }

    /// A map of ids; see [`crate::decode_ids`].
    pub(crate) fn ids(&self, path: &Path) -> Result<IdMap> {
        let bytes = self.options.limits.read(path)?;
        let decode = || decode_ids_bytes(path, &bytes, &self.options);
        match &self.cache {
            Some(cache) => cache.ids(&bytes, &self.options, decode),
            None => decode(),
        }
    }
}
