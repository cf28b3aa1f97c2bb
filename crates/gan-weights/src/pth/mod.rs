//! Files of `torch.save`: reading them without Python, and writing them for it.
//!
//! Read are both containers, the zip archive of PyTorch 1.6 and later and the concatenated pickles of before; of the
//! objects in them, state dicts, alone or among the other things that a training loop saves, and networks that were
//! pickled whole. Tensors come back contiguous, in host memory, in the order of the file, whatever device, stride, sign or
//! shared storage they were saved with; those of types that candle lacks as bytes ([`StateDict::others`]).
//!
//! A pickle is a program, so a `.pth` file from the network is code from the network. Nothing of it is executed
//! here: the interpreter knows the handful of names that a state dict needs, and every other class is a placeholder that is
//! neither imported nor built. A file that names what would run a program (`os.system`, `eval`) is refused by that name. A
//! file is also refused when reading it would take more than four times its size (and four megabytes) of memory, when it
//! holds more than 65536 tensors, or when any of its parts is missing or contradicts another.
//!
//! ```no_run
//! let loaded = gan_weights::pth::read("latest_net_G.pth")?;
//! for note in &loaded.notes {
//!     // "state dict found under "model"", "not used: epoch = 200", …
//!     # let _ = note;
//! }
//! let weight = loaded.state.get("model.1.weight");
//! # Ok::<(), gan_weights::Error>(())
//! ```

mod budget;
mod bytes;
mod container;
mod find;
mod module;
mod pickle;
mod refusal;
mod stored;
mod tensors;
mod unread;
mod write;
mod zip;

use std::collections::{HashMap, HashSet};
use std::path::Path;

use self::budget::Budget;
use self::container::Contents;
use self::find::Place;
use self::pickle::{TensorRef, Value};
use self::refusal::{Checked, Refusal};
use crate::file::read_file;
use crate::limits::MAX_TENSORS;
use crate::raw::Built;
use crate::source::Source;
use crate::{Loaded, Origin, Result, StateDict, shown};

pub use write::write;

/// Reads the state dict of the `.pth` file at `path`, in either container format.
///
/// Where the file holds a training loop's dict, the state dict is looked for in it; the notes say where it was found
/// and what was left out. Keys are returned as they stand in the file: see
/// [`normalize_keys`](crate::normalize_keys) for what older files may need.
///
/// # Errors
/// [`crate::Error::Io`] where the file cannot be read, [`crate::Error::ForbiddenImport`] where its pickle wants to
/// import anything that a state dict does not need, [`crate::Error::BadWeights`] where it is damaged, hostile,
/// foreign or holds no state dict.
pub fn read(path: impl AsRef<Path>) -> Result<Loaded> {
    let path = path.as_ref();
    read_file(path, |file| read_of(file, None, Origin::from(path)))
}

/// Reads the state dict of a `.pth` file that is already in memory. See [`read`].
///
/// # Errors
/// As [`read`], except that nothing is read from disk.
pub fn read_bytes(file: &[u8]) -> Result<Loaded> {
    read_of(&Source::Memory(file), None, Origin::Memory)
}

/// [`read`] for a file of `origin`, of the state dict at `entry` where there is one.
pub(crate) fn read_of(file: &Source<'_>, entry: Option<&str>, origin: Origin) -> Result<Loaded> {
    let mut budget = Budget::for_file(file.len());
    container::open(file, &mut budget, |contents, budget| load(file, contents, entry, budget))
        .map_err(|refusal| refusal.at(origin))
}

/// The names of the state dicts of the `.pth` file `file`, as [`read_entry`](crate::read_entry) takes them; that of the
/// object itself is empty. No tensors are read.
pub(crate) fn entries_of(file: &Source<'_>, origin: Origin) -> Result<Vec<String>> {
    let mut budget = Budget::for_file(file.len());
    container::open(file, &mut budget, |Contents { pickle, .. }, _| find::names(pickle.root, &pickle.heap))
        .map_err(|refusal| refusal.at(origin))
}

fn load(file: &Source<'_>, contents: &Contents<'_>, entry: Option<&str>, budget: &mut Budget) -> Checked<Loaded> {
    let heap = &contents.pickle.heap;
    let found = find::state_dict(contents.pickle.root, heap, entry)?;
    let mut notes = found.notes;
    if contents.trailing > 0 {
        notes.push(format!("{} bytes after the last storage ignored", contents.trailing));
    }
    let entries = match found.place {
        Place::Dict(dict) => Entries::Dict(heap.dict(dict)),
        Place::Module(module) => Entries::Module(module::state_dict(module, heap, budget)?),
    };
    if entries.len() > MAX_TENSORS {
        return Err(Refusal::Damaged(format!("a state dict of {} entries, more than {MAX_TENSORS}", entries.len())));
    }
    budget.take(entries.len() as u64 * PER_TENSOR, "the names of the tensors")?;
    let mut state = StateDict::new();
    let mut names = HashSet::with_capacity(entries.len());
    let mut tensors = Vec::with_capacity(entries.len());
    let mut others = 0;
    for at in 0..entries.len() {
        let (name, value) = entries.get(at)?;
        if !names.insert(name) {
            return Err(Refusal::Damaged(format!("the state dict holds {} twice", shown(name))));
        }
        if let Some(what) = unread::kind(value, heap) {
            budget.take(name.len() as u64, "the names of the tensors")?;
            state.push_unread(name, what);
        }
        let Value::Tensor(tensor) = value else {
            others += 1;
            if others <= MAX_NOTED {
                notes.push(match unread::kind(value, heap) {
                    Some(what) => format!("{} ignored: {what}", shown(name)),
                    None => format!("{} ({}) ignored: not a tensor", shown(name), shown(&heap.kind(&value))),
                });
            }
            continue;
        };
        budget.take(name.len() as u64, "the names of the tensors")?;
        tensors.push((name, heap.tensor(tensor)));
    }
    if others > MAX_NOTED {
        notes.push(format!("{} more entries ignored: not tensors", others - MAX_NOTED));
    }
    let built = build_all(file, contents, &tensors, budget)?;
    for ((name, _), built) in tensors.into_iter().zip(built) {
        state.push_built(name, built);
    }
    Ok(Loaded { state, format: contents.format, notes })
}

/// Makes tensors, storage by storage, in the order of the file: each storage is read once, and is in memory while its tensors
/// are made. Storages that no tensor refers to are compared with their checksums as well.
fn build_all(
    file: &Source<'_>,
    contents: &Contents<'_>,
    tensors: &[(&str, &TensorRef)],
    budget: &mut Budget,
) -> Checked<Vec<Built>> {
    let heap = &contents.pickle.heap;
    let mut wanted: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, (_, tensor)) in tensors.iter().enumerate() {
        wanted.entry(heap.storage(tensor.storage).key).or_default().push(at);
    }
    let mut storages: Vec<_> = contents.storages.iter().collect();
    storages.sort_unstable_by_key(|(_, stored)| stored.range.start);
    // With a buffer for each, small tensors would settle where buffers were, and the next buffer would find no room there.
    let mut buffer = file.buffer(storages.iter().map(|(_, stored)| stored.range.len()).max().unwrap_or_default());
    let mut built = Vec::with_capacity(tensors.len());
    for (key, stored) in storages {
        let wanted = wanted.get(key).map_or(&[][..], Vec::as_slice);
        if wanted.is_empty() && stored.is_unchecked() && contents.misfit.is_none() {
            continue;
        }
        let data = stored.read(file, &format!("{}{key}", contents.folder), &mut buffer, budget)?;
        if let Some((_, reason)) = contents.misfit.as_ref().filter(|(misfit, _)| misfit == key) {
            return Err(Refusal::Damaged(reason.clone()));
        }
        for &at in wanted {
            let tensor = tensors[at].1;
            built.push((at, tensors::build(tensor, heap.storage(tensor.storage), data, budget)?));
        }
    }
    built.sort_unstable_by_key(|(at, _)| *at);
    Ok(built.into_iter().map(|(_, built)| built).collect())
}

/// The entries of a state dict.
enum Entries<'a, 'h> {
    Dict(&'h [(Value<'a>, Value<'a>)]),
    Module(Vec<(String, Value<'a>)>),
}

impl<'a> Entries<'a, '_> {
    fn len(&self) -> usize {
        match self {
            Self::Dict(entries) => entries.len(),
            Self::Module(entries) => entries.len(),
        }
    }

    /// Name and value of the entry at `at`.
    fn get(&self, at: usize) -> Checked<(&str, Value<'a>)> {
        match self {
            Self::Dict(entries) => match entries[at] {
                (Value::Text(name), value) => Ok((name, value)),
                (key, _) => Err(Refusal::Damaged(format!("a state dict has a {} as a key", key.kind()))),
            },
            Self::Module(entries) => Ok((&entries[at].0, entries[at].1)),
        }
    }
}

/// Notes about single entries; a hostile file could ask for any number of them.
const MAX_NOTED: usize = 8;

/// What a tensor takes beside its name and its elements: its place in the state dict, in the set of names, and
/// candle's own record of it.
const PER_TENSOR: u64 = 512;
