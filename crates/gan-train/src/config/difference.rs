//! What distinguishes two configurations.

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::keys::{Keys, join};
use super::{ToTable, trace};
use crate::{Error, Result};

/// A key whose values differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Dotted path.
    pub key: String,
    /// The value in the first configuration, if it has one.
    pub before: Option<Value>,
    /// The value in the second, if it has one.
    pub after: Option<Value>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let show = |value: &Option<Value>| value.as_ref().map_or("(none)".to_owned(), Value::to_string);
        write!(f, "{}: {} -> {}", self.key, show(&self.before), show(&self.after))
    }
}

/// The keys in which two configurations differ, sorted; resuming with an edited configuration shows them.
///
/// # Errors
/// [`Error::Config`] if a configuration has no TOML form.
pub fn differences<T: Serialize>(before: &T, after: &T) -> Result<Vec<Difference>> {
    let mut found = Vec::new();
    compare(&before.to_table()?, &after.to_table()?, "", &mut found);
    Ok(found)
}

fn compare(before: &Table, after: &Table, path: &str, found: &mut Vec<Difference>) {
    let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let child = join(path, key);
        match (before.get(key), after.get(key)) {
            (Some(Value::Table(before)), Some(Value::Table(after))) => compare(before, after, &child, found),
            (before, after) if before != after => {
                found.push(Difference { key: child, before: before.cloned(), after: after.cloned() });
            }
            _ => {}
        }
    }
}

/// Every key of a configuration with its value as TOML, `None` for optional ones that are absent; for help and
/// documentation. Sorted, tables left out.
///
/// # Errors
/// [`Error::Config`] if the configuration has no TOML form.
pub fn list<T: Serialize + DeserializeOwned>(config: &T) -> Result<Vec<(String, Option<String>)>> {
    let (values, keys) = known(config)?;
    let mut listed: Vec<_> = keys
        .values()
        .map(|path| {
            let value = super::setting::at(&values, &path).map(Value::to_string);
            (path, value)
        })
        .collect();
    listed.sort();
    Ok(listed)
}

/// The values of a configuration, and the keys that it knows.
pub(super) fn known<T: Serialize + DeserializeOwned>(config: &T) -> Result<(Table, Keys)> {
    let values = config.to_table()?;
    let mut keys = Keys::default();
    trace::read::<T>(&values, &mut keys)
        .map_err(|failure| Error::Config { origin: "configuration".to_owned(), message: failure.message })?;
    Ok((values, keys))
}
