//! What is known of every key of a configuration.

use gan_nets::{DiscriminatorConfig, GeneratorConfig};
use gan_range::Range;
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::difference::known;
use super::keys::join;
use super::ranges::Ranged;
use super::setting::at;
use crate::Result;

/// A key of a configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyInfo {
    /// Dotted path.
    pub key: String,
    /// What it is for: its doc comment, as one line.
    pub about: String,
    /// Its default as TOML; `None` for an optional key, which has none.
    pub default: Option<String>,
    /// The numbers that it takes.
    pub range: Option<Range>,
    /// The words that it takes, if it takes no others.
    pub values: &'static [&'static str],
    /// The architectures that use it, if not all do.
    pub archs: Vec<&'static str>,
}

impl KeyInfo {
    /// The first sentence about it.
    #[must_use]
    pub fn summary(&self) -> &str {
        let ends = self.about.match_indices(". ").map(|(at, _)| at);
        let end = ends.into_iter().find(|at| self.about[at + 2..].starts_with(|c: char| !c.is_lowercase()));
        end.map_or(&self.about, |at| &self.about[..=at])
    }

    /// What it takes, in words, where that is known: `a number above 0`, `stop, skip or rewind`.
    #[must_use]
    pub fn takes(&self) -> Option<String> {
        match (self.range, self.values) {
            (Some(range), _) => Some(range.to_string()),
            (None, []) => None,
            (None, [only]) => Some((*only).to_owned()),
            (None, [values @ .., last]) => Some(format!("{} or {last}", values.join(", "))),
        }
    }
}

/// Every key, in the order of its table and of its struct.
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) if the defaults have no TOML form.
pub(crate) fn docs<T: Ranged + Serialize + DeserializeOwned>(defaults: &T) -> Result<Vec<KeyInfo>> {
    let (values, keys) = known(defaults)?;
    let documented: Vec<_> = T::TABLES
        .iter()
        .flat_map(|(table, ranges, docs)| docs.iter().map(move |doc| (join(table, doc.key), *ranges, doc)))
        .collect();
    let place = |path: &String| documented.iter().position(|(known, ..)| known == path).unwrap_or(usize::MAX);
    let mut paths: Vec<String> = keys.values().collect();
    paths.sort_by_key(|path| (place(path), path.clone()));
    let info = |key: String| {
        let known = documented.iter().find(|(path, ..)| *path == key);
        KeyInfo {
            about: known.map(|(.., doc)| doc.text()).unwrap_or_default(),
            range: known.and_then(|(_, ranges, doc)| ranges.iter().find(|range| range.key == doc.key)).copied(),
            default: at(&values, &key).map(Value::to_string),
            values: keys.variants(&key),
            archs: archs_of(&key),
            key,
        }
    };
    Ok(paths.into_iter().map(info).collect())
}

/// The architectures that use the key at `path`, if not all do.
fn archs_of(path: &str) -> Vec<&'static str> {
    match path.split_once('.') {
        Some(("generator", key)) => GeneratorConfig::archs_of(key),
        Some(("discriminator", key)) => DiscriminatorConfig::archs_of(key),
        _ => Vec::new(),
    }
}

/// Whether the architecture in `values` has a use for the key at `path`.
pub(super) fn is_used(path: &str, values: &Table) -> bool {
    let archs = archs_of(path);
    let arch = path.split_once('.').and_then(|(table, _)| at(values, &join(table, "arch"))).and_then(Value::as_str);
    archs.is_empty() || arch.is_none_or(|arch| archs.contains(&arch))
}
