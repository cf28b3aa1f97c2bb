//! One setting, `key=value`.

use toml::{Table, Value};

use super::keys::{Keys, join};
use super::{MAX_BYTES, not_finite};
use crate::{Error, Result};

/// Tables of networks: a key that stands in several of them may be set in all at once.
const NETWORKS: [&str; 3] = ["generator", "discriminator", "head"];

/// A setting whose key is resolved.
pub(super) struct Setting {
    /// The full path; several for a key that several networks have.
    pub(super) paths: Vec<String>,
    /// Where the key stands as well, in networks that do not take the value.
    pub(super) left: Vec<String>,
    /// How messages call it.
    pub(super) origin: String,
    value: Value,
}

impl Setting {
    /// Finds the key and reads the value; `values` tells what kind of value is there now. `takes` says whether a value fits in
    /// a place.
    pub(super) fn parse(text: &str, keys: &Keys, values: &Table, takes: &dyn Fn(&str, &Value) -> bool) -> Result<Self> {
        let shown: String = text.chars().take(80).map(|c| if c.is_control() { ' ' } else { c }).collect();
        let origin = format!("setting `{shown}`");
        let fail = |message: String| Err(Error::Config { origin: origin.clone(), message });
        if text.len() > MAX_BYTES {
            return fail(format!("it is longer than {MAX_BYTES} bytes"));
        }
        let Some((key, raw)) = text.split_once('=') else { return fail("expected key=value".to_owned()) };
        let (key, raw) = (key.trim(), raw.trim());
        if key.is_empty() {
            return fail("expected a key before `=`".to_owned());
        }
        let found = keys.find(key);
        let of_networks =
            found.iter().all(|path| path.split_once('.').is_some_and(|(table, _)| NETWORKS.contains(&table)));
        let path = match &found[..] {
            [] => return fail(keys.unknown("", key)),
            [path] => path.clone(),
            [path, ..] if of_networks => path.clone(),
            several => return fail(ambiguous(key, several)),
        };
        let value = match value(raw, at(values, &path)) {
            Ok(value) => value,
            Err(message) => return fail(message),
        };
        if let Some(bad) = not_finite(&value, &path) {
            return fail(format!("`{bad}`: the number must be finite"));
        }
        match &value {
            Value::Table(table) => {
                if let Some((table, key)) = unknown_inside(table, &path, keys) {
                    return fail(keys.unknown(&table, &key));
                }
            }
            _ if keys.is_table(&path) => {
                return fail(format!("`{path}` is a table; set one of {}", keys.fields(&path).join(", ")));
            }
            _ => {}
        }
        let (paths, left): (Vec<_>, _) =
            found.iter().cloned().partition(|path| found.len() == 1 || takes(path, &value));
        if paths.is_empty() {
            return fail(ambiguous(key, &found));
        }
        Ok(Setting { paths, left, origin, value })
    }

    /// The setting as layers, one for each path.
    pub(super) fn tables(&self) -> impl Iterator<Item = Table> {
        self.paths.iter().map(|path| table_of(path, &self.value))
    }
}

fn ambiguous(key: &str, paths: &[String]) -> String {
    format!("`{key}` is ambiguous; write one of {}", paths.join(", "))
}

/// The table that has only this value, at `path`.
pub(super) fn table_of(path: &str, value: &Value) -> Table {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let value = rest.map_or_else(|| value.clone(), |rest| Value::Table(table_of(rest, value)));
    Table::from_iter([(first.to_owned(), value)])
}

/// The value at a dotted path.
pub(super) fn at<'v>(values: &'v Table, path: &str) -> Option<&'v Value> {
    let (first, rest) = match path.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (path, None),
    };
    match (values.get(first)?, rest) {
        (value, None) => Some(value),
        (Value::Table(table), Some(rest)) => at(table, rest),
        _ => None,
    }
}

/// The first key inside a table value that does not exist: its table and name.
fn unknown_inside(table: &Table, path: &str, keys: &Keys) -> Option<(String, String)> {
    table.iter().find_map(|(key, value)| {
        if keys.lacks(path, key) {
            return Some((path.to_owned(), key.clone()));
        }
        value.as_table().and_then(|inner| unknown_inside(inner, &join(path, key), keys))
    })
}

/// Reads a value as TOML, or as a bare string; where a string or a number is now, as that if possible.
fn value(raw: &str, now: Option<&Value>) -> Result<Value, String> {
    let parsed = raw.parse::<Value>();
    match (now, parsed) {
        (Some(Value::String(_)), Ok(Value::String(text))) => Ok(Value::String(text)),
        // `name=123` or `name=true`: the key wants text.
        (Some(Value::String(_)), Ok(Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_))) => {
            Ok(Value::String(raw.to_owned()))
        }
        (_, Ok(value)) => Ok(value),
        // `.5` and `1.` are numbers to everyone but TOML.
        (Some(Value::Float(_)), Err(_)) if raw.parse::<f64>().is_ok() => {
            raw.parse().map(Value::Float).map_err(|_| String::new())
        }
        (_, Err(error)) if raw.starts_with(['[', '{', '"', '\'']) => {
            Err(format!("the value is not valid TOML: {}", error.message().trim_end().replace('\n', "; ")))
        }
        (_, Err(_)) => Ok(Value::String(raw.to_owned())),
    }
}
