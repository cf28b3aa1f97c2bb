//! ResNet generators whose layers have other names than the references': told by the order of their layers, the shapes and
//! the kernels.

use std::collections::{BTreeMap, HashMap};

use candle_core::{DType, Device, Tensor};
use gan_layers::NormKind;
use gan_weights::StateDict;

use super::identified::Identified;
use super::{Network, expected};
use crate::{Arch, GeneratorConfig, Padding, Upsample};

/// The widest layers are far narrower.
const MAX_WIDTH: usize = 1 << 16;

/// The tensors of one layer of the file.
#[derive(Debug)]
struct Layer<'a> {
    path: &'a str,
    fields: BTreeMap<&'a str, &'a Tensor>,
}

impl Layer<'_> {
    /// The shape of square kernels: `[dim 0, dim 1, side]`.
    fn conv(&self) -> Option<[usize; 3]> {
        match *self.fields.get("weight")?.dims() {
            [a, b, height, width] if height == width && [a, b].iter().all(|n| (1..=MAX_WIDTH).contains(n)) => {
                Some([a, b, height])
            }
            _ => None,
        }
    }

    /// The channels of a norm with scale and shift.
    fn norm(&self) -> Option<usize> {
        match (self.fields.get("weight")?.dims(), self.fields.get("bias")?.dims()) {
            ([a], [b]) if a == b => Some(*a),
            _ => None,
        }
    }

    fn has(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }

    /// The path of what holds the layer.
    fn parent(&self) -> &str {
        self.path.rsplit_once('.').map_or("", |(parent, _)| parent)
    }

    /// The layer's number in a sequence.
    fn index(&self) -> Option<usize> {
        self.path.rsplit('.').next()?.parse().ok()
    }
}

/// A ResNet generator with these tensors, renamed; `None` if they do not make up one.
pub(super) fn find(state: &StateDict) -> Option<Identified> {
    if !state.others().is_empty() {
        return None;
    }
    let layers = layers(state)?;
    let order = Order::of(&layers)?;
    // A bias that one layer lacks is lost, and not left out.
    let biased = order.inner_convs().filter(|&conv| layers[conv].has("bias")).count();
    if biased != 0 && biased != order.inner_convs().count() {
        return None;
    }
    let (norm, mut notes) = order.norm_kind(&layers)?;
    let config = order.config(&layers, norm, &mut notes);
    let network = Network::Generator(config);
    let keys = expected::keys(&network).ok()?;
    let mut paths: Vec<&str> = Vec::new();
    for (name, _) in &keys {
        let path = name.rsplit_once('.').map_or("", |(path, _)| path);
        if paths.last() != Some(&path) {
            paths.push(path);
        }
    }
    let sequence = order.sequence();
    if sequence.len() != paths.len() {
        return None;
    }
    let place: HashMap<&str, usize> = paths.iter().copied().zip(sequence).collect();
    let mut renamed = StateDict::new();
    let mut filled = 0;
    for (name, shape) in &keys {
        let (path, field) = name.rsplit_once('.')?;
        let layer = &layers[*place.get(path)?];
        let tensor = match (layer.fields.get(field), shape, field) {
            (Some(tensor), _, "running_mean") => order.centred(*place.get(path)?, tensor, &layers)?,
            (Some(tensor), ..) => (*tensor).clone(),
            // A bias that a norm subtracts again, or that is not there, is zero.
            (None, Some(shape), "bias") => {
                filled += 1;
                Tensor::zeros(shape.as_slice(), DType::F32, &Device::Cpu).ok()?
            }
            // Counters may be missing.
            (None, None, _) => continue,
            (None, Some(_), _) => return None,
        };
        renamed.push(name.clone(), tensor);
    }
    expected::check(&network, &renamed).ok()?;
    let mapping: Vec<(String, String)> =
        paths.iter().map(|path| (layers[place[path]].path.to_owned(), (*path).to_owned())).collect();
    notes.insert(0, format!("{} layers matched by their order and shapes", mapping.len()));
    if filled > 0 {
        notes.push(format!("{filled} convolutions have no bias: zero is used"));
    }
    Some(Identified { prefix: String::new(), network, state: renamed, mapping, notes })
}

/// The layers of a state dict that consists of convolutions and norms alone.
fn layers(state: &StateDict) -> Option<Vec<Layer<'_>>> {
    const FIELDS: [&str; 5] = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"];
    let mut layers: Vec<Layer<'_>> = Vec::new();
    let mut known: HashMap<&str, usize> = HashMap::new();
    for (name, tensor) in state.iter() {
        let (path, field) = name.rsplit_once('.').filter(|(_, field)| FIELDS.contains(field))?;
        let at = *known.entry(path).or_insert_with(|| {
            layers.push(Layer { path, fields: BTreeMap::new() });
            layers.len() - 1
        });
        layers[at].fields.insert(field, tensor);
    }
    if layers.iter().any(|layer| layer.conv().is_none() && layer.norm().is_none()) {
        return None;
    }
    // Some files are sorted by name instead of in the order of the network: numbers then stand in the order of their digits.
    let sorted = |order: &dyn Fn(&str, &str) -> bool| layers.windows(2).all(|pair| order(pair[0].path, pair[1].path));
    if sorted(&|a, b| a <= b) {
        layers.sort_by(|a, b| natural(a.path).cmp(&natural(b.path)));
    }
    Some(layers)
}

/// A path as it sorts with its numbers as numbers.
fn natural(path: &str) -> Vec<(usize, &str)> {
    path.split('.').map(|part| part.parse().map_or((usize::MAX, part), |number| (number, ""))).collect()
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
    /// The norm behind a convolution, by the place of the convolution. Empty where no norm has tensors.
    norms: HashMap<usize, usize>,
}

impl Order {
    fn of(layers: &[Layer<'_>]) -> Option<Self> {
        let convs: Vec<(usize, [usize; 3])> =
            layers.iter().enumerate().filter_map(|(at, layer)| Some((at, layer.conv()?))).collect();
        let ends: Vec<(usize, [usize; 3])> = convs.iter().copied().filter(|(_, [.., side])| *side == 7).collect();
        let &[a, b] = &ends[..] else { return None };
        // The last convolution takes what the first one makes.
        let (stem, head) = [(a, b), (b, a)].into_iter().find(|(stem, head)| stem.1[0] == head.1[1])?;
        let ngf = stem.1[0];
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
        let blocks = blocks.iter().map(|(at, _)| *at).collect();
        let mut order = Order { stem: stem.0, downs, blocks, ups, head: head.0, upsample, norms: HashMap::new() };
        order.norms = order.match_norms(layers)?;
        Some(order)
    }

    /// The convolutions in front of norms, in order.
    fn inner_convs(&self) -> impl Iterator<Item = usize> {
        [self.stem].into_iter().chain(self.downs.clone()).chain(self.blocks.clone()).chain(self.ups.clone())
    }

    /// Channels that a convolution puts out.
    fn output_nc(&self, conv: usize, layers: &[Layer<'_>]) -> Option<usize> {
        let [out, input, _] = layers[conv].conv()?;
        Some(if self.upsample == Upsample::Deconv && self.ups.contains(&conv) { input } else { out })
    }

    /// Finds the norm of every convolution: the one of the same number in what holds both, or else the next layer.
    fn match_norms(&self, layers: &[Layer<'_>]) -> Option<HashMap<usize, usize>> {
        let norms: Vec<usize> = (0..layers.len()).filter(|&at| layers[at].conv().is_none()).collect();
        if norms.is_empty() {
            return Some(HashMap::new());
        }
        let convs: Vec<usize> =
            (0..layers.len()).filter(|&at| layers[at].conv().is_some() && at != self.head).collect();
        let in_parent = |of: &[usize], parent: &str| -> Vec<usize> {
            of.iter().copied().filter(|&at| layers[at].parent() == parent).collect()
        };
        let by_parent = || {
            let mut pairs = HashMap::new();
            for &conv in &convs {
                let parent = layers[conv].parent();
                let (inside, beside) = (in_parent(&convs, parent), in_parent(&norms, parent));
                if inside.len() != beside.len() {
                    return None;
                }
                pairs.extend(inside.into_iter().zip(beside));
            }
            Some(pairs)
        };
        let next = || -> Option<HashMap<usize, usize>> {
            convs.iter().map(|&conv| (layers.get(conv + 1)?.conv().is_none()).then_some((conv, conv + 1))).collect()
        };
        let fits = |pairs: &HashMap<usize, usize>| {
            pairs.len() == norms.len()
                && pairs.iter().all(|(&conv, &norm)| layers[norm].norm() == self.output_nc(conv, layers))
        };
        by_parent().filter(fits).or_else(|| next().filter(fits))
    }

    /// The normalization, and what had to be assumed.
    fn norm_kind(&self, layers: &[Layer<'_>]) -> Option<(NormKind, Vec<String>)> {
        let statistics = self.norms.values().filter(|&&norm| layers[norm].has("running_mean")).count();
        let kind = match (self.norms.len(), statistics) {
            (0, _) => {
                return Some((NormKind::Instance, vec!["its norms have no tensors: instance norm is assumed".into()]));
            }
            (_, 0) => NormKind::InstanceAffine,
            (all, with) if all == with => NormKind::Batch,
            _ => return None,
        };
        Some((kind, Vec::new()))
    }

    fn config(&self, layers: &[Layer<'_>], norm: NormKind, notes: &mut Vec<String>) -> GeneratorConfig {
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
                notes.push("its blocks do not tell how they pad: reflection padding is assumed".into());
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
            _ => Arch::Resnet,
        };
        GeneratorConfig { arch, n_blocks, padding, dropout, upsample: self.resize_padding(layers, notes), ..config }
    }

    /// A resize-convolution pads with zeros where its number leaves no room for a padding layer.
    fn resize_padding(&self, layers: &[Layer<'_>], notes: &mut Vec<String>) -> Upsample {
        if self.upsample == Upsample::Deconv {
            return Upsample::Deconv;
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
                notes.push("its resize-convolutions do not tell how they pad: reflection padding is assumed".into());
                Upsample::Resize
            }
        }
    }

    /// All layers in the order in which they run.
    fn sequence(&self) -> Vec<usize> {
        let with_norm = |conv: usize| [Some(conv), self.norms.get(&conv).copied()].into_iter().flatten();
        self.inner_convs().flat_map(with_norm).chain([self.head]).collect()
    }

    /// The running mean of a batch norm less the bias of the convolution in front, for which the network here has no place.
    fn centred(&self, norm: usize, mean: &Tensor, layers: &[Layer<'_>]) -> Option<Tensor> {
        let (&conv, _) = self.norms.iter().find(|(_, of)| **of == norm)?;
        let keeps_bias = self.downs.len() != 2;
        match layers[conv].fields.get("bias").filter(|_| !keeps_bias) {
            Some(bias) => (mean - bias.to_dtype(mean.dtype()).ok()?).ok(),
            None => Some(mean.clone()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Down,
    Up,
}

/// The half of a network to which a name says that its layer belongs.
fn side(path: &str) -> Option<Side> {
    let lower = path.to_ascii_lowercase();
    let words = || lower.split(|c: char| !c.is_ascii_alphabetic());
    let begins = |starts: &[&str]| words().any(|word| starts.iter().any(|start| word.starts_with(start)));
    match (begins(&["down", "enc", "contract"]), begins(&["up", "dec", "tconv", "transp", "expan"])) {
        (true, false) => Some(Side::Down),
        (false, true) => Some(Side::Up),
        _ => None,
    }
}
