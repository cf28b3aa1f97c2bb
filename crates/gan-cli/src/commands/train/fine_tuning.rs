//! Flags of fine-tuning: what networks start from, and which layers stay as they are.

use crate::exit::{BAD_MODEL, Coded};
use crate::shell::quoted;
use gan_train::config::ConfigSource;
use gan_train::{Error, TrainConfig};
use std::collections::BTreeMap;
use std::path::Path;
use toml::{Table, Value};

#[derive(clap::Args)]
pub(super) struct FineTuningArgs {
    /// Start a network from weights that exist (train.init): g=latest_net_G.pth, or a .safetensors file, a run, a
    /// checkpoint, a folder of a model or of the references. Once for each network: g, d; g_a, g_b, d_a, d_b of cyclegan; e of
    /// pix2pixhd; f of cut
    #[arg(long, value_name = "NETWORK=PATH", value_parser = assignment)]
    init: Vec<(String, String)>,
    /// Keep fresh values where weights of --init do not fit, instead of refusing them (train.init_partial)
    #[arg(long)]
    init_partial: bool,
    /// Layers of a network that are not trained (train.freeze): paths, and ranges of numbers in them, as in
    /// g=model.1..model.10,model.13
    #[arg(long, value_name = "NETWORK=LAYERS", value_parser = assignment)]
    freeze: Vec<(String, String)>,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (network, value) = text.split_once('=').ok_or("expected the name of a network, `=` and a value")?;
    if network.is_empty() || value.is_empty() {
        return Err("expected a name before `=` and a value behind it".into());
    }
    Ok((network.to_owned(), value.to_owned()))
}

impl FineTuningArgs {
    /// As settings; networks that `train` names already keep what it says of them.
    pub(super) fn layers(&self, train: &TrainConfig) -> gan_train::Result<Vec<ConfigSource>> {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let init = train.init.iter().map(|(network, from)| (network.clone(), path(from))).collect();
        let init = table("init", init, &self.init)?;
        let freeze = table("freeze", train.freeze.clone(), &self.freeze)?;
        let partial = self.init_partial.then(|| "train.init_partial=true".to_owned());
        Ok([init, partial, freeze].into_iter().flatten().map(ConfigSource::Setting).collect())
    }
}

/// The setting of a table of networks with what `given` adds, if it adds anything.
fn table(
    key: &str,
    mut values: BTreeMap<String, String>,
    given: &[(String, String)],
) -> gan_train::Result<Option<String>> {
    for (at, (network, value)) in given.iter().enumerate() {
        if given[..at].iter().any(|(other, _)| other == network) {
            let message = format!("{network} is named twice");
            return Err(Error::Config { origin: format!("--{key}"), message });
        }
        values.insert(network.clone(), value.clone());
    }
    let table: Table = values.into_iter().map(|(network, value)| (network, Value::String(value))).collect();
    Ok((!given.is_empty()).then(|| format!("train.{key}={}", Value::Table(table))))
}

/// The error of weights that do not fit, with the options that help.
pub(super) fn worded(error: Error) -> anyhow::Error {
    let Error::InitialWeights { network, path, reason, settings, partly } = error else { return error.into() };
    let mut message = format!("{network} cannot start from {}: {reason}", path.display());
    if !settings.is_empty() {
        let value = |value: &str| value.trim_matches('"').to_owned();
        let options: Vec<String> = settings.iter().map(|(key, v)| format!("--set {key}={}", value(v))).collect();
        message += &format!("\nthey are alike with {}", options.join(" "));
    }
    if partly {
        message += "\n--init-partial takes the tensors that fit and keeps fresh values for the others";
    }
    if settings.is_empty() && !partly && path.is_file() {
        let file = quoted(&path);
        message += &format!(
            "\n`gan-cli summary {file}` lists its tensors, `gan-cli convert {file} {network}.pth --entry NAME` writes one network"
        );
    }
    Coded(BAD_MODEL, message).into()
}
