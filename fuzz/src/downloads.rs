//! What comes from servers: headers, archives, and catalogues of them.

use std::path::{Component, Path};

use gan_fetch::{Catalog, fuzzing};

use super::scratch;

/// What an archive of the catalogue below may unpack to.
const MOST_BYTES: u64 = 1_050_000;
const MOST_FILES: usize = 128;

/// An archive, as zip or tar by its first bytes: nothing is written outside its folder, and no more than is allowed.
pub fn unpack_archive(file: &[u8]) {
    let (mut file, format) = (file.to_vec(), format_of(file));
    if format == "tar" {
        with_checksums(&mut file);
    }
    let text = format!(
        "[[dataset]]\nname='set'\nabout=''\nlicence='x'\nformat='{format}'\nurls=['http://h/a']\nfiles=64\nunpacked_bytes=1000000\n"
    );
    let catalog = Catalog::parse(&text, "catalog").unwrap();
    let around = scratch::empty("around");
    let (archive, staging) = (around.join("archive"), around.join("staging"));
    std::fs::write(&archive, &file).unwrap();
    std::fs::create_dir(&staging).unwrap();
    if let Ok(root) = fuzzing::unpack(&catalog.entries()[0], &archive, &staging) {
        assert!(root.starts_with(&staging) && root.is_dir(), "{root:?}");
    }
    let files = scratch::tree(&staging);
    // The last one may be refused for its length while it is written.
    let bytes: u64 = files.iter().map(|(_, bytes)| bytes).sum();
    assert!(files.len() <= MOST_FILES && bytes <= 2 * MOST_BYTES, "{} files, {bytes} bytes", files.len());
    let mut beside: Vec<_> = std::fs::read_dir(&around).unwrap().map(|child| child.unwrap().file_name()).collect();
    beside.sort();
    assert_eq!(beside, ["archive", "staging"]);
    assert_eq!(std::fs::read(&archive).unwrap(), file);
}

fn format_of(file: &[u8]) -> &'static str {
    match file {
        [b'P', b'K', ..] => "zip",
        [0x1f, 0x8b, ..] => "tar.gz",
        _ => "tar",
    }
}

/// Writes the right checksum of the headers of a tar, without which no change would be looked at.
fn with_checksums(tar: &mut [u8]) {
    for header in tar.chunks_exact_mut(512).filter(|header| header[257..262] == *b"ustar") {
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    }
}

/// Headers of an answer, one a line: ranges are ranges, and no redirect leaves an encrypted connection.
pub fn read_headers(text: &[u8]) {
    let headers = fuzzing::read_headers(text);
    if let Some((span, total)) = headers.content_range {
        assert!(span.is_some() || total.is_some());
        if let Some((first, last)) = span {
            assert!(first <= last && total.is_none_or(|total| last < total));
        }
    }
    if let Some(target) = &headers.redirect {
        assert!(target.to_ascii_lowercase().starts_with("https://"), "{target}");
    }
    if let Some(sha256) = &headers.announced {
        assert!(sha256.len() == 64 && sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
    }
    assert!(headers.validator.is_none_or(|validator| !validator.starts_with("W/")));
}

/// A catalogue: every entry is stored below the data directory.
pub fn read_catalog(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    let Ok(catalog) = Catalog::parse(text, "catalog") else { return };
    for entry in catalog.entries() {
        let stored = entry.stored();
        assert!(Path::new(&stored).components().all(|part| matches!(part, Component::Normal(_))), "{stored}");
        assert!(catalog.find(entry.name()).is_ok());
        let _ = (entry.by_hand(Path::new("data")), entry.example(Path::new("data")));
    }
}
