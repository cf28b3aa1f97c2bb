//! Zip archives.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use zip::ZipArchive;

use super::Result;
use super::guard::Guard;
use crate::refusal::{Refusal, refuse, require};

const END: [u8; 4] = [b'P', b'K', 5, 6];
const END64: [u8; 4] = [b'P', b'K', 6, 6];
const LOCATOR64: [u8; 4] = [b'P', b'K', 6, 7];

/// Unpacks into `folder`.
pub(super) fn unpack(archive: &Path, folder: &Path, guard: &mut Guard<'_>) -> Result<()> {
    let mut file = File::open(archive).map_err(Refusal::disk("read", archive))?;
    // Asked before the directory is read: that alone takes memory for every entry.
    let entries = announced_entries(&mut file).map_err(Refusal::disk("read", archive))?;
    let Some(entries) = entries else { refuse!("the zip has no sound end record: it is cut short, or no zip") };
    guard.check_entries(entries)?;
    let mut zip = ZipArchive::new(BufReader::new(file))
        .map_err(|error| Refusal::Content(format!("the zip's directory is damaged: {error}")))?;
    for i in 0..zip.len() {
        guard.count_entry()?;
        let entry = zip
            .by_index_raw(i)
            .map_err(|error| Refusal::Content(format!("the zip's directory is damaged: {error}")))?;
        let shown = String::from_utf8_lossy(entry.name_raw()).escape_debug().to_string();
        require!(!entry.encrypted(), "`{shown}` is encrypted");
        let is_folder = entry.is_dir();
        // The upper bits are the file type where the archive was made on Unix; 0 where it was not recorded.
        match entry.unix_mode().unwrap_or(0) & 0o170_000 {
            0 => {}
            0o100_000 if !is_folder => {}
            0o040_000 if is_folder => {}
            0o120_000 => refuse!("`{shown}` is a link"),
            _ => refuse!("`{shown}` is neither a file nor a folder"),
        }
        let path = guard.admit(entry.name_raw(), is_folder)?;
        let (declared, compressed) = (entry.size(), entry.compressed_size());
        drop(entry);
        if is_folder {
            let made = folder.join(&path);
            fs::create_dir_all(&made).map_err(Refusal::disk("create", &made))?;
        } else {
            let mut entry =
                zip.by_index(i).map_err(|error| Refusal::Content(format!("`{shown}` cannot be read: {error}")))?;
            guard.write(folder, &path, &mut entry, declared, compressed)?;
        }
    }
    Ok(())
}

/// The number of entries that the end record announces (its zip64 form where there is one); `None` where the record is not sound.
fn announced_entries(file: &mut File) -> io::Result<Option<u64>> {
    let length = file.seek(SeekFrom::End(0))?;
    // The record is 22 bytes and may be followed by a comment of up to 65,535; the locator of zip64 precedes it.
    let start = length.saturating_sub(22 + 65_535 + 20);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let at = tail.windows(4).rposition(|window| window == END).filter(|at| at + 22 <= tail.len());
    let Some(at) = at else { return Ok(None) };
    let entries = u64::from(u16::from_le_bytes([tail[at + 10], tail[at + 11]]));
    if at < 20 || tail[at - 20..at - 16] != LOCATOR64 {
        return Ok(Some(entries));
    }
    let number = |bytes: &[u8]| bytes.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let offset = number(&tail[at - 12..at - 4]);
    if offset.saturating_add(40) > length {
        return Ok(None);
    }
    file.seek(SeekFrom::Start(offset))?;
    let mut record = [0; 40];
    file.read_exact(&mut record)?;
    Ok((record[..4] == END64).then(|| number(&record[32..40]).max(entries)))
}
