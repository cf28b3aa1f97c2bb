//! From the bytes of either container to a pickle and the data of the storages it refers to.

use std::collections::HashMap;

use super::budget::Budget;
use super::bytes::Cursor;
use super::pickle::{self, Heap, Pickle, StorageRef, Value};
use super::refusal::{Checked, Refusal};
use super::zip::Archive;
use crate::{Format, foreign};

/// What a file holds.
#[derive(Debug)]
pub(super) struct Contents<'a> {
    pub(super) format: Format,
    pub(super) pickle: Pickle<'a>,
    /// Raw little-endian elements, by storage key.
    pub(super) data: HashMap<&'a str, &'a [u8]>,
    /// How many bytes follow the last storage.
    pub(super) trailing: usize,
}

/// The pickle of 0x1950a86a20f9469cfc6c, which legacy files start with.
const LEGACY_MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// The only version of the legacy format that was ever written.
const LEGACY_VERSION: i64 = 1001;

/// The container of a file, told by its first bytes.
#[derive(Debug)]
pub(super) enum Container<'a> {
    Zip(Archive<'a>),
    Legacy(&'a [u8]),
}

impl<'a> Container<'a> {
    pub(super) fn of(file: &'a [u8], budget: &mut Budget) -> Checked<Self> {
        match file {
            [] => Err(Refusal::Truncated("it is empty".into())),
            [b'P', b'K', ..] => Archive::open(file, budget).map(Self::Zip),
            [0x80, ..] => Ok(Self::Legacy(file)),
            _ => {
                let (what, remedy) = foreign::recognise(file);
                Err(Refusal::Unsupported(what, remedy))
            }
        }
    }

    /// Runs the pickle and finds the storages that it refers to.
    pub(super) fn contents(&self, budget: &mut Budget) -> Checked<Contents<'_>> {
        match self {
            Self::Zip(archive) => zip(archive, budget),
            Self::Legacy(file) => legacy(file, budget),
        }
    }
}

fn zip<'a>(archive: &'a Archive<'_>, budget: &mut Budget) -> Checked<Contents<'a>> {
    if archive.names().any(|name| name.ends_with("/constants.pkl") || name.contains("/code/")) {
        return Err(Refusal::Unsupported(
            "a TorchScript program, not a state dict".into(),
            "save its weights from Python: torch.save(torch.jit.load(path).state_dict(), out)",
        ));
    }
    let root = archive.root()?;
    let byteorder = format!("{root}/byteorder");
    if archive.contains(&byteorder) && archive.read(&byteorder, budget)? != b"little" {
        return Err(big_endian());
    }
    let code = archive.read(&format!("{root}/data.pkl"), budget)?;
    let pickle = pickle::run(code, 0, budget)?;
    if pickle.end != code.len() {
        return Err(Refusal::Damaged(format!("{} bytes follow the pickle in data.pkl", code.len() - pickle.end)));
    }
    let mut data = HashMap::new();
    for storage in pickle.heap.storages() {
        let bytes = match data.get(storage.key) {
            Some(&bytes) => bytes,
            None => {
                let bytes = archive.read(&format!("{root}/data/{}", storage.key), budget)?;
                budget.take(4 * size_of::<(&str, &[u8])>() as u64, "the table of storages")?;
                data.insert(storage.key, bytes);
                bytes
            }
        };
        let needed = byte_count(storage, storage.count)?;
        // A storage of another element type may end in a part of an element.
        if bytes.len() < needed || bytes.len() - needed >= storage.element.width() {
            return Err(Refusal::Damaged(format!(
                "a storage of {} {} elements is stored in {} bytes",
                storage.count,
                storage.element.name(),
                bytes.len()
            )));
        }
    }
    Ok(Contents { format: Format::PthZip, pickle, data, trailing: 0 })
}

/// Magic number, version, system, object and storage keys, each a pickle; then the storages, each after its length.
fn legacy<'a>(file: &'a [u8], budget: &mut Budget) -> Checked<Contents<'a>> {
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
    let mut cursor = Cursor::new(file, keys.end);
    let data = legacy_storages(&mut cursor, &object.heap, &keys, budget)?;
    if let Some(lacking) = object.heap.storages().iter().find(|storage| !data.contains_key(storage.key)) {
        return Err(Refusal::Damaged(format!(
            "a storage of {} elements is not in the file's list of storages",
            lacking.count
        )));
    }
    Ok(Contents { format: Format::PthLegacy, pickle: object, data, trailing: cursor.remaining() })
}

fn legacy_storages<'a>(
    cursor: &mut Cursor<'a>,
    heap: &Heap<'a>,
    keys: &Pickle<'a>,
    budget: &mut Budget,
) -> Checked<HashMap<&'a str, &'a [u8]>> {
    let Value::List(listed) = keys.root else {
        return Err(Refusal::Damaged(format!("the list of storages is a {}", keys.root.kind())));
    };
    budget.take((heap.storages().len() * 4 * size_of::<(&str, &StorageRef<'_>)>()) as u64, "the table of storages")?;
    let mut known: HashMap<&str, &StorageRef<'_>> = HashMap::new();
    for storage in heap.storages() {
        let first = known.entry(storage.key).or_insert(storage);
        if first.element.width() != storage.element.width() || first.count != storage.count {
            return Err(Refusal::Damaged("two references to one storage disagree about its size".into()));
        }
    }
    let mut data = HashMap::new();
    for &key in keys.heap.list(listed) {
        let Value::Text(key) = key else {
            return Err(Refusal::Damaged(format!("a storage's key is a {}", key.kind())));
        };
        let Some(storage) = known.get(key) else {
            return Err(Refusal::Damaged("the list of storages names one that no tensor uses".into()));
        };
        let count = cursor.i64("a storage's element count")?;
        if usize::try_from(count) != Ok(storage.count) {
            return Err(Refusal::Damaged(format!(
                "a storage of {} elements is announced and one of {count} follows",
                storage.count
            )));
        }
        let bytes = cursor.take(byte_count(storage, storage.count)?, "a storage")?;
        if data.insert(key, bytes).is_some() {
            return Err(Refusal::Damaged("the list of storages names one twice".into()));
        }
    }
    Ok(data)
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
