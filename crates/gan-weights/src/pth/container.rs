//! From the bytes of either container to a pickle and the data of the storages it refers to.

use std::collections::HashMap;

use super::budget::Budget;
use super::bytes::{Cursor, range};
use super::pickle::{self, Heap, Pickle, StorageRef, Value};
use super::refusal::{Checked, Refusal};
use super::stored::Stored;
use super::zip::Archive;
use crate::source::Source;
use crate::{Format, foreign};

/// What a file holds.
#[derive(Debug)]
pub(super) struct Contents<'a> {
    pub(super) format: Format,
    pub(super) pickle: Pickle<'a>,
    /// What stands before the keys of storages in their names.
    pub(super) folder: String,
    /// Where the raw little-endian elements are, by storage key.
    pub(super) storages: HashMap<&'a str, Stored>,
    /// A storage whose data, if they are what they say, are not as long as the pickle says, and why.
    pub(super) misfit: Option<(&'a str, String)>,
    /// How many bytes follow the last storage.
    pub(super) trailing: usize,
}

/// The pickle of 0x1950a86a20f9469cfc6c, which legacy files start with.
const LEGACY_MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// The only version of the legacy format that was ever written.
const LEGACY_VERSION: i64 = 1001;

/// Runs the pickle of `file`, whose first bytes tell the container, and calls `f` with it and with where the storages are to
/// which it refers.
pub(super) fn open<T>(
    file: &Source<'_>,
    budget: &mut Budget,
    f: impl FnOnce(&Contents<'_>, &mut Budget) -> Checked<T>,
) -> Checked<T> {
    match *file.head(2)? {
        [] => Err(Refusal::Truncated("it is empty".into())),
        [b'P', b'K'] => zip(file, budget, f),
        [0x80, ..] => legacy(file, budget, f),
        _ => {
            let (what, remedy) = foreign::recognise(file)?;
            Err(Refusal::Unsupported(what, remedy))
        }
    }
}

fn zip<T>(
    file: &Source<'_>,
    budget: &mut Budget,
    f: impl FnOnce(&Contents<'_>, &mut Budget) -> Checked<T>,
) -> Checked<T> {
    let archive = Archive::open(file, budget)?;
    if archive.names().any(|name| name.ends_with("/constants.pkl") || name.contains("/code/")) {
        return Err(Refusal::Unsupported(
            "a TorchScript program, not a state dict".into(),
            "save its weights from Python: torch.save(torch.jit.load(path).state_dict(), out)",
        ));
    }
    let root = archive.root()?;
    let (byteorder, code) = (format!("{root}/byteorder"), format!("{root}/data.pkl"));
    let mut buffer = Vec::new();
    if archive.contains(&byteorder)
        && archive.entry(&byteorder)?.read(file, &byteorder, &mut buffer, budget)? != b"little"
    {
        return Err(big_endian());
    }
    let code = archive.entry(&code)?.read(file, &code, &mut buffer, budget)?;
    let pickle = pickle::run(code, 0, budget)?;
    if pickle.end != code.len() {
        return Err(Refusal::Damaged(format!("{} bytes follow the pickle in data.pkl", code.len() - pickle.end)));
    }
    let folder = format!("{root}/data/");
    let (mut storages, mut misfit) = (HashMap::new(), None);
    for storage in pickle.heap.storages() {
        let entry = archive.entry(&format!("{folder}{}", storage.key))?;
        if storages.insert(storage.key, entry.clone()).is_none() {
            budget.take(4 * size_of::<(&str, Stored)>() as u64, "the table of storages")?;
        }
        let needed = byte_count(storage, storage.count)? as u64;
        // A storage of another element type may end in a part of an element.
        if entry.size < needed || entry.size - needed >= storage.element.width() as u64 {
            let (count, element) = (storage.count, storage.element.name());
            let reason = format!("a storage of {count} {element} elements is stored in {} bytes", entry.size);
            misfit.get_or_insert((storage.key, reason));
        }
    }
    f(&Contents { format: Format::PthZip, pickle, folder, storages, misfit, trailing: 0 }, budget)
}

/// The pickles at the front of a legacy file are a small part of it; so much is read at first, and four times as much as long as
/// they go on behind it.
const HEAD: usize = 1 << 20;

fn legacy<T>(
    file: &Source<'_>,
    budget: &mut Budget,
    f: impl FnOnce(&Contents<'_>, &mut Budget) -> Checked<T>,
) -> Checked<T> {
    let mut length = HEAD;
    loop {
        let head = file.head(length)?;
        let mut left = budget.clone();
        match legacy_pickles(&head, &mut left) {
            Err(Refusal::Truncated(_)) if length < file.len() => length *= 4,
            Err(refusal) => return Err(refusal),
            Ok((pickle, keys)) => {
                let (storages, end) = legacy_storages(file, &pickle.heap, &keys, &mut left)?;
                let trailing = file.len() - end;
                let (format, folder, misfit) = (Format::PthLegacy, String::new(), None);
                let contents = Contents { format, pickle, folder, storages, misfit, trailing };
                return f(&contents, &mut left);
            }
        }
    }
}

/// Magic number, version, system, object and storage keys, each a pickle. Returns those of the object and of the keys, behind
/// which the storages follow, each after its length.
fn legacy_pickles<'a>(file: &'a [u8], budget: &mut Budget) -> Checked<(Pickle<'a>, Pickle<'a>)> {
    let magic = pickle::run(file, 0, budget)?;
    match magic.root {
        Value::Long(digits) if digits == LEGACY_MAGIC => {}
        _ => {
            return Err(Refusal::Unsupported(
                "a bare pickle, which torch.save did not write".into(),
                foreign::FROM_PICKLE,
            ));
        }
    }
    let version = pickle::run(file, magic.end, budget)?;
    match version.root {
        Value::Int(LEGACY_VERSION) => {}
        _ => return Err(Refusal::Damaged("the version of a legacy container is not 1001".into())),
    }
    let system = pickle::run(file, version.end, budget)?;
    if !is_little_endian(&system) {
        return Err(big_endian());
    }
    let object = pickle::run(file, system.end, budget)?;
    let keys = pickle::run(file, object.end, budget)?;
    Ok((object, keys))
}

/// Finds the storages that `keys` lists, and where the last one ends.
fn legacy_storages<'a>(
    file: &Source<'_>,
    heap: &Heap<'a>,
    keys: &Pickle<'a>,
    budget: &mut Budget,
) -> Checked<(HashMap<&'a str, Stored>, usize)> {
    let Value::List(listed) = keys.root else {
        return Err(Refusal::Damaged(format!("the list of storages is a {}", keys.root.kind())));
    };
    budget.take((heap.storages().len() * 4 * size_of::<(&str, Stored)>()) as u64, "the table of storages")?;
    let mut known: HashMap<&str, &StorageRef<'_>> = HashMap::new();
    for storage in heap.storages() {
        let first = known.entry(storage.key).or_insert(storage);
        if first.element.width() != storage.element.width() || first.count != storage.count {
            return Err(Refusal::Damaged("two references to one storage disagree about its size".into()));
        }
    }
    let (mut storages, mut at) = (HashMap::new(), keys.end);
    for &key in keys.heap.list(listed) {
        let Value::Text(key) = key else {
            return Err(Refusal::Damaged(format!("a storage's key is a {}", key.kind())));
        };
        let Some(storage) = known.get(key) else {
            return Err(Refusal::Damaged("the list of storages names one that no tensor uses".into()));
        };
        let what = "a storage's element count";
        let count = file.read(range(at, size_of::<i64>(), file.len(), what)?)?;
        let count = Cursor::new(&count, 0).i64(what)?;
        if usize::try_from(count) != Ok(storage.count) {
            return Err(Refusal::Damaged(format!(
                "a storage of {} elements is announced and one of {count} follows",
                storage.count
            )));
        }
        let data = range(at + size_of::<i64>(), byte_count(storage, storage.count)?, file.len(), "a storage")?;
        at = data.end;
        if storages.insert(key, Stored::plain(data)).is_some() {
            return Err(Refusal::Damaged("the list of storages names one twice".into()));
        }
    }
    if let Some(lacking) = heap.storages().iter().find(|storage| !storages.contains_key(storage.key)) {
        return Err(Refusal::Damaged(format!(
            "a storage of {} elements is not in the file's list of storages",
            lacking.count
        )));
    }
    Ok((storages, at))
}

/// Size in bytes of `count` elements of `storage`.
fn byte_count(storage: &StorageRef<'_>, count: usize) -> Checked<usize> {
    count
        .checked_mul(storage.element.width())
        .ok_or_else(|| Refusal::Damaged(format!("a storage of {count} elements is larger than memory")))
}

fn is_little_endian(system: &Pickle<'_>) -> bool {
    let Value::Dict(entries) = system.root else { return false };
    let little = |entry: &(Value<'_>, Value<'_>)| matches!(entry, (Value::Text("little_endian"), Value::Bool(true)));
    system.heap.dict(entries).iter().any(little)
}

fn big_endian() -> Refusal {
    Refusal::Unsupported(
        "the file was written on a big-endian machine".into(),
        "load it in PyTorch on a little-endian machine and save it again",
    )
}
