//! Configuration in layers: defaults, then a preset, then a file, then single settings.
//!
//! Works for any struct that serde can write and read and that denies unknown fields; the keys and their types are
//! learnt from the struct itself. Later layers win, key by key. Every error says where the value came from:
//!
//! ```text
//! run.toml:3:1: unknown key `train.n_epoch`; did you mean `train.n_epochs`?
//! setting `norm=batch`: `norm` is ambiguous; write one of generator.norm, discriminator.norm
//! ```

mod difference;
mod keys;
mod layer;
pub mod nearest;
mod ranges;
mod setting;
#[cfg(test)]
mod tests;
mod trace;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::storage::{Disk, read_limited};
use crate::{Error, Result};
pub use difference::{Difference, differences, list};
use keys::Keys;
pub use ranges::{Ranged, Tables, key_ranges};

/// Largest configuration text.
const MAX_BYTES: usize = 1 << 20;

/// One source of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layer {
    /// A TOML document.
    Text {
        /// Its name in messages: the file, or the preset.
        name: String,
        /// The document; a byte order mark and CRLF line ends are fine.
        toml: String,
    },
    /// One setting `key=value`. The key is a dotted path (`train.lr`) or its end, if that is unique (`lr`). The value
    /// is TOML; a string may go without quotes.
    Setting(String),
}

impl Layer {
    /// Reads a file of at most 1 MiB.
    ///
    /// # Errors
    /// [`Error::Files`] if it cannot be read or is too large, [`Error::Config`] if it is not UTF-8.
    pub fn file(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let bytes = read_limited(&Disk, path, MAX_BYTES as u64)?;
        match String::from_utf8(bytes) {
            Ok(toml) => Ok(Layer::Text { name, toml }),
            Err(error) => {
                let valid = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
                let at = layer::line_column(&valid, valid.len());
                Err(Error::Config { origin: format!("{name}:{at}"), message: "the file is not UTF-8".to_owned() })
            }
        }
    }
}

/// Where each value comes from, by path.
type Origins = BTreeMap<String, String>;

/// Lays `layers` over `defaults`, the later over the earlier.
///
/// # Errors
/// [`Error::Config`]: syntax, unknown or ambiguous key, wrong type, a number that is not finite or out of its range.
pub fn resolve<T: Serialize + DeserializeOwned + Ranged>(defaults: &T, layers: &[Layer]) -> Result<T> {
    let of_defaults =
        |e: &dyn std::fmt::Display| Error::Config { origin: "defaults".to_owned(), message: e.to_string() };
    let mut values = Table::try_from(defaults).map_err(|e| of_defaults(&e))?;
    let mut keys = Keys::default();
    let mut origins = Origins::new();
    trace::read::<T>(&values, &mut keys).map_err(|failure| of_defaults(&failure.message))?;

    for layer in layers {
        match layer {
            Layer::Text { name, toml } => {
                let document = layer::Document::parse(name, toml)?;
                document.check(&keys)?;
                merge(&mut values, document.values, "", &keys);
                origins.extend(document.origins);
            }
            Layer::Setting(text) => {
                let setting = setting::Setting::parse(text, &keys, &values)?;
                origins.insert(setting.path.clone(), setting.origin.clone());
                merge(&mut values, setting.into_table(), "", &keys);
            }
        }
        // A layer may switch on a table that was absent; from now on its keys are known. Errors wait for the end:
        // a later layer may put things right.
        let _ = trace::read::<T>(&values, &mut keys);
    }

    let config: T = trace::read(&values, &mut keys)
        .map_err(|failure| error_at(&origins, &failure.path, |key| format!("{key}{}", failure.message)))?;
    // A number may be finite as written and not as held (1e300 in an f32).
    let held = Table::try_from(&config).map_err(|e| of_defaults(&e))?;
    if let Some(path) = not_finite(&Value::Table(held.clone()), "") {
        return Err(error_at(&origins, &path, |key| format!("{key}the number is too large")));
    }
    match refusal(&config, &held) {
        Some((path, reason)) => Err(error_at(&origins, &path, |key| format!("{key}{reason}"))),
        None => Ok(config),
    }
}

/// The path of the first number that cannot be, and why.
fn refusal<T: Ranged>(config: &T, held: &Table) -> Option<(String, String)> {
    ranges::out_of_range(T::TABLES, held).or_else(|| config.refusal())
}

/// An error about a value that no layer is known for.
fn unattributed(path: &str, reason: &str) -> Error {
    error_at(&Origins::new(), path, |key| format!("{key}{reason}"))
}

/// Checks the numbers of a configuration that was made by hand.
///
/// # Errors
/// [`Error::Config`]: a number out of its range.
pub(crate) fn check_numbers<T: Serialize + Ranged>(config: &T) -> Result<()> {
    let held = Table::try_from(config).map_err(|error| unattributed("", &error.to_string()))?;
    refusal(config, &held).map_or(Ok(()), |(path, reason)| Err(unattributed(&path, &reason)))
}

/// Reads a configuration that was resolved before (of a checkpoint, for example) and checks its numbers again.
///
/// # Errors
/// [`Error::Config`]: an unknown key, a wrong type, a number out of its range.
pub fn read<T: DeserializeOwned + Ranged>(table: &Table) -> Result<T> {
    let config: T =
        trace::read(table, &mut Keys::default()).map_err(|failure| unattributed(&failure.path, &failure.message))?;
    refusal(&config, table).map_or(Ok(config), |(path, reason)| Err(unattributed(&path, &reason)))
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
