//! ResNet generators.

use std::collections::HashMap;

use gan_layers::NormKind;

use super::words::{Side, side};
use super::{Layer, Matched, alike, convs, norms};
use crate::infer::Assumptions;
use crate::{Arch, GeneratorConfig, Padding, Upsample};

/// A ResNet generator of these layers.
pub(super) fn find(layers: &[Layer<'_>], assumptions: &Assumptions) -> Option<Matched> {
    let order = Order::of(layers)?;
    let inner = order.inner_convs();
    if !alike(&inner, layers) {
        return None;
    }
    let outputs: Option<Vec<_>> = inner.iter().map(|&conv| Some((conv, order.output_nc(conv, layers)?))).collect();
    let norms = norms::of(&outputs?, layers)?;
    let (norm, mut notes) = norms::kind(&norms, layers)?;
    let config = order.config(layers, norm, assumptions, &mut notes);
    let sequence = order.sequence(&norms);
    // Only the networks of two halvings leave the bias out.
    let keeps_bias = order.downs.len() != 2;
    Some(Matched { config, sequence, norms, keeps_bias, changes: HashMap::new(), notes })
}

/// The layers in the order in which a ResNet generator runs them, as places in the list of layers.
#[derive(Debug)]
struct Order {
    stem: usize,
    downs: Vec<usize>,
    /// Two convolutions a block.
    blocks: Vec<usize>,
    ups: Vec<usize>,
    head: usize,
    upsample: Upsample,
    /// Blurs of halvings, and of doublings. None, or one each.
    blurs: [Vec<usize>; 2],
}

impl Order {
    fn of(layers: &[Layer<'_>]) -> Option<Self> {
        let convs = convs(layers);
        let ends: Vec<(usize, [usize; 3])> = convs.iter().copied().filter(|(_, [.., side])| *side == 7).collect();
        let &[a, b] = &ends[..] else { return None };
        [(a, b), (b, a)].into_iter().find_map(|(stem, head)| Self::between(stem, head, layers))
    }

    /// The network that begins and ends with these convolutions.
    fn between(stem: (usize, [usize; 3]), head: (usize, [usize; 3]), layers: &[Layer<'_>]) -> Option<Self> {
        let ngf = stem.1[0];
        // The last convolution takes what the first one makes.
        if head.1[1] != ngf {
            return None;
        }
        let convs = convs(layers);
        let inner: Vec<(usize, [usize; 3])> = convs.iter().copied().filter(|(_, [.., side])| *side != 7).collect();
        if inner.iter().any(|(_, [.., side])| *side != 3) {
            return None;
        }
        let blocks: Vec<(usize, [usize; 3])> =
            inner.iter().copied().filter(|(_, [out, input, _])| out == input).collect();
        let width = blocks.first()?.1[0];
        if !blocks.len().is_multiple_of(2) || blocks.iter().any(|(_, [out, ..])| *out != width) {
            return None;
        }
        let n_downsample = (1..16).find(|n| ngf << n == width)?;
        let (mut downs, mut ups, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
        for level in 0..n_downsample {
            let (narrow, wide) = (ngf << level, ngf << (level + 1));
            let of = |shape: [usize; 3]| inner.iter().filter(move |(_, s)| *s == shape).map(|(at, _)| *at);
            let mut widening = of([wide, narrow, 3]);
            let narrowing: Vec<usize> = of([narrow, wide, 3]).collect();
            // A transposed convolution that narrows has the shape of one that widens.
            let (down, up, kind) = match (widening.next()?, widening.next(), &narrowing[..]) {
                (down, None, &[up]) => (down, up, Upsample::Resize),
                (first, Some(second), []) => {
                    let swapped = side(layers[first].path) == Some(Side::Up)
                        && side(layers[second].path) != Some(Side::Up)
                        || side(layers[second].path) == Some(Side::Down)
                            && side(layers[first].path) != Some(Side::Down);
                    if swapped { (second, first, Upsample::Deconv) } else { (first, second, Upsample::Deconv) }
                }
                _ => return None,
            };
            if widening.next().is_some() {
                return None;
            }
            downs.push(down);
            ups.insert(0, up);
            kinds.push(kind);
        }
        let upsample = kinds[0];
        let all = 2 + blocks.len() + downs.len() + ups.len();
        if kinds.iter().any(|kind| *kind != upsample) || all != convs.len() {
            return None;
        }
        let blurs = [3, 4]
            .map(|side| -> Vec<usize> { (0..layers.len()).filter(|&at| layers[at].filter() == Some(side)).collect() });
        let whole = |(blurs, stages): (&Vec<usize>, &Vec<usize>)| [0, stages.len()].contains(&blurs.len());
        let strays = layers.iter().filter(|layer| layer.filter().is_some()).count() != blurs[0].len() + blurs[1].len();
        // A blurred doubling has a plain convolution behind it.
        if strays
            || !blurs.iter().zip([&downs, &ups]).all(whole)
            || !blurs[1].is_empty() && upsample == Upsample::Deconv
        {
            return None;
        }
        let blocks = blocks.iter().map(|(at, _)| *at).collect();
        Some(Order { stem: stem.0, downs, blocks, ups, head: head.0, upsample, blurs })
    }

    /// The convolutions in front of norms, in order.
    fn inner_convs(&self) -> Vec<usize> {
        [&[self.stem], &self.downs[..], &self.blocks, &self.ups].concat()
    }

    /// Channels that a convolution puts out.
    fn output_nc(&self, conv: usize, layers: &[Layer<'_>]) -> Option<usize> {
        let [out, input, _] = layers[conv].conv()?;
        Some(if self.upsample == Upsample::Deconv && self.ups.contains(&conv) { input } else { out })
    }

    fn config(
        &self,
        layers: &[Layer<'_>],
        norm: NormKind,
        assumptions: &Assumptions,
        notes: &mut Vec<String>,
    ) -> GeneratorConfig {
        let shape = |at: usize| layers[at].conv().unwrap_or_default();
        let n_blocks = self.blocks.len() / 2;
        let (first, second) = (&layers[self.blocks[0]], &layers[self.blocks[1]]);
        let together = first.parent() == second.parent();
        let (padding, dropout) = match (first.index(), second.index()) {
            (Some(1), Some(5)) if together => (Padding::Reflect, false),
            (Some(1), Some(6)) if together => (Padding::Reflect, true),
            (Some(0), Some(3)) if together => (Padding::Zero, false),
            (Some(0), Some(4)) if together => (Padding::Zero, true),
            _ => {
                if assumptions.padding.is_none() {
                    notes.push("its blocks do not tell how they pad: padding = reflect is assumed".into());
                }
                (Padding::Reflect, false)
            }
        };
        let config = GeneratorConfig {
            input_nc: shape(self.stem)[1],
            output_nc: shape(self.head)[0],
            ngf: shape(self.stem)[0],
            norm,
            ..GeneratorConfig::default()
        };
        if self.downs.len() != 2 {
            // The ResNets of the references halve twice; pix2pixHD's generator halves as often as one likes.
            let (n_downsample_global, n_blocks_global) = (self.downs.len(), n_blocks);
            return GeneratorConfig { arch: Arch::Global, n_downsample_global, n_blocks_global, ..config };
        }
        let arch = match n_blocks {
            9 => Arch::Resnet9Blocks,
            6 => Arch::Resnet6Blocks,
            4 => Arch::Resnet4Blocks,
            _ => Arch::Resnet,
        };
        let [antialias, antialias_up] = [0, 1].map(|half| !self.blurs[half].is_empty());
        let upsample = if antialias_up { Upsample::Deconv } else { self.resize_padding(layers, assumptions, notes) };
        let down_padding = assumptions.down_padding.or_else(|| self.told_down_padding(layers)).unwrap_or_else(|| {
            let padding = if reflects_halvings(layers) { Padding::Reflect } else { Padding::Zero };
            notes.push(format!(
                "its downsampling layers do not tell how they pad: down_padding = {} is assumed",
                padding.name()
            ));
            padding
        });
        let padding = assumptions.padding.unwrap_or(padding);
        GeneratorConfig { arch, n_blocks, padding, down_padding, dropout, upsample, antialias, antialias_up, ..config }
    }

    /// How halvings pad, where the numbers of the first two convolutions leave room for a padding layer, or none.
    fn told_down_padding(&self, layers: &[Layer<'_>]) -> Option<Padding> {
        let (stem, down) = (&layers[self.stem], &layers[self.downs[0]]);
        let between = down.index()?.checked_sub(stem.index()?).filter(|_| stem.parent() == down.parent())?;
        match between {
            3 => Some(Padding::Zero),
            4 => Some(Padding::Reflect),
            _ => None,
        }
    }

    /// A resize-convolution pads with zeros where its number leaves no room for a padding layer.
    fn resize_padding(&self, layers: &[Layer<'_>], assumptions: &Assumptions, notes: &mut Vec<String>) -> Upsample {
        match (self.upsample, assumptions.upsample) {
            (Upsample::Deconv, _) => return Upsample::Deconv,
            (_, Some(resize @ (Upsample::Resize | Upsample::ResizeZero))) => return resize,
            _ => {}
        }
        let numbers = (layers[self.ups[0]].index(), layers[self.ups[1]].index());
        let together = layers[self.ups[0]].parent() == layers[self.ups[1]].parent();
        match numbers {
            (Some(a), Some(b)) if together && b.checked_sub(a) == Some(Upsample::ResizeZero.stage_len()) => {
                Upsample::ResizeZero
            }
            (Some(a), Some(b)) if together && b.checked_sub(a) == Some(Upsample::Resize.stage_len()) => {
                Upsample::Resize
            }
            _ => {
                notes.push("its resize-convolutions do not tell how they pad: upsample = resize is assumed".into());
                Upsample::Resize
            }
        }
    }

    /// All layers in the order in which they run.
    fn sequence(&self, norms: &HashMap<usize, usize>) -> Vec<usize> {
        let stage = |conv: usize| [Some(conv), norms.get(&conv).copied()].into_iter().flatten();
        let [down, up] =
            [0, 1].map(|half| self.blurs[half].iter().map(|&blur| Some(blur)).chain(std::iter::repeat(None)));
        let downs = self.downs.iter().zip(down).flat_map(|(&conv, blur)| stage(conv).chain(blur));
        let ups = self.ups.iter().zip(up).flat_map(|(&conv, blur)| blur.into_iter().chain(stage(conv)));
        let blocks = self.blocks.iter().flat_map(|&conv| stage(conv));
        stage(self.stem).chain(downs).chain(blocks).chain(ups).chain([self.head]).collect()
    }
}

/// Whether the names are those of a repository whose halvings mirror their border (Machine-Learning-Collection).
fn reflects_halvings(layers: &[Layer<'_>]) -> bool {
    let has = |path: &str| layers.iter().any(|layer| layer.path == path);
    has("down_blocks.0.conv.0") && has("res_blocks.0.block.0.conv.0")
}
