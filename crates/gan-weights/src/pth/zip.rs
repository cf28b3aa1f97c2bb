//! The container of PyTorch 1.6 and later: a zip archive.
//!
//! Every byte belongs to at most one entry, and the local headers, the central directory and the end records have to agree.
//! That excludes archives which mean different things to different readers. `torch.save` compresses nothing, but people pack
//! archives again: deflated entries are inflated, within the budget, so that no archive is far larger inside than outside.

use std::collections::HashMap;

use super::budget::Budget;
use super::bytes::{Cursor, range};
use super::refusal::{Checked, RESAVE, Refusal};
use super::stored::{STORED, Stored};
use crate::source::Source;
use crate::{foreign, shown};

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END64: u32 = 0x0606_4b50;
const LOCATOR64: u32 = 0x0706_4b50;

const END_SIZE: usize = 22;
const LOCATOR64_SIZE: usize = 20;
const END64_SIZE: usize = 56;
const LOCAL_SIZE: usize = 30;

/// Flag bits of an entry.
const ENCRYPTED: u16 = 1;
const SIZES_FOLLOW: u16 = 8;

/// What a 32-bit (16-bit) field holds when the value is in a zip64 record.
const IN_ZIP64: u64 = 0xffff_ffff;
const COUNT_IN_ZIP64: u64 = 0xffff;

/// An archive whose structure has been checked.
#[derive(Debug)]
pub(super) struct Archive {
    entries: HashMap<String, Stored>,
}

/// One record of the central directory.
struct Record<'a> {
    name: &'a str,
    flags: u16,
    method: u16,
    crc: u32,
    /// Bytes in the file, and of what they hold: the same unless they are compressed.
    packed: u64,
    size: u64,
    offset: u64,
}

/// Where the central directory is, and what it holds.
struct Directory {
    start: usize,
    end: usize,
    count: u64,
}

impl Archive {
    /// Reads the directory of the archive that `file` is.
    pub(super) fn open(file: &Source<'_>, budget: &mut Budget) -> Checked<Self> {
        let directory = Directory::find(file)?;
        let records = file.read(directory.start..directory.end)?;
        let mut cursor = Cursor::of_part(&records, directory.start);
        let mut entries = HashMap::new();
        let mut occupied = Vec::new();
        while cursor.remaining() > 0 {
            let record = Record::read(&mut cursor)?;
            let stored = record.locate(file, directory.start)?;
            let name = record.name.to_owned();
            budget.take((3 * size_of::<(String, Stored)>() + name.len() + 64) as u64, "an entry of the archive")?;
            occupied.push((record.offset as usize, stored.range.end));
            if entries.insert(name, stored).is_some() {
                return Err(Refusal::Damaged(format!("the archive holds {} twice", shown(record.name))));
            }
        }
        if entries.len() as u64 != directory.count {
            return Err(Refusal::Damaged(format!(
                "the archive announces {} entries and lists {}",
                directory.count,
                entries.len()
            )));
        }
        occupied.sort_unstable();
        if occupied.windows(2).any(|pair| pair[1].0 < pair[0].1) {
            return Err(Refusal::Damaged("entries of the archive overlap".into()));
        }
        Ok(Self { entries })
    }

    /// The folder that holds `data.pkl`: `archive`, or the name the file was first saved under.
    pub(super) fn root(&self) -> Checked<&str> {
        let mut roots = self.entries.keys().filter_map(|name| name.strip_suffix("/data.pkl"));
        let Some(root) = roots.next() else {
            let (what, remedy) = foreign::recognise_archive(self.names());
            return Err(Refusal::Unsupported(what, remedy));
        };
        if roots.next().is_some() {
            return Err(Refusal::Damaged("the archive holds more than one data.pkl".into()));
        }
        Ok(root)
    }

    /// The names of all entries, in no order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Whether there is an entry of this name.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// Where the data of entry `name` are.
    pub(super) fn entry(&self, name: &str) -> Checked<&Stored> {
        self.entries.get(name).ok_or_else(|| Refusal::Damaged(format!("the archive lacks {}", shown(name))))
    }
}

impl Directory {
    fn find(file: &Source<'_>) -> Checked<Self> {
        let lowest = file.len().saturating_sub(END_SIZE + usize::from(u16::MAX));
        let tail = file.read(lowest..file.len())?;
        let Some(at) = (0..=tail.len().saturating_sub(END_SIZE)).rev().find(|&at| is_end(&tail, at)) else {
            return Err(Refusal::Truncated("the zip archive has no end record".into()));
        };
        let mut end = Cursor::new(&tail, at + 4);
        let at = lowest + at;
        let what = "the end record";
        let (disk, first_disk) = (end.u16(what)?, end.u16(what)?);
        let (here, mut count) = (u64::from(end.u16(what)?), u64::from(end.u16(what)?));
        let (mut size, mut start) = (u64::from(end.u32(what)?), u64::from(end.u32(what)?));
        if disk != first_disk || here != count || disk != 0 {
            return Err(Refusal::Unsupported("a zip archive in several parts".into(), RESAVE));
        }
        let mut boundary = at;
        if let Some(locator_at) = at.checked_sub(LOCATOR64_SIZE) {
            let locator = file.read(locator_at..at)?;
            if Cursor::new(&locator, 0).u32(what)? == LOCATOR64 {
                let wide = Zip64End::read(file, &locator, locator_at)?;
                boundary = wide.at;
                resolve(&mut count, COUNT_IN_ZIP64, wide.count)?;
                resolve(&mut size, IN_ZIP64, wide.size)?;
                resolve(&mut start, IN_ZIP64, wide.start)?;
            }
        }
        let directory = usize::try_from(start)
            .ok()
            .zip(start.checked_add(size).and_then(|end| usize::try_from(end).ok()))
            .filter(|&(_, end)| end == boundary);
        let Some((start, end)) = directory else {
            return Err(Refusal::Damaged("the archive's directory is not where its end record says".into()));
        };
        Ok(Self { start, end, count })
    }
}

/// Whether an end record at `at` reaches, with its comment, exactly to the end of the file.
fn is_end(file: &[u8], at: usize) -> bool {
    let record = &file[at..];
    record.len() >= END_SIZE
        && record[..4] == END.to_le_bytes()
        && usize::from(u16::from_le_bytes([record[20], record[21]])) == record.len() - END_SIZE
}

/// Takes a field from its zip64 record where it says so; where both are given they have to agree.
fn resolve(field: &mut u64, escape: u64, wide: u64) -> Checked<()> {
    if *field != escape && *field != wide {
        return Err(Refusal::Damaged("the archive's two end records contradict each other".into()));
    }
    *field = wide;
    Ok(())
}

struct Zip64End {
    at: usize,
    count: u64,
    size: u64,
    start: u64,
}

impl Zip64End {
    /// Reads the record that `locator` points to and that ends at byte `limit`, where the locator is.
    fn read(file: &Source<'_>, locator: &[u8], limit: usize) -> Checked<Self> {
        let what = "the zip64 end record";
        let at = usize::try_from(Cursor::new(locator, 8).u64(what)?).unwrap_or(usize::MAX);
        let record = file.read(range(at, END64_SIZE, limit, what)?)?;
        let mut cursor = Cursor::of_part(&record, at);
        let signature = cursor.u32(what)?;
        let length = cursor.u64(what)?;
        if signature != END64 || (limit - at - 12) as u64 != length {
            return Err(Refusal::Damaged("the archive's zip64 end record is not where its locator says".into()));
        }
        cursor.take(12, what)?;
        let (here, count) = (cursor.u64(what)?, cursor.u64(what)?);
        if here != count {
            return Err(Refusal::Unsupported("a zip archive in several parts".into(), RESAVE));
        }
        Ok(Self { at, count, size: cursor.u64(what)?, start: cursor.u64(what)? })
    }
}

impl<'a> Record<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Checked<Self> {
        let what = "the archive's directory";
        if cursor.u32(what)? != CENTRAL {
            return Err(Refusal::Damaged("the archive's directory holds something else than entries".into()));
        }
        cursor.take(4, what)?;
        let (flags, method) = (cursor.u16(what)?, cursor.u16(what)?);
        cursor.take(4, what)?;
        let crc = cursor.u32(what)?;
        let (mut packed, mut size) = (u64::from(cursor.u32(what)?), u64::from(cursor.u32(what)?));
        let (name, extra, comment) = (cursor.u16(what)?, cursor.u16(what)?, cursor.u16(what)?);
        cursor.take(8, what)?;
        let mut offset = u64::from(cursor.u32(what)?);
        let name = std::str::from_utf8(cursor.take(name.into(), what)?)
            .map_err(|_| Refusal::Damaged("the archive holds a name that is not UTF-8".into()))?;
        let extra = cursor.take(extra.into(), what)?;
        cursor.take(comment.into(), what)?;
        widen(extra, [&mut size, &mut packed, &mut offset])?;
        if flags & ENCRYPTED != 0 {
            return Err(Refusal::Unsupported(format!("{} is encrypted", shown(name)), RESAVE));
        }
        if method == STORED && packed != size {
            return Err(Refusal::Damaged(format!("{} is stored in {packed} bytes and holds {size}", shown(name))));
        }
        Ok(Self { name, flags, method, crc, packed, size, offset })
    }

    /// Where the entry's data are, behind its local header and before byte `limit`.
    fn locate(&self, file: &Source<'_>, limit: usize) -> Checked<Stored> {
        let what = "an entry of the archive";
        let contradiction =
            || Refusal::Damaged(format!("the two headers of {} contradict each other", shown(self.name)));
        let start = usize::try_from(self.offset).unwrap_or(usize::MAX);
        let header = file.read(range(start, LOCAL_SIZE, limit, what)?)?;
        let mut cursor = Cursor::of_part(&header, start);
        if cursor.u32(what)? != LOCAL {
            return Err(Refusal::Damaged(format!("{} is not where the directory says", shown(self.name))));
        }
        cursor.take(2, what)?;
        let (flags, method) = (cursor.u16(what)?, cursor.u16(what)?);
        cursor.take(4, what)?;
        let crc = cursor.u32(what)?;
        let (packed, size) = (u64::from(cursor.u32(what)?), u64::from(cursor.u32(what)?));
        let (name, extra) = (cursor.u16(what)?, cursor.u16(what)?);
        let name = range(start + LOCAL_SIZE, name.into(), limit, what)?;
        let extra = range(name.end, extra.into(), limit, what)?;
        if flags != self.flags || method != self.method || *file.read(name)? != *self.name.as_bytes() {
            return Err(contradiction());
        }
        let told = flags & SIZES_FOLLOW == 0 && size != IN_ZIP64;
        if told && (size != self.size || packed != self.packed || crc != self.crc) {
            return Err(contradiction());
        }
        let packed = usize::try_from(self.packed).unwrap_or(usize::MAX);
        let range = range(extra.end, packed, limit, &shown(self.name))?;
        Ok(Stored { range, method, crc: self.crc, size: self.size })
    }
}

/// Replaces the fields that say so by their values from the zip64 extra field, which holds just those, in order.
fn widen(extra: &[u8], fields: [&mut u64; 3]) -> Checked<()> {
    const ZIP64: u16 = 1;
    let what = "an extra field of the archive";
    let mut cursor = Cursor::new(extra, 0);
    while cursor.remaining() > 0 {
        let (id, length) = (cursor.u16(what)?, cursor.u16(what)?);
        let body = cursor.take(length.into(), what)?;
        if id == ZIP64 {
            let mut wide = Cursor::new(body, 0);
            for field in fields {
                if *field == IN_ZIP64 {
                    *field = wide.u64(what)?;
                }
            }
            return Ok(());
        }
    }
    Ok(())
}
