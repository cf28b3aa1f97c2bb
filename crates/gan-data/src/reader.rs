//! How datasets read their files: with the options of the configuration, and through the cache if there is one.

use std::path::Path;

use crate::cache::Cache;
use crate::config::DataConfig;
use crate::decode::{DecodeOptions, ids_from_bytes, is_planes, join_planes, picture_from_bytes};
use crate::error::Result;
use crate::ids::IdMap;
use crate::picture::Picture;

/// Decodes files, or takes what was decoded before.
#[derive(Debug)]
pub(crate) struct Reader {
    options: DecodeOptions,
    cache: Option<Cache>,
}

impl Reader {
    /// A reader for a configuration; makes the folder of the cache.
    pub(crate) fn open(config: &DataConfig) -> Result<Self> {
        let cache = if config.cache.as_os_str().is_empty() { None } else { Some(Cache::open(&config.cache)?) };
        Ok(Self { options: config.decode_options(), cache })
    }

    /// A picture; see [`crate::decode`].
    pub(crate) fn picture(&self, path: &Path) -> Result<Picture> {
        if is_planes(path) {
            // The planes are cached one by one.
            return join_planes(path, &self.options, |file| self.picture(file));
        }
        // Hashing and decoding see the same bytes: a file replaced in between cannot enter under a wrong key.
        let bytes = self.options.limits.read(path)?;
        let decode = || picture_from_bytes(path, &bytes, &self.options);
        match &self.cache {
            Some(cache) => cache.picture(&bytes, &self.options, decode),
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
