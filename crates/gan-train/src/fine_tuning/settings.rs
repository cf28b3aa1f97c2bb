//! The settings with which a configuration builds the network that a file holds.

use gan_nets::{Arch, DiscriminatorConfig, EncoderConfig, GeneratorConfig, NetD, Network};
use gan_translate::{InputKind, ModelConfig};
use serde::Serialize;
use toml::{Table, Value};

/// A key and its value as TOML.
pub(crate) type Setting = (String, String);

/// The settings that make the network called `name`, which is `own`, the network `found`; none where they are of two kinds.
/// What follows from the data has no key of a network.
pub(super) fn settings(model: &ModelConfig, name: &str, own: &Network, found: &Network) -> Vec<Setting> {
    match (own, found) {
        (Network::Generator(own), Network::Generator(found)) => {
            // Of the dropout of a U-Net there is no trace.
            let dropout = model.generators.iter().find(|g| g.network == name).map_or(own.dropout, |g| g.config.dropout);
            let own = GeneratorConfig { dropout, ..own.clone() };
            let mut settings = changed("generator", &own, found, &unused(found));
            let labels = matches!(model.input, InputKind::Labels { .. }) || model.instances || model.encoder.is_some();
            settings.retain(|(key, _)| !(labels && key == "generator.input_nc"));
            // The second generator of a cycle has the channels of the first one exchanged.
            if model.generators.iter().position(|generator| generator.network == name) == Some(1) {
                for (key, _) in &mut settings {
                    *key = match key.as_str() {
                        "generator.input_nc" => "generator.output_nc".to_owned(),
                        "generator.output_nc" => "generator.input_nc".to_owned(),
                        other => other.to_owned(),
                    };
                }
            }
            settings
        }
        (Network::Encoder(own), Network::Encoder(found)) => of_encoder(own, found),
        _ => match (discriminator(own), discriminator(found)) {
            (Some(own), Some(found)) => {
                let unused: Vec<&str> = found.unused_keys().iter().map(|unused| unused.key).collect();
                changed("discriminator", &own, &found, &unused)
            }
            _ => Vec::new(),
        },
    }
}

/// The keys that its architecture has no use for, those with a fixed number included, and those that tensors do not tell.
fn unused(config: &GeneratorConfig) -> Vec<&'static str> {
    let without_numbers = GeneratorConfig { n_blocks: 0, num_downs: 0, ..config.clone() };
    let untold = matches!(config.arch, Arch::Unet | Arch::Unet128 | Arch::Unet256).then_some("dropout");
    without_numbers.unused_keys().iter().map(|unused| unused.key).chain(untold).collect()
}

/// The keys of a table that differ.
fn changed<T: Serialize>(table: &str, own: &T, found: &T, unused: &[&str]) -> Vec<Setting> {
    let values = |config: &T| Table::try_from(config).unwrap_or_default();
    let own = values(own);
    let differs = |(key, value): &(String, Value)| own.get(key) != Some(value) && !unused.contains(&key.as_str());
    values(found)
        .into_iter()
        .filter(differs)
        .map(|(key, value)| (format!("{table}.{key}"), value.to_string()))
        .collect()
}

/// The keys of an encoder have other names, and its norm is that of the generator.
fn of_encoder(own: &EncoderConfig, found: &EncoderConfig) -> Vec<Setting> {
    let numbers = [
        ("encoder.feat_num", own.feat_num, found.feat_num),
        ("encoder.nef", own.nef, found.nef),
        ("encoder.n_downsample_e", own.n_downsample, found.n_downsample),
    ];
    let differs = numbers.into_iter().filter(|(_, own, found)| own != found);
    let mut settings: Vec<Setting> = differs.map(|(key, _, found)| (key.to_owned(), found.to_string())).collect();
    if own.norm != found.norm
        && let Ok(norm) = Value::try_from(found.norm)
    {
        settings.push(("generator.norm".to_owned(), norm.to_string()));
    }
    settings
}

/// A discriminator by the keys of its configuration. Its input channels follow from the method.
fn discriminator(network: &Network) -> Option<DiscriminatorConfig> {
    let default = DiscriminatorConfig::default();
    Some(match network {
        Network::Patch(c) => DiscriminatorConfig {
            arch: if c.n_layers == default.n_layers_d { NetD::Basic } else { NetD::NLayers },
            ndf: c.ndf,
            n_layers_d: c.n_layers,
            norm: c.norm,
            antialias: c.antialias,
            ..default
        },
        Network::Pixel(c) => DiscriminatorConfig { arch: NetD::Pixel, ndf: c.ndf, norm: c.norm, ..default },
        Network::Multiscale(c) => DiscriminatorConfig {
            arch: NetD::Multiscale,
            ndf: c.ndf,
            n_layers_d: c.n_layers,
            num_d: c.num_d,
            norm: c.norm,
            ..default
        },
        _ => return None,
    })
}
