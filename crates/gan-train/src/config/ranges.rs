//! The ranges of all numeric keys of a configuration.

use gan_data::DataConfig;
use gan_range::{KeyDoc, Range};
use toml::{Table, Value};

use super::keys::join;
use super::setting::at;

/// The tables of a configuration: the path of each (`""` is the root), the ranges of its numeric keys, and what its keys are for.
pub type Tables = &'static [(&'static str, &'static [Range], &'static [KeyDoc])];

/// A configuration whose numbers have ranges.
pub trait Ranged {
    /// Its tables.
    const TABLES: Tables;
}

impl Ranged for DataConfig {
    const TABLES: Tables = &[("", DataConfig::RANGES, DataConfig::DOCS)];
}

/// Every numeric key by its full path, with its range; for documentation. Ranges print in words.
pub fn key_ranges(tables: Tables) -> Vec<(String, Range)> {
    let keys = tables.iter().flat_map(|(table, ranges, _)| ranges.iter().map(|range| (join(table, range.key), *range)));
    keys.collect()
}

/// The path of the first number out of its range, and the reason. Keys that are absent have no value.
pub(super) fn out_of_range(tables: Tables, values: &Table) -> Option<(String, String)> {
    key_ranges(tables).into_iter().find_map(|(path, range)| {
        let refused = match at(values, &path)? {
            Value::Integer(number) => match u64::try_from(*number) {
                Ok(whole) => range.check_whole(whole).err(),
                Err(_) => Some(range.refuse(number)),
            },
            Value::Float(number) => range.check_real(*number).err(),
            // Types are serde's business.
            _ => None,
        };
        Some((path, refused?.reason()))
    })
}
