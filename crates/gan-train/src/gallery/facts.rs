//! What a page says about where a run comes from.

use std::path::Path;

use crate::run::{RunInfo, read_config, read_info};
use crate::storage::Storage;

/// Facts and settings of a run, as far as its folder tells.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    pub(super) listed: Vec<(String, String)>,
    /// `config.toml`.
    pub(super) settings: String,
}

impl Facts {
    /// Those of the run in `folder`.
    pub(super) fn read(storage: &dyn Storage, folder: &Path) -> Self {
        let listed = read_info(storage, folder).map(|info| list(folder, &info)).unwrap_or_default();
        Facts { listed, settings: read_config(storage, folder).unwrap_or_default() }
    }
}

fn list(folder: &Path, info: &RunInfo) -> Vec<(String, String)> {
    let last = info.launches.last();
    let revision = info.revision.as_ref().map(|revision| format!(" ({revision})")).unwrap_or_default();
    let mut facts = vec![
        ("Run folder", folder.display().to_string()),
        ("Method", info.method.clone()),
        ("Command", info.argv.join(" ")),
        ("Device", format!("{}, {}", last.map_or(&info.device, |launch| &launch.device), info.instruction_set)),
        ("Seed", info.seed.to_string()),
        ("Version", format!("{}{revision}", info.version)),
    ];
    if let Some(first) = info.launches.first() {
        facts.push(("Started", first.time.clone()));
    }
    if let Some(last) = last {
        let host = last.host.as_ref().map(|host| format!("{host}, ")).unwrap_or_default();
        facts.push(("Last launch", format!("{}, {host}{} CPUs", last.time, last.cpus)));
        if last.argv != info.argv {
            facts.push(("Its command", last.argv.join(" ")));
        }
    }
    facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
