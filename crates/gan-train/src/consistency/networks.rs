//! The networks of a training step, as the check of a configuration sees them.

use crate::Result;
use gan_nets::{Arch, Demand, DiscriminatorConfig, GeneratorConfig, NetD, UnusedKey};
use std::fmt::Debug;

/// A network that a training step sends images through. A method names its networks, so that a configuration is checked
/// against them before anything is built.
pub trait Network: Debug {
    /// How messages call it: `unet_256`, `the encoder with encoder.n_downsample_e = 4`.
    fn name(&self) -> String;

    /// The key for which its configuration is refused: a number out of its range, or one that makes a network larger than any
    /// machine holds.
    fn refusal(&self) -> Option<BadKey>;

    /// Which images it takes.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor) if the network cannot be built.
    fn demand(&self) -> Result<Demand>;

    /// Keys that its architecture has no use for. They are refused where a user sets them.
    fn unused_keys(&self) -> Vec<BadKey> {
        Vec::new()
    }

    /// Networks of its kind that take smaller images, in the order of preference, each with the settings `key = value` that
    /// make it.
    fn smaller(&self) -> Vec<(Vec<String>, Box<dyn Network>)> {
        Vec::new()
    }
}

/// A key that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadKey {
    /// Dotted path of the key.
    pub key: String,
    /// Why.
    pub reason: String,
}

impl BadKey {
    /// What a network of `table` is refused for, if it is.
    pub fn of(table: &str, validated: gan_nets::Result<()>) -> Option<Self> {
        Some(match validated.err()? {
            gan_nets::Error::OutOfRange(error) => {
                BadKey { key: format!("{table}.{}", error.key), reason: error.reason() }
            }
            error @ gan_nets::Error::TooLarge { key, .. } => {
                BadKey { key: format!("{table}.{key}"), reason: error.to_string() }
            }
            error => BadKey { key: table.to_owned(), reason: error.to_string() },
        })
    }

    fn unused(table: &str, keys: Vec<UnusedKey>) -> Vec<Self> {
        let bad = |unused: UnusedKey| {
            let ways: Vec<_> = unused.used_by.iter().map(|arch| format!("{table}.arch = \"{arch}\"")).collect();
            BadKey {
                key: format!("{table}.{}", unused.key),
                reason: format!("{unused}: leave it out, or use {}", ways.join(", or ")),
            }
        };
        keys.into_iter().map(bad).collect()
    }
}

/// The generator of the table `generator`.
impl Network for GeneratorConfig {
    fn name(&self) -> String {
        match self.arch {
            Arch::Unet => format!("unet with generator.num_downs = {}", self.num_downs),
            Arch::Global => format!("global with generator.n_downsample_global = {}", self.n_downsample_global),
            Arch::Local => format!(
                "local with generator.n_downsample_global = {} and generator.n_local_enhancers = {}",
                self.n_downsample_global, self.n_local_enhancers
            ),
            arch => arch.name().to_owned(),
        }
    }

    fn refusal(&self) -> Option<BadKey> {
        BadKey::of("generator", self.validate())
    }

    fn demand(&self) -> Result<Demand> {
        Ok(GeneratorConfig::demand(self)?)
    }

    fn unused_keys(&self) -> Vec<BadKey> {
        BadKey::unused("generator", GeneratorConfig::unused_keys(self))
    }

    fn smaller(&self) -> Vec<(Vec<String>, Box<dyn Network>)> {
        let downs = match self.arch {
            Arch::Unet256 => 8,
            Arch::Unet128 => 7,
            _ => self.num_downs,
        };
        let unet = |n: usize| -> (Vec<String>, Box<dyn Network>) {
            let num_downs = format!("generator.num_downs = {n}");
            let (arch, settings) = match (self.arch, n) {
                (Arch::Unet, _) => (Arch::Unet, vec![num_downs]),
                (_, 7) => (Arch::Unet128, vec!["generator.arch = \"unet_128\"".to_owned()]),
                _ => (Arch::Unet, vec!["generator.arch = \"unet\"".to_owned(), num_downs]),
            };
            (settings, Box::new(GeneratorConfig { arch, num_downs: n, ..self.clone() }))
        };
        let global = |n: usize| -> (Vec<String>, Box<dyn Network>) {
            let setting = format!("generator.n_downsample_global = {n}");
            (vec![setting], Box::new(GeneratorConfig { n_downsample_global: n, ..self.clone() }))
        };
        match self.arch {
            Arch::Unet256 | Arch::Unet128 | Arch::Unet => (5..downs).rev().map(unet).collect(),
            Arch::Global | Arch::Local => (1..self.n_downsample_global).rev().map(global).collect(),
            _ => Vec::new(),
        }
    }
}

/// The discriminator of the table `discriminator`, for images of some channels.
#[derive(Debug, Clone)]
pub struct DiscriminatorOf {
    /// Its configuration.
    pub config: DiscriminatorConfig,
    /// Channels of what it sees.
    pub input_nc: usize,
}

impl DiscriminatorOf {
    fn with(&self, settings: &[String], config: DiscriminatorConfig) -> (Vec<String>, Box<dyn Network>) {
        (settings.to_vec(), Box::new(DiscriminatorOf { config, ..*self }))
    }
}

impl Network for DiscriminatorOf {
    fn name(&self) -> String {
        let DiscriminatorConfig { arch, num_d, n_layers_d, .. } = self.config;
        match arch {
            NetD::Basic => "the basic discriminator".to_owned(),
            NetD::Pixel => "the pixel discriminator".to_owned(),
            NetD::NLayers => format!("the discriminator with discriminator.n_layers_d = {n_layers_d}"),
            NetD::Multiscale => format!(
                "the discriminator with discriminator.num_d = {num_d} and discriminator.n_layers_d = {n_layers_d}"
            ),
        }
    }

    fn refusal(&self) -> Option<BadKey> {
        BadKey::of("discriminator", self.config.validate(self.input_nc))
    }

    fn demand(&self) -> Result<Demand> {
        Ok(self.config.demand(self.input_nc)?)
    }

    fn unused_keys(&self) -> Vec<BadKey> {
        BadKey::unused("discriminator", self.config.unused_keys())
    }

    fn smaller(&self) -> Vec<(Vec<String>, Box<dyn Network>)> {
        let c = &self.config;
        let arch = |arch: NetD| format!("discriminator.arch = \"{}\"", arch.name());
        let n_layers = |n: usize| format!("discriminator.n_layers_d = {n}");
        let patch = |n: usize| {
            let config = DiscriminatorConfig { arch: NetD::NLayers, n_layers_d: n, ..c.clone() };
            self.with(&[arch(NetD::NLayers), n_layers(n)], config)
        };
        let fewer = |n: usize| self.with(&[n_layers(n)], DiscriminatorConfig { n_layers_d: n, ..c.clone() });
        let scales = |n: usize| {
            let setting = format!("discriminator.num_d = {n}");
            self.with(&[setting], DiscriminatorConfig { num_d: n, ..c.clone() })
        };
        // Its keys go back to what they are by default: a user may have set them, and `pixel` has no use for them.
        let pixel = || {
            let d = DiscriminatorConfig::default();
            let mut settings = vec![arch(NetD::Pixel)];
            settings.extend((c.n_layers_d != d.n_layers_d).then(|| n_layers(d.n_layers_d)));
            settings.extend((c.num_d != d.num_d).then(|| format!("discriminator.num_d = {}", d.num_d)));
            let config =
                DiscriminatorConfig { arch: NetD::Pixel, n_layers_d: d.n_layers_d, num_d: d.num_d, ..c.clone() };
            self.with(&settings, config)
        };
        match c.arch {
            NetD::Basic => (1..3).rev().map(patch).chain([pixel()]).collect(),
            NetD::NLayers => (1..c.n_layers_d).rev().map(fewer).chain([pixel()]).collect(),
            NetD::Multiscale => {
                (1..c.num_d).rev().map(scales).chain((1..c.n_layers_d).rev().map(fewer)).chain([pixel()]).collect()
            }
            NetD::Pixel => Vec::new(),
        }
    }
}
