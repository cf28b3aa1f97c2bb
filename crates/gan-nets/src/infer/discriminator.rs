//! Discriminators.

use super::Network;
use super::tensors::Tensors;
use crate::{MultiscaleConfig, PatchConfig, PixelConfig};

pub(super) fn infer(tensors: &Tensors<'_>) -> Option<Network> {
    patch(tensors).or_else(|| pixel(tensors)).or_else(|| multiscale(tensors))
}

/// Index of the convolution of stage `stage` in a flat sequence: conv, activation, then conv, norm, activation.
fn flat_index(stage: usize) -> usize {
    if stage == 0 { 0 } else { 3 * stage - 1 }
}

/// The same where a blur ends all stages that halve: the first, and all but the last inner one.
fn blurred_index(stage: usize, halvings: usize) -> usize {
    flat_index(stage) + stage.min(halvings)
}

fn patch(tensors: &Tensors<'_>) -> Option<Network> {
    let [ndf, input_nc, 4] = tensors.conv("model.0")? else { return None };
    let halvings = tensors.count(|tensors, stage| {
        // The blur ends its stage.
        tensors.filter(&format!("model.{}", blurred_index(stage + 1, stage + 1) - 1)) == Some(3)
    });
    let index = |stage| blurred_index(stage, halvings);
    let stages = tensors.count(|tensors, stage| tensors.conv(&format!("model.{}", index(stage))).is_some());
    let n_layers = stages.checked_sub(2)?;
    let inner = index(1);
    let norm = tensors.norm(&format!("model.{inner}"), &format!("model.{}", inner + 1));
    Some(Network::Patch(PatchConfig { input_nc, ndf, n_layers, norm, antialias: halvings > 0 }))
}

fn pixel(tensors: &Tensors<'_>) -> Option<Network> {
    let [ndf, input_nc, 1] = tensors.conv("net.0")? else { return None };
    Some(Network::Pixel(PixelConfig { input_nc, ndf, norm: tensors.norm("net.2", "net.3") }))
}

fn multiscale(tensors: &Tensors<'_>) -> Option<Network> {
    let feature_stages = tensors.conv("scale0_layer0.0").is_some();
    let conv = |tensors: &Tensors<'_>, scale: usize, stage: usize| {
        tensors.conv(&if feature_stages {
            format!("scale{scale}_layer{stage}.0")
        } else {
            format!("layer{scale}.{}", flat_index(stage))
        })
    };
    let [ndf, input_nc, 4] = conv(tensors, 0, 0)? else { return None };
    let num_d = tensors.count(|tensors, scale| conv(tensors, scale, 0).is_some());
    let n_layers = tensors.count(|tensors, stage| conv(tensors, 0, stage).is_some()).checked_sub(2)?;
    let norm = tensors.hd_norm(if feature_stages { "scale0_layer1.1" } else { "layer0.3" });
    Some(Network::Multiscale(MultiscaleConfig { input_nc, ndf, n_layers, num_d, norm, feature_stages }))
}
