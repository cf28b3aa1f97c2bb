//! Networks of the same families that cannot be built here, told apart so that a message names them.

use super::tensors::Tensors;
use crate::Error;

/// What stands in the way, if the tensors tell it.
pub(super) fn find(tensors: &Tensors<'_>) -> Option<Error> {
    let found = spectral_norm(tensors)
        .or_else(|| weight_norm(tensors))
        .or_else(|| antialiased(tensors))
        .or_else(|| affine_norm(tensors))
        .or_else(|| resize_convolution(tensors));
    found.map(|network| Error::UnsupportedNetwork { network })
}

/// `torch.nn.utils.spectral_norm`, and the parametrization that took its place.
fn spectral_norm(tensors: &Tensors<'_>) -> Option<String> {
    let name = tensors
        .first(|name| name.ends_with(".weight_orig"))
        .or_else(|| tensors.first(|name| name.ends_with(".parametrizations.weight.original")))?;
    Some(format!("a network with spectral norm ({name})"))
}

fn weight_norm(tensors: &Tensors<'_>) -> Option<String> {
    let name = tensors
        .first(|name| name.ends_with(".weight_g"))
        .or_else(|| tensors.first(|name| name.ends_with(".parametrizations.weight.original0")))?;
    Some(format!("a network with weight norm ({name})"))
}

/// CUT's networks blur before they halve and after they double; the filters are saved.
fn antialiased(tensors: &Tensors<'_>) -> Option<String> {
    let name = tensors.first(|name| name.ends_with(".filt"))?;
    let what = if tensors.first(|name| name.contains(".conv_block.")).is_some() {
        "the anti-aliased ResNet of CUT"
    } else {
        "an anti-aliased network of CUT"
    };
    Some(format!("{what} ({name})"))
}

/// Norms with scale and shift and without running statistics: instance norm with `affine=True`.
fn affine_norm(tensors: &Tensors<'_>) -> Option<String> {
    if tensors.first(|name| name.ends_with(".running_mean") || name.ends_with(".running_var")).is_some() {
        return None;
    }
    let name = tensors.first(|name| name.strip_suffix(".weight").is_some_and(|layer| tensors.is_affine(layer)))?;
    let layer = name.strip_suffix(".weight")?;
    Some(format!("instance norm with weights (affine: {name} without {layer}.running_mean)"))
}

/// Enlarging and a plain convolution in place of a transposed one, of which the channels stand the other way round.
fn resize_convolution(tensors: &Tensors<'_>) -> Option<String> {
    // The first layers of a ResNet; discriminators have none of 7x7.
    tensors.conv("model.1").filter(|[.., side]| *side == 7)?;
    let block = tensors.first(|name| name.starts_with("model.") && name.contains(".conv_block."))?;
    let first: usize = block.split('.').nth(1)?.parse().ok()?;
    let name = tensors.first(|name| {
        let Some(path) = name.strip_suffix(".weight") else { return false };
        let behind = path.strip_prefix("model.").and_then(|index| index.parse().ok()).is_some_and(|i: usize| i > first);
        behind && tensors.conv(path).is_some_and(|[out, input, side]| 2 * out == input && side < 7)
    })?;
    Some(format!("a ResNet with resize-convolutions instead of transposed ones ({name})"))
}
