//! Networks that halve, transform and double in one sequence: ResNet, global generator, feature encoder.

use super::Network;
use super::tensors::Tensors;
use crate::{Arch, EncoderConfig, Error, GeneratorConfig, Padding, Result, Upsample};

/// What a sequence `model` of a 7x7 convolution, halvings and residual blocks consists of.
pub(super) struct Trunk {
    pub(super) input_nc: usize,
    pub(super) width: usize,
    pub(super) n_downsample: usize,
    pub(super) n_blocks: usize,
    padding: Padding,
    down_padding: Padding,
    dropout: bool,
    pub(super) upsample: Upsample,
    /// Blurs behind the halvings, and in front of the convolutions that double.
    antialias: bool,
    antialias_up: bool,
    /// Index of the last convolution, if there is one.
    head: usize,
}

impl Trunk {
    pub(super) fn find(tensors: &Tensors<'_>) -> Option<Self> {
        let [width, input_nc, 7] = tensors.conv("model.1")? else { return None };
        // A padding layer in front of a halving takes the place of the convolution.
        let pad = usize::from(tensors.conv("model.4").is_none() && tensors.conv("model.5").is_some());
        let antialias = tensors.filter(&format!("model.{}", 7 + pad)) == Some(3);
        let halving = 3 + pad + usize::from(antialias);
        let n_downsample = tensors.count(|tensors, i| {
            // Behind the last halving the same index holds the first doubling, whose shape is narrower.
            tensors
                .conv(&format!("model.{}", 4 + pad + halving * i))
                .is_some_and(|[out, c, side]| Some(c) == width.checked_shl(i as u32) && out == 2 * c && side == 3)
        });
        let first = 4 + halving * n_downsample;
        let has = |tensors: &Tensors<'_>, block: usize, index: usize| {
            tensors.conv(&format!("model.{}.conv_block.{index}", first + block)).is_some()
        };
        let n_blocks = tensors.count(|tensors, block| has(tensors, block, 0) || has(tensors, block, 1));
        // Padding layers and dropout shift the second convolution.
        let zero = has(tensors, 0, 0);
        let dropout = has(tensors, 0, if zero { 4 } else { 6 });
        let ups = first + n_blocks;
        // A plain convolution has its channels the other way round than a transposed one.
        let narrows = |upsample: &Upsample| {
            let [out, input, side] = tensors.conv(&format!("model.{}", ups + upsample.conv_index()))?;
            (side == 3 && 2 * out == input).then_some(*upsample)
        };
        let antialias_up = tensors.filter(&format!("model.{ups}")) == Some(4);
        let resizes = [Upsample::Resize, Upsample::ResizeZero].iter().find_map(narrows);
        let upsample = resizes.filter(|_| !antialias_up).unwrap_or_default();
        let doubling = if antialias_up { 4 } else { upsample.stage_len() };
        Some(Trunk {
            input_nc,
            width,
            n_downsample,
            n_blocks,
            padding: if zero { Padding::Zero } else { Padding::Reflect },
            down_padding: if pad == 1 { Padding::Reflect } else { Padding::Zero },
            dropout,
            upsample,
            antialias,
            antialias_up,
            head: ups + doubling * n_downsample + 1,
        })
    }
}

pub(super) fn infer(tensors: &Tensors<'_>, arch: Option<Arch>) -> Result<Network> {
    let unknown = || Error::UnknownNetwork { found: tensors.excerpt() };
    let trunk = Trunk::find(tensors).ok_or_else(unknown)?;
    let Some([output_nc, _, 7]) = tensors.conv(&format!("model.{}", trunk.head)) else {
        let Trunk { n_downsample, n_blocks, head, .. } = trunk;
        let found = format!(
            "it begins like a generator of {n_downsample} downsampling layers and {n_blocks} blocks, but model.{head}.weight is no 7x7 convolution"
        );
        return Err(Error::UnknownNetwork { found });
    };
    let bias = tensors.bias("model.1");
    let batch_norm = tensors.batch_norm("model.2");
    let blurs = trunk.antialias || trunk.antialias_up;
    let hd =
        bias && (trunk.padding, trunk.down_padding) == (Padding::Reflect, Padding::Zero) && !trunk.dropout && !blurs;
    if trunk.n_blocks == 0 && hd && trunk.upsample == Upsample::Deconv {
        return Ok(Network::Encoder(EncoderConfig {
            input_nc: trunk.input_nc,
            feat_num: output_nc,
            nef: trunk.width,
            n_downsample: trunk.n_downsample,
            norm: tensors.hd_norm("model.2"),
        }));
    }
    // pix2pixHD's convolutions have a bias before batch norms, too.
    let resnet = trunk.n_downsample == 2 && !(bias && batch_norm);
    let config = GeneratorConfig {
        input_nc: trunk.input_nc,
        output_nc,
        ngf: trunk.width,
        dropout: trunk.dropout,
        padding: trunk.padding,
        down_padding: trunk.down_padding,
        upsample: trunk.upsample,
        antialias: trunk.antialias,
        antialias_up: trunk.antialias_up,
        ..GeneratorConfig::default()
    };
    Ok(Network::Generator(if resnet && !(hd && arch == Some(Arch::Global)) {
        let arch = match trunk.n_blocks {
            9 => Arch::Resnet9Blocks,
            6 => Arch::Resnet6Blocks,
            4 => Arch::Resnet4Blocks,
            _ => Arch::Resnet,
        };
        GeneratorConfig { arch, n_blocks: trunk.n_blocks, norm: tensors.norm("model.1", "model.2"), ..config }
    } else {
        GeneratorConfig {
            arch: Arch::Global,
            n_downsample_global: trunk.n_downsample,
            n_blocks_global: trunk.n_blocks,
            norm: tensors.hd_norm("model.2"),
            ..config
        }
    }))
}
