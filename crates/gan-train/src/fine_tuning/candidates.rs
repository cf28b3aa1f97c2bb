//! What a file or a folder offers a network to start from.

use crate::{Error, Result};
use gan_nets::{Network, identify};
use gan_translate::{ModelConfig, TrainedModel, is_weight_file, reference_file};
use gan_weights::checkpoint::{CHECKPOINTS, Disk, exists, is_checkpoint};
use gan_weights::{Loaded, StateDict, fold_parametrizations, normalize_keys, read_any, read_entry};
use std::path::Path;

/// Tensors that may be those of a network.
pub(super) struct Candidate {
    /// What they are called in their file; empty for the only ones.
    pub(super) entry: String,
    /// Under the names that the network has here, where it was recognised.
    pub(super) state: StateDict,
    /// What they are of, where that was recognised.
    pub(super) network: Option<Network>,
    /// What was done to them.
    pub(super) notes: Vec<String>,
}

impl Candidate {
    /// Whether the file calls them as the network is called here: `netG_A` is `g_a`, `models.generator` is `g`.
    pub(super) fn is_called(&self, network: &str) -> bool {
        let last = self.entry.rsplit('.').next().unwrap_or_default().to_lowercase();
        let name = last.strip_prefix("net").map_or(&*last, |rest| rest.trim_start_matches('_'));
        let long = match network {
            "g" => "generator",
            "d" => "discriminator",
            "e" => "encoder",
            _ => network,
        };
        name == network || name == long
    }
}

/// The candidates at a path for the network of this name.
///
/// # Errors
/// Those of reading it; [`Error::InitialWeights`] for a model without this network.
pub(super) fn candidates(path: &Path, network: &str) -> Result<Vec<Candidate>> {
    if is_weight_file(path) {
        return of_file(path, network);
    }
    let described = is_checkpoint(path) || exists(&Disk, path) || path.join(ModelConfig::FILE).is_file();
    match reference_file(path, network).filter(|_| !described) {
        Some(file) => of_file(&file, network),
        None => of_model(path, network),
    }
}

/// A network of a run, of a checkpoint, or of a folder with a description.
fn of_model(path: &Path, network: &str) -> Result<Vec<Candidate>> {
    let trained = TrainedModel::open_with(path, &[network]).map_err(|error| match TrainedModel::open(path) {
        Ok(model) if !model.has(network) => no_network(&model, network),
        _ => error.into(),
    })?;
    let mut notes: Vec<String> = trained.warnings().iter().map(ToString::to_string).collect();
    notes.extend(trained.step().map(|step| format!("after {step} steps of {}", trained.config().method)));
    Ok(vec![Candidate { entry: String::new(), state: trained.network(network)?, network: None, notes }])
}

fn no_network(model: &TrainedModel, network: &str) -> Error {
    let (path, names) = (model.path(), model.network_names());
    // The likeliest is of the same kind.
    let like = names.iter().find(|name| name.chars().next() == network.chars().next());
    let first = like.or(names.first()).map_or("g", String::as_str);
    let folder = match model.step() {
        Some(step) if !is_checkpoint(path) => path.join(CHECKPOINTS).join(step.to_string()),
        _ => path.to_owned(),
    };
    let file = reference_file(path, first).unwrap_or_else(|| folder.join(format!("{first}.safetensors")));
    let names = names.join(", ");
    Error::InitialWeights {
        network: network.to_owned(),
        path: path.to_owned(),
        reason: format!(
            "there is no {network}, only {names}; to start from one of them, name its file: {}",
            file.display()
        ),
        settings: Vec::new(),
        partly: false,
    }
}

/// The networks of a weight file.
fn of_file(path: &Path, network: &str) -> Result<Vec<Candidate>> {
    let loaded = match read_any(path) {
        Ok(loaded) => vec![(String::new(), loaded)],
        // What else lies in the file need not be readable as a network.
        Err(gan_weights::Error::SeveralStateDicts { entries, .. }) => {
            entries.into_iter().filter_map(|entry| Some((entry.clone(), read_entry(path, &entry).ok()?))).collect()
        }
        Err(error) => return Err(gan_translate::Error::from(error).into()),
    };
    let of_entry = |(entry, loaded): (String, Loaded)| of_state_dict(&entry, loaded, network);
    Ok(loaded.into_iter().flat_map(of_entry).collect())
}

/// The networks of a state dict. What is not recognised is taken by its names.
fn of_state_dict(entry: &str, loaded: Loaded, network: &str) -> Vec<Candidate> {
    let Loaded { mut state, mut notes, .. } = loaded;
    notes.extend(normalize_keys(&mut state));
    notes.extend(fold_parametrizations(&mut state));
    let below =
        |prefix: &str| [entry, prefix].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".");
    let mut found: Vec<Candidate> = identify(&state, None)
        .unwrap_or_default()
        .into_iter()
        .map(|found| Candidate {
            entry: below(&found.prefix),
            state: found.state,
            network: Some(found.network),
            notes: notes.iter().cloned().chain(found.notes).collect(),
        })
        .collect();
    // A head that is not recognised may lie beside networks that are.
    let mut prefixes: Vec<&str> = state.names().filter_map(|name| Some(name.split_once('.')?.0)).collect();
    prefixes.dedup();
    for prefix in prefixes {
        let part = Candidate { entry: below(prefix), state: state.under(prefix), network: None, notes: notes.clone() };
        if part.is_called(network) && found.iter().all(|known| known.entry != part.entry) {
            found.push(part);
        }
    }
    if found.is_empty() {
        found.push(Candidate { entry: entry.to_owned(), state, network: None, notes });
    }
    found
}
