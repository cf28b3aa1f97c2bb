//! Configuration in layers: defaults, then a preset, then a file, then single settings.
//!
//! Works for any struct that serde can write and read and that denies unknown fields; the keys and their types are
//! learnt from the struct itself. Later layers win, key by key. Every error says where the value came from:
//!
//! ```text
//! run.toml:3:1: unknown key `train.n_epoch`; did you mean `train.n_epochs`?
//! setting `arch=unet_512`: `arch` is ambiguous; write one of discriminator.arch, generator.arch
//! ```

mod commented;
mod difference;
mod docs;
#[doc(hidden)]
pub mod head;
mod keys;
mod layer;
pub mod nearest;
mod ranges;
mod setting;
#[cfg(test)]
mod tests;
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::storage::{Disk, read_limited};
use crate::{Error, Result};
pub(crate) use commented::commented;
pub use difference::{Difference, differences, list};
pub use docs::KeyInfo;
pub(crate) use docs::docs;
use keys::Keys;
pub use ranges::{Ranged, Tables, key_ranges};

/// Largest configuration text.
const MAX_BYTES: usize = 1 << 20;

/// One source of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigSource {
    /// A TOML document.
    Text {
        /// Its name in messages: the file, or the preset.
        name: String,
        /// The document; a byte order mark and CRLF line ends are fine.
        toml: String,
    },
    /// A configuration that was resolved before: of a checkpoint, or `config.toml` of a run. As [`ConfigSource::Text`]; but it has
    /// every key, so that those which its architecture has no use for say nothing about what a user wants.
    Saved {
        /// Its name in messages.
        name: String,
        /// The document.
        toml: String,
    },
    /// One setting `key=value`. The key is a dotted path (`train.lr`) or its end, if that is unique (`lr`). The value
    /// is TOML; a string may go without quotes.
    Setting(String),
}

impl ConfigSource {
    /// The configuration that a run has saved.
    ///
    /// # Errors
    /// [`Error::Config`] if it has no TOML form.
    pub fn saved(config: &(impl ToTable + ?Sized)) -> Result<Self> {
        Ok(ConfigSource::Saved { name: "config.toml".to_owned(), toml: config.to_table()?.to_string() })
    }

    /// Reads a file of at most 1 MiB.
    ///
    /// # Errors
    /// [`Error::Files`] if it cannot be read or is too large, [`Error::Config`] if it is not UTF-8.
    pub fn file(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let bytes = read_limited(&Disk, path, MAX_BYTES as u64)?;
        match String::from_utf8(bytes) {
            Ok(toml) => Ok(ConfigSource::Text { name, toml }),
            Err(error) => {
                let valid = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
                let at = layer::line_column(&valid, valid.len());
                Err(Error::Config { origin: format!("{name}:{at}"), message: "the file is not UTF-8".to_owned() })
            }
        }
    }
}

/// A configuration as TOML.
pub trait ToTable {
    /// Every key with its value.
    ///
    /// # Errors
    /// [`Error::Config`] if it has no TOML form.
    fn to_table(&self) -> Result<Table>;
}

impl<T: Serialize> ToTable for T {
    fn to_table(&self) -> Result<Table> {
        Table::try_from(self).map_err(|e| unattributed("", &e.to_string()))
    }
}

/// Where each value comes from, by path: `preset pairs:3:1`, ``setting `lr=1` ``. A default comes from nowhere.
pub type Origins = BTreeMap<String, String>;

/// A setting whose key several networks have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedSetting {
    /// The setting in words.
    pub origin: String,
    /// The keys that it has set.
    pub set: Vec<String>,
    /// Keys of the same name that do not take its value.
    pub left: Vec<String>,
}

/// A configuration made of layers, and what is known of its values.
pub(crate) struct Layered<T> {
    pub(crate) config: T,
    /// The keys that a user has set, in a text or a setting.
    set: BTreeSet<String>,
    pub(crate) origins: Origins,
    pub(crate) shared: Vec<SharedSetting>,
    /// The defaults, and the values in their place.
    defaults: Table,
    values: Table,
}

impl<T> Layered<T> {
    /// An error about the value at `path`, with the layer that it comes from.
    pub(crate) fn refuse(&self, path: &str, reason: &str) -> Error {
        error_at(&self.origins, path, |key| format!("{key}{reason}"))
    }

    /// Whether a user has set the value at `path`, and not to its default.
    pub(crate) fn is_changed(&self, path: &str) -> bool {
        self.set.contains(path) && setting::at(&self.defaults, path) != setting::at(&self.values, path)
    }
}

/// Lays `layers` over `defaults`, the later over the earlier.
///
/// # Errors
/// [`Error::Config`]: syntax, unknown or ambiguous key, wrong type, a number that is not finite or out of its range.
pub fn resolve<T: Serialize + DeserializeOwned + Ranged>(defaults: &T, layers: &[ConfigSource]) -> Result<T> {
    Ok(lay(defaults, layers)?.config)
}

/// As [`resolve`].
pub(crate) fn lay<T: Serialize + DeserializeOwned + Ranged>(
    defaults: &T,
    layers: &[ConfigSource],
) -> Result<Layered<T>> {
    let of_defaults =
        |e: &dyn std::fmt::Display| Error::Config { origin: "defaults".to_owned(), message: e.to_string() };
    let defaults = Table::try_from(defaults).map_err(|e| of_defaults(&e))?;
    let mut values = defaults.clone();
    let mut keys = Keys::default();
    let (mut origins, mut set, mut shared) = (Origins::new(), BTreeSet::new(), Vec::new());
    trace::read::<T>(&values, &mut keys).map_err(|failure| of_defaults(&failure.message))?;

    for layer in layers {
        match layer {
            ConfigSource::Text { name, toml } | ConfigSource::Saved { name, toml } => {
                let document = layer::Document::parse(name, toml)?;
                document.check(&keys)?;
                merge(&mut values, document.values, "", &keys);
                if matches!(layer, ConfigSource::Text { .. }) {
                    set.extend(document.origins.keys().cloned());
                }
                origins.extend(document.origins);
            }
            ConfigSource::Setting(text) => {
                let takes = |path: &str, value: &Value| takes::<T>(&values, &keys, path, value);
                let setting = setting::Setting::parse(text, &keys, &values, &takes)?;
                for (path, table) in setting.paths.iter().zip(setting.tables()) {
                    set.insert(path.clone());
                    origins.insert(path.clone(), setting.origin.clone());
                    merge(&mut values, table, "", &keys);
                }
                let setting::Setting { paths, left, origin, .. } = setting;
                if paths.len() + left.len() > 1 {
                    shared.push(SharedSetting { origin, set: paths, left });
                }
            }
        }
        // A layer may switch on a table that was absent; from now on its keys are known. Errors wait for the end:
        // a later layer may put things right.
        let _ = trace::read::<T>(&values, &mut keys);
    }

    let config: T = trace::read(&values, &mut keys)
        .map_err(|failure| error_at(&origins, &failure.path, |key| format!("{key}{}", failure.message)))?;
    // A number may be finite as written and not as held (1e300 in an f32).
    let values = Table::try_from(&config).map_err(|e| of_defaults(&e))?;
    if let Some(path) = not_finite(&Value::Table(values.clone()), "") {
        return Err(error_at(&origins, &path, |key| format!("{key}the number is too large")));
    }
    match ranges::out_of_range(T::TABLES, &values) {
        Some((path, reason)) => Err(error_at(&origins, &path, |key| format!("{key}{reason}"))),
        None => Ok(Layered { config, set, origins, shared, defaults, values }),
    }
}

/// Whether the key at `path` takes this value, and the architecture there is now has a use for the key.
fn takes<T: DeserializeOwned>(values: &Table, keys: &Keys, path: &str, value: &Value) -> bool {
    let mut with = values.clone();
    merge(&mut with, setting::table_of(path, value), "", keys);
    // What else may be wrong is the business of other layers.
    let fits = trace::read::<T>(&with, &mut Keys::default()).map_or_else(|failure| failure.path != path, |_| true);
    fits && docs::is_used(path, values)
}

/// An error about a value that no layer is known for.
pub(crate) fn unattributed(path: &str, reason: &str) -> Error {
    error_at(&Origins::new(), path, |key| format!("{key}{reason}"))
}

/// Checks the numbers of a configuration that was made by hand.
///
/// # Errors
/// [`Error::Config`]: a number out of its range.
pub(crate) fn check_numbers<T: Serialize + Ranged>(config: &T) -> Result<()> {
    let values = config.to_table()?;
    let refused = ranges::out_of_range(T::TABLES, &values);
    refused.map_or(Ok(()), |(path, reason)| Err(unattributed(&path, &reason)))
}

/// An error about `path`, attributed to the layer that set it or the nearest thing around it.
fn error_at(origins: &Origins, path: &str, message: impl FnOnce(&str) -> String) -> Error {
    let mut around = path;
    let origin = loop {
        if let Some(origin) = origins.get(around) {
            break origin.clone();
        }
        match around.rfind(['.', '[']) {
            Some(at) => around = &around[..at],
            None => break "configuration".to_owned(),
        }
    };
    let key = if path.is_empty() { String::new() } else { format!("`{path}`: ") };
    Error::Config { origin, message: message(&key) }
}

/// Puts `layer` over `values`. Tables that are structs are merged key by key, anything else is replaced.
fn merge(values: &mut Table, layer: Table, path: &str, keys: &Keys) {
    for (key, value) in layer {
        let child = keys::join(path, &key);
        match (values.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) if keys.is_table(&child) => {
                merge(below, above, &child, keys);
            }
            (_, value) => {
                values.insert(key, value);
            }
        }
    }
}

/// The path of the first number that is NaN or infinite.
fn not_finite(value: &Value, path: &str) -> Option<String> {
    match value {
        Value::Float(x) if !x.is_finite() => Some(path.to_owned()),
        Value::Array(items) => items.iter().enumerate().find_map(|(i, item)| not_finite(item, &format!("{path}[{i}]"))),
        Value::Table(table) => table.iter().find_map(|(key, value)| not_finite(value, &keys::join(path, key))),
        _ => None,
    }
}
