//! Reading a weight file of any format.

use std::path::Path;

use crate::file::read_file;
use crate::keys::{strip_compiled, strip_data_parallel};
use crate::source::Source;
use crate::{Error, Loaded, Origin, Result, StateDict, pth, safetensors, shown};

/// Reads the weight file at `path`, whichever of the formats it has; the name does not matter.
///
/// # Errors
/// [`Error::Io`] where it cannot be read, [`Error::BadWeights`] or [`Error::ForbiddenImport`] where it is damaged,
/// hostile or of another format, [`Error::SeveralStateDicts`]. See [`pth::read`].
pub fn read_any(path: impl AsRef<Path>) -> Result<Loaded> {
    let path = path.as_ref();
    read_file(path, |file| read_of(file, path))
}

fn read_of(file: &Source<'_>, path: &Path) -> Result<Loaded> {
    if is_safetensors(file, path)? {
        safetensors::read_of(file, Origin::from(path))
    } else {
        pth::read_of(file, None, Origin::from(path))
    }
}

fn is_safetensors(file: &Source<'_>, path: &Path) -> Result<bool> {
    safetensors::is_safetensors(file).map_err(|error| Error::unreadable(path, error))
}

/// Reads one network of the file at `path`: the state dict at `entry` of a `.pth` file (`"netD"`, or `"models.generator"`
/// for a dict in a dict), or, of a file of any format, the tensors whose names begin with `entry` and a dot.
///
/// # Errors
/// As [`read_any`]; where there is nothing at `entry`, the message lists the state dicts that there are.
pub fn read_entry(path: impl AsRef<Path>, entry: &str) -> Result<Loaded> {
    let path = path.as_ref();
    read_file(path, |file| read_entry_of(file, path, entry))
}

fn read_entry_of(file: &Source<'_>, path: &Path, entry: &str) -> Result<Loaded> {
    if is_safetensors(file, path)? {
        return select(read_of(file, path)?, entry).ok_or_else(|| Error::BadWeights {
            origin: Origin::from(path),
            reason: format!(
                "a safetensors file holds one state dict, and no tensor in it begins with \"{}.\"",
                shown(entry)
            ),
            remedy: "leave the entry out",
        });
    }
    let named = |name: &str| pth::read_of(file, Some(name), Origin::from(path));
    let refused = match named(entry) {
        Err(refused @ Error::BadWeights { .. }) => refused,
        read => return read,
    };
    // A prefix in the state dict that is read without a name, or in one whose name comes before it.
    let mut found = read_of(file, path).ok().and_then(|loaded| select(loaded, entry));
    for (at, _) in entry.rmatch_indices('.') {
        found = found.or_else(|| select(named(&entry[..at]).ok()?, &entry[at + 1..]));
    }
    found.ok_or(refused)
}

/// The names by which [`read_entry`] reads the state dicts of the file at `path`. The name of one that is the whole file
/// is empty.
///
/// # Errors
/// As [`read_any`].
pub fn entries(path: impl AsRef<Path>) -> Result<Vec<String>> {
    let path = path.as_ref();
    read_file(path, |file| {
        if is_safetensors(file, path)? {
            return Ok(vec![String::new()]);
        }
        pth::entries_of(file, Origin::from(path))
    })
}

/// The part of a state dict under a prefix, which may stand behind what wrappers have put before it.
fn select(mut loaded: Loaded, prefix: &str) -> Option<Loaded> {
    let is_empty = |state: &StateDict| state.is_empty() && state.others().is_empty();
    let mut part = loaded.state.under(prefix);
    if is_empty(&part) {
        let mut unwrapped = loaded.state.clone();
        strip_compiled(&mut unwrapped);
        strip_data_parallel(&mut unwrapped);
        part = unwrapped.under(prefix);
    }
    if is_empty(&part) {
        return None;
    }
    loaded.notes.push(format!("{} of {} tensors begin with \"{}.\"", part.len(), loaded.state.len(), shown(prefix)));
    loaded.state = part;
    Some(loaded)
}
