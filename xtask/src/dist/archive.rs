//! Compressed archives that depend on their contents and on one date, and on nothing else.

use std::collections::BTreeSet;
use std::io::Write;

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use tar::{EntryType, Header};

use super::tree::File;

/// A `.tar.gz` of the files in the order of their paths, with the folders that they lie in. Everything is dated `date` (seconds since
/// 1970) and owned by root.
pub(super) fn tar_gz(files: &[File], date: u64) -> Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut files: Vec<_> = files.iter().collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut folders = BTreeSet::new();
    for file in files {
        for (end, _) in file.path.match_indices('/') {
            let folder = &file.path[..=end];
            if folders.insert(folder.to_owned()) {
                append(&mut archive, folder, EntryType::Directory, 0o755, date, &[])?;
            }
        }
        append(&mut archive, &file.path, EntryType::Regular, file.mode(), date, &file.content)?;
    }
    gzip(&archive.into_inner()?)
}

fn append(
    archive: &mut tar::Builder<Vec<u8>>,
    path: &str,
    kind: EntryType,
    mode: u32,
    date: u64,
    content: &[u8],
) -> Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(date);
    header.set_uid(0);
    header.set_gid(0);
    header.set_username("root")?;
    header.set_groupname("root")?;
    header.set_size(content.len() as u64);
    archive.append_data(&mut header, path, content).with_context(|| format!("cannot pack {path}"))
}

/// The bytes in gzip's format, without a date and a name.
pub(super) fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut out = GzBuilder::new().write(Vec::new(), Compression::best());
    out.write_all(bytes)?;
    Ok(out.finish()?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Read;

    #[test]
    fn an_archive_depends_on_files_and_date() {
        let (a, b) = (File::plain("x/y/a", "A"), File::program("x/b", "B"));
        let packed = tar_gz(&[a.clone(), b.clone()], 1_700_000_000).unwrap();
        assert_eq!(packed, tar_gz(&[b, a], 1_700_000_000).unwrap(), "the order in which files are named");
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&packed[..]));
        let mut seen = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let header = entry.header().clone();
            assert_eq!((header.mtime().unwrap(), header.uid().unwrap(), header.gid().unwrap()), (1_700_000_000, 0, 0));
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            seen.push((entry.path().unwrap().display().to_string(), header.mode().unwrap(), text));
        }
        let seen: Vec<_> = seen.iter().map(|(path, mode, text)| (path.as_str(), *mode, text.as_str())).collect();
        assert_eq!(seen, [("x/", 0o755, ""), ("x/b", 0o755, "B"), ("x/y/", 0o755, ""), ("x/y/a", 0o644, "A")]);
    }
}
