//! Sizes of images against the networks that they pass.

use super::Contradiction;
use crate::Result;
use gan_data::{DataConfig, Preprocess};
use gan_layers::Builder;
use gan_losses::Vgg19;
use gan_nets::{Arch, Demand, DiscriminatorConfig, EncoderConfig, GeneratorConfig, MAX_SIDE, NetD};

/// A network that a training step sends images through.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Network {
    /// A generator.
    Generator(GeneratorConfig),
    /// A discriminator, and the channels of what it sees.
    Discriminator(DiscriminatorConfig, usize),
    /// pix2pixHD's feature encoder.
    Encoder(EncoderConfig),
    /// VGG19 of the perceptual loss.
    Perceptual,
}

impl Network {
    /// How messages call it.
    fn name(&self) -> String {
        match self {
            Network::Generator(c) => match c.arch {
                Arch::Unet => format!("unet with generator.num_downs = {}", c.num_downs),
                Arch::Global => format!("global with generator.n_downsample_global = {}", c.n_downsample_global),
                Arch::Local => format!(
                    "local with generator.n_downsample_global = {} and generator.n_local_enhancers = {}",
                    c.n_downsample_global, c.n_local_enhancers
                ),
                arch => arch.name().to_owned(),
            },
            Network::Discriminator(c, _) => match c.arch {
                NetD::Basic => "the basic discriminator".to_owned(),
                NetD::Pixel => "the pixel discriminator".to_owned(),
                NetD::NLayers => format!("the discriminator with discriminator.n_layers_d = {}", c.n_layers_d),
                NetD::Multiscale => format!(
                    "the discriminator with discriminator.num_d = {} and discriminator.n_layers_d = {}",
                    c.num_d, c.n_layers_d
                ),
            },
            Network::Encoder(c) => format!("the encoder with encoder.n_downsample_e = {}", c.n_downsample),
            Network::Perceptual => "VGG19 of the perceptual loss".to_owned(),
        }
    }

    /// What its configuration is refused for: the key to blame, and the reason.
    pub(super) fn refusal(&self) -> Option<(String, String)> {
        let (table, refused) = match self {
            Network::Generator(c) => ("generator", c.validate()),
            Network::Discriminator(c, channels) => ("discriminator", c.validate(*channels)),
            Network::Encoder(c) => ("encoder", c.validate()),
            Network::Perceptual => return None,
        };
        Some(match refused.err()? {
            gan_nets::Error::OutOfRange(error) => (format!("{table}.{}", error.key), error.reason()),
            error @ gan_nets::Error::TooLarge { key, .. } => (format!("{table}.{key}"), error.to_string()),
            error => (table.to_owned(), error.to_string()),
        })
    }

    fn demand(&self) -> Result<Demand> {
        Ok(match self {
            Network::Generator(c) => c.demand()?,
            Network::Discriminator(c, channels) => c.demand(*channels)?,
            Network::Encoder(c) => c.demand()?,
            Network::Perceptual => Demand::of_layers(Vgg19::build(Builder::shapes_only())?.slices().to_vec(), 3),
        })
    }

    /// Networks of its kind that take smaller images, in the order of preference, each with the settings that make it.
    fn smaller(&self) -> Vec<(Vec<String>, Network)> {
        match self {
            Network::Generator(c) => smaller_generators(c),
            Network::Discriminator(c, channels) => smaller_discriminators(c, *channels),
            Network::Encoder(c) => (0..c.n_downsample)
                .rev()
                .map(|n| {
                    let setting = format!("encoder.n_downsample_e = {n}");
                    (vec![setting], Network::Encoder(EncoderConfig { n_downsample: n, ..c.clone() }))
                })
                .collect(),
            Network::Perceptual => Vec::new(),
        }
    }
}

fn smaller_generators(c: &GeneratorConfig) -> Vec<(Vec<String>, Network)> {
    let downs = match c.arch {
        Arch::Unet256 => 8,
        Arch::Unet128 => 7,
        _ => c.num_downs,
    };
    let unet = |n: usize| {
        let (arch, more) = match n {
            8 => (Arch::Unet256, None),
            7 => (Arch::Unet128, None),
            _ => (Arch::Unet, Some(format!("generator.num_downs = {n}"))),
        };
        let settings = std::iter::once(format!("generator.arch = \"{}\"", arch.name())).chain(more).collect();
        (settings, Network::Generator(GeneratorConfig { arch, num_downs: n, ..c.clone() }))
    };
    let global = |n: usize| {
        let setting = format!("generator.n_downsample_global = {n}");
        (vec![setting], Network::Generator(GeneratorConfig { n_downsample_global: n, ..c.clone() }))
    };
    match c.arch {
        Arch::Unet256 | Arch::Unet128 | Arch::Unet => (5..downs).rev().map(unet).collect(),
        Arch::Global | Arch::Local => (1..c.n_downsample_global).rev().map(global).collect(),
        _ => Vec::new(),
    }
}

fn smaller_discriminators(c: &DiscriminatorConfig, channels: usize) -> Vec<(Vec<String>, Network)> {
    let network = |c: DiscriminatorConfig| Network::Discriminator(c, channels);
    let layers = if c.arch == NetD::Basic { 3 } else { c.n_layers_d };
    let patch = |n: usize| {
        let settings = vec!["discriminator.arch = \"n_layers\"".to_owned(), format!("discriminator.n_layers_d = {n}")];
        (settings, network(DiscriminatorConfig { arch: NetD::NLayers, n_layers_d: n, ..c.clone() }))
    };
    let fewer = |n: usize| {
        let setting = vec![format!("discriminator.n_layers_d = {n}")];
        (setting, network(DiscriminatorConfig { n_layers_d: n, ..c.clone() }))
    };
    let scales = |n: usize| {
        let setting = vec![format!("discriminator.num_d = {n}")];
        (setting, network(DiscriminatorConfig { num_d: n, ..c.clone() }))
    };
    let pixel = || {
        let setting = vec!["discriminator.arch = \"pixel\"".to_owned()];
        (setting, network(DiscriminatorConfig { arch: NetD::Pixel, ..c.clone() }))
    };
    match c.arch {
        NetD::Basic => (1..layers).rev().map(patch).chain([pixel()]).collect(),
        NetD::NLayers => (1..layers).rev().map(fewer).chain([pixel()]).collect(),
        NetD::Multiscale => {
            (1..c.num_d).rev().map(scales).chain((1..layers).rev().map(fewer)).chain([pixel()]).collect()
        }
        NetD::Pixel => Vec::new(),
    }
}

/// What a method's networks ask of images.
#[derive(Debug)]
pub struct Demands {
    networks: Vec<(Network, Demand)>,
    batch_size: usize,
}

impl Demands {
    pub(super) fn of(networks: &[Network], batch_size: usize) -> Result<Self> {
        let mut all: Vec<(Network, Demand)> = Vec::new();
        for network in networks {
            // CycleGAN's two sides mostly are the same network.
            if !all.iter().any(|(known, _)| known == network) {
                all.push((network.clone(), network.demand()?));
            }
        }
        Ok(Demands { networks: all, batch_size })
    }

    /// Why images of this width and height cannot be trained on, in words: `unet_256 takes sides that are multiples of 256`.
    #[must_use]
    pub fn unfit(&self, (width, height): (usize, usize)) -> Option<String> {
        let (network, demand) =
            self.networks.iter().find(|(_, demand)| !demand.fits((height, width), self.batch_size))?;
        Some(self.words(network, demand))
    }

    fn words(&self, network: &Network, demand: &Demand) -> String {
        match demand.sides(self.batch_size) {
            Some(sides) => format!("{} takes {sides}", network.name()),
            None => format!("{} takes no image: none has so long sides", network.name()),
        }
    }

    fn all_fit(&self, side: usize) -> bool {
        self.networks.iter().all(|(_, demand)| demand.fits((side, side), self.batch_size))
    }

    /// What the size that the configuration gives contradicts.
    pub(super) fn contradictions(&self, data: &DataConfig) -> Vec<Contradiction> {
        let Some((key, side)) = data.side() else { return Vec::new() };
        let size = self.size_that_fits(data, key, side);
        let mut found: Vec<Contradiction> = Vec::new();
        for (network, demand) in &self.networks {
            if demand.fits((side, side), self.batch_size) {
                continue;
            }
            let what = format!("{}; data.{key} is {side}", self.words(network, demand));
            // The two sides of CycleGAN may differ in channels only.
            if found.iter().any(|other| other.what == what) {
                continue;
            }
            let fits =
                |network: &Network| network.demand().is_ok_and(|demand| demand.fits((side, side), self.batch_size));
            let smaller = network.smaller().into_iter().find(|(_, network)| fits(network));
            let remedies = smaller.map(|(settings, _)| settings).into_iter().chain(size.clone()).collect();
            found.push(Contradiction { what, remedies });
        }
        found
    }

    /// Settings of the size nearest to `side` that all networks take.
    fn size_that_fits(&self, data: &DataConfig, key: &str, side: usize) -> Option<Vec<String>> {
        let sides: Option<Vec<_>> = self.networks.iter().map(|(_, demand)| demand.sides(self.batch_size)).collect();
        let sides = sides?;
        // They are powers of two.
        let multiple = sides.iter().map(|s| s.multiple).max().unwrap_or(1);
        let least = sides.iter().map(|s| s.least).max().unwrap_or(1);
        let above = side.max(least).div_ceil(multiple) * multiple;
        let below = side / multiple * multiple;
        let nearest = if below >= least && side - below < above - side { below } else { above };
        if nearest > MAX_SIDE || !self.all_fit(nearest) {
            return None;
        }
        let mut changed = data.clone();
        let mut settings = vec![format!("data.{key} = {nearest}")];
        match key {
            "crop_size" => changed.crop_size = nearest,
            _ => changed.load_size = nearest,
        }
        let resizes = matches!(data.preprocess, Preprocess::ResizeAndCrop | Preprocess::ScaleWidthAndCrop);
        if resizes && changed.load_size < nearest {
            // As much larger than the crop as before.
            changed.load_size = (data.load_size * nearest).div_ceil(side).max(nearest);
            settings.push(format!("data.load_size = {}", changed.load_size));
        }
        (changed.validate().is_ok()
            && changed.side() == Some((if key == "crop_size" { key } else { "load_size" }, nearest)))
        .then_some(settings)
    }
}
