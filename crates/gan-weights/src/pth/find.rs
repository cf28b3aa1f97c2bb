//! Which part of a pickled object is the state dict.

use std::collections::HashSet;

use super::module;
use super::pickle::{Heap, Value, forbidden};
use super::refusal::{Checked, RESAVE, Refusal};
use super::unread::Instead;
use crate::shown;

/// Training loops keep state dicts at most this many dicts deep.
const MAX_DEPTH: usize = 3;

/// Names that a message lists.
const MAX_LISTED: usize = 8;

/// Names under which training loops keep the weights to be used, the better choice first.
const PREFERRED: [&str; 9] =
    ["params_ema", "state_dict", "model_state_dict", "model", "params", "netG", "netG_state_dict", "generator", "G"];

/// Elements of a list in which state dicts are looked for, and their names in a path.
const INDICES: [&str; 8] = ["0", "1", "2", "3", "4", "5", "6", "7"];

/// Where the tensors of a network are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In a dict, by their names.
    Dict(usize),
    /// In a module, of whose attributes this is the dict.
    Module(usize),
}

/// The tensors of a network inside a pickle.
#[derive(Debug)]
struct Candidate<'a> {
    place: Place,
    path: Vec<&'a str>,
}

/// The state dict of a pickle, and what to tell the user about the choice.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) place: Place,
    pub(super) notes: Vec<String>,
}

/// Finds the state dict in the object `root`: itself, or the one at `entry` (names joined by dots), or the only one
/// or the best named one among nested dicts, lists and objects.
pub(super) fn state_dict<'a>(root: Value<'a>, heap: &Heap<'a>, entry: Option<&str>) -> Checked<Found> {
    let candidates = candidates(root, heap)?;
    if candidates.is_empty() {
        if let Some((what, remedy)) = Instead::of(root, heap).said() {
            return Err(Refusal::Unsupported(format!("the file holds {what}"), remedy));
        }
        match root {
            Value::Opaque(index) => {
                let (module, name) = heap.class(index);
                return Err(forbidden(module, name));
            }
            Value::Dict(_) => {}
            _ => {
                return Err(Refusal::Unsupported(
                    format!("the file holds a {}, not a state dict", root.kind()),
                    RESAVE,
                ));
            }
        }
    }
    let top = heap.items(&root);
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
        notes.extend(top.and_then(|top| beside(top, chosen.path[0], heap)));
    }
    if let Place::Module(_) = chosen.place {
        notes.push("the file holds a whole network; its parameters and buffers are used".into());
    }
    Ok(Found { place: chosen.place, notes })
}

/// The names of all state dicts in the object `root`; that of the object itself is empty.
pub(super) fn names(root: Value<'_>, heap: &Heap<'_>) -> Checked<Vec<String>> {
    Ok(candidates(root, heap)?.iter().map(|candidate| joined(&candidate.path)).collect())
}

fn candidates<'a>(root: Value<'a>, heap: &Heap<'a>) -> Checked<Vec<Candidate<'a>>> {
    let mut search = Search { heap, seen: HashSet::new(), found: Vec::new() };
    search.visit(root, &mut Vec::new());
    let candidates = search.found;
    let mut paths = HashSet::new();
    if let Some(twice) = candidates.iter().find(|candidate| !paths.insert(&candidate.path)) {
        return Err(Refusal::Damaged(format!("the file holds {} twice", quoted(&joined(&twice.path)))));
    }
    drop(paths);
    Ok(candidates)
}

/// Why there is no state dict at `entry`.
fn absent(entry: &str, top: Option<usize>, heap: &Heap<'_>) -> String {
    let entries = top.map_or(&[][..], |top| heap.dict(top));
    match entries.iter().find(|(key, _)| matches!(key, Value::Text(key) if *key == entry)) {
        Some((_, value)) => format!("a {} under {}, no state dict", shown(&heap.kind(value)), quoted(entry)),
        None => format!("no state dict under {}", quoted(entry)),
    }
}

/// A container by its kind and its place on the heap.
#[derive(PartialEq, Eq, Hash)]
enum Container {
    Items(usize),
    List(usize),
    Tuple(usize),
}

struct Search<'a, 'h> {
    heap: &'h Heap<'a>,
    /// Containers may be shared or contain themselves; each is visited once.
    seen: HashSet<Container>,
    found: Vec<Candidate<'a>>,
}

impl<'a> Search<'a, '_> {
    fn visit(&mut self, value: Value<'a>, path: &mut Vec<&'a str>) {
        let container = match (value, self.heap.items(&value)) {
            (_, Some(dict)) => Container::Items(dict),
            (Value::List(list), _) => Container::List(list),
            (Value::Tuple(tuple), _) => Container::Tuple(tuple),
            _ => return,
        };
        let elements = match container {
            Container::Items(dict) => return self.visit_dict(dict, path),
            Container::List(list) => self.heap.list(list),
            Container::Tuple(tuple) => self.heap.tuple(tuple),
        };
        if path.len() == MAX_DEPTH || !self.seen.insert(container) {
            return;
        }
        for (index, &element) in INDICES.iter().zip(elements) {
            path.push(index);
            self.visit(element, path);
            path.pop();
        }
    }

    fn visit_dict(&mut self, dict: usize, path: &mut Vec<&'a str>) {
        if !self.seen.insert(Container::Items(dict)) {
            return;
        }
        let entries = self.heap.dict(dict);
        // An optimizer's state holds tensors too, but no weights.
        if entries.iter().any(|(key, _)| matches!(key, Value::Text("param_groups"))) {
            return;
        }
        if module::is_module(dict, self.heap) {
            self.found.push(Candidate { place: Place::Module(dict), path: path.clone() });
            return;
        }
        if entries.iter().any(|entry| matches!(entry, (Value::Text(_), Value::Tensor(_)))) {
            self.found.push(Candidate { place: Place::Dict(dict), path: path.clone() });
        }
        if path.len() == MAX_DEPTH {
            return;
        }
        for &(key, value) in entries {
            if let Value::Text(key) = key {
                path.push(key);
                self.visit(value, path);
                path.pop();
            }
        }
    }
}

fn choose<'c, 'a>(candidates: &'c [Candidate<'a>], heap: &Heap<'a>) -> Checked<&'c Candidate<'a>> {
    // Tensors at the top are the state dict itself, unless they are a loss or a counter beside a nested one.
    let top_is_network = |candidate: &Candidate<'_>| {
        let Place::Dict(dict) = candidate.place else { return true };
        heap.dict(dict)
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
        .ok_or_else(|| Refusal::Several(candidates.iter().map(|candidate| joined(&candidate.path)).collect()))
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
