//! What the fuzzers run, over their seeds and over mutations of these: no input panics, breaks a promise or takes much memory.
//!
//! `GAN_FUZZ_ROUNDS` says how many mutations are made of each seed. Too much memory ends the process: `GAN_FUZZ_LAST` is a file that holds the
//! input at work then.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "../../fuzz/src/lib.rs"]
#[allow(dead_code, unreachable_pub)]
mod targets;

use std::alloc::System;
use std::fs;
use std::panic::{catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use cap::Cap;
use gan_rng::{Key, Purpose, Stream};
use targets::{TARGETS, Target};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Memory that an input of some kilobytes may take: more, and the process aborts.
const MOST_MEMORY: usize = 64 << 20;
/// Mutations of each seed, where nobody wants more.
const ROUNDS: u64 = 60;
/// Places at which each seed is cut.
const CUTS: usize = 30;

/// The limit is the whole process's: one target at a time.
static TURN: Mutex<()> = Mutex::new(());

/// The seeds of a target, each with its path, in the order of the paths.
fn seeds(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let own = format!("fuzz/seeds/{}", target.name);
    let folders = target.seeds.iter().copied().chain([own.as_str()]).map(|folder| root.join(folder));
    let files = |folder: PathBuf| fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut paths: Vec<PathBuf> = folders.flat_map(files).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Numbers at the edges of what readers expect, little endian.
const EDGES: [u64; 8] = [0, 1, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, u64::MAX];
/// The same in text.
const WORDS: [&str; 10] =
    ["0", "-1", "1e300", "18446744073709551615", "9223372036854775807", "null", "nan", "\"", "[", "../"];

/// Changes `file` as fuzzers do; `other` is another seed.
fn mutate(file: &mut Vec<u8>, other: &[u8], stream: &mut Stream) {
    for _ in 0..1 + stream.below(3) {
        if file.is_empty() {
            return;
        }
        let length = file.len() as u64;
        let at = stream.below(length) as usize;
        let end = (at + 1 + stream.below(32) as usize).min(file.len());
        match stream.below(9) {
            0 => file[at] ^= 1 << stream.below(8),
            1 => file[at] = stream.below(256) as u8,
            2 => {
                let edge = EDGES[stream.below(EDGES.len() as u64) as usize].to_le_bytes();
                let count = [1, 2, 4, 8][stream.below(4) as usize].min(file.len() - at);
                file[at..at + count].copy_from_slice(&edge[..count]);
                if stream.bool() {
                    file[at..at + count].reverse();
                }
            }
            3 => {
                // A number in text becomes another.
                let digit = file[at..].iter().position(u8::is_ascii_digit).map_or(at, |next| at + next);
                let digits = file[digit..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                let word = WORDS[stream.below(WORDS.len() as u64) as usize];
                file.splice(digit..digit + digits, word.bytes());
            }
            4 => drop(file.drain(at..end)),
            5 => {
                let piece = file[at..end].to_vec();
                let to = stream.below(length) as usize;
                file.splice(to..to, piece);
            }
            6 => file.truncate(at),
            7 => file[at..end].fill(stream.below(256) as u8),
            _ => {
                let from = stream.below(other.len() as u64 + 1) as usize;
                file.truncate(at);
                file.extend_from_slice(&other[from..]);
            }
        }
    }
}

/// Runs a target over its seeds and over mutations of them.
fn run(name: &str) {
    let _turn = TURN.lock().unwrap_or_else(|turn| turn.into_inner());
    let rounds = std::env::var("GAN_FUZZ_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let seeds = seeds(target);
    assert!(seeds.len() > 1, "{name} has no seeds");
    // What it keeps for all inputs is made by the first.
    (target.run)(b"");
    ALLOCATOR.set_limit(ALLOCATOR.allocated() + MOST_MEMORY).unwrap();
    let last = std::env::var_os("GAN_FUZZ_LAST");
    let mut inputs = 0;
    let mut check = |input: &[u8], what: &dyn Fn() -> String| {
        inputs += 1;
        if let Some(last) = &last {
            fs::write(last, input).unwrap();
        }
        if let Err(panic) = catch_unwind(|| (target.run)(input)) {
            ALLOCATOR.set_limit(usize::MAX).unwrap();
            let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
            fs::write(&kept, input).unwrap();
            println!("{}: the input is in {}", what(), kept.display());
            resume_unwind(panic);
        }
    };
    for (index, (path, seed)) in seeds.iter().enumerate() {
        check(seed, &|| path.display().to_string());
        for cut in (0..seed.len()).step_by(seed.len().div_ceil(CUTS).max(1)) {
            check(&seed[..cut], &|| format!("{cut} bytes of {}", path.display()));
        }
        for round in 0..rounds {
            let mut stream = Key::new(26, Purpose::Test).at_name(name).at(index as u64).at(round).stream();
            let other = &seeds[stream.below(seeds.len() as u64) as usize].1;
            let mut input = seed.clone();
            mutate(&mut input, other, &mut stream);
            check(&input, &|| format!("mutation {round} of {}", path.display()));
        }
    }
    println!("{name}: {inputs} inputs");
    ALLOCATOR.set_limit(usize::MAX).unwrap();
}

macro_rules! tests {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*

        #[test]
        fn every_target_has_a_test() {
            let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

tests! {
    decode_image read_catalog read_config read_events read_headers read_manifest read_model_config read_pth
    read_reference_folder read_rows read_safetensors read_statistics read_video unpack_archive
}

/// Each target is a program for libFuzzer, too.
#[test]
fn every_target_has_an_entry() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap().parse::<toml::Table>().unwrap();
    let programs: Vec<&str> =
        manifest["bin"].as_array().unwrap().iter().map(|bin| bin["name"].as_str().unwrap()).collect();
    assert_eq!(programs, TARGETS.iter().map(|target| target.name).collect::<Vec<_>>());
    for name in programs {
        let entry = fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(entry.contains(&format!("gan_fuzz::{name}(bytes)")), "{name}");
    }
}
