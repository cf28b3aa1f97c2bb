//! Networks of a state dict that holds several, or one under a prefix or under names of its own.

use std::collections::BTreeSet;

use gan_weights::{StateDict, normalize_keys};

use super::identified::Identified;
use super::tensors::Tensors;
use super::{Assumptions, Network, infer, structure, unsupported};
use crate::{Arch, Error, Result};

/// Components of a prefix: `state_dict.netG_A.module` has three.
const MAX_COMPONENTS: usize = 3;

/// Prefixes that are tried. Networks that keep one layer a prefix have more, and no network lies under any of them.
const MAX_PREFIXES: usize = 512;

/// The networks that the tensors of `state` belong to, in order: one, if all of it is of one network ([`infer`]); else
/// those under prefixes (`netG_A.`, `generators.photo.`); else ResNet and U-Net generators whose layers have other names,
/// told by the order and the shapes of their layers.
///
/// Call [`gan_weights::normalize_keys`] first for files whose origin is not known.
///
/// # Errors
/// Those of [`infer`], where nothing is found.
pub fn identify(state: &StateDict, arch: Option<Arch>) -> Result<Vec<Identified>> {
    identify_assuming(state, arch, &Assumptions::default())
}

/// As [`identify`], of generators of which the caller knows what their tensors do not tell.
///
/// # Errors
/// Also [`Error::Assumed`], where an assumption fits none of them.
pub fn identify_assuming(state: &StateDict, arch: Option<Arch>, assumptions: &Assumptions) -> Result<Vec<Identified>> {
    let found = find(state, arch, assumptions)?;
    let mut refusal = None;
    let assume = |found: Identified| match assumptions.of(&found) {
        Ok(network) => Some(Identified { network, ..found }),
        Err(error) => {
            refusal = Some(error);
            None
        }
    };
    let kept: Vec<_> = found.into_iter().filter_map(assume).collect();
    match (kept.is_empty(), refusal) {
        (true, Some(error)) => Err(error),
        _ => Ok(kept),
    }
}

fn find(state: &StateDict, arch: Option<Arch>, assumptions: &Assumptions) -> Result<Vec<Identified>> {
    let error = match infer(state, arch) {
        Ok(network) => return Ok(vec![exact(String::new(), network, state.clone(), Vec::new())]),
        // The tensors are of one network, with which something is wrong.
        Err(error @ (Error::OtherArch { .. } | Error::UnsupportedNetwork { .. })) => return Err(error),
        Err(error) => error,
    };
    let under = |prefix: &str| {
        let mut part = state.under(prefix);
        let notes = normalize_keys(&mut part);
        (part, notes)
    };
    let by_name = networks(state, |prefix| {
        let (part, notes) = under(prefix);
        let network = infer(&part, None).ok()?;
        Some(exact(prefix.to_owned(), network, part, notes))
    });
    if by_name.iter().any(|found| matches!(found.network, Network::Generator(_))) {
        return refuse_other(by_name, arch);
    }
    let by_structure = match structure::find(state, assumptions) {
        Some(whole) => vec![whole],
        None => networks(state, |prefix| {
            let (part, mut notes) = under(prefix);
            let found = structure::find(&part, assumptions)?;
            notes.extend(found.notes);
            Some(Identified { prefix: prefix.to_owned(), notes, ..found })
        }),
    };
    match (by_structure.is_empty(), by_name.is_empty()) {
        (false, _) => refuse_other(by_structure, arch),
        (true, false) => refuse_other(by_name, arch),
        (true, true) => Err(unsupported::instead(&Tensors(state)).unwrap_or(error)),
    }
}

fn exact(prefix: String, network: Network, state: StateDict, notes: Vec<String>) -> Identified {
    Identified { prefix, network, state, mapping: Vec::new(), notes }
}

/// Leaves out the networks that are not of the architecture that was asked for.
fn refuse_other(mut found: Vec<Identified>, arch: Option<Arch>) -> Result<Vec<Identified>> {
    let Some(asked) = arch else { return Ok(found) };
    let first = found.first().map(|found| found.network.to_string()).unwrap_or_default();
    for found in &mut found {
        // Where the tensors leave a choice, the name decides.
        if let Ok(network) = infer(&found.state, arch) {
            found.network = network;
        }
    }
    found.retain(|found| super::answers(asked, &found.network));
    if found.is_empty() { Err(Error::OtherArch { asked: asked.name(), found: first }) } else { Ok(found) }
}

/// What `recognise` finds under the prefixes of the keys; nothing below a prefix where something was found.
fn networks(state: &StateDict, recognise: impl Fn(&str) -> Option<Identified>) -> Vec<Identified> {
    let mut tried = BTreeSet::new();
    let mut prefixes = Vec::new();
    for name in state.names() {
        for (at, _) in name.match_indices('.').take(MAX_COMPONENTS) {
            if tried.insert(&name[..at]) {
                prefixes.push(&name[..at]);
            }
        }
    }
    prefixes.truncate(MAX_PREFIXES);
    // Short ones first, in the order of the file.
    prefixes.sort_by_key(|prefix| prefix.matches('.').count());
    let mut found: Vec<Identified> = Vec::new();
    for prefix in prefixes {
        let within = |found: &Identified| prefix.strip_prefix(&*found.prefix).is_some_and(|rest| rest.starts_with('.'));
        if !found.iter().any(within) {
            found.extend(recognise(prefix));
        }
    }
    found
}
