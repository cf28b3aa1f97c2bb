//! Bare weight files: a network without a run.

use anyhow::{Context, bail};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use gan_nets::{Arch, Network, infer};
use gan_weights::{Loaded, StateDict, normalize_keys, read_any, read_entry};
use std::path::Path;

#[derive(clap::Args, Clone)]
pub(crate) struct WeightArgs {
    /// Architecture of a bare weight file. It is read off the tensors; where they leave a choice (a ResNet with instance
    /// norm and two halvings is a global generator, too), this decides, and otherwise it is checked
    #[arg(long, value_parser = PossibleValuesParser::new(Arch::ALL.map(|(name, _)| name)).try_map(|name| arch(&name)))]
    pub(crate) arch: Option<Arch>,
    /// Which state dict of a .pth file that holds several: `netG`, or `models.generator` for a dict in a dict
    #[arg(long, value_name = "NAME")]
    pub(crate) entry: Option<String>,
}

impl WeightArgs {
    /// Refuses what only bare weight files need.
    pub(crate) fn refuse_for_runs(&self) -> anyhow::Result<()> {
        if self.arch.is_some() || self.entry.is_some() {
            bail!(crate::exit::Coded(
                2,
                "--arch and --entry are for bare weight files: a run knows its networks".into()
            ));
        }
        Ok(())
    }
}

fn arch(name: &str) -> Result<Arch, String> {
    Arch::ALL.iter().find(|(n, _)| *n == name).map(|(_, arch)| *arch).ok_or_else(|| format!("no architecture {name}"))
}

/// A network from a file.
pub(crate) struct WeightFile {
    pub(crate) state: StateDict,
    pub(crate) network: Network,
    /// What the user should know, beginning with what the network is.
    pub(crate) notes: Vec<String>,
}

impl WeightFile {
    /// Reads the file, cleans what wrappers and old versions left in its keys, and finds out what it is.
    pub(crate) fn open(path: &Path, args: &WeightArgs) -> anyhow::Result<Self> {
        let Loaded { mut state, notes: mut found, .. } = read(path, args.entry.as_deref())?;
        found.extend(normalize_keys(&mut state));
        let network = infer(&state, args.arch).with_context(|| format!("cannot use {}", path.display()))?;
        let mut notes = vec![format!("{}: {network}", path.display())];
        notes.extend(found);
        Ok(WeightFile { state, network, notes })
    }
}

/// Whether a path is to be read as a weight file rather than as a run or checkpoint. A missing file that is called like
/// one is not taken for a missing run.
pub(crate) fn is_weight_file(path: &Path) -> bool {
    let named = path.extension().is_some_and(|e| e == "pth" || e == "pt" || e == "safetensors");
    path.is_file() || named && !path.is_dir()
}

/// Reads a weight file of any kind, as it is.
pub(crate) fn read(path: &Path, entry: Option<&str>) -> anyhow::Result<Loaded> {
    Ok(match entry {
        Some(entry) => read_entry(path, entry)?,
        None => read_any(path)?,
    })
}
