//! Zip archives.

use std::fs::{self, File};
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use zip::ZipArchive;

use super::guard::Guard;

const END: [u8; 4] = [b'P', b'K', 5, 6];
const END64: [u8; 4] = [b'P', b'K', 6, 6];
const LOCATOR64: [u8; 4] = [b'P', b'K', 6, 7];

/// Unpacks into `folder`.
pub(super) fn unpack(archive: &Path, folder: &Path, guard: &mut Guard) -> Result<()> {
    let mut file = File::open(archive)?;
    // Asked before the directory is read: that alone takes memory for every entry.
    guard.check_entries(announced_entries(&mut file)?)?;
    let mut zip = ZipArchive::new(BufReader::new(file)).context("the zip's directory is damaged")?;
    for i in 0..zip.len() {
        guard.count_entry()?;
        let entry = zip.by_index_raw(i)?;
        let shown = String::from_utf8_lossy(entry.name_raw()).escape_debug().to_string();
        ensure!(!entry.encrypted(), "`{shown}` is encrypted");
        let is_folder = entry.is_dir();
        // The upper bits are the file type where the archive was made on Unix; 0 where it was not recorded.
        match entry.unix_mode().unwrap_or(0) & 0o170_000 {
            0 => {}
            0o100_000 if !is_folder => {}
            0o040_000 if is_folder => {}
            0o120_000 => bail!("`{shown}` is a link"),
            _ => bail!("`{shown}` is neither a file nor a folder"),
        }
        let path = guard.admit(entry.name_raw(), is_folder)?;
        let (declared, compressed) = (entry.size(), entry.compressed_size());
        drop(entry);
        if is_folder {
            fs::create_dir_all(folder.join(&path))?;
        } else {
            let mut entry = zip.by_index(i).with_context(|| format!("`{shown}` cannot be read"))?;
            guard.write(folder, &path, &mut entry, declared, compressed)?;
        }
    }
    Ok(())
}

/// The number of entries that the end record announces (its zip64 form where there is one).
fn announced_entries(file: &mut File) -> Result<u64> {
    let length = file.seek(SeekFrom::End(0))?;
    // The record is 22 bytes and may be followed by a comment of up to 65,535; the locator of zip64 precedes it.
    let start = length.saturating_sub(22 + 65_535 + 20);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let at = tail
        .windows(4)
        .rposition(|window| window == END)
        .filter(|at| at + 22 <= tail.len())
        .context("the zip has no end record: it is cut short, or no zip")?;
    let entries = u64::from(u16::from_le_bytes([tail[at + 10], tail[at + 11]]));
    if at < 20 || tail[at - 20..at - 16] != LOCATOR64 {
        return Ok(entries);
    }
    let offset: [u8; 8] = tail[at - 12..at - 4].try_into()?;
    file.seek(SeekFrom::Start(u64::from_le_bytes(offset)))?;
    let mut record = [0; 40];
    file.read_exact(&mut record).context("the zip64 end record lies outside the file")?;
    ensure!(record[..4] == END64, "the zip64 end record is damaged");
    let count: [u8; 8] = record[32..40].try_into()?;
    Ok(u64::from_le_bytes(count).max(entries))
}
