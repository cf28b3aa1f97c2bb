//! Which norm belongs to which convolution.

use std::collections::HashMap;

use gan_layers::NormKind;

use super::Layer;

/// The norm of each of `convs`, which put out so many channels: the one of the same number in what holds both, or else the next
/// layer. Empty where no norm has tensors.
pub(super) fn of(convs: &[(usize, usize)], layers: &[Layer<'_>]) -> Option<HashMap<usize, usize>> {
    let norms: Vec<usize> = (0..layers.len()).filter(|&at| layers[at].norm().is_some()).collect();
    if norms.is_empty() {
        return Some(HashMap::new());
    }
    let places: Vec<usize> = convs.iter().map(|(conv, _)| *conv).collect();
    let in_parent = |of: &[usize], parent: &str| -> Vec<usize> {
        of.iter().copied().filter(|&at| layers[at].parent() == parent).collect()
    };
    let by_parent = || {
        let mut pairs = HashMap::new();
        for &conv in &places {
            let parent = layers[conv].parent();
            let (inside, beside) = (in_parent(&places, parent), in_parent(&norms, parent));
            if inside.len() != beside.len() {
                return None;
            }
            pairs.extend(inside.into_iter().zip(beside));
        }
        Some(pairs)
    };
    let next = || -> Option<HashMap<usize, usize>> {
        places.iter().map(|&conv| layers.get(conv + 1)?.norm().map(|_| (conv, conv + 1))).collect()
    };
    let fits = |pairs: &HashMap<usize, usize>| {
        let channels =
            |(conv, out): &(usize, usize)| pairs.get(conv).and_then(|&norm| layers[norm].norm()) == Some(*out);
        pairs.len() == norms.len() && convs.iter().all(channels)
    };
    by_parent().filter(fits).or_else(|| next().filter(fits))
}

/// The normalization, and what had to be assumed.
pub(super) fn kind(norms: &HashMap<usize, usize>, layers: &[Layer<'_>]) -> Option<(NormKind, Vec<String>)> {
    let statistics = norms.values().filter(|&&norm| layers[norm].has("running_mean")).count();
    let kind = match (norms.len(), statistics) {
        (0, _) => {
            return Some((NormKind::Instance, vec!["its norms have no tensors: instance norm is assumed".into()]));
        }
        (_, 0) => NormKind::InstanceAffine,
        (all, with) if all == with => NormKind::Batch,
        _ => return None,
    };
    Some((kind, Vec::new()))
}
