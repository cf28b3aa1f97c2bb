//! The U-Net, whose keys nest.

use super::Network;
use super::tensors::Tensors;
use crate::{Arch, GeneratorConfig, Upsample};

/// The most halvings of a U-Net that is built.
const MAX_DOWNS: usize = 16;

pub(super) fn infer(tensors: &Tensors<'_>) -> Option<Network> {
    let [ngf, input_nc, 4] = tensors.conv("model.model.0")? else { return None };
    let (upsample, output_nc) = last(tensors)?;
    let middle = "model.model.1.model";
    let levels = tensors.count(|tensors, level| {
        let path = format!("{middle}{}", ".3.model".repeat(level));
        tensors.conv(&format!("{path}.1")).is_some()
    });
    // Building recurses once a level; 16 halvings make a pixel of 65536.
    let num_downs = Some(levels + 1).filter(|n| *n <= MAX_DOWNS)?;
    let arch = match num_downs {
        8 => Arch::Unet256,
        7 => Arch::Unet128,
        _ => Arch::Unet,
    };
    let norm = tensors.norm("model.model.0", &format!("{middle}.2"));
    Some(Network::Generator(GeneratorConfig {
        arch,
        input_nc,
        output_nc,
        ngf,
        norm,
        num_downs,
        upsample,
        ..GeneratorConfig::default()
    }))
}

/// The last convolution: how it doubles the size, and the channels that it puts out.
fn last(tensors: &Tensors<'_>) -> Option<(Upsample, usize)> {
    [Upsample::Deconv, Upsample::ResizeZero, Upsample::Resize].into_iter().find_map(|upsample| {
        match (upsample, tensors.conv(&format!("model.model.{}", 3 + upsample.conv_index()))?) {
            (Upsample::Deconv, [_, output_nc, 4]) => Some((upsample, output_nc)),
            (Upsample::Resize | Upsample::ResizeZero, [output_nc, _, 3]) => Some((upsample, output_nc)),
            _ => None,
        }
    })
}
