//! pix2pixHD's local enhancers.

use super::Network;
use super::tensors::Tensors;
use super::trunk::Trunk;
use crate::{Arch, GeneratorConfig};

/// The most enhancers of a network that is built; each doubles the sides.
const MAX_ENHANCERS: usize = 8;

pub(super) fn infer(tensors: &Tensors<'_>) -> Option<Network> {
    let stem = |tensors: &Tensors<'_>, m: usize| tensors.conv(&format!("model{m}_1.1"));
    let n_local = tensors.count(|tensors, m| stem(tensors, m + 1).is_some());
    if n_local > MAX_ENHANCERS {
        return None;
    }
    let [ngf, input_nc, 7] = stem(tensors, n_local)? else { return None };
    let trunk = Trunk::find(tensors)?;
    if ngf.checked_shl(n_local as u32) != Some(trunk.width) {
        return None;
    }
    let n_blocks_local =
        tensors.count(|tensors, block| tensors.conv(&format!("model1_2.{block}.conv_block.1")).is_some());
    let [output_nc, _, 7] =
        tensors.conv(&format!("model{n_local}_2.{}", n_blocks_local + trunk.upsample.stage_len() + 1))?
    else {
        return None;
    };
    Some(Network::Generator(GeneratorConfig {
        arch: Arch::Local,
        input_nc,
        output_nc,
        ngf,
        norm: tensors.hd_norm("model.2"),
        upsample: trunk.upsample,
        n_downsample_global: trunk.n_downsample,
        n_blocks_global: trunk.n_blocks,
        n_local_enhancers: n_local,
        n_blocks_local,
        ..GeneratorConfig::default()
    }))
}
