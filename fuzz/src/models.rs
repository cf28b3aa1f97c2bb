//! Folders that hold a model, and statistics of its norms.

use std::sync::LazyLock;

use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use gan_nets::{Arch, GeneratorConfig};
use gan_translate::{HubConfig, ModelConfig, Statistics, TrainedModel};
use gan_weights::{StateDict, pth};

use super::scratch;

/// `model.json`, and `config.json` of a model folder: what is read holds together, and reads the same once it was written.
pub fn read_model_config(text: &[u8]) {
    if let Ok(config) = ModelConfig::from_json(text) {
        config.validate().unwrap();
        assert_eq!(ModelConfig::from_json(config.to_json().unwrap().as_bytes()).unwrap(), config);
        assert!(config.generators.iter().all(|generator| config.input_nc(generator) > 0));
    }
    let folder = scratch::empty("hub");
    std::fs::write(folder.join(HubConfig::FILE), text).unwrap();
    std::fs::write(folder.join(HubConfig::WEIGHTS), "").unwrap();
    if let Ok(Some(config)) = HubConfig::open(&folder) {
        config.model.validate().unwrap();
        std::fs::write(folder.join(HubConfig::FILE), config.to_json().unwrap()).unwrap();
        assert_eq!(HubConfig::open(&folder).unwrap(), Some(config));
    }
    // Without weights it is no model, whatever it says of itself.
    assert!(TrainedModel::open(&folder).is_err());
}

/// Statistics of norms: finite, and the same once they were saved.
pub fn read_statistics(text: &[u8]) {
    let path = scratch::file("statistics.json", text);
    if let Ok(statistics) = Statistics::load(&path) {
        let copy = scratch::folder().join("copy.json");
        statistics.save(&copy).unwrap();
        assert_eq!(Statistics::load(&copy).unwrap(), statistics);
    }
}

/// A generator that takes 18 channels: an image of as many, or labels and edges.
static GENERATOR: LazyLock<StateDict> = LazyLock::new(|| {
    let config = GeneratorConfig { arch: Arch::Global, input_nc: 18, ngf: 2, ..GeneratorConfig::default() };
    let config = GeneratorConfig { n_downsample_global: 1, n_blocks_global: 1, ..config };
    let variables = VarMap::new();
    config.build(VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu)).unwrap();
    let variables = variables.data().lock().unwrap();
    let mut named: Vec<(String, Tensor)> =
        variables.iter().map(|(name, variable)| (name.clone(), variable.as_tensor().clone())).collect();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    named.into_iter().collect()
});

/// The file of options beside a generator of the Python repositories: what is opened holds together.
pub fn read_reference_folder(options: &[u8]) {
    let folder = scratch::folder().join("reference");
    if !folder.exists() {
        std::fs::create_dir(&folder).unwrap();
        pth::write(folder.join("latest_net_G.pth"), &GENERATOR).unwrap();
    }
    std::fs::write(folder.join("train_opt.txt"), options).unwrap();
    if let Ok(model) = TrainedModel::open(&folder) {
        model.config().validate().unwrap();
        assert!(model.notes().iter().any(|note| note.contains("train_opt.txt")), "{:?}", model.notes());
    }
}
