//! Bare weight files: a network without a run.

use crate::exit::{BAD_MODEL, Coded, USAGE};
use anyhow::bail;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use gan_nets::{Arch, Assumptions};
use gan_translate::WeightOptions;
use gan_weights::KeyMap;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Largest file of names that is read.
const MAX_KEYS: u64 = 16 << 20;

#[derive(clap::Args, Clone)]
pub(crate) struct WeightArgs {
    /// Architecture of a bare weight file. It is read off the tensors; where they leave a choice (a ResNet with instance
    /// norm and two downsampling layers is a global generator, too), this decides, and otherwise it is checked
    #[arg(long, value_parser = PossibleValuesParser::new(Arch::ALL.map(|(name, _)| name)).try_map(|name| arch(&name)))]
    pub(crate) arch: Option<Arch>,
    /// Which network of a file that holds several: `netG`, or `models.generator` for a dict in a dict, or what the keys of
    /// the network begin with
    #[arg(long, value_name = "NAME")]
    pub(crate) entry: Option<String>,
    /// New names for tensors of a bare weight file, where its own are not recognised: a .toml or .json file whose keys are
    /// names, or paths of layers, in the weight file, and whose values are those of the reference ("" leaves a tensor out)
    #[arg(long, value_name = "FILE")]
    pub(crate) keys: Option<PathBuf>,
    /// What the tensors of a bare weight file do not tell, where the note about it is wrong: padding, down_padding (reflect,
    /// replicate, zero), upsample (resize, resize_zero), unet_layout (reference, biased, post_activation,
    /// post_activation_relu, post_activation_resize) or skip_first (true, false)
    #[arg(long, value_name = "KEY=VALUE", value_parser = assumption)]
    pub(crate) assume: Vec<(String, Value)>,
}

impl WeightArgs {
    /// What the arguments say about a weight file.
    ///
    /// # Errors
    /// The file of `--keys` cannot be read.
    pub(crate) fn options(&self) -> anyhow::Result<WeightOptions> {
        let keys = self.keys.as_deref().map(read_keys).transpose()?.unwrap_or_default();
        let assumed = Value::Object(self.assume.iter().cloned().collect());
        let assumptions = serde_json::from_value::<Assumptions>(assumed)
            .map_err(|error| Coded(USAGE, format!("--assume: {error}")))?;
        Ok(WeightOptions { arch: self.arch, entry: self.entry.clone(), keys, assumptions, ..WeightOptions::default() })
    }

    /// Refuses what only bare weight files need.
    pub(crate) fn refuse_for_runs(&self) -> anyhow::Result<()> {
        if self.arch.is_some() || self.entry.is_some() || self.keys.is_some() || !self.assume.is_empty() {
            bail!(Coded(
                USAGE,
                "--arch, --entry, --assume and --keys are for bare weight files: a run knows its networks".into()
            ));
        }
        Ok(())
    }
}

fn arch(name: &str) -> Result<Arch, String> {
    Arch::ALL.iter().find(|(n, _)| *n == name).map(|(_, arch)| *arch).ok_or_else(|| format!("no architecture {name}"))
}

/// A key and its value, which is a word.
fn assumption(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    let value = match value.trim() {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        word => word.into(),
    };
    Ok((key.trim().to_owned(), value))
}

/// The new names in a file.
fn read_keys(path: &Path) -> anyhow::Result<KeyMap> {
    let refuse = |reason: &dyn std::fmt::Display| {
        Coded(
            BAD_MODEL,
            format!(
                "{}: {reason}; it has to be a table of names, one a line: \"name in the file\" = \"name of the reference\"",
                path.display()
            ),
        )
    };
    let bytes = gan_fs::read_regular(path, MAX_KEYS).map_err(|error| refuse(&error))?;
    let text = String::from_utf8(bytes).map_err(|error| refuse(&error))?;
    let names: BTreeMap<String, String> = if path.extension().is_some_and(|extension| extension == "json") {
        serde_json::from_str(&text).map_err(|error| refuse(&error))?
    } else {
        toml::from_str(&text).map_err(|error| refuse(&error.message()))?
    };
    Ok(names.into_iter().collect())
}
