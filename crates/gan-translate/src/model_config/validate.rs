//! Whether a description can be true, checked before anything is built from it.

use super::{EncoderModel, Generator, InputKind, ModelConfig, OutputKind};
use gan_data::{Preprocess, Transform};
use std::collections::HashSet;

/// Most labels of a model.
const MAX_LABELS: usize = 65_535;
/// Most clusters of a label.
const MAX_CLUSTERS: usize = 65_536;

/// Why a description of a model is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct InvalidModel {
    reason: String,
}

impl InvalidModel {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        InvalidModel { reason: reason.into() }
    }
}

type Checked = Result<(), InvalidModel>;

fn require(holds: bool, otherwise: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(InvalidModel::new(otherwise())) }
}

impl ModelConfig {
    /// Refuses numbers out of range, names that are no file names, and channels that do not add up.
    ///
    /// # Errors
    /// [`InvalidModel`] with the first fault.
    pub fn validate(&self) -> Result<(), InvalidModel> {
        require((1..=Self::FORMAT).contains(&self.format), || format!("its format is {}", self.format))?;
        self.validate_names()?;
        self.validate_labels()?;
        for generator in &self.generators {
            let said = |error| InvalidModel::new(format!("generator {}: {error}", generator.network));
            generator.config.validate().map_err(said)?;
        }
        if let Some(encoder) = &self.encoder {
            self.validate_encoder(encoder)?;
        }
        self.validate_channels(&self.generators[0])?;
        let sizes = Transform { preprocess: Preprocess::None, ..self.sizes.transform() };
        sizes.validate().map_err(|error| InvalidModel::new(format!("sizes: {error}")))
    }

    fn validate_names(&self) -> Checked {
        require(!self.generators.is_empty(), || "it names no generator".into())?;
        let mut names = HashSet::new();
        for name in self.network_names() {
            let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
            require(plain && !name.is_empty(), || format!("`{name}` is no name of a network"))?;
            require(names.insert(name), || format!("it names the network `{name}` twice"))?;
        }
        let alike = self.generators.iter().skip(1).any(|g| g.direction == self.generators[0].direction);
        require(!alike && self.generators.len() <= 2, || "two of its generators translate the same way".into())
    }

    fn validate_labels(&self) -> Checked {
        let InputKind::Labels { label_nc, .. } = self.input else { return Ok(()) };
        require((1..=MAX_LABELS).contains(&label_nc), || {
            format!("label_nc is {label_nc}, and a label map has 1 to {MAX_LABELS} labels")
        })
    }

    fn validate_encoder(&self, EncoderModel { network, config, styles }: &EncoderModel) -> Checked {
        config.validate().map_err(|error| InvalidModel::new(format!("encoder {network}: {error}")))?;
        require(self.instances, || {
            format!("encoder {network}: features belong to instances, and it takes no instance maps")
        })?;
        let output_nc = self.generators[0].config.output_nc;
        require(config.input_nc == output_nc, || {
            let takes = config.input_nc;
            format!(
                "encoder {network} takes {takes} channels, and the images that the generator makes have {output_nc}"
            )
        })?;
        require((1..=MAX_CLUSTERS).contains(&styles.n_clusters), || {
            format!("n_clusters is {}, and a label has 1 to {MAX_CLUSTERS} clusters", styles.n_clusters)
        })
    }

    fn validate_channels(&self, generator: &Generator) -> Checked {
        let Generator { network, config, .. } = generator;
        let features = self.encoder.as_ref().map_or(0, |encoder| encoder.config.feat_num);
        let others = usize::from(self.instances) + features;
        let (input, exact) = match self.input {
            InputKind::Image => (1, false),
            InputKind::Labels { .. } => (self.classes(), true),
            InputKind::Lightness => (1, true),
        };
        let (found, expected) = (config.input_nc, input + others);
        require(if exact { found == expected } else { found >= expected }, || {
            let at_least = if exact { "" } else { "at least " };
            format!("generator {network} takes {found} channels, and its inputs have {at_least}{expected}")
        })?;
        let colour = self.output == OutputKind::Colour;
        require(colour == (self.input == InputKind::Lightness), || {
            "lightness as input and colour as output belong together".into()
        })?;
        require(!colour || config.output_nc == 2, || {
            format!("generator {network} makes {} channels, and colour has 2", config.output_nc)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model_config::{ReadOptions, Sizes, Styles};
    use gan_data::Direction;
    use gan_nets::{EncoderConfig, GeneratorConfig};

    fn generator(network: &str, input_nc: usize) -> Generator {
        let config = GeneratorConfig { input_nc, ..GeneratorConfig::default() };
        Generator { network: network.into(), direction: Direction::A2b, config }
    }

    fn images() -> ModelConfig {
        ModelConfig {
            format: 1,
            method: "mine".into(),
            generators: vec![generator("g", 3)],
            input: InputKind::Image,
            instances: false,
            output: OutputKind::Image,
            encoder: None,
            sizes: Sizes {
                preprocess: Preprocess::ResizeAndCrop,
                load_size: 286,
                crop_size: 256,
                multiple: 4,
                minimum_height: true,
            },
            read: ReadOptions::default(),
        }
    }

    fn labels() -> ModelConfig {
        let config = EncoderConfig::default();
        ModelConfig {
            generators: vec![generator("g", 16 + 1 + 1 + 3)],
            input: InputKind::Labels { label_nc: 16, dont_care: Some(255) },
            instances: true,
            encoder: Some(EncoderModel { network: "e".into(), config, styles: Styles::default() }),
            ..images()
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut both = images();
        both.generators.push(Generator { direction: Direction::B2a, ..generator("back", 3) });
        for config in [images(), labels(), both] {
            assert_eq!(ModelConfig::from_json(config.to_json().unwrap().as_bytes()).unwrap(), config);
        }
        assert_eq!((labels().classes(), labels().input_nc(&labels().generators[0])), (17, 17));
    }

    #[test]
    fn contradictions_are_refused() {
        let change = |base: ModelConfig, change: fn(&mut ModelConfig)| {
            let mut config = base;
            change(&mut config);
            config.to_json().unwrap_err().to_string()
        };
        for (said, words) in [
            (change(images(), |c| c.format = 2), "format is 2"),
            (change(images(), |c| c.generators.clear()), "no generator"),
            (change(images(), |c| c.generators[0].network = "../g".into()), "`../g` is no name"),
            (change(images(), |c| c.generators.push(c.generators[0].clone())), "`g` twice"),
            (change(images(), |c| c.generators.push(generator("h", 3))), "the same way"),
            (change(images(), |c| c.generators[0].config.ngf = 0), "generator g: ngf: 0"),
            (change(images(), |c| c.sizes.crop_size = 0), "sizes: "),
            (change(images(), |c| c.output = OutputKind::Colour), "belong together"),
            (change(images(), |c| c.input = InputKind::Lightness), "takes 3 channels, and its inputs have 1"),
            (change(labels(), |c| c.generators[0].config.input_nc = 20), "takes 20 channels, and its inputs have 21"),
            (change(labels(), |c| c.instances = false), "takes no instance maps"),
            (change(labels(), |c| c.generators[0].config.output_nc = 1), "encoder e takes 3 channels"),
            (change(labels(), |c| c.input = InputKind::Labels { label_nc: 0, dont_care: None }), "label_nc is 0"),
        ] {
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn newer_and_foreign_texts_are_refused() {
        let text = images().to_json().unwrap();
        let refused = |text: String| ModelConfig::from_json(text.as_bytes()).unwrap_err().to_string();
        assert!(refused(text.replace("\"format\": 1", "\"format\": 2, \"new\": 7")).contains("newer version"));
        assert!(refused(text.replace("\"format\": 1", "\"format\": 1, \"new\": 7")).contains("unknown field `new`"));
        assert!(refused("{}".into()).contains("missing field `format`"));
        assert!(refused("[1, 2]".into()).contains("no description"));
    }
}
