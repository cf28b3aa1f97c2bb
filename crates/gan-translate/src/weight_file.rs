//! Bare weight files: a generator without a description. What it takes is read off its tensors.

use crate::model_config::{Generator, InputKind, ModelConfig, OutputKind, ReadOptions, Sizes};
use crate::{Error, Result};
use gan_data::{Direction, Preprocess};
use gan_nets::{Arch, Assumptions, GeneratorConfig, Network, identify_assuming};
use gan_weights::{KeyMap, Loaded, StateDict, entries, fold_parametrizations, normalize_keys, read_any, read_entry};
use std::path::{Path, PathBuf};

/// What the tensors of a weight file do not tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WeightOptions {
    /// Its architecture. Where the tensors leave a choice (a ResNet with instance norm and two halvings is a global generator,
    /// too), this decides; otherwise it is checked.
    pub arch: Option<Arch>,
    /// Which network of a file that holds several: `netG`, or `models.generator` for a dict in a dict, or what the keys of
    /// the network begin with.
    pub entry: Option<String>,
    /// Number of labels of a generator of label maps; 0: its input is an image. Without it all channels but the edges are labels.
    pub label_nc: Option<usize>,
    /// Whether the generator sees the edges of instance maps. Without it, generators of label maps do.
    pub instances: Option<bool>,
    /// New names for tensors of the file, where its own are not those of a network that is known.
    pub keys: KeyMap,
    /// What its tensors do not tell of the generator.
    pub assumptions: Assumptions,
    /// Whether a U-Net was trained with dropout, of which its tensors show no trace.
    pub dropout: bool,
}

/// A network from a weight file.
#[derive(Debug, Clone)]
pub struct WeightFile {
    path: PathBuf,
    /// Its tensors, without what wrappers and old versions left in the keys.
    pub state: StateDict,
    /// Which network they are of.
    pub network: Network,
    /// Layers that were matched by their order and shapes: their paths in the file, and here.
    pub mapping: Vec<(String, String)>,
    /// What the user should know, beginning with what the network is.
    pub notes: Vec<String>,
}

/// Whether a path is to be read as a weight file rather than as a run or checkpoint. A missing file that is called like
/// one is not taken for a missing run.
#[must_use]
pub fn is_weight_file(path: &Path) -> bool {
    let named = path.extension().is_some_and(|e| e == "pth" || e == "pt" || e == "safetensors");
    path.is_file() || named && !path.is_dir()
}

/// The networks of a state dict, at least one, and the entries by which they are asked for.
fn networks(path: &Path, loaded: Loaded, options: &WeightOptions) -> Result<Vec<(String, WeightFile)>> {
    let Loaded { mut state, notes: mut read, .. } = loaded;
    read.extend(normalize_keys(&mut state));
    read.extend(fold_parametrizations(&mut state));
    options.keys.apply(&mut state).map_err(|source| Error::Keys { path: path.to_owned(), source })?;
    let unusable = |source| Error::Unusable { path: path.to_owned(), source: Box::new(source) };
    let found = identify_assuming(&state, options.arch, &options.assumptions).map_err(unusable)?;
    let found = found.into_iter().map(|found| {
        let entry: Vec<&str> =
            options.entry.as_deref().into_iter().chain([&*found.prefix]).filter(|part| !part.is_empty()).collect();
        let mut notes = vec![format!("{}: {}", path.display(), found.network)];
        notes.extend(read.iter().cloned());
        if !found.prefix.is_empty() {
            notes.push(format!("prefix \"{}.\" removed from its keys", found.prefix));
        }
        notes.extend(found.notes);
        let file = WeightFile {
            path: path.to_owned(),
            state: found.state,
            network: found.network,
            mapping: found.mapping,
            notes,
        };
        (entry.join("."), file)
    });
    Ok(found.collect())
}

/// The networks of all state dicts of a file.
fn networks_of_entries(path: &Path, options: &WeightOptions) -> Result<Vec<(String, WeightFile)>> {
    let mut found = Vec::new();
    for entry in entries(path)?.into_iter().filter(|entry| !entry.is_empty()) {
        let options = WeightOptions { entry: Some(entry.clone()), ..options.clone() };
        if let Ok(networks) = read_entry(path, &entry).map_err(Error::from).and_then(|l| networks(path, l, &options)) {
            found.extend(networks);
        }
    }
    Ok(found)
}

impl WeightFile {
    /// Reads a file (`.pth` or `.safetensors`) and finds out what it is. Of several networks, the one that is a generator is
    /// taken.
    ///
    /// # Errors
    /// [`Error::Weights`] if it cannot be read, [`Error::Unusable`] if it holds no network that is known,
    /// [`Error::SeveralNetworks`] if it holds several, [`Error::Keys`] if [`WeightOptions::keys`] does not fit it.
    pub fn open(path: &Path, options: &WeightOptions) -> Result<Self> {
        let loaded = match &options.entry {
            Some(entry) => read_entry(path, entry),
            None => read_any(path),
        };
        let mut found = match loaded {
            Ok(loaded) => networks(path, loaded, options)?,
            // Each is looked into, for the one that is a generator.
            Err(error @ gan_weights::Error::SeveralStateDicts { .. }) => {
                let found = networks_of_entries(path, options)?;
                if found.is_empty() {
                    return Err(error.into());
                }
                found
            }
            Err(error) => return Err(error.into()),
        };
        let is_generator = |file: &(String, Self)| matches!(file.1.network, Network::Generator(_));
        if found.len() > 1 && found.iter().filter(|file| is_generator(file)).count() == 1 {
            let others = found.len() - 1;
            found.retain(is_generator);
            if let [(entry, file)] = &mut found[..] {
                file.notes.push(format!("it is under \"{entry}\", beside {others} other networks"));
            }
        }
        if found.len() > 1 {
            let networks = found.into_iter().map(|(entry, file)| (entry, file.network.to_string())).collect();
            return Err(Error::SeveralNetworks { path: path.to_owned(), networks });
        }
        let (_, file) = found.swap_remove(0);
        Ok(file)
    }

    /// The description of a model of this one generator, which is called `g`.
    ///
    /// # Errors
    /// [`Error::NoGenerator`] if it is another network, [`Error::Labels`] if the labels do not make up its input.
    pub fn describe(&self, options: &WeightOptions) -> Result<ModelConfig> {
        let Network::Generator(config) = &self.network else {
            return Err(Error::NoGenerator { path: self.path.clone(), network: self.network.to_string() });
        };
        let mut config = config.clone();
        let unet = matches!(config.arch, Arch::Unet | Arch::Unet128 | Arch::Unet256);
        config.dropout |= unet && options.dropout;
        let hd = matches!(config.arch, Arch::Global | Arch::Local);
        let labelled = hd || options.label_nc.is_some() || options.instances == Some(true);
        let (input, instances) = if labelled { self.labels(&config, options)? } else { (InputKind::Image, false) };
        let colour = !labelled && (config.input_nc, config.output_nc) == (1, 2);
        let (load_size, crop_size) = if labelled { (1024, 512) } else { (286, 256) };
        Ok(ModelConfig {
            format: ModelConfig::FORMAT,
            method: String::new(),
            input: if colour { InputKind::Lightness } else { input },
            instances,
            output: if colour { OutputKind::Colour } else { OutputKind::Image },
            encoder: None,
            sizes: Sizes {
                preprocess: Preprocess::ResizeAndCrop,
                load_size,
                crop_size,
                multiple: if labelled { config.size_multiple() } else { 4 },
                minimum_height: !labelled,
            },
            read: ReadOptions::default(),
            generators: vec![Generator { network: "g".into(), direction: Direction::A2b, config }],
        })
    }

    /// The labels and edges that make up the input of a generator.
    fn labels(&self, config: &GeneratorConfig, options: &WeightOptions) -> Result<(InputKind, bool)> {
        let input_nc = config.input_nc;
        // Grey and colour images have one and three channels; fewer labels than that nobody trains on.
        let image = matches!(input_nc, 1 | 3) && options.instances != Some(true);
        let instances = options.instances.unwrap_or(options.label_nc.is_some() || !image);
        let rest = input_nc.saturating_sub(usize::from(instances));
        let label_nc = options.label_nc.unwrap_or(if image { 0 } else { rest });
        if label_nc > 0 && label_nc != rest || rest == 0 {
            return Err(Error::Labels { path: self.path.clone(), input_nc, label_nc, instances });
        }
        let labels = InputKind::Labels { label_nc, dont_care: None };
        Ok((if label_nc > 0 { labels } else { InputKind::Image }, instances))
    }
}
