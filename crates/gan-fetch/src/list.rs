//! The list: what the catalogue has, what is here, and a command that uses it; in 80 columns but for the commands.

use std::path::Path;

use crate::catalog::{Catalog, Entry, Kind, Section};
use crate::error::Result;
use crate::human;
use crate::store::{Look, State, Store};

/// The parts of the list: which entries, and their title.
const PARTS: [(Kind, Option<Section>, &str); 7] = [
    (Kind::Dataset, Some(Section::Pairs), "Pairs of images"),
    (Kind::Dataset, Some(Section::Domains), "Two folders of unpaired images"),
    (Kind::Dataset, Some(Section::Labels), "Label maps and photos"),
    (Kind::Dataset, None, "Other datasets"),
    (Kind::Weights, Some(Section::Generators), "Trained generators"),
    (Kind::Weights, None, "Other weights"),
    (Kind::Weights, Some(Section::Networks), "Networks of losses and metrics"),
];

/// The list as text: of every entry the state in the data directory `dir`, size and licence, what it is, the methods that it fits and
/// a command to try. A series of entries is explained once.
///
/// # Errors
/// When the lock file of the directory is damaged, or something there cannot be read.
pub fn list(catalog: &Catalog, dir: &Path) -> Result<String> {
    let store = Store::open(dir)?;
    let mut text = format!("Data directory: {}\n", dir.display());
    for (kind, section, title) in PARTS {
        let is_here = |entry: &&Entry| entry.kind == kind && entry.section == section;
        let entries: Vec<_> = catalog.entries().iter().filter(is_here).collect();
        if entries.is_empty() {
            continue;
        }
        text.push_str(&format!("\n{title:<33}{:<10}{:>8}  Licence\n", "State", "Size"));
        for series in entries.chunk_by(|a, b| a.series.is_some() && a.series == b.series) {
            for entry in series {
                text.push_str(&line(entry, &store)?);
            }
            if let [entry, ..] = series {
                text.push_str(&explanation(entry, dir));
            }
        }
    }
    text.push_str(
        "\n* restricted: needs --accept-licence.  manual: fetching it tells the steps.\n\
         unverified: there, but not fetched.  damaged: fetch it again.\n",
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

/// What it is, which methods it fits, and a command.
fn explanation(entry: &Entry, dir: &Path) -> String {
    let mut text = String::new();
    if !entry.about.is_empty() {
        text.push_str(&format!("    {}\n", entry.about));
    }
    match (entry.methods.is_empty(), entry.example(dir)) {
        (false, Some(example)) => text.push_str(&format!("    for {}: {example}\n", entry.methods.join(", "))),
        (true, Some(example)) => text.push_str(&format!("    {example}\n")),
        (false, None) => text.push_str(&format!("    for {}\n", entry.methods.join(", "))),
        (true, None) => {}
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_entry_is_listed_once_and_in_its_part() {
        let dir = tempfile::tempdir().unwrap();
        let catalog = Catalog::embedded().unwrap();
        let text = list(&catalog, &dir.path().join("data")).unwrap();
        for entry in catalog.entries() {
            let lines = text.lines().filter(|line| line.split(' ').next() == Some(&entry.name)).count();
            assert_eq!(lines, 1, "{}", entry.name);
        }
        let (users, internal) = text.split_once("Networks of losses and metrics").unwrap();
        assert!(users.contains("\ncyclegan_horse2zebra ") && !users.contains("\nlpips_"), "{text}");
        for name in ["lpips_alex", "alexnet", "inception", "vgg19"] {
            assert!(internal.contains(&format!("\n{name} ")), "{name}");
        }
        assert!(!text.contains("Other "), "every entry has its part: {text}");
        assert!(!dir.path().join("data").exists(), "looking changes nothing");
    }

    #[test]
    fn a_series_is_explained_once() {
        let head = "[[weights]]\nname='g_{}'\neach=['a','b']\nabout='of it'\nlicence='x'\nformat='pth'\n";
        let text = format!("{head}methods=['cut']\ntry='run {{here}}'\nurls=['http://h/{{}}.pth']\n");
        let catalog = Catalog::parse(&text, "c").unwrap();
        let text = list(&catalog, Path::new("/none")).unwrap();
        assert_eq!(text.matches("    of it\n    for cut: run /none/weights/g_a.pth\n").count(), 1, "{text}");
        assert_eq!(text.matches("of it").count(), 1, "{text}");
    }
}
