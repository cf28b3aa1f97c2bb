//! LPIPS: a learned perceptual distance.

use super::tap_distance::tap_distance;
use super::trunks;
use super::weights::{self, KnownFile, WeightFiles};
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor, bail};
use gan_data::{Image, Raster};
use gan_layers::{Builder, Conv, ConvSpec, Ctx, Sequence, SequenceBuilder};
use std::path::Path;

/// Mean and standard deviation of ImageNet, carried over from [0, 1] to [-1, 1].
const SHIFT: [f32; 3] = [-0.030, -0.088, -0.188];
const SCALE: [f32; 3] = [0.458, 0.448, 0.450];

/// The network through which LPIPS looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LpipsNet {
    /// AlexNet: the authors' choice for evaluation.
    Alex,
    /// VGG16: the usual choice for a training loss.
    Vgg,
    /// SqueezeNet 1.1.
    Squeeze,
}

impl LpipsNet {
    /// All of them.
    pub const ALL: [LpipsNet; 3] = [LpipsNet::Alex, LpipsNet::Vgg, LpipsNet::Squeeze];

    /// The name that the package `lpips` has for it.
    pub fn name(self) -> &'static str {
        match self {
            LpipsNet::Alex => "alex",
            LpipsNet::Vgg => "vgg",
            LpipsNet::Squeeze => "squeeze",
        }
    }

    /// What `gan-cli fetch` calls the files of trunk and heads.
    pub fn fetch_names(self) -> [&'static str; 2] {
        match self {
            LpipsNet::Alex => ["alexnet", "lpips_alex"],
            LpipsNet::Vgg => ["vgg16", "lpips_vgg"],
            LpipsNet::Squeeze => ["squeezenet1_1", "lpips_squeeze"],
        }
    }

    /// The trunk as torchvision publishes it.
    pub fn trunk(self) -> KnownFile {
        match self {
            LpipsNet::Alex => KnownFile { name: "alexnet-owt-7be5be79.pth", sha256: "7be5be79" },
            LpipsNet::Vgg => KnownFile { name: "vgg16-397923af.pth", sha256: "397923af" },
            LpipsNet::Squeeze => KnownFile { name: "squeezenet1_1-b8a52dc0.pth", sha256: "b8a52dc0" },
        }
    }

    /// The heads of version 0.1 as the package `lpips` has them in `lpips/weights/v0.1`.
    pub fn heads(self) -> KnownFile {
        match self {
            LpipsNet::Alex => KnownFile {
                name: "alex.pth",
                sha256: "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
            },
            LpipsNet::Vgg => KnownFile {
                name: "vgg.pth",
                sha256: "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
            },
            LpipsNet::Squeeze => KnownFile {
                name: "squeeze.pth",
                sha256: "4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76",
            },
        }
    }

    /// The trunk's layers whose outputs are compared, and the channels of each.
    fn taps(self) -> (&'static [usize], &'static [usize]) {
        match self {
            LpipsNet::Alex => (&[1, 4, 7, 9, 11], &[64, 192, 384, 256, 256]),
            LpipsNet::Vgg => (&[3, 8, 15, 22, 29], &[64, 128, 256, 512, 512]),
            LpipsNet::Squeeze => (&[1, 4, 7, 9, 10, 11, 12], &[64, 128, 256, 384, 384, 512, 512]),
        }
    }

    fn trunk_words(self) -> &'static str {
        match self {
            LpipsNet::Alex => "AlexNet",
            LpipsNet::Vgg => "VGG16",
            LpipsNet::Squeeze => "SqueezeNet 1.1",
        }
    }

    fn heads_words(self) -> &'static str {
        match self {
            LpipsNet::Alex => "the heads of LPIPS for AlexNet",
            LpipsNet::Vgg => "the heads of LPIPS for VGG16",
            LpipsNet::Squeeze => "the heads of LPIPS for SqueezeNet 1.1",
        }
    }

    fn build_trunk(self, at: Builder<'_>) -> candle_core::Result<Sequence> {
        let at = at.pp("features");
        match self {
            LpipsNet::Alex => trunks::alex(at),
            LpipsNet::Vgg => trunks::vgg16(at),
            LpipsNet::Squeeze => trunks::squeeze(at),
        }
    }
}

/// LPIPS 0.1 (Zhang et al., 2018): maps of a classifier at several depths, of unit length at every position; their squared differences
/// are weighted by channel, averaged over positions and summed over depths.
#[derive(Debug, Clone)]
pub struct Lpips {
    net: LpipsNet,
    trunk: Sequence,
    /// The weight of each channel, for each tap.
    heads: Vec<Vec<f64>>,
    /// `[1, 3, 1, 1]`, F32.
    shift: Tensor,
    scale: Tensor,
}

impl Lpips {
    /// Reads the trunk from torchvision's file of the whole classifier, and the heads from the file of the package `lpips`.
    ///
    /// # Errors
    /// [`Error::NoWeights`](crate::Error) where there is no such file; [`Error::OtherNetwork`](crate::Error) names the first tensor that
    /// one lacks or has in another shape; [`Error::Weights`](crate::Error) where a file is damaged or holds NaN or an infinity.
    pub fn load(net: LpipsNet, trunk: &Path, heads: &Path, device: &Device, dtype: DType) -> Result<Self> {
        let of_trunk = weights::read(trunk, net.trunk_words(), |name| name.starts_with("features."))?;
        let of_heads = weights::read(heads, net.heads_words(), |name| name.starts_with("lin"))?;
        let trunk = weights::build(trunk, net.trunk_words(), &of_trunk, (dtype, device), |at| net.build_trunk(at))?;
        weights::build(heads, net.heads_words(), &of_heads, (dtype, device), |at| Self::of(net, trunk, &at, device))
    }

    /// Takes the weights from builders with the keys of those files.
    ///
    /// # Errors
    /// A source lacks a parameter or has it in another shape.
    pub fn build(net: LpipsNet, trunk: Builder<'_>, heads: Builder<'_>, device: &Device) -> candle_core::Result<Self> {
        Self::of(net, net.build_trunk(trunk)?, &heads, device)
    }

    fn of(net: LpipsNet, trunk: Sequence, heads: &Builder<'_>, device: &Device) -> candle_core::Result<Self> {
        let (_, channels) = net.taps();
        let head = |(i, &in_nc): (usize, &usize)| {
            let head = ConvSpec { in_nc, out_nc: 1, kernel: 1, stride: 1, padding: 0, bias: false };
            // Dropout has index 0.
            let head = SequenceBuilder::starting_at(heads.pp(format!("lin{i}")).pp("model"), 1).conv(head)?.finish();
            let Some(head) = head.nodes().first().and_then(|node| node.layer.get::<Conv>()) else {
                bail!("lin{i} is no convolution")
            };
            head.weight.tensor().to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()
        };
        let heads = channels.iter().enumerate().map(head).collect::<candle_core::Result<_>>()?;
        let constant = |values: [f32; 3]| Tensor::new(&values, device)?.reshape((1, 3, 1, 1));
        Ok(Lpips { net, trunk, heads, shift: constant(SHIFT)?, scale: constant(SCALE)? })
    }

    /// Loads the published network from the folder of `files`.
    ///
    /// # Errors
    /// Those of [`WeightFiles::find`] and [`Lpips::load`].
    pub fn find(net: LpipsNet, files: &WeightFiles, device: &Device, dtype: DType) -> Result<Self> {
        let [trunk, heads] = net.fetch_names();
        let (trunk, _) = files.find(trunk, &net.trunk())?;
        let (heads, _) = files.find(heads, &net.heads())?;
        Self::load(net, &trunk, &heads, device, dtype)
    }

    /// The distance of two images of one size; grey ones are seen as colours, alpha is left out.
    ///
    /// # Errors
    /// [`Error::Pixels`] for a number of channels that makes no colours; those of [`Lpips::distance`].
    pub fn of_images(&self, a: &Raster<u8>, b: &Raster<u8>, device: &Device) -> Result<f64> {
        let tensor = |raster: &Raster<u8>| -> Result<_> {
            let (width, height) = raster.size();
            let (channels, samples) = (raster.channels(), raster.samples().len());
            let colour = Image::U8(raster.clone()).with_channels(3);
            let colour = colour.ok_or(Error::Pixels { height, width, channels, samples })?;
            Ok(colour.to_tensor()?.unsqueeze(0)?.to_device(device)?)
        };
        Ok(self.distance(&tensor(a)?, &tensor(b)?)?.iter().sum())
    }

    /// The distance of each pair of images `[N, 3, H, W]` in [-1, 1], of any size that the trunk takes; 0 for equal ones.
    ///
    /// # Errors
    /// The two differ in shape, do not have three channels, or are too small for the trunk.
    pub fn distance(&self, a: &Tensor, b: &Tensor) -> Result<Vec<f64>> {
        Ok(self.layers(a, b)?.iter().map(|layers| layers.iter().sum()).collect())
    }

    /// What each tap contributes to [`Lpips::distance`]: for every pair of images one number a tap.
    ///
    /// # Errors
    /// As [`Lpips::distance`].
    pub fn layers(&self, a: &Tensor, b: &Tensor) -> Result<Vec<Vec<f64>>> {
        if a.dims() != b.dims() {
            return Err(candle_core::Error::Msg(format!("LPIPS of images {:?} and {:?}", a.dims(), b.dims())).into());
        }
        let mut layers = vec![Vec::with_capacity(self.heads.len()); a.dim(0)?];
        for ((a, b), head) in self.maps(a)?.iter().zip(self.maps(b)?).zip(&self.heads) {
            for (layers, distance) in layers.iter_mut().zip(tap_distance(a, &b, head)?) {
                layers.push(distance);
            }
        }
        Ok(layers)
    }

    /// The maps behind the taps.
    fn maps(&self, x: &Tensor) -> candle_core::Result<Vec<Tensor>> {
        let constant = |t: &Tensor| t.to_dtype(x.dtype());
        let x = x.broadcast_sub(&constant(&self.shift)?)?.broadcast_div(&constant(&self.scale)?)?;
        Ok(self.trunk.forward_with_taps(&x, &Ctx::eval(), self.net.taps().0)?.1)
    }
}
