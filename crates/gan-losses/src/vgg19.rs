//! VGG19 and the perceptual loss on it.

use crate::Error;
use crate::reconstruction::weighted_l1;
use candle_core::{DType, Device, Result, Tensor};
use gan_layers::{Act, Builder, ConvSpec, Ctx, MathMode, Pool2d, Precision, Sequence, SequenceBuilder};
use gan_weights::safetensors::Contents;
use gan_weights::{StateDict, shown};
use std::io::ErrorKind;
use std::path::Path;

/// VGG19's convolutional part (Simonyan & Zisserman, 2015) up to relu5_1, tapped after relu1_1, relu2_1, relu3_1, relu4_1
/// and relu5_1. Keys `features.N.*` are torchvision's; a file of the whole VGG19 serves as well.
#[derive(Debug, Clone)]
pub struct Vgg19 {
    slices: Vec<Sequence>,
    ctx: Ctx,
}

/// torchvision's file of the whole VGG19 takes 575 MB.
const MAX_FILE: u64 = 2 << 30;

/// Output channels of the convolutions of each slice; 0 is a max pooling.
const SLICES: [&[usize]; 5] =
    [&[64], &[64, 0, 128], &[128, 0, 256], &[256, 256, 256, 0, 512], &[512, 512, 512, 0, 512]];

impl Vgg19 {
    /// Takes the weights from a builder.
    ///
    /// # Errors
    /// The source lacks `features.N.weight` or `features.N.bias` of a convolution, or has it in another shape.
    pub fn build<'a>(at: impl Into<Builder<'a>>) -> Result<Self> {
        let at = at.into().pp("features");
        let (mut index, mut in_nc) = (0, 3);
        let slices = SLICES.iter().map(|layers| {
            let mut s = SequenceBuilder::starting_at(at.clone(), index);
            for &out_nc in *layers {
                s = match out_nc {
                    0 => s.max_pool(Pool2d::new(2, 2)),
                    _ => {
                        let spec = ConvSpec { in_nc, out_nc, kernel: 3, stride: 1, padding: 1, bias: true };
                        in_nc = out_nc;
                        s.conv(spec)?.act(Act::Relu)
                    }
                };
            }
            index = s.next_index();
            Ok(s.finish())
        });
        Ok(Vgg19 { slices: slices.collect::<Result<_>>()?, ctx: Ctx::translate() })
    }

    /// With activations of this element type; the feature maps come out F32 all the same.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        Vgg19 { ctx: Ctx { precision, ..self.ctx }, ..self }
    }

    /// With convolutions that compute like this on CUDA devices.
    #[must_use]
    pub fn with_math(self, math: MathMode) -> Self {
        Vgg19 { ctx: Ctx { math, ..self.ctx }, ..self }
    }

    /// The layers in front of each tap, one slice after the other.
    pub fn slices(&self) -> &[Sequence] {
        &self.slices
    }

    /// Reads the weights from a safetensors file.
    ///
    /// # Errors
    /// [`Error::NoVgg19`] where there is no file; [`Error::Vgg19`] where it is no regular file, damaged or larger than any
    /// VGG19, and where it lacks a tensor or holds NaN or an infinity.
    pub fn load(path: &Path, dtype: DType, device: &Device) -> std::result::Result<Self, Error> {
        let fail = |reason: String| Error::Vgg19 { path: path.to_path_buf(), reason };
        let bytes = gan_fs::read_regular(path, MAX_FILE).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::NoVgg19 { path: path.to_path_buf() },
            _ => fail(error.to_string()),
        })?;
        let file = Contents::parse(&bytes).map_err(|e| fail(format!("no whole safetensors file: {e}")))?;
        let features = file.names().filter(|name| name.starts_with("features."));
        let state: StateDict = features
            .map(|name| match file.tensor(name) {
                Ok(tensor) => Ok((name.to_owned(), tensor)),
                Err(e) => Err(fail(format!("{}: {e}", shown(name)))),
            })
            .collect::<std::result::Result<_, Error>>()?;
        let weights = state.var_builder(dtype, device).map_err(|e| match e {
            gan_weights::Error::NonFinite { tensor, index, value } => {
                fail(format!("{tensor} holds {value} at element {index}; copy or fetch the file again"))
            }
            other => fail(other.to_string()),
        })?;
        Vgg19::build(weights)
            .map_err(|e| fail(format!("{e} (expected torchvision's keys features.N.weight and features.N.bias)")))
    }

    /// The five feature maps of images `[N, 3, H, W]` in [-1, 1] (not normalized any further, as in pix2pixHD).
    ///
    /// # Errors
    /// `x` does not have three channels, a side is shorter than 16 pixels, or BF16 is asked for off CUDA.
    pub fn forward(&self, x: &Tensor) -> Result<Vec<Tensor>> {
        let mut out: Vec<Tensor> = Vec::new();
        for slice in &self.slices {
            out.push(slice.forward(out.last().unwrap_or(x), &self.ctx)?);
        }
        Ok(out)
    }
}

/// Σ w_k · l1(φ_k(x), φ_k(target)) with w = 1/32, 1/16, 1/8, 1/4, 1 (Wang et al., 2018).
#[derive(Debug, Clone)]
pub struct PerceptualLoss {
    vgg: Vgg19,
}

impl PerceptualLoss {
    /// On this network.
    pub fn new(vgg: Vgg19) -> Self {
        // In four times the memory of the weights they would save a few per cent of a step.
        vgg.slices.iter().for_each(Sequence::keep_no_packed);
        PerceptualLoss { vgg }
    }

    /// The loss of images `[N, 3, H, W]` in [-1, 1]; the target is a constant.
    ///
    /// # Errors
    /// Those of [`Vgg19::forward`]; `x` and `target` differ in shape.
    pub fn loss(&self, x: &Tensor, target: &Tensor) -> Result<Tensor> {
        const WEIGHTS: [f64; 5] = [1.0 / 32.0, 1.0 / 16.0, 1.0 / 8.0, 1.0 / 4.0, 1.0];
        let wanted = self.vgg.forward(&target.detach())?;
        let have = self.vgg.forward(x)?;
        let terms: Vec<_> = have.iter().zip(&wanted).zip(WEIGHTS).map(|((x, target), w)| (x, target, w)).collect();
        weighted_l1(&terms)
    }
}
