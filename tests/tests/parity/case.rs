//! Reading a case file.

use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// One case: its configuration and tensors.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) config: Value,
    pub(crate) tensors: BTreeMap<String, Tensor>,
}

impl Case {
    pub(crate) fn read(path: &Path) -> Self {
        let name = path.file_stem().expect("file name").to_string_lossy().into_owned();
        let bytes = std::fs::read(path).expect("case file");
        let (_, header) = SafeTensors::read_metadata(&bytes).expect("safetensors header");
        let metadata = header.metadata().clone().expect("metadata");
        let config = serde_json::from_str(&metadata["config"]).expect("config is JSON");
        let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).expect("tensors");
        Case { name, config, tensors: tensors.into_iter().collect() }
    }

    pub(crate) fn text(&self, key: &str) -> &str {
        self.config[key].as_str().unwrap_or_else(|| panic!("{}: no text `{key}` in the config", self.name))
    }

    pub(crate) fn tensor(&self, name: &str) -> &Tensor {
        self.tensors.get(name).unwrap_or_else(|| panic!("{}: no tensor {name}", self.name))
    }

    /// The tensor on the device under test, in this dtype.
    pub(crate) fn input(&self, name: &str, dtype: DType) -> Tensor {
        on_device(&self.tensor(name).to_dtype(dtype).expect("dtype"))
    }

    /// Tensors whose names start with the prefix, by the rest of the name.
    pub(crate) fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (String, &'a Tensor)> + 'a {
        self.tensors.iter().filter_map(move |(k, t)| Some((k.strip_prefix(prefix)?.to_string(), t)))
    }

    /// The same as an owned state dict in this dtype (counters stay integers).
    pub(crate) fn state_dict(&self, prefix: &str, dtype: DType) -> Vec<(String, Tensor)> {
        self.with_prefix(prefix)
            .map(|(k, t)| (k, if t.dtype().is_float() { t.to_dtype(dtype).expect("dtype") } else { t.clone() }))
            .collect()
    }
}

/// The device under test.
pub(crate) fn device() -> Device {
    gan_kernels::device::test_device().expect("GAN_TEST_DEVICE")
}

/// The tensor on the device under test.
pub(crate) fn on_device(t: &Tensor) -> Tensor {
    t.to_device(&device()).expect("upload")
}

/// A number of a JSON object, or a default.
pub(crate) fn number(config: &Value, key: &str, default: usize) -> usize {
    config[key].as_u64().map_or(default, |n| n as usize)
}
