//! Presets: the configurations of `presets`, built into the program.

use crate::exit::{BAD_MODEL, Coded};
use anyhow::bail;
use gan_data::DataMode;
use gan_train::config::{ConfigSource, nearest};
use gan_train::{METHODS, MethodSpec};
use std::fmt::Write;

/// A configuration of a method under a name.
pub(crate) struct Preset {
    pub(crate) method: &'static str,
    pub(crate) name: &'static str,
    /// The first line is a comment that says what it is for.
    pub(crate) toml: &'static str,
}

impl Preset {
    /// What it is for.
    pub(crate) fn about(&self) -> &str {
        self.toml.lines().next().unwrap_or_default().trim_start_matches('#').trim()
    }

    /// What it sets.
    ///
    /// # Errors
    /// If it is no TOML.
    pub(crate) fn table(&self) -> anyhow::Result<toml::Table> {
        Ok(self.toml.parse()?)
    }
}

macro_rules! presets {
    ($($method:literal: $($name:literal)*;)*) => {
        &[$($(Preset {
            method: $method,
            name: $name,
            toml: include_str!(concat!("../presets/", $method, "/", $name, ".toml")),
        },)*)*]
    };
}

pub(crate) const PRESETS: &[Preset] = presets! {
    "pix2pix": "pairs" "few" "edges2photo" "colorization" "facades" "demo";
    "cyclegan": "horse2zebra" "day2night";
    "cut": "horse2zebra" "fastcut" "day2night";
    "pix2pixhd": "512p" "1024p" "streets";
};

/// The presets of a method.
fn of(method: &str) -> impl Iterator<Item = &'static Preset> {
    PRESETS.iter().filter(move |preset| preset.method == method)
}

/// Up to so many items a preset `few` of the method suits better: it makes more of each.
const FEW: usize = 40;

/// The preset to begin with for a dataset of this mode with so many items; where none is for the mode, that for files of another one.
/// Presets are listed with those to begin with first.
///
/// # Errors
/// If a preset is no TOML, which a test excludes.
pub(crate) fn suited(method: &MethodSpec, mode: DataMode, items: usize) -> anyhow::Result<Option<&'static Preset>> {
    let default = (method.resolve)(&[])?.data().mode;
    let mut with_mode = Vec::new();
    for preset in of(method.name) {
        let own = preset.table()?.get("data").and_then(|data| data.get("mode")).cloned();
        with_mode.push((preset, own.map_or(Ok(default), toml::Value::try_into)?));
    }
    let same = || with_mode.iter().filter(|(_, of)| *of == mode).map(|(preset, _)| *preset);
    let few = same().find(|preset| preset.name == "few" && items <= FEW);
    let any = || with_mode.iter().find(|(_, of)| !of.is_procedural()).map(|(preset, _)| *preset);
    Ok(few.or_else(|| same().next()).or_else(any))
}

/// The presets by method, for the help.
pub(crate) fn help() -> String {
    let width = PRESETS.iter().map(|preset| preset.name.len()).max().unwrap_or(0);
    let mut text = "Presets (--preset NAME), by method; gan-cli presets shows what they set:".to_owned();
    for method in METHODS {
        let _ = write!(text, "\n  {}", method.name);
        for preset in of(method.name) {
            let _ = write!(text, "\n    {:width$}  {}", preset.name, preset.about());
        }
    }
    text
}

/// The preset of this name as a configuration layer.
///
/// # Errors
/// A sentence that names the nearest one.
pub(crate) fn layer(method: &str, name: &str) -> anyhow::Result<ConfigSource> {
    let toml = find(method, name)?.toml.to_owned();
    Ok(ConfigSource::Text { name: format!("preset {name}"), toml })
}

/// The preset of this name.
///
/// # Errors
/// A sentence that names the nearest one.
pub(crate) fn find(method: &str, name: &str) -> anyhow::Result<&'static Preset> {
    if let Some(preset) = of(method).find(|preset| preset.name == name) {
        return Ok(preset);
    }
    let names: Vec<_> = of(method).map(|preset| preset.name).collect();
    let near = names.iter().filter_map(|n| Some((nearest::distance(name, n)?, n))).min();
    let elsewhere = PRESETS.iter().find(|preset| preset.name == name);
    let hint = match (near, elsewhere) {
        (Some((_, near)), _) => format!("did you mean `{near}`? There are {}", names.join(", ")),
        (None, Some(Preset { method: other, .. })) => {
            format!("that one is for {other}; for {method} there are {}", names.join(", "))
        }
        (None, None) => format!("there are {}", names.join(", ")),
    };
    bail!(Coded(BAD_MODEL, format!("there is no preset `{name}` for {method}; {hint}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_file_is_listed_and_resolves() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/presets");
        let mut files = 0;
        for method in std::fs::read_dir(root).unwrap() {
            files += std::fs::read_dir(method.unwrap().path()).unwrap().count();
        }
        assert_eq!(files, PRESETS.len(), "a preset is not listed");
        for Preset { method, name, .. } in PRESETS {
            let spec = gan_train::find(METHODS, method).unwrap();
            (spec.resolve)(&[layer(method, name).unwrap()]).unwrap_or_else(|e| panic!("{method}/{name}: {e}"));
        }
    }

    #[test]
    fn every_preset_says_what_it_is_for() {
        let help = help();
        for preset in PRESETS {
            let (Preset { method, name, toml }, about) = (preset, preset.about());
            assert!(toml.starts_with("# "), "{method}/{name} does not begin with a comment");
            // With its name it fits a terminal of 80 columns.
            assert!((20..=60).contains(&about.len()) && about.ends_with('.'), "{method}/{name}: {about}");
            assert!(help.contains(*name) && help.contains(about), "{help}");
        }
    }

    #[test]
    fn a_preset_to_begin_with_is_found_for_every_method() {
        let name = |method, mode, items| {
            suited(gan_train::find(METHODS, method).unwrap(), mode, items).unwrap().map(|preset| preset.name)
        };
        assert_eq!(name("pix2pix", DataMode::Aligned, 400), Some("pairs"));
        assert_eq!(name("pix2pix", DataMode::Aligned, 12), Some("few"));
        assert_eq!(name("pix2pix", DataMode::Colorization, 12), Some("colorization"));
        assert_eq!(name("cyclegan", DataMode::Aligned, 12), Some("horse2zebra"), "no preset is for pairs");
        for method in METHODS {
            let own = (method.resolve)(&[]).unwrap().data().mode;
            let preset = suited(method, own, 1000).unwrap().unwrap();
            let table = preset.table().unwrap();
            assert!(
                !table["data"]
                    .get("mode")
                    .is_some_and(|mode| ["facades", "streets", "unpaired"].contains(&mode.as_str().unwrap()))
            );
        }
    }

    #[test]
    fn unknown_presets_are_refused_with_the_nearest() {
        let refused = |method, name| layer(method, name).unwrap_err().to_string();
        assert!(refused("pix2pix", "facade").contains("did you mean `facades`?"));
        assert!(refused("pix2pix", "edges2phto").contains("did you mean `edges2photo`?"));
        assert!(refused("cyclegan", "facades").contains("is for pix2pix"));
        assert!(refused("pix2pix", "none").contains("pairs, few, edges2photo"));
    }
}
