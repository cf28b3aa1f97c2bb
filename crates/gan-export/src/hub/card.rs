//! The card of a model: `README.md`, whose head hubs read.

use super::samples::SampleFiles;
use super::usage;
use crate::Result;
use gan_translate::{HubConfig, InputKind, TrainedModel};
use std::fmt::Write;

/// Name of the file.
pub(super) const FILE: &str = "README.md";

/// What a card says beside what the model tells itself.
#[derive(Debug, Clone, Default)]
pub struct Card {
    /// Name of the model.
    pub name: String,
    /// Identifier of the licence, as hubs spell it: `mit`, `cc-by-nc-4.0`.
    pub licence: Option<String>,
    /// Names of the datasets of the training.
    pub datasets: Vec<String>,
    /// What was measured.
    pub measured: Option<Measured>,
    /// The command that made the folder of `NAME`.
    pub program: String,
}

/// Metrics of a model.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// What was compared with what, in a sentence.
    pub about: String,
    /// Name and value of each.
    pub metrics: Vec<(String, f64)>,
}

/// The text of the card.
///
/// # Errors
/// As [`usage::program`].
pub(super) fn readme(
    card: &Card,
    config: &HubConfig,
    samples: &[SampleFiles],
    trained: &TrainedModel,
) -> Result<String> {
    let mut text = head(card, config);
    let method =
        if config.model_type.is_empty() { "An image-to-image".to_owned() } else { format!("A {}", config.model_type) };
    let steps = trained.step().map_or(String::new(), |step| format!(", trained {step} steps"));
    let on = if card.datasets.is_empty() { String::new() } else { format!(" on {}", card.datasets.join(", ")) };
    // Writing into a string does not fail.
    let _ = writeln!(text, "# {}\n", card.name);
    let _ = writeln!(text, "{method} model{steps}{on}: {}. It was written by {}.\n", config.architecture, card.program);
    let shown = |sample: &SampleFiles| format!("| ![input]({}) | ![output]({}) |", sample.input, sample.output);
    let rows: Vec<String> = samples.iter().map(shown).collect();
    let _ = writeln!(text, "| input | output |\n|---|---|\n{}\n", rows.join("\n"));
    if let Some(Measured { about, metrics }) = &card.measured {
        let rows: Vec<String> = metrics.iter().map(|(name, value)| format!("| {name} | {value:.4} |")).collect();
        let _ = writeln!(text, "## Measured\n\n{about}\n\n| metric | value |\n|---|---|\n{}\n", rows.join("\n"));
    }
    let (input, output) = (&config.input, &config.output);
    let _ = writeln!(text, "## What it takes and makes\n");
    let _ = writeln!(
        text,
        "| | | channels | values | sides |\n|---|---|---|---|---|\n| input | {} | {} | {} to {} | multiples of {} |\n| output | {} | {} | {} to {} | those of the input |\n",
        input.kind,
        input.channels,
        input.value_range[0],
        input.value_range[1],
        input.size_multiple,
        output.kind,
        output.channels,
        output.value_range[0],
        output.value_range[1]
    );
    if config.model.generators[0].config.norm == gan_layers::NormKind::Batch {
        let _ = writeln!(
            text,
            "Batch norms use the statistics of the image itself, as in training, not the running ones.\n"
        );
    }
    if let Some(sample) = samples.first() {
        let _ = writeln!(text, "## Use it\n\n```sh\n{}\ngan-cli verify .\n```\n", translate_command(config, sample));
        let _ = writeln!(
            text,
            "In Python, from within this folder (`pip install torch safetensors pillow numpy`):\n\n```python\n{}```\n",
            usage::program(config, sample)?
        );
    }
    let _ = writeln!(
        text,
        "`verification.json` has hashes of the files and names the samples: `gan-cli verify` makes them again and says whether they are the same."
    );
    Ok(text)
}

fn translate_command(config: &HubConfig, sample: &SampleFiles) -> String {
    let instances = match &sample.instances {
        Some(path) if config.model.instances => format!(" --inst {path}"),
        _ => String::new(),
    };
    let style = match (&sample.style, config.model.encoder.is_some()) {
        (Some(path), _) => format!(" --encode {path}"),
        (None, true) => " --style 0".to_owned(),
        (None, false) => String::new(),
    };
    format!("gan-cli translate . {} output.png{instances}{style}", sample.input)
}

/// The YAML in front of the text. Strings are written as JSON has them, which YAML reads.
fn head(card: &Card, config: &HubConfig) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut text = String::from("---\nlibrary_name: gan-cli\npipeline_tag: image-to-image\n");
    match &card.licence {
        Some(licence) => text += &format!("license: {}\n", quoted(licence)),
        None => text += "license: unknown\n",
    }
    if !card.datasets.is_empty() {
        text += "datasets:\n";
        card.datasets.iter().for_each(|name| text += &format!("- {}\n", quoted(name)));
    }
    text += "tags:\n- gan\n- image-to-image\n";
    if !config.model_type.is_empty() {
        text += &format!("- {}\n", quoted(&config.model_type));
    }
    if let InputKind::Labels { .. } = config.model.input {
        text += "- semantic-image-synthesis\n";
    }
    if let Some(measured) = card.measured.as_ref().filter(|measured| !measured.metrics.is_empty()) {
        let dataset = card.datasets.first().map_or("the training's own", String::as_str);
        text += &format!(
            "model-index:\n- name: {}\n  results:\n  - task:\n      type: image-to-image\n",
            quoted(&card.name)
        );
        text += &format!("    dataset:\n      type: {0}\n      name: {0}\n    metrics:\n", quoted(dataset));
        for (name, value) in &measured.metrics {
            text += &format!(
                "    - type: {}\n      name: {}\n      value: {value}\n",
                quoted(&name.to_lowercase()),
                quoted(name)
            );
        }
    }
    text + "---\n\n"
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_head_has_what_hubs_read() {
        let model = gan_translate::ModelConfig::from_json(
            br#"{"format": 1, "method": "pix2pix", "input": {"kind": "image"}, "output": "image",
                "sizes": {"preprocess": "none", "load_size": 64, "crop_size": 64, "multiple": 4, "minimum_height": true},
                "generators": [{"network": "g", "direction": "a2b", "config": {}}]}"#,
        )
        .unwrap();
        let config = super::super::config::of_model(&model);
        let card = Card {
            name: "a \"b\"".into(),
            licence: Some("mit".into()),
            datasets: vec!["facades".into()],
            measured: Some(Measured { about: String::new(), metrics: vec![("FID".into(), 1.5)] }),
            program: String::new(),
        };
        let head = head(&card, &config);
        for line in [
            "pipeline_tag: image-to-image",
            "license: \"mit\"",
            "- \"facades\"",
            "- name: \"a \\\"b\\\"\"",
            "type: \"fid\"",
            "value: 1.5",
        ] {
            assert!(head.contains(line), "{line}: {head}");
        }
        assert!(head.starts_with("---\n") && head.ends_with("---\n\n"));
    }
}
