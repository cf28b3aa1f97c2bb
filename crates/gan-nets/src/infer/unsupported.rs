//! Networks of the same families that cannot be built here, told apart so that a message names them.

use super::tensors::Tensors;
use crate::Error;

/// What stands in the way, if the tensors tell it.
pub(super) fn find(tensors: &Tensors<'_>) -> Option<Error> {
    let found = spectral_norm(tensors).or_else(|| weight_norm(tensors)).or_else(|| untracked(tensors));
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
