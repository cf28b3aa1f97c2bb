//! A look at the first bytes: is the file what the catalogue says it is?
//!
//! Where no hash is published this is what keeps an error page from being stored as a dataset.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::catalog::Format;

/// `None` when the bytes could be that format, else what they look like.
pub(crate) fn mismatch(path: &Path, format: Format) -> io::Result<Option<&'static str>> {
    let mut head = Vec::new();
    File::open(path)?.take(512).read_to_end(&mut head)?;
    let length = std::fs::metadata(path)?.len();
    Ok(if fits(&head, length, format) { None } else { Some(looks_like(&head)) })
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
    }
}
