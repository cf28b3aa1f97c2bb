//! The Python program of a card: reads a sample, runs the generator and writes the image.

use super::pytorch;
use super::samples::SampleFiles;
use crate::Result;
use gan_layers::NormKind;
use gan_nets::Builder;
use gan_translate::{HubConfig, InputKind, ModelConfig};

/// The program for a model and one of its samples.
///
/// # Errors
/// As [`pytorch::generator`].
pub(super) fn program(config: &HubConfig, sample: &SampleFiles) -> Result<String> {
    let model = &config.model;
    let generator = &model.generators[0].config;
    let network = generator.build(Builder::shapes_only())?;
    let multiple = config.input.size_multiple;
    let mut code = String::from(
        "import numpy as np\nimport torch\nimport torch.nn.functional as F\nfrom PIL import Image\nfrom safetensors.torch import load_file\nfrom torch import nn\n\n\n",
    );
    code += &pytorch::generator(&network)?;
    code += "generator.load_state_dict(load_file(\"model.safetensors\"))\ngenerator.eval()\n";
    if generator.norm == NormKind::Batch {
        code += "for module in generator.modules():\n    if isinstance(module, nn.BatchNorm2d):  # with the statistics of the image itself, as in training\n        module.train()\n        module.momentum = 0.0\n";
    }
    code += "\n";
    code += &input(model, generator.input_nc, sample);
    if multiple > 1 {
        code += &format!(
            "height, width = x.shape[2:]\nx = F.pad(x, (0, -width % {multiple}, 0, -height % {multiple}), mode=\"reflect\")  # sides are multiples of {multiple}\n"
        );
    }
    code += "with torch.no_grad():\n    y = generator(x)";
    code += if multiple > 1 { "[..., :height, :width]\n" } else { "\n" };
    code += &output(model, generator.output_nc);
    Ok(code)
}

/// Lines that make `x` of a sample.
fn input(model: &ModelConfig, channels: usize, sample: &SampleFiles) -> String {
    let mut lines = Vec::new();
    let edges = |lines: &mut Vec<String>| {
        if let Some(instances) = sample.instances.as_ref().filter(|_| model.instances) {
            lines.extend([
                format!("instances = torch.from_numpy(np.array(Image.open(\"{instances}\")).astype(np.int64))"),
                "edges = torch.zeros_like(instances, dtype=torch.bool)".to_owned(),
                "rows, columns = instances[1:] != instances[:-1], instances[:, 1:] != instances[:, :-1]".to_owned(),
                "edges[1:] |= rows".to_owned(),
                "edges[:-1] |= rows".to_owned(),
                "edges[:, 1:] |= columns".to_owned(),
                "edges[:, :-1] |= columns".to_owned(),
                "x = torch.cat([x, edges[None, None].float()], 1)".to_owned(),
            ]);
        }
    };
    match model.input {
        InputKind::Labels { label_nc, dont_care } => {
            lines.push(format!(
                "labels = torch.from_numpy(np.array(Image.open(\"{}\")).astype(np.int64))",
                sample.input
            ));
            if let Some(id) = dont_care {
                lines.push(format!("labels[labels == {id}] = {label_nc}  # pixels without a label"));
            }
            lines.push(format!("x = F.one_hot(labels, {}).permute(2, 0, 1)[None].float()", model.classes()));
            edges(&mut lines);
        }
        InputKind::Lightness => {
            lines.push("# The input is the lightness L of Lab as L / 50 - 1, [1, 1, height, width].".to_owned());
            lines.push(format!("grey = np.array(Image.open(\"{}\").convert(\"L\")).astype(np.float32)", sample.input));
            lines.push(
                "x = torch.from_numpy(grey)[None, None] / 127.5 - 1  # roughly; skimage.color.rgb2lab is exact"
                    .to_owned(),
            );
        }
        InputKind::Image => {
            let image_nc = model.input_nc(&model.generators[0]);
            let mode = match image_nc {
                1 => "L",
                2 => "LA",
                4 => "RGBA",
                _ => "RGB",
            };
            lines.push(format!("image = np.array(Image.open(\"{}\").convert(\"{mode}\"))", sample.input));
            let spread = if image_nc == 1 { "[None, None]" } else { ".permute(2, 0, 1)[None]" };
            lines.push(format!("x = torch.from_numpy(image){spread}.float() / 127.5 - 1"));
            edges(&mut lines);
        }
    }
    if let Some(encoder) = &model.encoder {
        let (features, rest) = (encoder.config.feat_num, channels - encoder.config.feat_num);
        lines.push(format!(
            "x = torch.cat([x, torch.zeros(1, {features}, *x.shape[2:])], 1)  # channels from {rest} on: the style; gan-cli draws one"
        ));
    }
    lines.join("\n") + "\n"
}

/// Lines that write `y` as an image.
fn output(model: &ModelConfig, channels: usize) -> String {
    if model.output == gan_translate::OutputKind::Colour {
        return "# The output is a / 110 and b / 110 of Lab.\nnp.save(\"output.npy\", y.numpy())\n".to_owned();
    }
    let pixels = if channels == 1 { "y[0, 0]" } else { "y[0].permute(1, 2, 0)" };
    format!(
        "levels = (({pixels} + 1) * 127.5 + 0.5).clamp(0, 255).byte().numpy()\nImage.fromarray(levels).save(\"output.png\")\n"
    )
}
