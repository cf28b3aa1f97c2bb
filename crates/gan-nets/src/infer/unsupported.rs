//! Networks of the same families that cannot be built here, told apart so that a message names them.

use super::tensors::Tensors;
use crate::Error;

/// What stands in the way, if the tensors tell it.
pub(super) fn find(tensors: &Tensors<'_>) -> Option<Error> {
    let found = spectral_norm(tensors)
        .or_else(|| weight_norm(tensors))
        .or_else(|| untracked(tensors))
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

/// Batch norm with `track_running_stats=False`. In these networks a convolution in front of it has no bias, which tells it from an
/// instance norm with scale and shift.
fn untracked(tensors: &Tensors<'_>) -> Option<String> {
    let name = tensors.first(|name| {
        let Some(path) = name.strip_suffix(".weight").filter(|path| tensors.is_affine(path)) else { return false };
        let in_front = path.rsplit_once('.').and_then(|(parent, index)| Some((parent, index.parse::<usize>().ok()?)));
        let conv = in_front.and_then(|(parent, index)| Some(format!("{parent}.{}", index.checked_sub(1)?)));
        let bare = conv.is_some_and(|conv| tensors.conv(&conv).is_some() && !tensors.bias(&conv));
        bare && !tensors.has_statistics(path)
    })?;
    let layer = name.strip_suffix(".weight")?;
    Some(format!("batch norm without running statistics ({name} without {layer}.running_mean)"))
}

/// Enlarging and a plain convolution in place of a transposed one, of which the channels stand the other way round.
fn resize_convolution(tensors: &Tensors<'_>) -> Option<String> {
    // CUT's ResNets have blurred doublings.
    if tensors.first(|name| name.ends_with(".filt")).is_some() {
        return None;
    }
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
