//! Which network a state dict belongs to, read off its keys and shapes.

mod assumptions;
mod discriminator;
mod expected;
mod identified;
mod local;
mod parts;
mod structure;
mod tensors;
mod trunk;
mod unet;
mod unsupported;

use std::fmt;

use gan_layers::{Builder, NormKind, Summary};
use gan_weights::StateDict;

pub use self::assumptions::Assumptions;
pub use self::identified::Identified;
pub use self::parts::{identify, identify_assuming};
use self::tensors::Tensors;
use crate::{
    Arch, EncoderConfig, Error, GeneratorConfig, MultiscaleConfig, PatchConfig, PixelConfig, Result, UnetLayout,
    Upsample,
};

/// A network of this crate, as a state dict describes it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Network {
    /// A generator.
    Generator(GeneratorConfig),
    /// The discriminator of pix2pix and CycleGAN.
    Patch(PatchConfig),
    /// Their discriminator of 1x1 convolutions.
    Pixel(PixelConfig),
    /// pix2pixHD's discriminators.
    Multiscale(MultiscaleConfig),
    /// pix2pixHD's feature encoder.
    Encoder(EncoderConfig),
}

impl Network {
    /// Channels of the input.
    pub fn input_nc(&self) -> usize {
        match self {
            Network::Generator(config) => config.input_nc,
            Network::Patch(config) => config.input_nc,
            Network::Pixel(config) => config.input_nc,
            Network::Multiscale(config) => config.input_nc,
            Network::Encoder(config) => config.input_nc,
        }
    }

    /// Layers, parameters and multiply-adds for an input of this height and width.
    ///
    /// # Errors
    /// Where the input is too small for the network.
    pub fn summary(&self, (h, w): (usize, usize)) -> Result<Summary> {
        let at = Builder::shapes_only();
        let input = (self.input_nc(), h, w);
        Ok(match self {
            Network::Generator(config) => config.build(at)?.summary((h, w))?,
            Network::Patch(config) => config.build(at)?.summary(input)?,
            Network::Pixel(config) => config.build(at)?.summary(input)?,
            Network::Multiscale(config) => config.build(at)?.summary(input)?,
            Network::Encoder(config) => {
                let mut summary = Summary::default();
                summary.add(&config.build(at)?, input)?;
                summary
            }
        })
    }

    /// Writes the network down at `at` and forgets it.
    fn build(&self, at: Builder<'_>) -> candle_core::Result<()> {
        match self {
            Network::Generator(config) => config.build(at).map(drop),
            Network::Patch(config) => config.build(at).map(drop),
            Network::Pixel(config) => config.build(at).map(drop),
            Network::Multiscale(config) => config.build(at).map(drop),
            Network::Encoder(config) => config.build(at).map(drop),
        }
    }
}

/// In words: `resnet_9blocks generator, 3 to 3 channels, width 64, instance norm`.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, to, width, norm) = match self {
            Network::Generator(c) => (generator_kind(c), Some(c.output_nc), c.ngf, c.norm),
            Network::Patch(c) => {
                let blurs = if c.antialias { "anti-aliased " } else { "" };
                (format!("{blurs}PatchGAN discriminator of {} layers", c.n_layers), None, c.ndf, c.norm)
            }
            Network::Pixel(c) => ("pixel discriminator".to_owned(), None, c.ndf, c.norm),
            Network::Multiscale(c) => {
                let keys = if c.feature_stages { "" } else { " without feature matching" };
                (format!("{} discriminators of {} layers{keys}", c.num_d, c.n_layers), None, c.ndf, c.norm)
            }
            Network::Encoder(c) => {
                (format!("feature encoder of {} downsampling layers", c.n_downsample), Some(c.feat_num), c.nef, c.norm)
            }
        };
        write!(f, "{what}, {}", self.input_nc())?;
        if let Some(to) = to {
            write!(f, " to {to}")?;
        }
        let norm = match norm {
            NormKind::Instance => "instance norm",
            NormKind::InstanceAffine => "instance norm with scale and shift",
            NormKind::Batch => "batch norm",
            NormKind::None => "no norm",
        };
        write!(f, " channels, width {width}, {norm}")
    }
}

fn generator_kind(c: &GeneratorConfig) -> String {
    let blocks = match (c.dropout, c.padding) {
        (true, crate::Padding::Zero) => " with dropout and zero padding",
        (true, _) => " with dropout",
        (false, crate::Padding::Zero) => " with zero padding",
        (false, _) => "",
    };
    let counts = match c.arch {
        Arch::Resnet => format!(" of {} blocks", c.n_blocks),
        Arch::Unet => format!(" of {} downsampling layers", c.num_downs),
        Arch::Global => format!(" of {} downsampling layers, {} blocks", c.n_downsample_global, c.n_blocks_global),
        Arch::Local => format!(
            " of {} enhancers ({} blocks) on {} downsampling layers, {} blocks",
            c.n_local_enhancers, c.n_blocks_local, c.n_downsample_global, c.n_blocks_global
        ),
        _ => String::new(),
    };
    let blurs = match (c.antialias, c.antialias_up) {
        (true, true) => "anti-aliased ",
        (true, false) => "anti-aliased (down only) ",
        (false, true) => "anti-aliased (up only) ",
        (false, false) => "",
    };
    let resized = match c.upsample {
        Upsample::Deconv => "",
        Upsample::Resize => ", resize-convolutions",
        Upsample::ResizeZero => ", resize-convolutions with zero padding",
    };
    let layout = match c.unet_layout {
        UnetLayout::Reference => "",
        UnetLayout::Biased => ", a bias at its ends",
        UnetLayout::PostActivation => ", activations behind norms",
        UnetLayout::PostActivationRelu => ", activations behind norms, innermost ReLU",
        UnetLayout::PostActivationResize => ", activations behind norms, resize-convolution at the end",
    };
    let down_padding = match c.down_padding {
        crate::Padding::Zero => "",
        crate::Padding::Reflect => ", reflection padding where it downsamples",
        crate::Padding::Replicate => ", replication padding where it downsamples",
    };
    format!("{blurs}{} generator{counts}{blocks}{resized}{layout}{down_padding}", c.arch.name())
}

/// The network that the tensors of `state` belong to. All of its keys and shapes are checked, both ways.
///
/// Architecture, widths, depths, channels, normalization, the dropout of a ResNet and zero padding leave traces in the
/// keys. No traces leave: dropout in a U-Net (off is returned) and replicating instead of reflecting borders (reflect is
/// returned). A ResNet with instance norm and two halvings is also a global generator, layer for layer: a ResNet is
/// returned unless `arch` asks for [`Arch::Global`]. In all other cases `arch` is only compared with what was found.
///
/// Call [`gan_weights::normalize_keys`] first for files whose origin is not known.
///
/// # Errors
/// [`Error::UnknownNetwork`] where the keys are of no network of this crate, [`Error::UnsupportedNetwork`] where they are
/// of a variant that is known and cannot be built, [`Error::UnlikeNetwork`] where they are nearly those of one,
/// [`Error::OtherArch`] where it is not the one that `arch` names.
pub fn infer(state: &StateDict, arch: Option<Arch>) -> Result<Network> {
    let tensors = Tensors(state);
    if let Some(unsupported) = unsupported::find(&tensors) {
        return Err(unsupported);
    }
    let network = discriminator::infer(&tensors)
        .or_else(|| local::infer(&tensors))
        .or_else(|| unet::infer(&tensors))
        .map_or_else(|| trunk::infer(&tensors, arch), Ok)?;
    if let Some(asked) = arch
        && !answers(asked, &network)
    {
        return Err(Error::OtherArch { asked: asked.name(), found: network.to_string() });
    }
    expected::check(&network, state)?;
    Ok(network)
}

/// Whether the network may be called by this name.
fn answers(asked: Arch, network: &Network) -> bool {
    let Network::Generator(config) = network else { return false };
    match asked {
        Arch::Resnet => config.arch.is_resnet(),
        Arch::Unet => matches!(config.arch, Arch::Unet | Arch::Unet256 | Arch::Unet128),
        exact => config.arch == exact,
    }
}

#[cfg(test)]
mod tests;
