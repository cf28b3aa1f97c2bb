//! Writing a model folder.

use super::card::Card;
use super::samples::{Sample, write_inputs};
use super::verification::{self, Verification, clusters, style};
use super::{card, config};
use crate::{Error, Result, new_folder};
use gan_data::{WriteOptions, write_image_with};
use gan_fs::Durability;
use gan_translate::{Direction, HubConfig, Model, ModelConfig, Options, TrainedModel};
use gan_weights::StateDict;
use gan_weights::safetensors::{Header, write_elements};
use std::fs;
use std::path::Path;

/// What a model folder is written from.
#[derive(Debug)]
pub struct HubRequest<'a> {
    /// The model.
    pub trained: &'a TrainedModel,
    /// Which way, for models that know both: a folder holds one generator.
    pub direction: Option<Direction>,
    /// Inputs, at least one.
    pub samples: &'a [Sample],
    /// What the card says.
    pub card: Card,
}

/// Writes a model folder, which appears at once and whole: what is there already is left alone.
///
/// # Errors
/// [`Error::Folder`] if there is something at `folder`, [`Error::Translate`] if the model has no such direction or cannot translate the samples, [`Error::NoModule`];
/// [`Error::Io`] and [`Error::Write`] where the disk refuses.
pub fn write_hub_folder(folder: &Path, request: &HubRequest<'_>) -> Result<()> {
    new_folder::write(folder, |temporary| fill(temporary, folder, request))
}

fn fill(folder: &Path, named: &Path, request: &HubRequest<'_>) -> Result<()> {
    let HubRequest { trained, direction, samples, card } = request;
    let model = one_way(trained.config(), *direction)?;
    let described = config::of_model(&model);
    let text = described
        .to_json()
        .map_err(|reason| gan_translate::Error::Description { path: named.join(HubConfig::FILE), reason })?;
    write(&folder.join(HubConfig::FILE), text.as_bytes())?;
    let mut files = vec![HubConfig::FILE.to_owned()];
    for (i, network) in model.network_names().enumerate() {
        let name = if i == 0 { HubConfig::WEIGHTS.to_owned() } else { format!("{network}.safetensors") };
        write_weights(&folder.join(&name), &trained.network(network)?)?;
        files.push(name);
    }
    if model.encoder.is_some() {
        files.extend(copy_styles(trained, folder)?);
    }
    // Where there are styles, samples have the first of them.
    let listed = write_inputs(folder, samples, style(folder).is_none())?;
    let options = Options { style: style(folder), ..Options::default() };
    let opened = Model::open_with(folder, options)?;
    for sample in &listed {
        let image = sample.translate(folder, &opened)?;
        write_image_with(&folder.join(&sample.output), &image, &WriteOptions::default())?;
    }
    let readme = card::readme(card, &described, &listed, trained)?;
    write(&folder.join(card::FILE), readme.as_bytes())?;
    let verification = Verification::of(folder, files, listed)?;
    write(&folder.join(verification::FILE), verification.to_json()?.as_bytes())
}

/// The description of the generator of a direction alone.
fn one_way(model: &ModelConfig, direction: Option<Direction>) -> Result<ModelConfig> {
    let generator = model.generator(direction).cloned().ok_or_else(|| {
        let trained = model.generators[0].direction;
        gan_translate::Error::NoDirection { trained, wanted: direction.unwrap_or(trained) }
    })?;
    Ok(ModelConfig { generators: vec![generator], ..model.clone() })
}

/// Writes a state dict as PyTorch's programs expect one from a hub.
fn write_weights(path: &Path, state: &StateDict) -> Result<()> {
    let header = Header::of(state.entries(), &[("format", "pt")]).map_err(candle_core::Error::wrap)?;
    gan_fs::replace(path, Durability::Flushed, |out| {
        out.write_all(&header.bytes)?;
        header.order.iter().try_for_each(|&at| write_elements(out, &state.entries()[at].1))
    })?;
    Ok(())
}

/// Copies the styles of a model, where there are any.
fn copy_styles(trained: &TrainedModel, folder: &Path) -> Result<Option<String>> {
    let (from, to) = (trained.features_dir().join(gan_translate::StyleClusters::FILE), clusters(folder));
    if !from.is_file() {
        return Ok(None);
    }
    let bytes = gan_fs::read_regular(&from, 64 << 20).map_err(|source| Error::io("read", &from, source))?;
    let place = gan_fs::parent(&to);
    fs::create_dir(place).map_err(|source| Error::io("create", place, source))?;
    write(&to, &bytes)?;
    Ok(Some(format!("features/{}", gan_translate::StyleClusters::FILE)))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    Ok(gan_fs::replace(path, Durability::Flushed, |out| out.write_all(bytes))?)
}
