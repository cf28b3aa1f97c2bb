//! The U-Net, whose keys nest.

use super::Network;
use super::tensors::Tensors;
use crate::{Arch, GeneratorConfig, Padding, UnetLayout, Upsample};

/// The most halvings of a U-Net that is built.
const MAX_DOWNS: usize = 16;

/// Where the layers of a U-Net are: padding layers and activations behind norms shift them.
#[derive(Clone, Copy)]
struct Places {
    /// 1 if halvings have a padding layer in front.
    pad: usize,
    /// 1 if activations stand behind norms.
    behind: usize,
}

impl Places {
    /// Of the first convolution among the outermost layers.
    fn first(self) -> String {
        format!("model.model.{}", self.pad)
    }

    /// Of the layers of the next level among the outermost layers.
    fn middle(self) -> String {
        format!("model.model.{}.model", self.skip())
    }

    fn skip(self) -> usize {
        self.pad + 1 + self.behind
    }

    /// Of the last convolution among the outermost layers, if it is transposed.
    fn last(self) -> usize {
        self.skip() + 2 - self.behind
    }

    /// Of the convolution that halves among the layers of a level.
    fn down(self) -> usize {
        self.pad + 1 - self.behind
    }

    /// The same of the innermost level, which has no padding layer.
    fn innermost(self) -> usize {
        1 - self.behind
    }
}

pub(super) fn infer(tensors: &Tensors<'_>) -> Option<Network> {
    let is_there = |places: &Places| {
        tensors.conv(&places.first()).is_some()
            && tensors.conv(&format!("{}.{}", places.middle(), places.down())).is_some()
    };
    let mut all = [(0, 0), (0, 1), (1, 0), (1, 1)].into_iter().map(|(pad, behind)| Places { pad, behind });
    let places = all.find(is_there)?;
    let [ngf, input_nc, 4] = tensors.conv(&places.first())? else { return None };
    let (upsample, output_nc, side) = last(tensors, places.last())?;
    let level = |level: usize| format!("{}{}", places.middle(), format!(".{}.model", 3 + places.pad).repeat(level));
    let conv = |path: &str, index: usize| tensors.conv(&format!("{path}.{index}")).is_some();
    let levels = tensors.count(|_, at| conv(&level(at), places.down()) || conv(&level(at), places.innermost()));
    // Building recurses once a level; 16 halvings make a pixel of 65536.
    let num_downs = Some(levels + 1).filter(|n| *n <= MAX_DOWNS)?;
    let arch = match num_downs {
        8 => Arch::Unet256,
        7 => Arch::Unet128,
        _ => Arch::Unet,
    };
    let (down, norm) = (places.down(), places.down() + 1);
    let middle = places.middle();
    let norm = tensors.norm(&format!("{middle}.{down}"), &format!("{middle}.{norm}"));
    let layout = match (places.behind, side) {
        (1, 6) => UnetLayout::PostActivationResize,
        // An empty place tells it.
        (1, _) if conv(&level(levels.saturating_sub(1)), 3 + upsample.conv_index()) => UnetLayout::PostActivationRelu,
        (1, _) => UnetLayout::PostActivation,
        _ if tensors.bias(&places.first()) && !norm.is_instance() => UnetLayout::Biased,
        _ => UnetLayout::Reference,
    };
    Some(Network::Generator(GeneratorConfig {
        arch,
        input_nc,
        output_nc,
        ngf,
        norm,
        num_downs,
        upsample,
        unet_layout: layout,
        down_padding: if places.pad == 1 { Padding::Reflect } else { Padding::Zero },
        ..GeneratorConfig::default()
    }))
}

/// The last convolution: how it doubles the size, the channels that it puts out, and the side of its kernel.
fn last(tensors: &Tensors<'_>, at: usize) -> Option<(Upsample, usize, usize)> {
    [Upsample::Deconv, Upsample::ResizeZero, Upsample::Resize].into_iter().find_map(|upsample| {
        match (upsample, tensors.conv(&format!("model.model.{}", at + upsample.conv_index()))?) {
            (Upsample::Deconv, [_, output_nc, side @ (4 | 6)]) => Some((upsample, output_nc, side)),
            (Upsample::Resize | Upsample::ResizeZero, [output_nc, _, 3]) => Some((upsample, output_nc, 3)),
            _ => None,
        }
    })
}
