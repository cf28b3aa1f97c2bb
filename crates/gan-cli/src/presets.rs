//! Presets: the configurations of `presets`, built into the program.

use crate::exit::{BAD_MODEL, Coded};
use anyhow::bail;
use gan_train::METHODS;
use gan_train::config::{ConfigSource, nearest};
use std::fmt::Write;

/// (method, name, TOML). The first line of the TOML is a comment that says what the preset is for.
pub(crate) const PRESETS: &[(&str, &str, &str)] = &[
    ("pix2pix", "pairs", include_str!("../presets/pix2pix/pairs.toml")),
    ("pix2pix", "few", include_str!("../presets/pix2pix/few.toml")),
    ("pix2pix", "edges2photo", include_str!("../presets/pix2pix/edges2photo.toml")),
    ("pix2pix", "colorization", include_str!("../presets/pix2pix/colorization.toml")),
    ("pix2pix", "facades", include_str!("../presets/pix2pix/facades.toml")),
    ("pix2pix", "demo", include_str!("../presets/pix2pix/demo.toml")),
    ("cyclegan", "horse2zebra", include_str!("../presets/cyclegan/horse2zebra.toml")),
    ("cyclegan", "day2night", include_str!("../presets/cyclegan/day2night.toml")),
    ("cut", "horse2zebra", include_str!("../presets/cut/horse2zebra.toml")),
    ("cut", "fastcut", include_str!("../presets/cut/fastcut.toml")),
    ("cut", "day2night", include_str!("../presets/cut/day2night.toml")),
    ("pix2pixhd", "512p", include_str!("../presets/pix2pixhd/512p.toml")),
    ("pix2pixhd", "1024p", include_str!("../presets/pix2pixhd/1024p.toml")),
    ("pix2pixhd", "streets", include_str!("../presets/pix2pixhd/streets.toml")),
];

/// The presets of a method: name and TOML.
fn of(method: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    PRESETS.iter().filter(move |(m, ..)| *m == method).map(|&(_, name, toml)| (name, toml))
}

/// What a preset is for.
fn about(toml: &str) -> &str {
    toml.lines().next().unwrap_or_default().trim_start_matches('#').trim()
}

/// The presets by method, for the help.
pub(crate) fn help() -> String {
    let width = PRESETS.iter().map(|(_, name, _)| name.len()).max().unwrap_or(0);
    let mut text = "Presets (--preset NAME), by method:".to_owned();
    for method in METHODS {
        let _ = write!(text, "\n  {}", method.name);
        for (name, toml) in of(method.name) {
            let _ = write!(text, "\n    {name:width$}  {}", about(toml));
        }
    }
    text
}

/// The preset of this name as a configuration layer.
///
/// # Errors
/// A sentence that names the nearest one.
pub(crate) fn layer(method: &str, name: &str) -> anyhow::Result<ConfigSource> {
    if let Some((_, toml)) = of(method).find(|(n, _)| *n == name) {
        return Ok(ConfigSource::Text { name: format!("preset {name}"), toml: toml.to_owned() });
    }
    let names: Vec<_> = of(method).map(|(n, _)| n).collect();
    let near = names.iter().filter_map(|n| Some((nearest::distance(name, n)?, n))).min();
    let elsewhere = PRESETS.iter().find(|(_, n, _)| *n == name);
    let hint = match (near, elsewhere) {
        (Some((_, near)), _) => format!("did you mean `{near}`? There are {}", names.join(", ")),
        (None, Some((other, ..))) => format!("that one is for {other}; for {method} there are {}", names.join(", ")),
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
        for (method, name, _) in PRESETS {
            let spec = gan_train::find(METHODS, method).unwrap();
            (spec.resolve)(&[layer(method, name).unwrap()]).unwrap_or_else(|e| panic!("{method}/{name}: {e}"));
        }
    }

    #[test]
    fn every_preset_says_what_it_is_for() {
        let help = help();
        for (method, name, toml) in PRESETS {
            assert!(toml.starts_with("# "), "{method}/{name} does not begin with a comment");
            let about = about(toml);
            // With its name it fits a terminal of 80 columns.
            assert!((20..=60).contains(&about.len()) && about.ends_with('.'), "{method}/{name}: {about}");
            assert!(help.contains(name) && help.contains(about), "{help}");
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
