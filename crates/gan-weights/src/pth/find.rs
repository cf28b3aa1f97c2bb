//! Which part of a pickled object is the state dict.

use std::collections::HashSet;

use super::pickle::{Heap, Value};
use super::refusal::{Checked, RESAVE, Refusal};
use crate::shown;

/// Training loops keep state dicts at most this many dicts deep.
const MAX_DEPTH: usize = 3;

/// Names that a message lists.
const MAX_LISTED: usize = 8;

/// Names under which training loops keep the weights to be used, the better choice first.
const PREFERRED: [&str; 9] =
    ["params_ema", "state_dict", "model_state_dict", "model", "params", "netG", "netG_state_dict", "generator", "G"];

/// A dict of tensors inside a pickle.
#[derive(Debug)]
struct Candidate<'a> {
    dict: usize,
    path: Vec<&'a str>,
}

/// The state dict of a pickle, and what to tell the user about the choice.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) dict: usize,
    pub(super) notes: Vec<String>,
}

/// Finds the state dict in the object `root`: itself, or the one at `entry` (names joined by dots), or the only one
/// or the best named one among nested dicts.
pub(super) fn state_dict<'a>(root: Value<'a>, heap: &Heap<'a>, entry: Option<&str>) -> Checked<Found> {
    let Value::Dict(top) = root else {
        return Err(Refusal::Unsupported(format!("the file holds a {}, not a state dict", root.kind()), RESAVE));
    };
    let mut search = Search { heap, seen: vec![false; heap.dict_count()], found: Vec::new() };
    search.visit(top, &mut Vec::new());
    let candidates = search.found;
    let mut paths = HashSet::new();
    if let Some(twice) = candidates.iter().find(|candidate| !paths.insert(&candidate.path)) {
        return Err(Refusal::Damaged(format!("the file holds {} twice", quoted(&joined(&twice.path)))));
    }
    let chosen = match entry {
        Some(entry) => candidates
            .iter()
            .find(|candidate| joined(&candidate.path) == entry)
            .ok_or_else(|| none(&absent(entry, top, heap), &candidates))?,
        None => choose(&candidates, heap)?,
    };
    let mut notes = Vec::new();
    if !chosen.path.is_empty() {
        notes.push(format!("state dict found under {}", quoted(&joined(&chosen.path))));
        notes.extend(beside(top, chosen.path[0], heap));
    }
    Ok(Found { dict: chosen.dict, notes })
}

/// Why there is no state dict at `entry`.
fn absent(entry: &str, top: usize, heap: &Heap<'_>) -> String {
    let value = heap.dict(top).iter().find(|(key, _)| matches!(key, Value::Text(key) if *key == entry));
    match value {
        Some((_, value)) => format!("a {} under {}, no state dict", shown(&heap.kind(value)), quoted(entry)),
        None => format!("no state dict under {}", quoted(entry)),
    }
}

struct Search<'a, 'h> {
    heap: &'h Heap<'a>,
    /// Dicts may be shared or contain themselves; each is visited once.
    seen: Vec<bool>,
    found: Vec<Candidate<'a>>,
}

impl<'a> Search<'a, '_> {
    fn visit(&mut self, dict: usize, path: &mut Vec<&'a str>) {
        if std::mem::replace(&mut self.seen[dict], true) {
            return;
        }
        let entries = self.heap.dict(dict);
        // An optimizer's state holds tensors too, but no weights.
        if entries.iter().any(|(key, _)| matches!(key, Value::Text("param_groups"))) {
            return;
        }
        if entries.iter().any(|entry| matches!(entry, (Value::Text(_), Value::Tensor(_)))) {
            self.found.push(Candidate { dict, path: path.clone() });
        }
        if path.len() == MAX_DEPTH {
            return;
        }
        for &(key, value) in entries {
            if let (Value::Text(key), Value::Dict(nested)) = (key, value) {
                path.push(key);
                self.visit(nested, path);
                path.pop();
            }
        }
    }
}

fn choose<'c, 'a>(candidates: &'c [Candidate<'a>], heap: &Heap<'a>) -> Checked<&'c Candidate<'a>> {
    // Tensors at the top are the state dict itself, unless they are a loss or a counter beside a nested one.
    let top_is_network = |candidate: &Candidate<'_>| {
        let entries = heap.dict(candidate.dict);
        entries
            .iter()
            .any(|(key, value)| matches!((key, value), (Value::Text(key), Value::Tensor(_)) if key.contains('.')))
    };
    match candidates {
        [] => return Err(none("no state dict", candidates)),
        [only] => return Ok(only),
        [top, ..] if top.path.is_empty() && top_is_network(top) => return Ok(top),
        _ => {}
    }
    let nested: Vec<_> = candidates.iter().filter(|candidate| !candidate.path.is_empty()).collect();
    if let [only] = nested[..] {
        return Ok(only);
    }
    PREFERRED
        .iter()
        .find_map(|name| nested.iter().find(|candidate| candidate.path.last() == Some(name)))
        .copied()
        .ok_or_else(|| none("several state dicts and no way to tell which is meant", candidates))
}

fn none(what: &str, candidates: &[Candidate<'_>]) -> Refusal {
    if candidates.is_empty() {
        return Refusal::Unsupported(format!("the file holds {what}"), RESAVE);
    }
    let mut names: Vec<_> =
        candidates.iter().take(MAX_LISTED).map(|candidate| quoted(&joined(&candidate.path))).collect();
    if candidates.len() > MAX_LISTED {
        names.push("…".into());
    }
    Refusal::Unsupported(format!("the file holds {what}; there are {}", names.join(", ")), "name one of them")
}

/// One note about the entries of the top dict that are not used.
fn beside(top: usize, used: &str, heap: &Heap<'_>) -> Option<String> {
    let mut others = Vec::new();
    for (key, value) in heap.dict(top) {
        let Value::Text(key) = key else { continue };
        if *key == used {
            continue;
        }
        if others.len() == MAX_LISTED {
            others.push("…".into());
            break;
        }
        others.push(match value {
            Value::Int(n) => format!("{} = {n}", shown(key)),
            Value::Float(x) => format!("{} = {x}", shown(key)),
            Value::Text(text) => format!("{} = {}", shown(key), quoted(text)),
            other => format!("{} ({})", shown(key), shown(&heap.kind(other))),
        });
    }
    (!others.is_empty()).then(|| format!("not used: {}", others.join(", ")))
}

fn joined(path: &[&str]) -> String {
    path.join(".")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", shown(text))
}
