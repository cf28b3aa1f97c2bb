//! Parts of an evaluation, which several calls or processes measure: as bytes, and joined.

use super::facts::Facts;
use super::measure::{ImageSet, Measured};
use super::metric::{LeftOut, Metric, Selection};
use crate::exit::{BAD_DATA, Coded};
use crate::shard::Shard;
use anyhow::{Context, bail};
use gan_metrics::distribution::Features;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// What one of several calls or processes measured.
pub(super) struct Part {
    pub(super) shard: Shard,
    pub(super) facts: Facts,
    pub(super) measured: Measured,
}

/// What of a part is no tensor. It stands in the metadata of a safetensors file, under [`KEY`].
#[derive(Serialize, Deserialize)]
struct Head {
    shard: String,
    facts: Facts,
    sets: [ImageSet; 2],
    names: Vec<String>,
    metrics: Vec<Metric>,
    named: bool,
    left_out: Vec<LeftOut>,
    notes: Vec<String>,
    /// Images whose features the network computed.
    computed: Option<[usize; 2]>,
}

/// Changes with the format.
const KEY: &str = "gan-cli evaluation part 1";
/// The tensors of features `[N, D]`.
const FEATURES: [&str; 2] = ["features of translated images", "features of real images"];

/// The tensor of a metric's values `[N]`.
fn of_metric(metric: Metric) -> String {
    format!("values of {}", metric.name())
}

impl Part {
    /// A safetensors file: every bit of every number.
    pub(super) fn to_bytes(&self) -> anyhow::Result<Vec<u8>> {
        let Measured { fake, real, names, values, features, selection, notes, .. } = &self.measured;
        let head = Head {
            shard: self.shard.to_string(),
            facts: self.facts.clone(),
            sets: [fake.clone(), real.clone()],
            names: names.clone(),
            metrics: selection.metrics().collect(),
            named: selection.named,
            left_out: selection.left_out.clone(),
            notes: notes.clone(),
            computed: features.as_ref().map(|sets| sets.each_ref().map(|(_, computed)| *computed)),
        };
        let mut tensors = Vec::new();
        for (metric, values) in values {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            tensors.push((of_metric(*metric), Dtype::F64, vec![values.len()], bytes));
        }
        for (name, (features, _)) in FEATURES.iter().zip(features.iter().flatten()) {
            let bytes: Vec<u8> = features.values().iter().flat_map(|value| value.to_le_bytes()).collect();
            tensors.push(((*name).to_owned(), Dtype::F32, vec![features.len(), features.dimensions()], bytes));
        }
        let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
            TensorView::new(*dtype, shape.clone(), bytes).map(|view| (name.as_str(), view))
        });
        let views = views.collect::<Result<Vec<_>, _>>()?;
        let metadata = HashMap::from([(KEY.to_owned(), serde_json::to_string(&head)?)]);
        Ok(serialize(views, Some(metadata))?)
    }

    /// Reads what [`Part::to_bytes`] wrote.
    pub(super) fn of_bytes(bytes: &[u8]) -> anyhow::Result<Self> {
        let (_, metadata) = SafeTensors::read_metadata(bytes)?;
        let head =
            metadata.metadata().as_ref().and_then(|all| all.get(KEY)).context("it is no part of an evaluation")?;
        let head: Head = serde_json::from_str(head)?;
        let tensors = SafeTensors::deserialize(bytes)?;
        let mut values = BTreeMap::new();
        for &metric in &head.metrics {
            if let Ok(tensor) = tensors.tensor(&of_metric(metric)) {
                let numbers: Vec<f64> = tensor.data().chunks_exact(8).map(|n| f64::from_le_bytes(array(n))).collect();
                if tensor.dtype() != Dtype::F64 || numbers.len() != head.names.len() {
                    bail!("its {} do not fit its {} pairs", of_metric(metric), head.names.len());
                }
                values.insert(metric, numbers);
            }
        }
        let set = |name: &str| {
            let tensor = tensors.tensor(name)?;
            let numbers = tensor.data().chunks_exact(4).map(|n| f32::from_le_bytes(array(n))).collect();
            let &[_, dimensions] = tensor.shape() else { bail!("its {name} are no vectors") };
            anyhow::Ok(Features::new(dimensions, numbers)?)
        };
        let features = match head.computed {
            Some([fakes, reals]) => Some([(set(FEATURES[0])?, fakes), (set(FEATURES[1])?, reals)]),
            None => None,
        };
        let [fake, real] = head.sets;
        let (names, notes, step) = (head.names, head.notes, head.facts.step);
        let selection = Selection::of_part(head.metrics, head.named, head.left_out);
        let measured = Measured { fake, real, names, values, features, selection, notes, step };
        let shard = head.shard.parse::<Shard>().map_err(anyhow::Error::msg)?;
        Ok(Part { shard, facts: head.facts, measured })
    }

    /// Reads a file.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let unreadable = |reason: String| {
            let path = path.display();
            Coded(BAD_DATA, format!("{path}: {reason}; name files that evaluate --shard wrote with --part"))
        };
        let bytes = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
        Ok(Part::of_bytes(&bytes).map_err(|error| unreadable(format!("{error:#}")))?)
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(bytes);
    array
}

/// What one call would have measured, from all parts of it: each with a name for messages.
///
/// # Errors
/// [`Coded`] if they are not the parts of one evaluation.
pub(super) fn join(mut parts: Vec<(String, Part)>) -> anyhow::Result<(Facts, Measured)> {
    parts.sort_by_key(|(_, part)| part.shard.number());
    let Some((first, whole)) = parts.first() else { bail!(Coded(BAD_DATA, "there are no parts to join".into())) };
    let refuse = |message: String| Err(anyhow::Error::from(Coded(BAD_DATA, message)));
    let count = whole.shard.count();
    for (name, part) in &parts {
        if part.shard.count() != count {
            return refuse(format!(
                "{first} is part {}, and {name} is part {}: name the parts of one evaluation",
                whole.shard, part.shard
            ));
        }
        if let Some(what) = whole.facts.difference(&part.facts) {
            return refuse(format!("{first} and {name} were measured with another {what}: measure one of them again"));
        }
    }
    let twice = parts.iter().zip(&parts[1..]).find(|((_, a), (_, b))| a.shard == b.shard);
    if let Some(((one, part), (other, _))) = twice {
        return refuse(format!("{one} and {other} are both part {}: name each part once", part.shard));
    }
    if let Some(missing) =
        (1..=count).find(|number| parts.get(number - 1).is_none_or(|(_, p)| p.shard.number() != *number))
    {
        return refuse(format!(
            "part {missing}/{count} is missing: measure it with --shard {missing}/{count}, and name all parts"
        ));
    }
    let facts = whole.facts.clone();
    match interleaved(parts.into_iter().map(|(_, part)| part.measured).collect()) {
        Some(measured) => Ok((facts, measured)),
        None => refuse(format!(
            "the {count} parts are not of the same images: measure them again, and change no image meanwhile"
        )),
    }
}

/// Puts measurements together, item by item in turn. `None` if they are not shares of one list.
fn interleaved(parts: Vec<Measured>) -> Option<Measured> {
    let mut whole = Measured { step: parts.first()?.step, ..Measured::default() };
    let (mut metrics, mut left_out) = (parts[0].selection.metrics().collect::<Vec<_>>(), Vec::<LeftOut>::new());
    for part in &parts {
        // What one part cannot compute has no value for the whole.
        metrics.retain(|metric| part.selection.has(*metric));
        for left in &part.selection.left_out {
            if left_out.iter().all(|known| known.metric != left.metric) {
                left_out.push(left.clone());
            }
        }
        whole.fake.join(&part.fake);
        whole.real.join(&part.real);
        for note in &part.notes {
            if !whole.notes.contains(note) {
                whole.notes.push(note.clone());
            }
        }
    }
    whole.selection = Selection::of_part(metrics, parts[0].selection.named, left_out);
    for metric in whole.selection.metrics().filter(|metric| metric.is_paired()) {
        let values = in_turn(parts.iter().map(|part| part.values.get(&metric).cloned().unwrap_or_default()))?;
        if !values.is_empty() {
            whole.values.insert(metric, values);
        }
    }
    if parts.iter().all(|part| part.features.is_some()) {
        let set = |which: usize| {
            let sets: Vec<_> =
                parts.iter().filter_map(|part| part.features.as_ref()).map(|sets| &sets[which]).collect();
            let dimensions = sets.first()?.0.dimensions();
            let vectors = in_turn(sets.iter().map(|(set, _)| set.values().chunks_exact(dimensions).collect()))?;
            let computed = sets.iter().map(|(_, computed)| computed).sum();
            Some((Features::new(dimensions, vectors.concat()).ok()?, computed))
        };
        whole.features = Some([set(0)?, set(1)?]);
    }
    whole.names = in_turn(parts.into_iter().map(|part| part.names))?;
    Some(whole)
}

/// The first item of each list, then the second of each, and so on. `None` if they are not shares of one list.
fn in_turn<T>(lists: impl Iterator<Item = Vec<T>>) -> Option<Vec<T>> {
    let mut lists: Vec<_> = lists.map(Vec::into_iter).collect();
    let all: usize = lists.iter().map(ExactSizeIterator::len).sum();
    let count = lists.len();
    let items: Vec<T> = (0..).map_while(|turn: usize| lists[turn % count].next()).collect();
    (items.len() == all).then_some(items)
}
