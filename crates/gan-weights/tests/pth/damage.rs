//! Truncation at every byte, and thousands of random mutations of good files.

use std::fs;
use std::time::{Duration, Instant};

use gan_rng::{Key, Purpose};
use gan_weights::pth;

use super::fixtures::path;

fn fixture(name: &str) -> Vec<u8> {
    fs::read(path(name)).unwrap()
}

#[test]
fn every_prefix_of_every_file_is_refused() {
    for name in ["kinds.zip", "kinds.legacy", "training.zip", "training.legacy", "unchecked.zip", "protocol4.zip"] {
        let file = fixture(name);
        assert!(pth::read_bytes(&file).is_ok());
        for end in 0..file.len() {
            assert!(pth::read_bytes(&file[..end]).is_err(), "{end} bytes of {name}");
        }
    }
}

#[test]
fn every_changed_bit_of_an_element_is_noticed_in_archives() {
    let file = fixture("network.zip");
    // Storage 0, eighteen floats, the first of which is -3.
    let at = file.windows(4).position(|window| window == (-3f32).to_le_bytes()).unwrap();
    for bit in 0..18 * 32 {
        let mut changed = file.clone();
        changed[at + bit / 8] ^= 1 << (bit % 8);
        let error = pth::read_bytes(&changed).unwrap_err().to_string();
        assert!(error.contains("checksum"), "bit {bit}: {error}");
    }
}

/// Changes `file` as fuzzers do: bits, bytes, opcodes, lengths, pieces moved, doubled or dropped.
fn mutate(file: &mut Vec<u8>, stream: &mut gan_rng::Stream) {
    const INTERESTING: &[u8] =
        b"(.JKMNQRXabcehijlopqrstu})]\x80\x81\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x93\x94\x95\xff\x00";
    for _ in 0..1 + stream.below(4) {
        if file.is_empty() {
            return;
        }
        let length = file.len() as u64;
        let at = stream.below(length) as usize;
        match stream.below(7) {
            0 => file[at] ^= 1 << stream.below(8),
            1 => file[at] = stream.below(256) as u8,
            2 => file[at] = INTERESTING[stream.below(INTERESTING.len() as u64) as usize],
            3 => {
                let end = (at + 8).min(file.len());
                file[at..end].fill(if stream.bool() { 0xff } else { 0x7f });
            }
            4 => {
                let end = (at + 1 + stream.below(64) as usize).min(file.len());
                file.drain(at..end);
            }
            5 => {
                let end = (at + 1 + stream.below(64) as usize).min(file.len());
                let piece = file[at..end].to_vec();
                let to = stream.below(length) as usize;
                file.splice(to..to, piece);
            }
            _ => file.truncate(at),
        }
    }
}

#[test]
fn mutations_never_panic_and_never_take_long() {
    let corpus: Vec<_> = fs::read_dir(format!("{}/tests/fixtures/pth", env!("CARGO_MANIFEST_DIR")))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let mut corpus: Vec<_> = corpus.iter().map(|path| fs::read(path).unwrap()).collect();
    corpus.sort();
    assert!(corpus.len() > 10);
    let start = Instant::now();
    let (mut read, mut refused, mut slowest) = (0, 0, Duration::ZERO);
    for round in 0..2000 {
        for (index, file) in corpus.iter().enumerate() {
            let mut stream = Key::new(72, Purpose::Test).at(round).at(index as u64).stream();
            let mut file = file.clone();
            mutate(&mut file, &mut stream);
            let begin = Instant::now();
            match pth::read_bytes(&file) {
                Ok(_) => read += 1,
                Err(_) => refused += 1,
            }
            slowest = slowest.max(begin.elapsed());
        }
        if start.elapsed() > Duration::from_secs(4) {
            break;
        }
    }
    // Mutations of element data in legacy files and of padding do no harm; most others are noticed.
    assert!(refused > read && read > 0, "{refused} refused, {read} read");
    // A hang, not a busy machine.
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
}
