//! Layers that are not trained, named by their paths.

use super::{refused, some};
use crate::Result;
use gan_layers::ParamStore;
use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};

/// Some layers of a network: `model.1`, or `model.1..model.10` for all whose number lies between, both ends included.
#[derive(Debug, PartialEq)]
enum Layers<'a> {
    /// What lies at this path and below it.
    At(&'a str),
    /// What lies below this path under such a number.
    Numbers(&'a str, RangeInclusive<usize>),
}

impl<'a> Layers<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let Some((first, last)) = text.split_once("..") else { return Ok(Layers::At(text)) };
        let numbered = |path: &'a str| match path.rsplit_once('.') {
            Some((parent, number)) => Some((parent, number.parse().ok()?)),
            None => Some(("", path.parse().ok()?)),
        };
        match (numbered(first.trim()), numbered(last.trim())) {
            (Some((parent, first)), Some((other, last))) if parent == other && first <= last => {
                Ok(Layers::Numbers(parent, first..=last))
            }
            _ => Err(format!("`{text}` is no range of layers, as model.1..model.10 is")),
        }
    }

    fn contains(&self, key: &str) -> bool {
        let below = |path: &str| match path {
            "" => Some(key.to_owned()),
            path => Some(key.strip_prefix(path)?.strip_prefix('.')?.to_owned()),
        };
        match self {
            Layers::At(path) => key == *path || below(path).is_some(),
            Layers::Numbers(parent, numbers) => below(parent)
                .and_then(|rest| rest.split('.').next()?.parse().ok())
                .is_some_and(|number: usize| numbers.contains(&number)),
        }
    }
}

/// The parameters of the frozen layers of an optimizer's networks, and a note about them.
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) for layers that do not exist, and where nothing is left to be trained.
pub(super) fn layers(
    optimizer: &str,
    store: &ParamStore,
    networks: &[&str],
    freeze: &BTreeMap<String, String>,
) -> Result<(Vec<Range<usize>>, Option<String>)> {
    let mut wanted = Vec::new();
    for (network, text) in networks.iter().filter_map(|network| freeze.get_key_value(*network)) {
        for part in text.split(',').map(str::trim) {
            let layers = Layers::parse(part).map_err(|why| refused(format!("train.freeze: {why}")))?;
            wanted.push((network, part, layers, 0));
        }
    }
    if wanted.is_empty() {
        return Ok((Vec::new(), None));
    }
    let mut names = Vec::new();
    let frozen = store.ranges(|name| {
        names.push(name.to_owned());
        let mut is_frozen = false;
        for (network, _, layers, found) in &mut wanted {
            let key = name.strip_prefix(network.as_str()).and_then(|rest| rest.strip_prefix('.'));
            if key.is_some_and(|key| layers.contains(key)) {
                *found += 1;
                is_frozen = true;
            }
        }
        is_frozen
    });
    if let Some((network, part, ..)) = wanted.iter().find(|(.., found)| *found == 0) {
        let mut paths: Vec<&str> = names
            .iter()
            .filter_map(|name| Some(name.strip_prefix(network.as_str())?.strip_prefix('.')?.rsplit_once('.')?.0))
            .collect();
        paths.dedup();
        let what =
            format!("train.freeze: no layer of {network} at `{part}` has weights; those of it are {}", some(&paths));
        return Err(refused(what));
    }
    let count: usize = frozen.iter().map(Range::len).sum();
    if count == store.len() {
        return Err(refused(format!("train.freeze leaves nothing of {optimizer} to be trained: freeze fewer layers")));
    }
    let parts: Vec<String> = wanted.iter().map(|(network, part, ..)| format!("{network} {part}")).collect();
    let note = format!("frozen: {} ({count} of {} parameters)", parts.join(", "), store.len());
    Ok((frozen, Some(note)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn layers_are_told_by_path_and_by_number() {
        let takes = |text: &'static str, key: &str| Layers::parse(text).unwrap().contains(key);
        assert!(takes("model.1", "model.1.weight") && !takes("model.1", "model.10.weight"));
        assert!(takes("model.1.weight", "model.1.weight") && !takes("model.1.weight", "model.1.bias"));
        assert!(takes("model.2..model.10", "model.10.conv_block.1.weight"));
        assert!(!takes("model.2..model.10", "model.11.weight") && !takes("model.2..model.10", "model.1.weight"));
        // Both ends may be layers without weights, and a path may begin with a number.
        assert!(takes("model.0..model.1", "model.1.weight") && takes("0..3", "3.bias"));
        assert!(!takes("model.0..model.9", "model0_1.1.weight"));
        for bad in ["model.5..model.1", "model.1..other.5", "model.1..model.x", "..", "model..model.1"] {
            assert!(Layers::parse(bad).is_err(), "{bad}");
        }
    }
}
