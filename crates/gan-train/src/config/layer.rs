//! A TOML document with the place of each value.

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table};

use super::keys::{Keys, join};
use super::{MAX_BYTES, Origins, not_finite};
use crate::{Error, Result};

/// A parsed layer.
pub(super) struct Document {
    /// The values.
    pub(super) values: Table,
    /// DeviceConfig of each key, and of each element of an array.
    pub(super) origins: Origins,
    /// Path of the table, key, and place of the key, in the order of the text.
    keys: Vec<(usize, String, String, String)>,
}

impl Document {
    /// Parses `text`, called `name` in messages.
    pub(super) fn parse(name: &str, text: &str) -> Result<Self> {
        if text.len() > MAX_BYTES {
            let message = format!("the configuration is larger than {MAX_BYTES} bytes");
            return Err(Error::Config { origin: name.to_owned(), message });
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let origin = |at: usize| format!("{name}:{}", line_column(text, at));
        let syntax = |error: toml::de::Error| Error::Config {
            origin: error.span().map_or(name.to_owned(), |span| origin(span.start)),
            message: error.message().trim_end().replace('\n', "; "),
        };
        let spans = DeTable::parse(text).map_err(syntax)?;
        let values: Table = toml::from_str(text).map_err(syntax)?;
        let mut document = Document { values: Table::new(), origins: Origins::new(), keys: Vec::new() };
        document.walk(spans.get_ref(), "", &origin);
        document.keys.sort();
        if let Some(path) = not_finite(&toml::Value::Table(values.clone()), "") {
            let message = |key: &str| format!("{key}the number must be finite");
            return Err(super::error_at(&document.origins, &path, message));
        }
        document.values = values;
        Ok(document)
    }

    fn walk(&mut self, table: &DeTable<'_>, path: &str, origin: &dyn Fn(usize) -> String) {
        for (key, value) in table {
            let child = join(path, key.get_ref());
            let at = key.span().start;
            self.keys.push((at, path.to_owned(), key.get_ref().to_string(), origin(at)));
            self.value(value, child, origin);
        }
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, path: String, origin: &dyn Fn(usize) -> String) {
        self.origins.insert(path.clone(), origin(value.span().start));
        match value.get_ref() {
            DeValue::Table(table) => self.walk(table, &path, origin),
            DeValue::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    self.value(item, format!("{path}[{i}]"), origin);
                }
            }
            _ => {}
        }
    }

    /// Refuses the first key that does not exist, and anything else in the place of a table. No later layer makes up for
    /// either: it would drop what stands here without a word.
    pub(super) fn check(&self, known: &Keys) -> Result<()> {
        if let Some(path) = no_table(&self.values, "", known) {
            let keys = known.fields(&path).join(", ");
            let message =
                |_: &str| format!("`{path}` is a table: write `[{path}]` once, and below it its keys: {keys}");
            return Err(super::error_at(&self.origins, &path, message));
        }
        match self.keys.iter().find(|(_, table, key, _)| known.lacks(table, key)) {
            Some((_, table, key, origin)) => {
                Err(Error::Config { origin: origin.clone(), message: known.unknown(table, key) })
            }
            None => Ok(()),
        }
    }
}

/// The path of the first value that stands in the place of a table.
fn no_table(values: &Table, path: &str, known: &Keys) -> Option<String> {
    values.iter().find_map(|(key, value)| {
        let child = join(path, key);
        match value.as_table() {
            Some(inner) => no_table(inner, &child, known),
            None => known.is_table(&child).then_some(child),
        }
    })
}

/// `line:column` of a byte offset, both counted from 1, columns in characters.
pub(super) fn line_column(text: &str, at: usize) -> String {
    let boundary = (0..=at.min(text.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
    let before = &text[..boundary];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{line}:{column}")
}
