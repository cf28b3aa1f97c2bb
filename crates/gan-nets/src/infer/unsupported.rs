//! Networks of the same families that cannot be built here, told apart so that a message names them.

use gan_weights::shown;

use super::tensors::Tensors;
use crate::Error;

/// What stands in the way, if the tensors tell it.
pub(super) fn find(tensors: &Tensors<'_>) -> Option<Error> {
    let found = spectral_norm(tensors).or_else(|| weight_norm(tensors));
    found.map(|network| Error::UnsupportedNetwork { network })
}

/// What tensors are of which no network here was made, if they tell it: weights that were not read, or another family.
pub(super) fn instead(tensors: &Tensors<'_>) -> Option<Error> {
    let family = || FAMILIES.iter().find_map(|family| family.of(tensors));
    unread(tensors).or_else(family).map(|network| Error::UnsupportedNetwork { network })
}

/// A weight that is no plain tensor.
fn unread(tensors: &Tensors<'_>) -> Option<String> {
    let (name, what) = tensors.0.unread().first()?;
    Some(format!("a network of which {} is {what}", shown(name)))
}

/// Generators that people have beside those of this crate, and parts of names that all of their layers of one kind have.
struct Family(&'static str, &'static [&'static str]);

const FAMILIES: &[Family] = &[
    Family("a U-Net of double convolutions", &["double_conv."]),
    Family("a generator of SPADE (GauGAN)", &["mlp_shared.", "mlp_gamma."]),
    Family("a generator of U-GAT-IT", &["gap_fc.", "gmp_fc."]),
    Family("a generator of MUNIT or a relative", &["enc_content.", "mlp."]),
    Family("a generator of StyleGAN2", &["modulation.", "noise.weight"]),
    Family("a fast style transfer network of 9x9 kernels", &["conv1.conv2d.", "deconv1.conv2d."]),
    Family("a vision transformer", &["attn.qkv."]),
];

impl Family {
    fn of(&self, tensors: &Tensors<'_>) -> Option<String> {
        let Self(name, parts) = self;
        let has = |part: &&str| tensors.first(|name| name.contains(part));
        let first = parts.iter().map(has).collect::<Option<Vec<_>>>()?.first().copied()?;
        Some(format!("{name} ({})", shown(first)))
    }
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
