//! The Inception V3 of FID.

use super::weights;
use crate::Result;
use candle_core::{DType, Device, Tensor, bail};
use gan_layers::layers::linear::Linear;
use gan_layers::{Act, Builder, Ctx, Pool2d, RectConvSpec, Sequence, SequenceBuilder};
use gan_weights::StateDict;
use std::path::Path;

const NETWORK: &str = "the Inception V3 of FID";
/// What its batch norms add to the variance.
const EPS: f64 = 1e-3;
/// Classes of the logits.
const LOGITS: usize = 1008;

/// Windows of 3x3 with stride 2, and those that keep the size.
const HALVE: Pool2d = Pool2d::new(3, 2);
const KEEP: Pool2d = Pool2d { padding: 1, ..Pool2d::new(3, 1) };

/// The layers behind which the maps of 64, 192, 768 and 2048 channels are found.
const TAPS: [usize; 4] = [3, 6, 14, 17];

/// The Inception V3 of 2015-12-05 (Szegedy et al., 2016, as the authors of FID took it from TensorFlow; the keys are those of
/// pytorch-fid and torch-fidelity). It differs from torchvision's: average pools leave their padding out of the divisor, the pool of
/// the last block takes maxima, there are 1008 classes, no auxiliary head and other weights.
///
/// Inputs are images `[N, 3, 299, 299]` in about [-1, 1]; how they get there is a matter of the protocol.
#[derive(Debug, Clone)]
pub struct InceptionV3 {
    net: Sequence,
    /// `[1008, 2048]` and `[1008]`.
    fc: (Tensor, Tensor),
}

impl InceptionV3 {
    /// Height and width of the images that it was made for.
    pub const SIDE: usize = 299;

    /// Reads the weights of the file at `path`: a state dict of 566 tensors, of which the counters are not needed.
    ///
    /// # Errors
    /// [`Error::NoWeights`](crate::Error) where there is no file; [`Error::OtherNetwork`](crate::Error) names the first tensor that it
    /// lacks or has in another shape; [`Error::Weights`](crate::Error) where the file is damaged or holds NaN or an infinity.
    pub fn load(path: &Path, device: &Device, dtype: DType) -> Result<Self> {
        let state = weights::read(path, NETWORK, |name| !name.ends_with("num_batches_tracked"))?;
        weights::build(path, NETWORK, &state, (dtype, device), |at| Self::build(at))
    }

    /// Takes the weights from a state dict.
    ///
    /// # Errors
    /// It lacks a tensor, or has it in another shape or with values that are not finite.
    pub fn from_state(state: &StateDict, device: &Device, dtype: DType) -> Result<Self> {
        Ok(Self::build(state.var_builder(dtype, device)?)?)
    }

    /// Takes the weights from a builder. The batch norms become part of the convolutions.
    ///
    /// # Errors
    /// The source lacks a parameter or has it in another shape, or is a [`ParamStore`](gan_layers::ParamStore).
    pub fn build<'a>(at: impl Into<Builder<'a>>) -> candle_core::Result<Self> {
        let at = at.into();
        let s = SequenceBuilder::new(at.clone());
        let s = unit(s, "Conv2d_1a_3x3", 3, 32, [3, 3], 2, [0, 0])?;
        let s = unit(s, "Conv2d_2a_3x3", 32, 32, [3, 3], 1, [0, 0])?;
        let s = units(s, 32, &[("Conv2d_2b_3x3", 64, [3, 3])])?.max_pool(HALVE);
        let s = units(s, 64, &[("Conv2d_3b_1x1", 80, [1, 1])])?;
        let s = unit(s, "Conv2d_4a_3x3", 80, 192, [3, 3], 1, [0, 0])?.max_pool(HALVE);
        let s = s.nested("Mixed_5b", |s| block_a(s, 192, 32))?;
        let s = s.nested("Mixed_5c", |s| block_a(s, 256, 64))?;
        let s = s.nested("Mixed_5d", |s| block_a(s, 288, 64))?;
        let s = s.nested("Mixed_6a", block_b)?;
        let s = s.nested("Mixed_6b", |s| block_c(s, 128))?;
        let s = s.nested("Mixed_6c", |s| block_c(s, 160))?;
        let s = s.nested("Mixed_6d", |s| block_c(s, 160))?;
        let s = s.nested("Mixed_6e", |s| block_c(s, 192))?;
        let s = s.nested("Mixed_7a", block_d)?;
        let s = s.nested("Mixed_7b", |s| block_e(s, 1280, |s| s.avg_pool(KEEP)))?;
        let net = s.nested("Mixed_7c", |s| block_e(s, 2048, |s| s.max_pool(KEEP)))?.finish();
        let fc = SequenceBuilder::new(at).named("fc").linear(2048, LOGITS, true)?.finish();
        let Some(Linear { weight, bias: Some(bias) }) = fc.nodes().first().and_then(|node| node.layer.get()) else {
            bail!("fc is no linear layer with a bias")
        };
        Ok(InceptionV3 { net: net.folded()?, fc: (weight.tensor().reshape((LOGITS, 2048))?, bias.tensor().clone()) })
    }

    /// The features `[N, 2048]` of images `[N, 3, 299, 299]`: means of the last maps, before the logits.
    ///
    /// # Errors
    /// `x` does not have three channels, or a side is shorter than 75 pixels.
    pub fn features(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.net.forward(x, &Ctx::eval())?.mean((2, 3))?)
    }

    /// The spatial means `[N, 64]`, `[N, 192]`, `[N, 768]` and `[N, 2048]` of the maps behind the first and the second max pool, behind
    /// `Mixed_6e` and of the last ones.
    ///
    /// # Errors
    /// As [`InceptionV3::features`].
    pub fn taps(&self, x: &Tensor) -> Result<[Tensor; 4]> {
        let (_, taps) = self.net.forward_with_taps(x, &Ctx::eval(), &TAPS)?;
        let means = taps.iter().map(|tap| tap.mean((2, 3))).collect::<candle_core::Result<Vec<_>>>()?;
        Ok(means.try_into().or_else(|_| bail!("an output for each tap"))?)
    }

    /// The logits `[N, 1008]` of features `[N, 2048]`.
    ///
    /// # Errors
    /// `features` have another shape or element type.
    pub fn logits(&self, features: &Tensor) -> Result<Tensor> {
        Ok(self.logits_unbiased(features)?.broadcast_add(&self.fc.1)?)
    }

    /// [`InceptionV3::logits`] without the bias, from which torch-fidelity computes the Inception Score.
    ///
    /// # Errors
    /// As [`InceptionV3::logits`].
    pub fn logits_unbiased(&self, features: &Tensor) -> Result<Tensor> {
        Ok(features.matmul(&self.fc.0.t()?)?)
    }
}

type Building<'a> = candle_core::Result<SequenceBuilder<'a>>;

/// A unit at `name`: a convolution without bias, batch norm, ReLU.
fn unit<'a>(
    s: SequenceBuilder<'a>,
    name: &str,
    in_nc: usize,
    out_nc: usize,
    kernel: [usize; 2],
    stride: usize,
    padding: [usize; 2],
) -> Building<'a> {
    let conv = RectConvSpec { in_nc, out_nc, kernel, stride, padding, bias: false };
    s.nested(name, |s| Ok(s.named("conv").conv(conv)?.named("bn").batch_norm(out_nc, EPS)?.act(Act::Relu)))
}

/// Units one after the other that keep the size, each with its name, output channels and kernel.
fn units<'a>(mut s: SequenceBuilder<'a>, mut in_nc: usize, list: &[(&str, usize, [usize; 2])]) -> Building<'a> {
    for &(name, out_nc, kernel) in list {
        s = unit(s, name, in_nc, out_nc, kernel, 1, kernel.map(|side| side / 2))?;
        in_nc = out_nc;
    }
    Ok(s)
}

/// A unit at `name` of 3x3 without padding, with stride 2.
fn halving<'a>(s: SequenceBuilder<'a>, name: &str, in_nc: usize, out_nc: usize) -> Building<'a> {
    unit(s, name, in_nc, out_nc, [3, 3], 2, [0, 0])
}

/// 35x35: `n` channels to 224 + `pool`.
fn block_a(s: SequenceBuilder<'_>, n: usize, pool: usize) -> Building<'_> {
    s.branches([
        &|s| units(s, n, &[("branch1x1", 64, [1, 1])]),
        &|s| units(s, n, &[("branch5x5_1", 48, [1, 1]), ("branch5x5_2", 64, [5, 5])]),
        &|s| {
            let double =
                [("branch3x3dbl_1", 64, [1, 1]), ("branch3x3dbl_2", 96, [3, 3]), ("branch3x3dbl_3", 96, [3, 3])];
            units(s, n, &double)
        },
        &|s| units(s.avg_pool(KEEP), n, &[("branch_pool", pool, [1, 1])]),
    ])
}

/// 35x35 to 17x17: 288 channels to 768.
fn block_b(s: SequenceBuilder<'_>) -> Building<'_> {
    s.branches([
        &|s| halving(s, "branch3x3", 288, 384),
        &|s| {
            let s = units(s, 288, &[("branch3x3dbl_1", 64, [1, 1]), ("branch3x3dbl_2", 96, [3, 3])])?;
            halving(s, "branch3x3dbl_3", 96, 96)
        },
        &|s| Ok(s.max_pool(HALVE)),
    ])
}

/// 17x17: 768 channels, `c` of them between the kernels of seven.
fn block_c(s: SequenceBuilder<'_>, c: usize) -> Building<'_> {
    s.branches([
        &|s| units(s, 768, &[("branch1x1", 192, [1, 1])]),
        &|s| {
            let single = [("branch7x7_1", c, [1, 1]), ("branch7x7_2", c, [1, 7]), ("branch7x7_3", 192, [7, 1])];
            units(s, 768, &single)
        },
        &|s| {
            let double = [
                ("branch7x7dbl_1", c, [1, 1]),
                ("branch7x7dbl_2", c, [7, 1]),
                ("branch7x7dbl_3", c, [1, 7]),
                ("branch7x7dbl_4", c, [7, 1]),
                ("branch7x7dbl_5", 192, [1, 7]),
            ];
            units(s, 768, &double)
        },
        &|s| units(s.avg_pool(KEEP), 768, &[("branch_pool", 192, [1, 1])]),
    ])
}

/// 17x17 to 8x8: 768 channels to 1280.
fn block_d(s: SequenceBuilder<'_>) -> Building<'_> {
    s.branches([
        &|s| halving(units(s, 768, &[("branch3x3_1", 192, [1, 1])])?, "branch3x3_2", 192, 320),
        &|s| {
            let units = units(
                s,
                768,
                &[("branch7x7x3_1", 192, [1, 1]), ("branch7x7x3_2", 192, [1, 7]), ("branch7x7x3_3", 192, [7, 1])],
            )?;
            halving(units, "branch7x7x3_4", 192, 192)
        },
        &|s| Ok(s.max_pool(HALVE)),
    ])
}

/// 8x8: `n` channels to 2048.
fn block_e<'a>(
    s: SequenceBuilder<'a>,
    n: usize,
    pool: impl Fn(SequenceBuilder<'a>) -> SequenceBuilder<'a>,
) -> Building<'a> {
    s.branches([
        &|s| units(s, n, &[("branch1x1", 320, [1, 1])]),
        &|s| {
            units(s, n, &[("branch3x3_1", 384, [1, 1])])?
                .branches([&|s| units(s, 384, &[("branch3x3_2a", 384, [1, 3])]), &|s| {
                    units(s, 384, &[("branch3x3_2b", 384, [3, 1])])
                }])
        },
        &|s| {
            units(s, n, &[("branch3x3dbl_1", 448, [1, 1]), ("branch3x3dbl_2", 384, [3, 3])])?
                .branches([&|s| units(s, 384, &[("branch3x3dbl_3a", 384, [1, 3])]), &|s| {
                    units(s, 384, &[("branch3x3dbl_3b", 384, [3, 1])])
                }])
        },
        &|s| units(pool(s), n, &[("branch_pool", 192, [1, 1])]),
    ])
}
