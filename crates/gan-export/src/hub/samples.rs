//! Inputs that lie in a model folder, and what the model makes of them.

use crate::{Error, Result};
use gan_data::{IdMap, Image, write_ids, write_image};
use gan_translate::{Files, Model};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Name of the folder of samples.
pub(super) const FOLDER: &str = "samples";

/// What a sample shows.
#[derive(Debug, Clone)]
pub enum SampleImage {
    /// An image.
    Image(Image),
    /// A label map.
    Labels(IdMap),
}

/// An input for a model folder.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The input.
    pub input: SampleImage,
    /// The instance map that belongs to it, for models that take one.
    pub instances: Option<IdMap>,
    /// An image that lends its style, for models with an encoder and without styles.
    pub style: Option<Image>,
}

/// A sample as `verification.json` lists it: paths in the folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SampleFiles {
    pub(super) input: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) instances: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) style: Option<String>,
    pub(super) output: String,
}

impl SampleFiles {
    /// The paths of a sample.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        [Some(&self.input), self.instances.as_ref(), self.style.as_ref(), Some(&self.output)]
            .into_iter()
            .flatten()
            .map(String::as_str)
    }

    /// What the model makes of the sample's input.
    pub(super) fn translate(&self, folder: &Path, model: &Model) -> Result<Image> {
        let at = |path: &Option<String>| path.as_ref().map(|path| folder.join(path));
        let (input, instances, style) = (folder.join(&self.input), at(&self.instances), at(&self.style));
        let mut files = Files::new(&input);
        (files.instances, files.style) = (instances.as_deref(), style.as_deref());
        let input = model.read(&files)?;
        Ok(model.translate_input(input)?)
    }
}

/// Writes the inputs of samples into a folder, images that lend their style among them if they are used.
pub(super) fn write_inputs(folder: &Path, samples: &[Sample], styles: bool) -> Result<Vec<SampleFiles>> {
    let place = folder.join(FOLDER);
    std::fs::create_dir(&place).map_err(|source| Error::Io { action: "create", path: place.clone(), source })?;
    let write = |(i, sample): (usize, &Sample)| {
        let name = |what: &str| format!("{FOLDER}/{what}-{}.png", i + 1);
        let input = name("input");
        match &sample.input {
            SampleImage::Image(image) => write_image(&folder.join(&input), image)?,
            SampleImage::Labels(ids) => write_ids(&folder.join(&input), ids)?,
        }
        let instances = sample.instances.as_ref().map(|ids| {
            let path = name("instances");
            write_ids(&folder.join(&path), ids).map(|()| path)
        });
        let style = sample.style.as_ref().filter(|_| styles).map(|image| {
            let path = name("style");
            write_image(&folder.join(&path), image).map(|()| path)
        });
        let (instances, style) = (instances.transpose()?, style.transpose()?);
        Ok(SampleFiles { input, instances, style, output: name("output") })
    };
    samples.iter().enumerate().map(write).collect()
}
