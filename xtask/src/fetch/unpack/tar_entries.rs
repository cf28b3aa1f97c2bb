//! Tar archives, plain or gzip-compressed.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use flate2::read::MultiGzDecoder;
use tar::{Archive, EntryType};

use super::guard::{Guard, check_ratio};

/// Unpacks into `folder`.
pub(super) fn unpack(archive: &Path, gzip: bool, folder: &Path, guard: &mut Guard) -> Result<()> {
    let compressed = fs::metadata(archive)?.len();
    let file = BufReader::with_capacity(1 << 16, File::open(archive)?);
    let stream: Box<dyn Read> = if gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    // Headers that name no entry (long names, extended attributes) pass the guard unseen: the stream is bounded too.
    let mut tar = Archive::new(stream.take(guard.most_tar_bytes()));
    let mut unpacked = 0_u64;
    for entry in tar.entries()? {
        let mut entry = entry.context("the tar is damaged")?;
        guard.count_entry()?;
        let raw = entry.path_bytes().into_owned();
        let shown = String::from_utf8_lossy(&raw).escape_debug().to_string();
        let is_folder = match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => false,
            EntryType::Directory => true,
            // Says something about the whole archive, and names no file.
            EntryType::XGlobalHeader => continue,
            EntryType::Symlink | EntryType::Link => bail!("`{shown}` is a link"),
            EntryType::Char | EntryType::Block | EntryType::Fifo => bail!("`{shown}` is a device node"),
            other => bail!("`{shown}` is neither a file nor a folder (tar type {:?})", other.as_byte() as char),
        };
        let path = guard.admit(&raw, is_folder)?;
        if is_folder {
            fs::create_dir_all(folder.join(&path))?;
            continue;
        }
        let declared = entry.size();
        // A compressed stream does not tell each file's share: the growth of all files together is bounded.
        unpacked = unpacked.checked_add(declared).context("sizes overflow")?;
        check_ratio(unpacked, compressed).with_context(|| format!("`{shown}`"))?;
        guard.write(folder, &path, &mut entry, declared, declared)?;
    }
    // The tar ends before its stream does, and the checksum of a gzip stream comes last.
    let mut stream = tar.into_inner();
    std::io::copy(&mut stream, &mut std::io::sink()).context("the tar is damaged")?;
    ensure!(stream.limit() > 0, "the archive is larger than what is allowed for it");
    Ok(())
}
