//! Configuration keys that only some architectures use.

use crate::{Arch, DiscriminatorConfig, GeneratorConfig, NetD};
use std::fmt;

/// A key that the architecture of a configuration has no use for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusedKey {
    /// The key, without its table.
    pub key: &'static str,
    /// Name of the architecture.
    pub arch: &'static str,
    /// Names of the architectures that use the key.
    pub used_by: Vec<&'static str>,
    /// The number that the architecture has in its place.
    pub fixed: Option<usize>,
}

/// In words: `it is for arch = "unet"; unet_256 always has 8`.
impl fmt::Display for UnusedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let archs: Vec<_> = self.used_by.iter().map(|arch| format!("\"{arch}\"")).collect();
        write!(f, "it is for arch = {}; {} ", archs.join(" or "), self.arch)?;
        match self.fixed {
            Some(number) => write!(f, "always has {number}"),
            None => f.write_str("has no use for it"),
        }
    }
}

/// A key, and who uses it.
struct Key<C, A: 'static> {
    key: &'static str,
    used_by: &'static [A],
    /// Its number, if other architectures have a fixed one instead: those, and their numbers.
    number: Option<fn(&C) -> usize>,
    fixed: &'static [(A, usize)],
}

impl<C, A> Key<C, A> {
    const fn new(key: &'static str, used_by: &'static [A]) -> Self {
        Key { key, used_by, number: None, fixed: &[] }
    }
}

const RESNETS: &[Arch] = &[Arch::Resnet9Blocks, Arch::Resnet6Blocks, Arch::Resnet4Blocks, Arch::Resnet];
const PLAIN: &[Arch] = &[
    Arch::Resnet9Blocks,
    Arch::Resnet6Blocks,
    Arch::Resnet4Blocks,
    Arch::Resnet,
    Arch::Unet256,
    Arch::Unet128,
    Arch::Unet,
];
const UNETS: &[Arch] = &[Arch::Unet256, Arch::Unet128, Arch::Unet];
const PYRAMIDS: &[Arch] = &[Arch::Global, Arch::Local];

const GENERATOR: &[Key<GeneratorConfig, Arch>] = &[
    Key::new("dropout", PLAIN),
    Key::new("padding", RESNETS),
    Key::new("down_padding", PLAIN),
    Key::new("unet_layout", UNETS),
    Key::new("antialias", RESNETS),
    Key::new("antialias_up", RESNETS),
    Key {
        number: Some(|c| c.n_blocks),
        fixed: &[(Arch::Resnet9Blocks, 9), (Arch::Resnet6Blocks, 6), (Arch::Resnet4Blocks, 4)],
        ..Key::new("n_blocks", &[Arch::Resnet])
    },
    Key {
        number: Some(|c| c.num_downs),
        fixed: &[(Arch::Unet256, 8), (Arch::Unet128, 7)],
        ..Key::new("num_downs", &[Arch::Unet])
    },
    Key::new("n_downsample_global", PYRAMIDS),
    Key::new("n_blocks_global", PYRAMIDS),
    Key::new("n_local_enhancers", &[Arch::Local]),
    Key::new("n_blocks_local", &[Arch::Local]),
];

const DISCRIMINATOR: &[Key<DiscriminatorConfig, NetD>] = &[
    Key {
        number: Some(|c| c.n_layers_d),
        fixed: &[(NetD::Basic, 3)],
        ..Key::new("n_layers_d", &[NetD::NLayers, NetD::Multiscale])
    },
    Key::new("num_d", &[NetD::Multiscale]),
    Key::new("antialias", &[NetD::Basic, NetD::NLayers]),
];

fn unused<C, A: Copy + PartialEq>(
    keys: &[Key<C, A>],
    config: &C,
    arch: A,
    name: fn(A) -> &'static str,
) -> Vec<UnusedKey> {
    let others = keys.iter().filter(|key| !key.used_by.contains(&arch));
    let unused = others.filter_map(|key| {
        let fixed = key.fixed.iter().find(|(other, _)| *other == arch).map(|(_, number)| *number);
        let agrees = fixed.is_some() && key.number.map(|number| number(config)) == fixed;
        let used_by = key.used_by.iter().map(|other| name(*other)).collect();
        (!agrees).then_some(UnusedKey { key: key.key, arch: name(arch), used_by, fixed })
    });
    unused.collect()
}

fn used_by<C, A: Copy>(keys: &[Key<C, A>], key: &str, name: fn(A) -> &'static str) -> Vec<&'static str> {
    let found = keys.iter().find(|known| known.key == key);
    found.map_or(Vec::new(), |key| key.used_by.iter().map(|arch| name(*arch)).collect())
}

impl GeneratorConfig {
    /// Names of the architectures that use a key, if not all of them do; else empty.
    #[must_use]
    pub fn archs_of(key: &str) -> Vec<&'static str> {
        used_by(GENERATOR, key, Arch::name)
    }

    /// The keys that its architecture has no use for. Those that hold the number which the architecture has anyway are left
    /// out.
    ///
    /// ```
    /// use gan_nets::{Arch, GeneratorConfig};
    /// let config = GeneratorConfig { arch: Arch::Unet256, num_downs: 5, ..GeneratorConfig::default() };
    /// let unused = config.unused_keys();
    /// let num_downs = unused.iter().find(|unused| unused.key == "num_downs");
    /// assert_eq!(num_downs.unwrap().to_string(), "it is for arch = \"unet\"; unet_256 always has 8");
    /// ```
    #[must_use]
    pub fn unused_keys(&self) -> Vec<UnusedKey> {
        unused(GENERATOR, self, self.arch, Arch::name)
    }
}

impl DiscriminatorConfig {
    /// As [`GeneratorConfig::archs_of`].
    #[must_use]
    pub fn archs_of(key: &str) -> Vec<&'static str> {
        used_by(DISCRIMINATOR, key, NetD::name)
    }

    /// As [`GeneratorConfig::unused_keys`].
    #[must_use]
    pub fn unused_keys(&self) -> Vec<UnusedKey> {
        unused(DISCRIMINATOR, self, self.arch, NetD::name)
    }
}

impl NetD {
    /// The name in a configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            NetD::Basic => "basic",
            NetD::NLayers => "n_layers",
            NetD::Pixel => "pixel",
            NetD::Multiscale => "multiscale",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use gan_layers::{Builder, Summary};

    /// What a configuration of the smallest networks builds.
    fn rows(summary: Summary) -> Vec<String> {
        summary.rows.iter().map(|row| format!("{} {} {}", row.path, row.kind, row.params)).collect()
    }

    fn generator(config: &GeneratorConfig) -> Vec<String> {
        rows(config.build(Builder::shapes_only()).unwrap().summary((512, 512)).unwrap())
    }

    fn discriminator(config: &DiscriminatorConfig) -> Vec<String> {
        rows(config.build(3, Builder::shapes_only()).unwrap().summary((3, 512, 512)).unwrap())
    }

    /// A key changes the network of exactly those architectures that are said to use it.
    #[test]
    fn unused_keys_are_those_that_change_nothing() {
        type Change<C> = (&'static str, fn(&mut C));
        let changes: [Change<GeneratorConfig>; 12] = [
            ("antialias", |c| c.antialias = true),
            ("antialias_up", |c| c.antialias_up = true),
            ("dropout", |c| c.dropout = true),
            ("down_padding", |c| c.down_padding = crate::Padding::Reflect),
            ("upsample", |c| c.upsample = crate::Upsample::Resize),
            ("unet_layout", |c| c.unet_layout = crate::UnetLayout::PostActivation),
            ("n_blocks", |c| c.n_blocks = 2),
            ("num_downs", |c| c.num_downs = 6),
            ("n_downsample_global", |c| c.n_downsample_global = 2),
            ("n_blocks_global", |c| c.n_blocks_global = 2),
            ("n_local_enhancers", |c| c.n_local_enhancers = 2),
            ("n_blocks_local", |c| c.n_blocks_local = 2),
        ];
        for (name, arch) in Arch::ALL {
            let config = GeneratorConfig { arch, ngf: 2, ..GeneratorConfig::default() };
            for (key, change) in &changes {
                let mut changed = config.clone();
                change(&mut changed);
                let unused = changed.unused_keys().iter().any(|unused| unused.key == *key);
                assert_eq!(unused, generator(&changed) == generator(&config), "{name}: {key}");
            }
        }
        let changes: [Change<DiscriminatorConfig>; 3] =
            [("n_layers_d", |c| c.n_layers_d = 2), ("num_d", |c| c.num_d = 2), ("antialias", |c| c.antialias = true)];
        for arch in [NetD::Basic, NetD::NLayers, NetD::Pixel, NetD::Multiscale] {
            let config = DiscriminatorConfig { arch, ndf: 2, ..DiscriminatorConfig::default() };
            for (key, change) in &changes {
                let mut changed = config.clone();
                change(&mut changed);
                let unused = changed.unused_keys().iter().any(|unused| unused.key == *key);
                assert_eq!(unused, discriminator(&changed) == discriminator(&config), "{}: {key}", arch.name());
            }
        }
    }

    #[test]
    fn names_are_those_of_the_configuration() {
        for arch in [NetD::Basic, NetD::NLayers, NetD::Pixel, NetD::Multiscale] {
            assert_eq!(serde_json::to_value(arch).unwrap(), arch.name());
        }
    }
}
