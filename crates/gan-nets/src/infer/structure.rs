//! Generators whose layers have other names than the references': told by the order of their layers, the shapes and the kernels.

mod norms;
mod resnet;
mod unet;
mod words;

use std::collections::{BTreeMap, HashMap};

use candle_core::{DType, Device, Tensor};
use gan_weights::StateDict;

use self::words::natural;
use super::identified::Identified;
use super::{Assumptions, Network, expected};
use crate::GeneratorConfig;

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

    /// The side of a constant filter.
    fn filter(&self) -> Option<usize> {
        match *self.fields.get("filt")?.dims() {
            [_, 1, height, width] if height == width && self.fields.len() == 1 => Some(height),
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

/// A network of which every layer was found.
struct Matched {
    config: GeneratorConfig,
    /// The layers in the order in which they run, as places in the list of layers.
    sequence: Vec<usize>,
    /// The norm behind a convolution, by the place of the convolution. Empty where no norm has tensors.
    norms: HashMap<usize, usize>,
    /// Whether the network here has a bias in front of batch norms.
    keeps_bias: bool,
    /// Convolutions whose weights are laid out in another way here.
    changes: HashMap<usize, Change>,
    /// What had to be assumed.
    notes: Vec<String>,
}

/// What becomes of the weights of a convolution.
#[derive(Debug, Clone, Copy)]
enum Change {
    /// The halves of its inputs, in this dimension, change places.
    Swap(usize),
    /// Nearest upsampling and it, a 4x4 convolution, are one transposed convolution; its inputs change places, or not.
    Merge { swap: bool },
}

impl Change {
    fn of(self, weight: &Tensor) -> candle_core::Result<Tensor> {
        let swapped = |dim: usize| {
            let half = weight.dim(dim)? / 2;
            Tensor::cat(&[weight.narrow(dim, half, half)?, weight.narrow(dim, 0, half)?], dim)
        };
        match self {
            Self::Swap(dim) => swapped(dim),
            Self::Merge { swap: true } => unet::merged(&swapped(1)?),
            Self::Merge { swap: false } => unet::merged(weight),
        }
    }
}

/// A generator with these tensors, renamed; `None` if they do not make up one.
pub(super) fn find(state: &StateDict, assumptions: &Assumptions) -> Option<Identified> {
    if !state.others().is_empty() {
        return None;
    }
    let layers = layers(state)?;
    let matched = resnet::find(&layers, assumptions).or_else(|| unet::find(&layers, assumptions))?;
    renamed(&layers, matched)
}

/// The tensors of a network under the names that it has here.
fn renamed(layers: &[Layer<'_>], matched: Matched) -> Option<Identified> {
    let Matched { config, sequence, norms, keeps_bias, changes, mut notes } = matched;
    let network = Network::Generator(config);
    let keys = expected::keys(&network).ok()?;
    let mut paths: Vec<&str> = Vec::new();
    for (name, _) in &keys {
        let path = name.rsplit_once('.').map_or("", |(path, _)| path);
        if paths.last() != Some(&path) {
            paths.push(path);
        }
    }
    if sequence.len() != paths.len() {
        return None;
    }
    let place: HashMap<&str, usize> = paths.iter().copied().zip(sequence).collect();
    let in_front: HashMap<usize, usize> = norms.iter().map(|(conv, norm)| (*norm, *conv)).collect();
    let mut renamed = StateDict::new();
    let mut filled = 0;
    for (name, shape) in &keys {
        let (path, field) = name.rsplit_once('.')?;
        let at = *place.get(path)?;
        let tensor = match (layers[at].fields.get(field), shape, field) {
            (Some(tensor), _, "running_mean") if !keeps_bias => centred(&layers[*in_front.get(&at)?], tensor)?,
            (Some(tensor), _, "weight") => match changes.get(&at) {
                Some(change) => change.of(tensor).ok()?,
                None => (*tensor).clone(),
            },
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

/// The running mean of a batch norm less the bias of the convolution in front, for which the network here has no place.
fn centred(conv: &Layer<'_>, mean: &Tensor) -> Option<Tensor> {
    match conv.fields.get("bias") {
        Some(bias) => (mean - bias.to_dtype(mean.dtype()).ok()?).ok(),
        None => Some(mean.clone()),
    }
}

/// The layers of a state dict that consists of convolutions, norms and constant filters alone.
fn layers(state: &StateDict) -> Option<Vec<Layer<'_>>> {
    const FIELDS: [&str; 6] = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked", "filt"];
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
    if layers.iter().any(|layer| layer.conv().is_none() && layer.norm().is_none() && layer.filter().is_none()) {
        return None;
    }
    // Some files are sorted by name instead of in the order of the network: numbers then stand in the order of their digits.
    let sorted = |order: &dyn Fn(&str, &str) -> bool| layers.windows(2).all(|pair| order(pair[0].path, pair[1].path));
    if sorted(&|a, b| a <= b) {
        layers.sort_by(|a, b| natural(a.path).cmp(&natural(b.path)));
    }
    Some(layers)
}

/// The places of the convolutions, in order.
fn convs(layers: &[Layer<'_>]) -> Vec<(usize, [usize; 3])> {
    layers.iter().enumerate().filter_map(|(at, layer)| Some((at, layer.conv()?))).collect()
}

/// Whether all or none of these convolutions have a bias: one that a single layer lacks is lost, and not left out.
fn alike(convs: &[usize], layers: &[Layer<'_>]) -> bool {
    let biased = convs.iter().filter(|&&conv| layers[conv].has("bias")).count();
    biased == 0 || biased == convs.len()
}
