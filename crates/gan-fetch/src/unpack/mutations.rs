//! Archives with bytes changed at random: whatever they ask for, nothing panics, and nothing is written outside.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::unpack;
use crate::catalog::Catalog;

/// Numbers that look random, the same each time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }
}

fn zipped() -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in [("set/trainA/a.png", "aaaaaaaaaaaaaaaa"), ("set/trainB/b.png", "bcdefg"), ("set/c", "")] {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn tarred() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, text) in [("set/trainA/a.png", "aaaaaaaaaaaaaaaa"), ("set/trainB/b.png", "bcdefg")] {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap()
}

/// Writes the right checksum of the headers of a tar, without which no change would be looked at.
fn with_checksums(tar: &mut [u8]) {
    for header in tar.chunks_exact_mut(512).filter(|header| header[257..262] == *b"ustar") {
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    }
}

fn tree(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for child in fs::read_dir(folder).unwrap().map(|child| child.unwrap()) {
        names.push(child.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    names
}

fn check(format: &str, rounds: usize, honest: &[u8], change: impl Fn(&mut Vec<u8>)) {
    let text = format!("[[dataset]]\nname='set'\nabout=''\nlicence='x'\nformat='{format}'\nurls=['http://h/a']\n");
    let catalog = Catalog::parse(&text, "c").unwrap();
    let entry = &catalog.entries()[0];
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let (mut taken, mut refused) = (0, 0);
    for round in 0..rounds {
        let folder = tempfile::tempdir().unwrap();
        let (archive, staging) = (folder.path().join("archive"), folder.path().join("staging"));
        fs::write(folder.path().join("canary"), "sings").unwrap();
        fs::create_dir(&staging).unwrap();
        let mut bytes = honest.to_vec();
        // The first round is the honest one.
        for _ in 0..if round == 0 { 0 } else { 1 + numbers.next(4) } {
            match numbers.next(4) {
                0 => {
                    let at = numbers.next(bytes.len());
                    bytes[at] ^= 1 << numbers.next(8);
                }
                1 => {
                    let at = numbers.next(bytes.len());
                    bytes[at] = [0, 0xff, b'/', b'.', b'\\'][numbers.next(5)];
                }
                2 => bytes.truncate(1 + numbers.next(bytes.len())),
                _ => {
                    let (from, to) = (numbers.next(bytes.len()), numbers.next(bytes.len()));
                    let length = (1 + numbers.next(40)).min(bytes.len() - from.max(to));
                    bytes.copy_within(from..from + length, to);
                }
            }
        }
        change(&mut bytes);
        fs::write(&archive, &bytes).unwrap();
        match unpack(entry, &archive, &staging, &mut |_| {}) {
            Ok(root) => {
                assert!(root.starts_with(&staging), "{root:?}");
                taken += 1;
            }
            Err(_) => refused += 1,
        }
        assert_eq!(tree(folder.path()), ["archive", "canary", "staging"], "round {round}");
        assert_eq!(fs::read_to_string(folder.path().join("canary")).unwrap(), "sings");
    }
    assert!(taken > 0 && refused > rounds / 10, "{format}: {taken} taken, {refused} refused");
}

#[test]
fn zips() {
    check("zip", 600, &zipped(), |_| {});
}

#[test]
fn tars() {
    check("tar", 600, &tarred(), |bytes| with_checksums(bytes));
}

#[test]
fn gzipped_tars() {
    check("tar.gz", 200, &tarred(), |bytes| {
        with_checksums(bytes);
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(bytes).unwrap();
        *bytes = gzip.finish().unwrap();
    });
}
