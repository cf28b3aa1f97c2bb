//! Bare weight files: a generator without a description. What it takes is read off its tensors.

use crate::model_config::{Generator, InputKind, ModelConfig, OutputKind, ReadOptions, Sizes};
use crate::{Error, Result};
use gan_data::{Direction, Preprocess};
use gan_nets::{Arch, GeneratorConfig, Network, infer};
use gan_weights::{Loaded, StateDict, normalize_keys, read_any, read_entry};
use std::path::{Path, PathBuf};

/// What the tensors of a weight file do not tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WeightOptions {
    /// Its architecture. Where the tensors leave a choice (a ResNet with instance norm and two halvings is a global generator,
    /// too), this decides; otherwise it is checked.
    pub arch: Option<Arch>,
    /// Which state dict of a `.pth` file that holds several: `netG`, or `models.generator` for a dict in a dict.
    pub entry: Option<String>,
    /// Number of labels of a generator of label maps; 0: its input is an image. Without it all channels but the edges are labels.
    pub label_nc: Option<usize>,
    /// Whether the generator sees the edges of instance maps. Without it, generators of label maps do.
    pub instances: Option<bool>,
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

impl WeightFile {
    /// Reads a file (`.pth` or `.safetensors`) and finds out what it is.
    ///
    /// # Errors
    /// [`Error::Weights`] if it cannot be read, [`Error::Unusable`] if it holds no network that is known.
    pub fn open(path: &Path, options: &WeightOptions) -> Result<Self> {
        let Loaded { mut state, notes: mut found, .. } = match &options.entry {
            Some(entry) => read_entry(path, entry)?,
            None => read_any(path)?,
        };
        found.extend(normalize_keys(&mut state));
        let unusable = |source| Error::Unusable { path: path.to_owned(), source: Box::new(source) };
        let network = infer(&state, options.arch).map_err(unusable)?;
        let mut notes = vec![format!("{}: {network}", path.display())];
        notes.extend(found);
        Ok(WeightFile { path: path.to_owned(), state, network, notes })
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
