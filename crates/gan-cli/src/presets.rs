//! Presets: the configurations of `assets/presets`, built into the program.

use anyhow::bail;
use gan_train::config::Layer;

/// (method, name, TOML).
pub(crate) const PRESETS: &[(&str, &str, &str)] = &[
    ("pix2pix", "facades", include_str!("../../../assets/presets/pix2pix/facades.toml")),
    ("pix2pix", "demo", include_str!("../../../assets/presets/pix2pix/demo.toml")),
    ("pix2pix", "edges2photo", include_str!("../../../assets/presets/pix2pix/edges2photo.toml")),
    ("pix2pix", "colorization", include_str!("../../../assets/presets/pix2pix/colorization.toml")),
    ("cyclegan", "horse2zebra", include_str!("../../../assets/presets/cyclegan/horse2zebra.toml")),
    ("cyclegan", "day2night", include_str!("../../../assets/presets/cyclegan/day2night.toml")),
    ("pix2pixhd", "512p", include_str!("../../../assets/presets/pix2pixhd/512p.toml")),
    ("pix2pixhd", "1024p", include_str!("../../../assets/presets/pix2pixhd/1024p.toml")),
    ("pix2pixhd", "streets", include_str!("../../../assets/presets/pix2pixhd/streets.toml")),
];

/// The preset of this name as a configuration layer.
pub(crate) fn layer(method: &str, name: &str) -> anyhow::Result<Layer> {
    match PRESETS.iter().find(|(m, n, _)| *m == method && *n == name) {
        Some((_, _, toml)) => Ok(Layer::Text { name: format!("preset {name}"), toml: (*toml).to_string() }),
        None => {
            let names: Vec<_> = PRESETS.iter().filter(|(m, ..)| *m == method).map(|(_, n, _)| *n).collect();
            bail!(crate::exit::Coded(
                4,
                format!("there is no preset `{name}` for {method}; there are {}", names.join(", "))
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_file_is_listed_and_resolves() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/presets");
        let mut files = 0;
        for method in std::fs::read_dir(root).unwrap() {
            files += std::fs::read_dir(method.unwrap().path()).unwrap().count();
        }
        assert_eq!(files, PRESETS.len(), "a preset is not listed");
        for (method, name, _) in PRESETS {
            let spec = gan_train::methods::find(method).unwrap();
            (spec.resolve)(&[layer(method, name).unwrap()]).unwrap_or_else(|e| panic!("{method}/{name}: {e}"));
        }
        assert!(layer("pix2pix", "none").unwrap_err().to_string().contains("facades"));
    }
}
