//! How datasets read their files: with the options of the configuration, and through the cache if there is one.

use std::path::Path;

use crate::cache::Cache;
use crate::channels::{adapt_channels, has_alpha};
use crate::config::DataConfig;
use crate::decode::{AlphaPolicy, DecodeOptions, ids_from_bytes, join_planes, picture_from_bytes};
use crate::error::Result;
use crate::ids::IdMap;
use crate::image_name::is_planes;
use crate::picture::Picture;

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
    pub(crate) fn image(&self, path: &Path, channels: usize) -> Result<Picture> {
        self.adapt(self.picture(path, has_alpha(channels))?, channels, path)
    }

    /// Gives an image that was read from `path` the channels that a network takes.
    pub(crate) fn adapt(&self, picture: Picture, channels: usize, path: &Path) -> Result<Picture> {
        adapt_channels(picture, channels, self.options.alpha, path)
    }

    /// An image as stored, or with its alpha treated as configured; see [`crate::decode`].
    pub(crate) fn picture(&self, path: &Path, keep_alpha: bool) -> Result<Picture> {
        if is_planes(path) {
            // The planes are cached one by one.
            return join_planes(path, &self.options, |file| self.picture(file, false));
        }
        let alpha = if keep_alpha { AlphaPolicy::Keep } else { self.options.alpha };
        let options = DecodeOptions { alpha, ..self.options };
        // Hashing and decoding see the same bytes: a file replaced in between cannot enter under a wrong key.
        let bytes = self.options.limits.read(path)?;
        let decode = || picture_from_bytes(path, &bytes, &options);
        match &self.cache {
            Some(cache) => cache.picture(&bytes, &options, decode),
            None => decode(),
        }
    }

    /// A map of ids; see [`crate::decode_ids`].
    pub(crate) fn ids(&self, path: &Path) -> Result<IdMap> {
        let bytes = self.options.limits.read(path)?;
        let decode = || ids_from_bytes(path, &bytes, &self.options);
        match &self.cache {
            Some(cache) => cache.ids(&bytes, &self.options, decode),
            None => decode(),
        }
    }
}
