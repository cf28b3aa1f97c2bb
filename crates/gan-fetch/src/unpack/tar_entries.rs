//! Tar archives, plain or gzip-compressed.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use tar::{Archive, EntryType};

use super::Result;
use super::guard::{Guard, check_ratio};
use crate::refusal::{Refusal, refuse, require};

/// Unpacks into `folder`.
pub(super) fn unpack(archive: &Path, gzip: bool, folder: &Path, guard: &mut Guard<'_>) -> Result<()> {
    let damaged = |error: io::Error| Refusal::Content(format!("the tar is damaged: {error}"));
    let compressed = fs::metadata(archive).map_err(Refusal::disk("read", archive))?.len();
    let file = BufReader::with_capacity(1 << 16, File::open(archive).map_err(Refusal::disk("read", archive))?);
    let stream: Box<dyn Read> = if gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    // Headers that name no entry (long names, extended attributes) pass the guard unseen: the stream is bounded too.
    let mut tar = Archive::new(stream.take(guard.most_tar_bytes()));
    let mut unpacked = 0_u64;
    for entry in tar.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        guard.count_entry()?;
        let raw = entry.path_bytes().into_owned();
        let shown = String::from_utf8_lossy(&raw).escape_debug().to_string();
        let is_folder = match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => false,
            EntryType::Directory => true,
            // Says something about the whole archive, and names no file.
            EntryType::XGlobalHeader => continue,
            EntryType::Symlink | EntryType::Link => refuse!("`{shown}` is a link"),
            EntryType::Char | EntryType::Block | EntryType::Fifo => refuse!("`{shown}` is a device node"),
            other => refuse!("`{shown}` is neither a file nor a folder (tar type {:?})", other.as_byte() as char),
        };
        let path = guard.admit(&raw, is_folder)?;
        if is_folder {
            let made = folder.join(&path);
            fs::create_dir_all(&made).map_err(Refusal::disk("create", &made))?;
            continue;
        }
        let declared = entry.size();
        // A compressed stream does not tell each file's share: the growth of all files together is bounded.
        unpacked = unpacked.saturating_add(declared);
        check_ratio(&shown, unpacked, compressed)?;
        guard.write(folder, &path, &mut entry, declared, declared)?;
    }
    // The tar ends before its stream does, and the checksum of a gzip stream comes last.
    let mut stream = tar.into_inner();
    io::copy(&mut stream, &mut io::sink()).map_err(damaged)?;
    require!(stream.limit() > 0, "the archive is larger than what is allowed for it");
    Ok(())
}
