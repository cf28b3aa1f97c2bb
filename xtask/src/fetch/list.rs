//! `--list`: what the catalogue has and what is here, in 80 columns.

use std::path::Path;

use anyhow::Result;

use super::catalog::{Catalog, Entry, Kind};
use super::store::{Look, State, Store};
use crate::human;

/// The list as text.
pub(crate) fn render(catalog: &Catalog, store: &Store, dir: &Path) -> Result<String> {
    let mut text = format!("Data directory: {}\n", dir.display());
    for (kind, title) in [(Kind::Dataset, "Datasets"), (Kind::Weights, "Weights")] {
        let entries: Vec<_> = catalog.entries.iter().filter(|entry| entry.kind == kind).collect();
        if entries.is_empty() {
            continue;
        }
        text.push_str(&format!("\n{title:<33}{:<10}{:>8}  Licence\n", "State", "Size"));
        for entry in entries {
            text.push_str(&line(entry, store)?);
        }
    }
    text.push_str(
        "\n* restricted: needs --accept-licence.  manual: fetch-data NAME tells the steps.\n\
         unverified: there, but not put there by fetch-data.  damaged: fetch it again.\n",
    );
    Ok(text)
}

fn line(entry: &Entry, store: &Store) -> Result<String> {
    let state = match store.state(entry, Look::Quick)? {
        State::Intact => "present",
        State::Unverified => "unverified",
        State::Damaged(_) => "damaged",
        State::Absent if entry.urls.is_empty() => "manual",
        State::Absent => "-",
    };
    let size = match (entry.bytes, &entry.approx) {
        (Some(bytes), _) => human::bytes(bytes),
        (None, Some(approx)) => format!("~{approx}"),
        (None, None) => store.record(entry).map_or_else(|| "?".to_owned(), |record| human::bytes(record.bytes)),
    };
    let mark = if entry.restricted { '*' } else { ' ' };
    let line = format!("{:<32} {state:<10}{size:>8} {mark}{}", entry.name, entry.licence);
    Ok(format!("{}\n", line.trim_end()))
}
