//! The keys that a configuration struct knows.

use std::collections::{BTreeMap, BTreeSet};

use super::nearest;

/// The fields of every struct seen, by its path (`""` is the root).
#[derive(Debug, Default)]
pub(super) struct Keys {
    tables: BTreeMap<String, BTreeSet<&'static str>>,
    /// The values of every enum seen, by its path.
    variants: BTreeMap<String, &'static [&'static str]>,
}

/// `path.key`.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn leaf(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

impl Keys {
    /// Notes the fields of the struct at `path`.
    pub(super) fn add(&mut self, path: &str, fields: &'static [&'static str]) {
        self.tables.entry(path.to_owned()).or_default().extend(fields);
    }

    /// Notes the values of the enum at `path`.
    pub(super) fn add_variants(&mut self, path: &str, variants: &'static [&'static str]) {
        self.variants.insert(path.to_owned(), variants);
    }

    /// The values that the key at `path` takes, if it is an enum.
    pub(super) fn variants(&self, path: &str) -> &'static [&'static str] {
        self.variants.get(path).copied().unwrap_or_default()
    }

    /// Whether the value at `path` is a struct.
    pub(super) fn is_table(&self, path: &str) -> bool {
        self.tables.contains_key(path)
    }

    /// Whether the struct at `path` (if there is one) has no such field.
    pub(super) fn lacks(&self, path: &str, key: &str) -> bool {
        self.tables.get(path).is_some_and(|fields| !fields.contains(key))
    }

    /// The fields of the struct at `path`.
    pub(super) fn fields(&self, path: &str) -> Vec<&'static str> {
        self.tables.get(path).into_iter().flatten().copied().collect()
    }

    /// Every path, those of structs included.
    fn paths(&self) -> impl Iterator<Item = String> + '_ {
        self.tables.iter().flat_map(|(table, fields)| fields.iter().map(move |field| join(table, field)))
    }

    /// Every path that is not a struct.
    pub(super) fn values(&self) -> impl Iterator<Item = String> + '_ {
        self.paths().filter(|path| !self.is_table(path))
    }

    /// The paths that `key` may mean: itself, or else all that end in it; values go before tables.
    pub(super) fn find(&self, key: &str) -> Vec<String> {
        if self.paths().any(|path| path == key) {
            return vec![key.to_owned()];
        }
        let end = format!(".{key}");
        let found: Vec<String> = self.paths().filter(|path| path.ends_with(&end)).collect();
        let values: Vec<String> = found.iter().filter(|path| !self.is_table(path)).cloned().collect();
        if values.is_empty() { found } else { values }
    }

    /// What to say about a key that does not exist in the table `path`.
    pub(super) fn unknown(&self, path: &str, key: &str) -> String {
        let wanted = join(path, key);
        let table = wanted.rsplit_once('.').map_or("", |(table, _)| table);
        // The same table first; a key in the wrong table is the next likely slip.
        let name = nearest::our_name(leaf(&wanted)).unwrap_or(leaf(&wanted));
        let candidates = self.paths().filter_map(|candidate| {
            let near = nearest::distance(name, leaf(&candidate))?;
            let elsewhere = candidate.rsplit_once('.').map_or("", |(table, _)| table) != table;
            Some((near + usize::from(elsewhere), elsewhere, candidate))
        });
        let hint = match candidates.min() {
            Some((_, _, candidate)) => format!("did you mean `{candidate}`?"),
            None => {
                let fields = self.fields(if self.is_table(table) { table } else { "" });
                format!("the keys here are {}", fields.join(", "))
            }
        };
        format!("unknown key `{wanted}`; {hint}")
    }
}
