//! What `config.json` says.

use gan_nets::Network;
use gan_translate::{HubConfig, HubValues, InputKind, ModelConfig, OutputKind};

/// The description of a model of one generator.
pub(super) fn of_model(model: &ModelConfig) -> HubConfig {
    let generator = &model.generators[0].config;
    let size_multiple = generator.size_multiple();
    let (kind, least) = match model.input {
        InputKind::Labels { .. } => ("one-hot planes of labels", 0.0),
        InputKind::Image => ("image", -1.0),
        InputKind::Lightness => ("lightness of Lab, L / 50 - 1", -1.0),
    };
    let mut kind = kind.to_owned();
    kind += if model.instances { ", then edges of instances" } else { "" };
    kind += if model.encoder.is_some() { ", then features of instances" } else { "" };
    let output = match model.output {
        OutputKind::Image => "image",
        OutputKind::Colour => "colour of Lab, a / 110 and b / 110",
    };
    HubConfig {
        library_name: HubConfig::LIBRARY.to_owned(),
        format: HubConfig::FORMAT,
        model_type: model.method.clone(),
        architecture: Network::Generator(generator.clone()).to_string(),
        input: HubValues { kind, channels: generator.input_nc, value_range: [least, 1.0], size_multiple },
        output: HubValues {
            kind: output.to_owned(),
            channels: generator.output_nc,
            value_range: [-1.0, 1.0],
            size_multiple,
        },
        model: model.clone(),
    }
}
