//! `gan-cli presets`.

use crate::exit::Done;
use crate::presets::{self, Preset};
use clap::builder::{PossibleValue, PossibleValuesParser};
use gan_data::Preprocess;
use gan_train::METHODS;
use gan_train::config::ConfigSource;
use serde_json::{Value, json};
use std::fmt::Write;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only the presets of this method
    #[arg(value_parser = PossibleValuesParser::new(METHODS.iter().map(|m| PossibleValue::new(m.name).help(m.about))))]
    method: Option<String>,
    /// Print this preset of the method: a configuration for --config, to be changed
    name: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    if let (Some(method), Some(name)) = (&args.method, &args.name) {
        let preset = presets::find(method, name)?;
        match args.json {
            true => out!("{:#}", json_of(preset)?),
            false => out!("{}", preset.toml.trim_end()),
        }
        return Ok(Done::Complete);
    }
    let chosen = presets::PRESETS.iter().filter(|preset| args.method.as_deref().is_none_or(|m| m == preset.method));
    if args.json {
        out!("{:#}", Value::Array(chosen.map(json_of).collect::<anyhow::Result<_>>()?));
        return Ok(Done::Complete);
    }
    let (mut text, mut method) = (String::new(), "");
    for preset in chosen {
        if method != preset.method {
            method = preset.method;
            let _ = writeln!(text, "{method}");
        }
        let _ = writeln!(text, "  {:12}  {}\n{:16}{}", preset.name, preset.about(), "", key_settings(preset)?);
    }
    out!("{}\ngan-cli presets METHOD NAME prints one; gan-cli train METHOD --preset NAME takes it.", text.trim_end());
    Ok(Done::Complete)
}

fn json_of(preset: &Preset) -> anyhow::Result<Value> {
    let Preset { method, name, .. } = preset;
    Ok(json!({ "method": method, "name": name, "about": preset.about(), "settings": preset.table()? }))
}

/// Architecture, size, epochs, and what else the preset sets to another value than the method's default.
fn key_settings(preset: &Preset) -> anyhow::Result<String> {
    let spec = gan_train::find(METHODS, preset.method)?;
    let layer = ConfigSource::Text { name: preset.name.into(), toml: preset.toml.into() };
    let config = (spec.resolve)(&[layer])?;
    let (default, values, data) = ((spec.resolve)(&[])?.to_table()?, config.to_table()?, config.data());
    let word = |table: &str, key: &str| {
        let value = &values[table][key];
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    };
    // Where images are trained on as they are, they say.
    let size = match data.preprocess {
        Preprocess::None if !data.mode.is_procedural() => "any size".to_owned(),
        Preprocess::None | Preprocess::Resize | Preprocess::ScaleWidth => format!("{} pixels", data.load_size),
        Preprocess::ResizeAndCrop | Preprocess::Crop | Preprocess::ScaleWidthAndCrop => {
            format!("{} pixels", data.crop_size)
        }
    };
    let (full, decay) = (word("train", "n_epochs"), word("train", "n_epochs_decay"));
    let mut text = format!("{}, {size}, {full} + {decay} epochs", word("generator", "arch"));
    const SAID: [&str; 5] =
        ["generator.arch", "data.load_size", "data.crop_size", "train.n_epochs", "train.n_epochs_decay"];
    for (table, keys) in preset.table()? {
        for (key, value) in keys.as_table().into_iter().flatten() {
            let path = format!("{table}.{key}");
            if !SAID.contains(&&*path) && default.get(&table).and_then(|table| table.get(key)) != Some(value) {
                let _ = write!(text, ", {path}={value}");
            }
        }
    }
    Ok(text)
}
