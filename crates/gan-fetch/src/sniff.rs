//! A look at the first bytes and at the end: is the file what the catalogue says it is, and all of it?
//!
//! Where no hash is published this is what keeps an error page, or the first half of a file, from being stored as a dataset.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde_json::{Map, Value};

use crate::catalog::Format;

/// Headers of safetensors that are larger are refused, as the format's own reader does.
pub(crate) const MAX_SAFETENSORS_HEADER: u64 = 100_000_000;

/// `None` when the bytes could be that format, else what they look like.
pub(crate) fn mismatch(path: &Path, format: Format) -> io::Result<Option<&'static str>> {
    let mut head = Vec::new();
    File::open(path)?.take(512).read_to_end(&mut head)?;
    let length = std::fs::metadata(path)?.len();
    Ok(if fits(&head, length, format) { None } else { Some(looks_like(&head)) })
}

/// Whether the end of the file is missing, where its format tells that. (A stream of gzip tells it when it is unpacked, and PyTorch's
/// old format does not tell.)
pub(crate) fn is_cut_short(path: &Path, format: Format) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut head = Vec::new();
    (&mut file).take(8).read_to_end(&mut head)?;
    match format {
        Format::Zip => lacks_zip_end(&mut file, length),
        Format::Pth if head.starts_with(b"PK") => lacks_zip_end(&mut file, length),
        Format::Tar => lacks_tar_end(&mut file, length),
        Format::Safetensors => Ok(safetensors_end(&mut file, &head).is_some_and(|end| end > length)),
        Format::TarGz | Format::Pth => Ok(false),
    }
}

/// A zip ends with a record of 22 bytes and a comment of up to 65,535.
fn lacks_zip_end(file: &mut File, length: u64) -> io::Result<bool> {
    let tail = tail(file, length, 22 + 65_535)?;
    Ok(!tail.windows(4).any(|window| window == b"PK\x05\x06"))
}

/// A tar ends with blocks of zeros.
fn lacks_tar_end(file: &mut File, length: u64) -> io::Result<bool> {
    let tail = tail(file, length, 512)?;
    Ok(tail.len() < 512 || tail.iter().any(|byte| *byte != 0))
}

fn tail(file: &mut File, length: u64, bytes: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(length.saturating_sub(bytes)))?;
    let mut tail = Vec::new();
    file.take(bytes).read_to_end(&mut tail)?;
    Ok(tail)
}

/// Where the last tensor ends; `None` where the header does not tell.
fn safetensors_end(file: &mut File, head: &[u8]) -> Option<u64> {
    let bytes = u64::from_le_bytes(*head.first_chunk::<8>()?);
    if bytes > MAX_SAFETENSORS_HEADER {
        return None;
    }
    let mut header = Vec::new();
    file.take(bytes).read_to_end(&mut header).ok()?;
    let header: Map<String, Value> = serde_json::from_slice(&header).ok()?;
    let ends = header.values().filter_map(|tensor| tensor.get("data_offsets")?.get(1)?.as_u64());
    ends.max().unwrap_or(0).checked_add(8 + bytes)
}

fn fits(head: &[u8], length: u64, format: Format) -> bool {
    match format {
        Format::Zip => head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06"),
        Format::TarGz => head.starts_with(&[0x1f, 0x8b, 8]),
        Format::Tar => head.len() == 512 && &head[257..262] == b"ustar",
        Format::Safetensors => head.first_chunk::<8>().is_some_and(|n| {
            u64::from_le_bytes(*n).checked_add(8).is_some_and(|end| end <= length) && head.get(8) == Some(&b'{')
        }),
        // The zip container since PyTorch 1.6, a bare pickle (protocol 2) before.
        Format::Pth => head.starts_with(b"PK\x03\x04") || head.starts_with(&[0x80, 2]),
    }
}

fn looks_like(head: &[u8]) -> &'static str {
    let text = head.trim_ascii_start();
    if head.is_empty() {
        "it is empty"
    } else if text.starts_with(b"<") {
        "it looks like a web page"
    } else if head.starts_with(b"PK\x03\x04") {
        "it looks like a zip"
    } else if head.starts_with(&[0x1f, 0x8b]) {
        "it looks like a gzip"
    } else {
        "its first bytes are something else"
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_format_by_its_first_bytes() {
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        let safetensors = [&2_u64.to_le_bytes()[..], b"{}"].concat();
        let all: [(Format, &[u8]); 5] = [
            (Format::Zip, b"PK\x03\x04"),
            (Format::TarGz, &[0x1f, 0x8b, 8, 0]),
            (Format::Tar, &tar),
            (Format::Safetensors, &safetensors),
            (Format::Pth, &[0x80, 2, 0x8a]),
        ];
        for (format, head) in all {
            assert!(fits(head, head.len() as u64, format), "{format:?}");
            assert!(!fits(b"<!DOCTYPE html>", 15, format), "{format:?}");
            assert!(!fits(b"", 0, format), "{format:?}");
        }
        assert!(!fits(&safetensors, 9, Format::Safetensors), "header longer than the file");
        assert!(!fits(&[255; 16], 16, Format::Safetensors));
        assert_eq!(looks_like(b" \n<html>"), "it looks like a web page");
        assert_eq!(looks_like(&[0x1f, 0x8b, 8, 0]), "it looks like a gzip");
    }

    #[test]
    fn a_missing_end_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let header = br#"{"__metadata__":{"format":"pt"},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#;
        let safetensors = [&(header.len() as u64).to_le_bytes()[..], header, &[1; 4]].concat();
        let zip = [&b"PK\x03\x04 contents "[..], b"PK\x05\x06", &[0; 18]].concat();
        let mut tar = vec![1; 512];
        tar.resize(1536, 0);
        for (format, whole, removed) in [
            (Format::Zip, &zip, 22),
            (Format::Pth, &zip, 22),
            (Format::Tar, &tar, 1024),
            (Format::Safetensors, &safetensors, 1),
        ] {
            std::fs::write(&path, whole).unwrap();
            assert!(!is_cut_short(&path, format).unwrap(), "{format:?}");
            std::fs::write(&path, &whole[..whole.len() - removed]).unwrap();
            assert!(is_cut_short(&path, format).unwrap(), "{format:?}");
            std::fs::write(&path, "").unwrap();
            assert_eq!(is_cut_short(&path, format).unwrap(), matches!(format, Format::Zip | Format::Tar), "{format:?}");
        }
    }
}
