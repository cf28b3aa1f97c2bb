//! A file of which a part is missing is refused, in every format. The files of `whole/` were written by Pillow.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use gan_data::{AlphaPolicy, DecodeOptions, Image, Raster, decode, decode_ids, write_image};
use tempfile::TempDir;

/// Whole files by name.
fn files() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/whole")).unwrap() {
        let path = entry.unwrap().path();
        files.push((path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap()));
    }
    let dir = TempDir::new().unwrap();
    let colour = Raster::from_fn(13, 9, |x, y| [(x * 19) as u8, (y * 28) as u8, (x * y * 3) as u8]);
    for name in ["ours.png", "ours.bmp", "ours.ppm", "ours.tiff", "ours.webp", "ours.jpg"] {
        let path = dir.path().join(name);
        write_image(&path, &Image::U8(colour.clone())).unwrap();
        files.push((name.to_owned(), fs::read(path).unwrap()));
    }
    files.push(("plain.ppm".to_owned(), b"P3\n2 2\n255\n1 22 133 4 55 66\n77 88 99 10 11 212\n".to_vec()));
    files.push(("runs.bmp".to_owned(), run_lengths()));
    assert!(files.len() > 20);
    files
}

/// A BMP of 4x2 pixels in 2 colours, run-length encoded.
fn run_lengths() -> Vec<u8> {
    let (pixels, palette) = ([4, 1, 0, 0, 2, 0, 2, 1, 0, 1], [10, 20, 30, 0, 200, 100, 50, 0]);
    let header: [u32; 13] = [72, 0, 62, 40, 4, 2, 8 << 16 | 1, 1, pixels.len() as u32, 0, 0, 2, 2];
    let header = header.iter().flat_map(|field| field.to_le_bytes());
    b"BM".iter().copied().chain(header).chain(palette).chain(pixels).collect()
}

/// Decodes bytes under new names: overwriting one file makes some file systems wait for the disk.
struct Decoder {
    dir: TempDir,
    made: usize,
}

impl Decoder {
    fn new() -> Self {
        Self { dir: TempDir::new().unwrap(), made: 0 }
    }

    fn file(&mut self, bytes: &[u8]) -> PathBuf {
        self.made += 1;
        let path = self.dir.path().join(self.made.to_string());
        fs::write(&path, bytes).unwrap();
        path
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<Image, String> {
        let options = DecodeOptions { alpha: AlphaPolicy::Keep, ..Default::default() };
        decode(&self.file(bytes), &options).map_err(|e| e.to_string())
    }
}

#[test]
fn every_cut_is_refused_or_takes_nothing_away() {
    let mut decoder = Decoder::new();
    for (name, file) in files() {
        let whole = decoder.decode(&file).unwrap();
        let step = (file.len() / 60).max(1);
        for length in (0..file.len()).filter(|length| length % step == 0 || length + 40 > file.len()) {
            match decoder.decode(&file[..length]) {
                // An end marker, or bytes that only fill up.
                Ok(image) => assert!(image == whole && length + 8 >= file.len(), "{name} cut to {length}"),
                Err(text) => {
                    let told = text.contains("truncated") || name.ends_with("ppm") || length < 16;
                    assert!(told, "{name} cut to {length} of {}: {text}", file.len());
                }
            }
        }
    }
}

#[test]
fn coded_data_that_ends_early_is_noticed_behind_an_end_marker() {
    let mut decoder = Decoder::new();
    for (name, file) in files().into_iter().filter(|(name, _)| name.ends_with(".jpg")) {
        let header = file.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap() + 2;
        let scan = header + usize::from(file[header + 1]);
        for length in (scan..file.len() - 2).step_by(3) {
            let ended = [&file[..length], &[0xff, 0xd9]].concat();
            let refused = decoder.decode(&ended).is_err();
            // A progressive file may stop after any scan: its encoder had no more to say.
            let next = |at: usize| file[at..].starts_with(&[0xff, 0xc4]) || file[at..].starts_with(&[0xff, 0xda]);
            let between = next(length) || next(length - 1);
            assert!(refused || between, "{name} ended at {length} of {}", file.len());
        }
        // A download that was given its length in advance, and then stopped.
        let half = file.len() / 2;
        let padded = [&file[..half], &vec![0; file.len() - half]].concat();
        assert!(decoder.decode(&padded).is_err(), "{name}");
    }
}

#[test]
fn what_lies_behind_the_end_does_not_matter() {
    let mut decoder = Decoder::new();
    for (name, file) in files() {
        if name.ends_with(".jpg") || name.ends_with(".png") || name.ends_with(".webp") {
            let whole = decoder.decode(&file).unwrap();
            assert_eq!(decoder.decode(&[&file[..], b"<html>"].concat()).unwrap(), whole, "{name}");
        }
    }
}

#[test]
fn images_of_mjpeg_streams_have_no_tables() {
    let mut decoder = Decoder::new();
    let (_, mut file) = files().into_iter().find(|(name, _)| name == "baseline.jpg").unwrap();
    let whole = decoder.decode(&file).unwrap();
    file[6..11].copy_from_slice(b"AVI1\0");
    while let Some(at) = file.windows(2).position(|pair| pair == [0xff, 0xc4]) {
        let length = usize::from(u16::from_be_bytes([file[at + 2], file[at + 3]]));
        file.drain(at..at + 2 + length);
    }
    assert_eq!(decoder.decode(&file).unwrap(), whole);
}

#[test]
fn damage_never_panics() {
    let mut decoder = Decoder::new();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for (_, file) in files() {
        for round in 0..40 {
            let mut damaged = file.clone();
            // Headers are hit as often as all the rest.
            let span = if round % 2 == 0 { file.len().min(160) } else { file.len() };
            for _ in 0..1 + random(4) {
                let at = random(span);
                damaged[at] = match random(3) {
                    0 => 0,
                    1 => 255,
                    _ => damaged[at] ^ 1 << random(8),
                };
            }
            let path = decoder.file(&damaged);
            let _ = decode(&path, &DecodeOptions::default());
            let _ = decode_ids(&path, &DecodeOptions::default());
        }
    }
}
