//! Checkpoints of the first edition, which have no `model.json`: their configuration as a [`ModelConfig`].
//!
//! Frozen. Only here a method is known by name; what the first edition wrote does not change any more.

use crate::model_config::{
    EncoderModel, Generator, InputKind, InvalidModel, ModelConfig, OutputKind, ReadOptions, Sizes, Styles,
};
use gan_data::{AlphaPolicy, Direction, Preprocess};
use gan_nets::{EncoderConfig, GeneratorConfig};
use serde::Deserialize;
use serde_json::Value;

/// The description of a model that a method of the first edition trained with a resolved configuration. Keys that are newer
/// than the checkpoint have their defaults.
///
/// # Errors
/// [`InvalidModel`] for another method, and for a configuration that is none or that contradicts itself.
pub fn model_config(method: &str, config: &Value) -> Result<ModelConfig, InvalidModel> {
    let config =
        Config::deserialize(config).map_err(|e| InvalidModel::new(format!("it has no usable configuration: {e}")))?;
    let model = match method {
        "pix2pix" => config.pix2pix(),
        "cyclegan" => config.cyclegan(),
        "pix2pixhd" => config.pix2pixhd(),
        _ => return Err(InvalidModel::new(format!("the method `{method}` is not known, and there is no model.json"))),
    };
    model.validate()?;
    Ok(model)
}

/// The tables of a configuration that translation depends on.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Config {
    data: Data,
    generator: GeneratorConfig,
    encoder: Encoder,
}

#[derive(Deserialize)]
#[serde(default)]
struct Data {
    mode: String,
    direction: Direction,
    preprocess: Preprocess,
    load_size: usize,
    crop_size: usize,
    multiple: usize,
    label_nc: usize,
    instances: bool,
    dont_care: Option<u32>,
    exif: bool,
    alpha: AlphaPolicy,
}

impl Default for Data {
    fn default() -> Self {
        Data {
            mode: "aligned".into(),
            direction: Direction::A2b,
            preprocess: Preprocess::ResizeAndCrop,
            load_size: 286,
            crop_size: 256,
            multiple: 4,
            label_nc: 35,
            instances: true,
            dont_care: None,
            exif: true,
            alpha: AlphaPolicy::Drop,
        }
    }
}

#[derive(Deserialize)]
#[serde(default)]
struct Encoder {
    instance_feat: bool,
    feat_num: usize,
    nef: usize,
    n_downsample_e: usize,
    n_clusters: usize,
}

impl Default for Encoder {
    fn default() -> Self {
        Encoder { instance_feat: false, feat_num: 3, nef: 16, n_downsample_e: 4, n_clusters: 10 }
    }
}

impl Config {
    fn pix2pix(self) -> ModelConfig {
        let colorization = self.data.mode == "colorization";
        let direction = self.data.direction;
        ModelConfig {
            input: if colorization { InputKind::Lightness } else { InputKind::Image },
            output: if colorization { OutputKind::Colour } else { OutputKind::Image },
            ..self.model("pix2pix", vec![generator("g", direction, self.generator.clone())])
        }
    }

    fn cyclegan(self) -> ModelConfig {
        let there = self.generator.clone();
        let back = GeneratorConfig { input_nc: there.output_nc, output_nc: there.input_nc, ..there.clone() };
        let colorization = self.data.mode == "colorization";
        let generators = vec![generator("g_a", Direction::A2b, there), generator("g_b", Direction::B2a, back)];
        ModelConfig {
            input: if colorization { InputKind::Lightness } else { InputKind::Image },
            output: if colorization { OutputKind::Colour } else { OutputKind::Image },
            ..self.model("cyclegan", generators)
        }
    }

    fn pix2pixhd(self) -> ModelConfig {
        let Config { data, generator: base, encoder } = &self;
        let labels = data.label_nc > 0;
        let classes = data.label_nc + usize::from(data.dont_care.is_some());
        let features = if encoder.instance_feat { encoder.feat_num } else { 0 };
        let input_nc = if labels { classes } else { base.input_nc };
        let config = GeneratorConfig { input_nc: input_nc + usize::from(data.instances) + features, ..base.clone() };
        let encoder = encoder.instance_feat.then(|| EncoderModel {
            network: "e".into(),
            config: EncoderConfig {
                input_nc: base.output_nc,
                feat_num: encoder.feat_num,
                nef: encoder.nef,
                n_downsample: encoder.n_downsample_e,
                norm: base.norm,
            },
            styles: Styles { n_clusters: encoder.n_clusters },
        });
        let (label_nc, dont_care) = (data.label_nc, data.dont_care);
        ModelConfig {
            input: if labels { InputKind::Labels { label_nc, dont_care } } else { InputKind::Image },
            instances: data.instances,
            encoder,
            ..self.model("pix2pixhd", vec![generator("g", data.direction, config)])
        }
    }

    /// A model of plain images.
    fn model(&self, method: &str, generators: Vec<Generator>) -> ModelConfig {
        let data = &self.data;
        ModelConfig {
            format: ModelConfig::FORMAT,
            method: method.into(),
            input: InputKind::Image,
            instances: false,
            output: OutputKind::Image,
            encoder: None,
            sizes: Sizes {
                preprocess: data.preprocess,
                load_size: data.load_size,
                crop_size: data.crop_size,
                multiple: data.multiple.max(multiple(&generators[0].config)),
                minimum_height: !data.is_labelled(),
            },
            read: ReadOptions { exif: data.exif, alpha: data.alpha, ..ReadOptions::default() },
            generators,
        }
    }
}

impl Data {
    fn is_labelled(&self) -> bool {
        matches!(self.mode.as_str(), "labelled" | "streets")
    }
}

fn generator(network: &str, direction: Direction, config: GeneratorConfig) -> Generator {
    Generator { network: network.into(), direction, config }
}

/// The multiple of a generator whose numbers are not yet known to be in range.
fn multiple(config: &GeneratorConfig) -> usize {
    if config.validate().is_ok() { config.size_multiple() } else { 1 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn each_method_of_the_first_edition_is_described() {
        let config = json!({
            "train": {"lr": 0.1},
            "data": {"mode": "unaligned", "load_size": 40, "crop_size": 32},
            "generator": {"arch": "resnet", "input_nc": 1, "output_nc": 3},
        });
        let cyclegan = model_config("cyclegan", &config).unwrap();
        let channels = cyclegan.generators.iter().map(|g| (g.network.as_str(), g.config.input_nc, g.config.output_nc));
        assert_eq!(channels.collect::<Vec<_>>(), [("g_a", 1, 3), ("g_b", 3, 1)]);
        assert_eq!((cyclegan.sizes.load_size, cyclegan.sizes.multiple, cyclegan.instances), (40, 4, false));

        let config = json!({"data": {"mode": "aligned", "direction": "b2a"}, "generator": {"arch": "unet_256"}});
        let pix2pix = model_config("pix2pix", &config).unwrap();
        assert_eq!((pix2pix.generators[0].direction, pix2pix.sizes.multiple), (Direction::B2a, 256));

        let config = json!({"data": {"mode": "colorization"}, "generator": {"input_nc": 1, "output_nc": 2}});
        let colours = model_config("pix2pix", &config).unwrap();
        assert_eq!((colours.input, colours.output), (InputKind::Lightness, OutputKind::Colour));

        let config = json!({
            "data": {"mode": "labelled", "label_nc": 16, "dont_care": 255},
            "generator": {"arch": "global"},
            "encoder": {"instance_feat": true, "feat_num": 2, "n_clusters": 5},
        });
        let hd = model_config("pix2pixhd", &config).unwrap();
        assert_eq!((hd.classes(), hd.generators[0].config.input_nc), (17, 17 + 1 + 2));
        assert_eq!(hd.encoder.as_ref().unwrap().styles.n_clusters, 5);
        assert!(hd.instances && !hd.sizes.minimum_height && hd.sizes.multiple == 16);
    }

    #[test]
    fn what_is_no_configuration_is_refused() {
        let refused = |method: &str, config| model_config(method, &config).unwrap_err().to_string();
        assert!(refused("pix2pix", Value::Null).contains("no usable configuration"));
        assert!(refused("spade", json!({})).contains("`spade` is not known"));
        let absurd = json!({"generator": {"arch": "unet", "num_downs": 1_000_000}});
        let said = refused("pix2pix", absurd);
        assert!(said.contains("generator g: num_downs: 1000000"), "{said}");
    }
}
