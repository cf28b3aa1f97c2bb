//! The container of PyTorch 1.6 and later: a zip archive.
//!
//! Every byte belongs to at most one entry, and the local headers, the central directory and the end records have to agree.
//! That excludes archives which mean different things to different readers. `torch.save` compresses nothing, but people pack
//! archives again: deflated entries are inflated, within the budget, so that no archive is far larger inside than outside.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::io::Read;

use flate2::read::DeflateDecoder;

use super::budget::Budget;
use super::bytes::Cursor;
use super::refusal::{Checked, RESAVE, Refusal};
use crate::{foreign, shown};

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END64: u32 = 0x0606_4b50;
const LOCATOR64: u32 = 0x0706_4b50;

const END_SIZE: usize = 22;
const LOCATOR64_SIZE: usize = 20;

/// Flag bits of an entry.
const ENCRYPTED: u16 = 1;
const SIZES_FOLLOW: u16 = 8;

/// Methods of entries: not compressed, and compressed.
const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// What a 32-bit (16-bit) field holds when the value is in a zip64 record.
const IN_ZIP64: u64 = 0xffff_ffff;
const COUNT_IN_ZIP64: u64 = 0xffff;

/// An archive whose structure has been checked.
#[derive(Debug)]
pub(super) struct Archive<'a> {
    entries: HashMap<&'a str, Entry<'a>>,
}

#[derive(Debug)]
struct Entry<'a> {
    data: &'a [u8],
    method: u16,
    crc: u32,
    /// Bytes that a compressed entry holds, and those bytes once somebody has asked for them.
    size: u64,
    inflated: OnceCell<Vec<u8>>,
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

impl<'a> Archive<'a> {
    /// Reads the directory of the archive that `file` is.
    pub(super) fn open(file: &'a [u8], budget: &mut Budget) -> Checked<Self> {
        let directory = Directory::find(file)?;
        let mut cursor = Cursor::new(&file[..directory.end], directory.start);
        let mut entries = HashMap::new();
        let mut occupied = Vec::new();
        while cursor.remaining() > 0 {
            let record = Record::read(&mut cursor)?;
            let (start, data) = record.locate(file, directory.start)?;
            budget.take(3 * size_of::<(&str, Entry<'_>)>() as u64 + 32, "an entry of the archive")?;
            occupied.push((start, data.as_ptr_range().end as usize - file.as_ptr() as usize));
            let Record { name, method, crc, size, .. } = record;
            if entries.insert(name, Entry { data, method, crc, size, inflated: OnceCell::new() }).is_some() {
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
    pub(super) fn root(&self) -> Checked<&'a str> {
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
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.entries.keys().copied()
    }

    /// Whether there is an entry of this name.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// The data of entry `name`, checked against its checksum.
    pub(super) fn read(&self, name: &str, budget: &mut Budget) -> Checked<&[u8]> {
        let entry =
            self.entries.get(name).ok_or_else(|| Refusal::Damaged(format!("the archive lacks {}", shown(name))))?;
        let data = match entry.method {
            STORED => entry.data,
            DEFLATED => entry.inflate(name, budget)?,
            method => {
                return Err(Refusal::Unsupported(
                    format!("{} is compressed by method {method}, which is not supported", shown(name)),
                    "unpack the archive and pack it again without compression (zip -0)",
                ));
            }
        };
        // Zero is what torch.save writes when it was told to save time on checksums.
        if entry.crc != 0 && entry.crc != crc32fast::hash(data) {
            return Err(Refusal::Damaged(format!("the checksum of {} does not match its data", shown(name))));
        }
        Ok(data)
    }
}

impl Entry<'_> {
    /// The bytes of a deflated entry, as many as the directory says.
    fn inflate(&self, name: &str, budget: &mut Budget) -> Checked<&[u8]> {
        if let Some(inflated) = self.inflated.get() {
            return Ok(inflated);
        }
        budget.take(self.size, "a compressed entry of the archive")?;
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let mut inflated = Vec::with_capacity(size);
        let mut decoder = DeflateDecoder::new(self.data);
        let read = decoder.by_ref().take(self.size).read_to_end(&mut inflated);
        let whole = read.is_ok() && inflated.len() == size && matches!(decoder.read(&mut [0]), Ok(0));
        if !whole || decoder.total_in() != self.data.len() as u64 {
            return Err(Refusal::Damaged(format!("{} does not hold the {size} bytes that it says", shown(name))));
        }
        Ok(self.inflated.get_or_init(|| inflated))
    }
}

impl Directory {
    fn find(file: &[u8]) -> Checked<Self> {
        let lowest = file.len().saturating_sub(END_SIZE + usize::from(u16::MAX));
        let Some(at) = (lowest..=file.len().saturating_sub(END_SIZE)).rev().find(|&at| is_end(file, at)) else {
            return Err(Refusal::Truncated("the zip archive has no end record".into()));
        };
        let mut end = Cursor::new(file, at + 4);
        let what = "the end record";
        let (disk, first_disk) = (end.u16(what)?, end.u16(what)?);
        let (here, mut count) = (u64::from(end.u16(what)?), u64::from(end.u16(what)?));
        let (mut size, mut start) = (u64::from(end.u32(what)?), u64::from(end.u32(what)?));
        if disk != first_disk || here != count || disk != 0 {
            return Err(Refusal::Unsupported("a zip archive in several parts".into(), RESAVE));
        }
        let mut boundary = at;
        if let Some(locator) = at.checked_sub(LOCATOR64_SIZE)
            && Cursor::new(file, locator).u32(what)? == LOCATOR64
        {
            let wide = Zip64End::read(file, locator)?;
            boundary = wide.at;
            resolve(&mut count, COUNT_IN_ZIP64, wide.count)?;
            resolve(&mut size, IN_ZIP64, wide.size)?;
            resolve(&mut start, IN_ZIP64, wide.start)?;
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
    fn read(file: &[u8], locator: usize) -> Checked<Self> {
        let what = "the zip64 end record";
        let mut cursor = Cursor::new(file, locator + 8);
        let at = usize::try_from(cursor.u64(what)?).unwrap_or(usize::MAX);
        let mut cursor = Cursor::new(&file[..locator], at);
        let signature = cursor.u32(what)?;
        let length = cursor.u64(what)?;
        if signature != END64 || cursor.remaining() as u64 != length {
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

    /// The position of the entry's local header and its data, which end before byte `limit`.
    fn locate(&self, file: &'a [u8], limit: usize) -> Checked<(usize, &'a [u8])> {
        let what = "an entry of the archive";
        let contradiction =
            || Refusal::Damaged(format!("the two headers of {} contradict each other", shown(self.name)));
        let start = usize::try_from(self.offset).unwrap_or(usize::MAX);
        let mut cursor = Cursor::new(&file[..limit], start);
        if cursor.u32(what)? != LOCAL {
            return Err(Refusal::Damaged(format!("{} is not where the directory says", shown(self.name))));
        }
        cursor.take(2, what)?;
        let (flags, method) = (cursor.u16(what)?, cursor.u16(what)?);
        cursor.take(4, what)?;
        let crc = cursor.u32(what)?;
        let (packed, size) = (u64::from(cursor.u32(what)?), u64::from(cursor.u32(what)?));
        let (name, extra) = (cursor.u16(what)?, cursor.u16(what)?);
        let name = cursor.take(name.into(), what)?;
        cursor.take(extra.into(), what)?;
        if flags != self.flags || method != self.method || name != self.name.as_bytes() {
            return Err(contradiction());
        }
        let told = flags & SIZES_FOLLOW == 0 && size != IN_ZIP64;
        if told && (size != self.size || packed != self.packed || crc != self.crc) {
            return Err(contradiction());
        }
        let packed = usize::try_from(self.packed).unwrap_or(usize::MAX);
        Ok((start, cursor.take(packed, &shown(self.name))?))
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
