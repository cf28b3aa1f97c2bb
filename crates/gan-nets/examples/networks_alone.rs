//! Translates an image with the networks alone: no trainer, no datasets, no command-line parser.
//!
//! `cargo run --release -p gan-nets --example networks_alone -- weights.safetensors resnet_9blocks in.png out.png`
//!
//! The weights may also be a `.pth` of the references. Width, channels and normalization are read off the tensors. The
//! image's sides are cut down to the multiple that the network needs.

use candle_core::{DType, Device, Tensor};
use gan_nets::{Arch, Ctx, GeneratorConfig, NormKind};
use gan_weights::{StateDict, read_any};
use image::{ImageReader, RgbImage, imageops};
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [weights, arch, input, output] = args.as_slice() else {
        return Err("usage: translate WEIGHTS ARCH INPUT OUTPUT".into());
    };
    translate(Path::new(weights), arch, Path::new(input), Path::new(output))
}

/// Reads the weights and the image, translates it and writes the result.
pub(crate) fn translate(weights: &Path, arch: &str, input: &Path, output: &Path) -> Result<(), Box<dyn Error>> {
    let state = read_any(weights)?.state;
    let config = architecture(arch, &state)?;
    let net = config.build(state.var_builder(DType::F32, &Device::Cpu)?)?;

    let image = ImageReader::open(input)?.with_guessed_format()?.decode()?.to_rgb8();
    let multiple = config.size_multiple() as u32;
    let (width, height) = (image.width() / multiple * multiple, image.height() / multiple * multiple);
    if width == 0 || height == 0 {
        return Err(format!("{arch} needs images of at least {multiple}x{multiple}").into());
    }
    let image = imageops::crop_imm(&image, 0, 0, width, height).to_image();

    let y = net.forward(&to_tensor(image)?, &Ctx::translate())?;
    to_image(&y)?.save(output)?;
    Ok(())
}

/// The configuration that the tensors tell: the first convolution has `[ngf, input_nc, ..]`, the widest parts follow.
fn architecture(name: &str, state: &StateDict) -> Result<GeneratorConfig, Box<dyn Error>> {
    let Some((_, arch)) = Arch::ALL.into_iter().find(|(n, _)| *n == name) else {
        let names: Vec<_> = Arch::ALL.iter().map(|(n, _)| *n).collect();
        return Err(format!("no architecture `{name}`; there are {}", names.join(", ")).into());
    };
    let unet = matches!(arch, Arch::Unet | Arch::Unet128 | Arch::Unet256);
    let first = if unet { "model.model.0" } else { "model.1" };
    let weight = state.get(&format!("{first}.weight")).ok_or_else(|| format!("no tensor {first}.weight"))?;
    let norm = if state.names().any(|n| n.ends_with("running_mean")) {
        NormKind::Batch
    } else if state.contains(&format!("{first}.bias")) {
        NormKind::Instance
    } else {
        NormKind::None
    };
    let (ngf, input_nc, ..) = weight.dims4()?;
    if input_nc != 3 {
        return Err(format!("the network translates {input_nc} channels, an image has 3").into());
    }
    // With dropout the second convolution of a residual block has the next index.
    let dropout =
        state.names().any(|n| n.ends_with("conv_block.6.weight") && state.get(n).is_some_and(|t| t.rank() == 4));
    let ngf = if arch == Arch::Local { ngf / 2 } else { ngf }; // the embedded global network is twice as wide
    Ok(GeneratorConfig { arch, ngf, norm, dropout, ..GeneratorConfig::default() })
}

/// `[1, 3, H, W]` in [-1, 1].
fn to_tensor(image: RgbImage) -> candle_core::Result<Tensor> {
    let (w, h) = (image.width() as usize, image.height() as usize);
    let x = Tensor::from_vec(image.into_raw(), (1, h, w, 3), &Device::Cpu)?;
    x.permute((0, 3, 1, 2))?.to_dtype(DType::F32)?.affine(2.0 / 255.0, -1.0)?.contiguous()
}

/// From `[1, 3, H, W]` in [-1, 1], rounded to the nearest byte.
fn to_image(y: &Tensor) -> Result<RgbImage, Box<dyn Error>> {
    let (_, c, h, w) = y.dims4()?;
    if c != 3 {
        return Err(format!("the network makes {c} channels, an image has 3").into());
    }
    let y = y.affine(127.5, 128.0)?.clamp(0f32, 255f32)?.to_dtype(DType::U8)?;
    let bytes = y.permute((0, 2, 3, 1))?.flatten_all()?.to_vec1::<u8>()?;
    RgbImage::from_raw(w as u32, h as u32, bytes).ok_or_else(|| "the network's output is no image".into())
}
