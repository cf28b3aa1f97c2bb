//! Which sizes of images a network takes in training, found by walking its layers.

use candle_core::Result;
use gan_layers::{Builder, Sequence, Summary};

use crate::{DiscriminatorConfig, EncoderConfig, GeneratorConfig};

/// The longest side of an image.
pub const MAX_SIDE: usize = 65_535;

/// The sides of images that a network takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sides {
    /// They are multiples of this,
    pub multiple: usize,
    /// and not below this.
    pub least: usize,
}

impl Sides {
    /// Whether a side is one of them.
    #[must_use]
    pub fn admit(&self, side: usize) -> bool {
        side >= self.least && side.is_multiple_of(self.multiple)
    }
}

/// In words: `sides that are multiples of 256`, `sides of 24 or more`.
impl std::fmt::Display for Sides {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.multiple, self.least) {
            (1, least) => write!(f, "sides of {least} or more"),
            (multiple, least) if least <= multiple => write!(f, "sides that are multiples of {multiple}"),
            (multiple, least) => write!(f, "sides that are multiples of {multiple}, from {least} on"),
        }
    }
}

/// What a network asks of the images it is trained on.
///
/// ```
/// # fn main() -> candle_core::Result<()> {
/// use gan_nets::{Arch, GeneratorConfig};
/// let unet = GeneratorConfig { arch: Arch::Unet128, ..GeneratorConfig::default() }.demand()?;
/// assert!(unet.fits((128, 256), 1) && !unet.fits((64, 256), 1));
/// assert_eq!(unet.sides(1).map(|sides| sides.to_string()), Some("sides that are multiples of 128".into()));
/// # Ok(()) }
/// ```
pub struct Demand {
    multiple: usize,
    /// Whether the output has to have the size of the input: it is compared with an image.
    keeps_size: bool,
    walk: Box<dyn Fn((usize, usize)) -> Result<Summary>>,
}

impl std::fmt::Debug for Demand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Demand").field("multiple", &self.multiple).field("sides", &self.sides(1)).finish()
    }
}

impl Demand {
    /// Of layers that run one after the other on `channels` channels.
    pub fn of_layers(layers: Vec<Sequence>, channels: usize) -> Self {
        let walk = move |(h, w): (usize, usize)| {
            let mut summary = Summary::default();
            let mut at = (channels, h, w);
            for sequence in &layers {
                at = summary.add(sequence, at)?;
            }
            Ok(summary)
        };
        Demand { multiple: 1, keeps_size: false, walk: Box::new(walk) }
    }

    /// Whether a training step with `n` images of this height and width works: every layer takes what reaches it, no
    /// normalization sees a single value (it would make 0 of it, whatever it is), and generators keep the size.
    #[must_use]
    pub fn fits(&self, (h, w): (usize, usize), n: usize) -> bool {
        if h.max(w) > MAX_SIDE {
            return false;
        }
        let Ok(summary) = (self.walk)((h, w)) else { return false };
        let alone = summary.rows.iter().any(|row| {
            let values = row.output.1 * row.output.2;
            (row.kind == "InstanceNorm" && values == 1) || (row.kind == "BatchNorm" && values * n == 1)
        });
        !alone && (!self.keeps_size || summary.output_hw() == Some((h, w)))
    }

    /// The layers at a height and width.
    ///
    /// # Errors
    /// A layer does not take the size that reaches it.
    pub fn summary(&self, size: (usize, usize)) -> Result<Summary> {
        (self.walk)(size)
    }

    /// The sides that it takes in batches of `n`; `None` if it takes no image at all.
    #[must_use]
    pub fn sides(&self, n: usize) -> Option<Sides> {
        let multiple = self.multiple;
        let fits = |k: usize| self.fits((k * multiple, k * multiple), n);
        let (mut below, mut least) = (0, MAX_SIDE / multiple);
        if least == 0 || !fits(least) {
            return None;
        }
        // Whatever fits a side fits all larger multiples.
        while least - below > 1 {
            let middle = below.midpoint(least);
            if fits(middle) { least = middle } else { below = middle }
        }
        Some(Sides { multiple, least: least * multiple })
    }
}

impl GeneratorConfig {
    /// What it asks of its images.
    ///
    /// # Errors
    /// Where the network cannot be built.
    pub fn demand(&self) -> Result<Demand> {
        let network = self.build(Builder::shapes_only())?;
        let walk = move |size| network.summary(size);
        Ok(Demand { multiple: self.size_multiple(), keeps_size: true, walk: Box::new(walk) })
    }
}

impl DiscriminatorConfig {
    /// What it asks of its images; they have `input_nc` channels.
    ///
    /// # Errors
    /// As [`GeneratorConfig::demand`].
    pub fn demand(&self, input_nc: usize) -> Result<Demand> {
        let network = self.build(input_nc, Builder::shapes_only())?;
        let walk = move |(h, w): (usize, usize)| network.summary((input_nc, h, w));
        Ok(Demand { multiple: 1, keeps_size: false, walk: Box::new(walk) })
    }
}

impl EncoderConfig {
    /// What it asks of its images.
    ///
    /// # Errors
    /// As [`GeneratorConfig::demand`].
    pub fn demand(&self) -> Result<Demand> {
        let layers = vec![self.build(Builder::shapes_only())?];
        Ok(Demand { multiple: 1 << self.n_downsample, keeps_size: true, ..Demand::of_layers(layers, self.input_nc) })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use candle_core::{DType, Device, Tensor};
    use candle_nn::VarBuilder;
    use gan_layers::{Ctx, NormKind};

    use super::*;
    use crate::{Arch, NetD, Padding, UnetLayout};

    fn generators() -> Vec<GeneratorConfig> {
        let small = |arch| GeneratorConfig { arch, ngf: 1, n_blocks: 1, num_downs: 5, ..GeneratorConfig::default() };
        let hd =
            GeneratorConfig { n_downsample_global: 2, n_blocks_global: 1, n_blocks_local: 1, ..small(Arch::Global) };
        vec![
            small(Arch::Resnet),
            GeneratorConfig { padding: Padding::Zero, ..small(Arch::Resnet) },
            GeneratorConfig { antialias: true, antialias_up: true, ..small(Arch::Resnet) },
            small(Arch::Unet),
            GeneratorConfig { norm: NormKind::Batch, ..small(Arch::Unet) },
            GeneratorConfig { unet_layout: UnetLayout::PostActivationResize, ..small(Arch::Unet) },
            GeneratorConfig {
                unet_layout: UnetLayout::PostActivation,
                down_padding: Padding::Reflect,
                ..small(Arch::Unet)
            },
            GeneratorConfig { down_padding: Padding::Reflect, ..small(Arch::Resnet) },
            hd.clone(),
            GeneratorConfig { arch: Arch::Local, n_local_enhancers: 2, ..hd },
        ]
    }

    fn discriminators() -> Vec<DiscriminatorConfig> {
        let small =
            |arch, n_layers_d| DiscriminatorConfig { arch, n_layers_d, ndf: 1, ..DiscriminatorConfig::default() };
        vec![
            small(NetD::Basic, 3),
            small(NetD::NLayers, 2),
            small(NetD::NLayers, 4),
            DiscriminatorConfig { antialias: true, ..small(NetD::NLayers, 3) },
            small(NetD::Pixel, 3),
            small(NetD::Multiscale, 3),
            DiscriminatorConfig { num_d: 2, ..small(NetD::Multiscale, 4) },
        ]
    }

    fn zeros(channels: usize, side: usize) -> Tensor {
        Tensor::zeros((1, channels, side, side), DType::F32, &Device::Cpu).unwrap()
    }

    /// What is said of sides is what the networks do.
    #[test]
    fn sides_are_those_that_networks_take() {
        let ctx = Ctx::translate();
        for config in generators() {
            let demand = config.demand().unwrap();
            let sides = demand.sides(1).unwrap();
            let net = config.build(VarBuilder::zeros(DType::F32, &Device::Cpu)).unwrap();
            for side in 1..=70 {
                let runs = net.forward(&zeros(3, side), &ctx).is_ok_and(|y| y.dims() == [1, 3, side, side]);
                // A norm of one value runs, but its result is nothing.
                assert!(runs || !demand.fits((side, side), 1), "{config:?} {side}");
                assert_eq!(demand.fits((side, side), 1), sides.admit(side), "{config:?} {side}: {sides}");
            }
        }
        for config in discriminators() {
            let demand = config.demand(3).unwrap();
            let sides = demand.sides(1).unwrap();
            let net = config.build(3, VarBuilder::zeros(DType::F32, &Device::Cpu)).unwrap();
            for side in 1..=70 {
                let runs = net.forward(&zeros(3, side), &ctx).is_ok();
                assert!(runs || !demand.fits((side, side), 1), "{config:?} {side}");
                assert_eq!(demand.fits((side, side), 1), sides.admit(side), "{config:?} {side}: {sides}");
            }
        }
    }

    #[test]
    fn what_fits_runs_and_what_does_not_fit_says_why() {
        let least = |config: &DiscriminatorConfig| config.demand(6).unwrap().sides(1).unwrap().least;
        let basic = DiscriminatorConfig::default();
        assert_eq!(least(&basic), 24);
        // A norm of a single value makes 0 of it.
        let pixel = DiscriminatorConfig { arch: NetD::Pixel, ..basic };
        assert_eq!(least(&pixel), 2);
        assert_eq!(least(&DiscriminatorConfig { norm: NormKind::None, ..pixel.clone() }), 1);
        // A batch gives a batch norm more than one value.
        let batch = DiscriminatorConfig { norm: NormKind::Batch, ..pixel };
        assert_eq!(least(&batch), 2);
        assert_eq!(batch.demand(6).unwrap().sides(2).unwrap().least, 1);
        let resnet = GeneratorConfig::default().demand().unwrap().sides(1).unwrap();
        assert_eq!(resnet.to_string(), "sides that are multiples of 4, from 8 on");
        let unet = GeneratorConfig { arch: Arch::Unet256, ..GeneratorConfig::default() };
        assert_eq!(unet.demand().unwrap().sides(1).unwrap().to_string(), "sides that are multiples of 256");
        let deep = GeneratorConfig { arch: Arch::Unet, num_downs: 16, ..unet };
        assert_eq!(deep.demand().unwrap().sides(1), None);
    }

    #[test]
    fn encoders_keep_the_size() {
        let encoder = EncoderConfig { n_downsample: 3, ..EncoderConfig::default() };
        let demand = encoder.demand().unwrap();
        assert!(demand.fits((16, 24), 1) && !demand.fits((20, 24), 1));
    }
}
