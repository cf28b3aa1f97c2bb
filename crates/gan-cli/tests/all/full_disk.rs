//! Disks without room, by a limit on the size of files that the shell sets for the process: from next to nothing to more
//! than the largest file of a checkpoint, with the signal of the limit ignored or not.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::print_stdout)] // counts are printed for docs/reliability.md

use crate::support;

use image::RgbImage;
use std::path::Path;
use support::{
    Bench, Ran, assert_part_of, assert_same_tensors, has_checkpoint, newest, repeats, resume, steps, tiny_in,
};

/// Bytes of a block of `ulimit -f` in a POSIX shell.
const BLOCK: u64 = 512;

/// Runs the binary with files of at most so many blocks.
fn limited(bench: &Bench, blocks: u64, ignored: bool, args: &[String]) -> Ran {
    let signal = if ignored { "trap '' XFSZ; " } else { "" };
    let plain = bench.command(args);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &format!("{signal}ulimit -f {blocks}; exec \"$@\""), "sh"]);
    command.arg(plain.get_program()).args(plain.get_args()).current_dir(bench.path("")).output().unwrap().into()
}

fn largest_file(folder: &Path) -> u64 {
    let sizes = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
    sizes.max().unwrap()
}

/// Names in `checkpoints` that are neither a checkpoint nor one of the two hints.
fn left_behind(run: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(run.join("checkpoints")) else { return Vec::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.parse::<u64>().is_err() && name != "latest" && name != "best").collect()
}

#[test]
fn disks_of_every_size() {
    let settings = ["max_steps=6", "save_latest_freq=1", "display_freq=0", "keep=2", "n_epochs=6"];
    let bench = Bench::new();
    bench.ok(tiny_in("pix2pix", "whole", &[&settings[..], &["keep=0"]].concat()));
    let whole = bench.path("whole");
    let largest = largest_file(&whole.join("checkpoints/6")).div_ceil(BLOCK);
    // From 4 KiB on in equal steps, and around the one size at which everything fits.
    let mut sizes: Vec<u64> = (0..12).map(|n| 8 + n * (largest - 8) / 12).collect();
    sizes.extend([largest - 1, largest, largest + 1, 4 * largest]);
    let sizes: Vec<u64> = sizes.into_iter().step_by(16 / repeats(8, 16) as usize).collect();
    let (mut failed, mut fitted) = (0, 0);
    for (at, &blocks) in sizes.iter().enumerate() {
        for ignored in [true, false] {
            let what = format!("{blocks} blocks, signal ignored: {ignored}");
            let (name, started) = (format!("run-{at}-{ignored}"), ["max_steps=2"]);
            let run = bench.path(&name);
            // Every other run has a checkpoint before its disk is full.
            let before = at.is_multiple_of(2);
            if before {
                bench.ok(tiny_in("pix2pix", &name, &[&settings[..], &started].concat()));
            }
            let args: Vec<String> = if before {
                resume("pix2pix", &name).into_iter().chain(["--set", "max_steps=6"]).map(String::from).collect()
            } else {
                tiny_in("pix2pix", &name, &settings)
            };
            let ran = limited(&bench, blocks, ignored, &args);
            assert!(!ran.err.contains("panicked"), "{what}: {ran:?}");
            if blocks >= largest {
                assert_eq!(ran.code, Some(0), "{what}: {ran:?}");
                fitted += 1;
            } else {
                ran.fails(1, &["cannot write", "free some space"]);
                assert!(ran.err.contains(&name), "{what}: {}", ran.err);
                assert_eq!(steps(&run).last(), if before { Some(&2) } else { None }, "{what}");
                failed += 1;
            }
            assert_eq!(left_behind(&run), [""; 0], "{what}");
            assert_part_of(&run, &whole);
            // With room again, the run goes on as if nothing had happened.
            if run.join("config.toml").exists() {
                bench.ok(resume("pix2pix", &name).into_iter().chain(["--set", "max_steps=6"]));
            } else {
                bench.ok(tiny_in("pix2pix", &name, &settings));
            }
            assert_same_tensors(&newest(&run), &newest(&whole));
        }
    }
    println!("{} sizes, signal ignored or not: {failed} failed, {fitted} had room", sizes.len());
    assert!(failed > 0 && fitted > 0);
}

#[test]
fn other_commands_on_a_full_disk() {
    let bench = Bench::new();
    bench.ok(tiny_in("pix2pix", "run", &["max_steps=3", "display_freq=0"]));
    RgbImage::from_fn(200, 200, |x, y| image::Rgb([x as u8, y as u8, 99])).save(bench.path("big.png")).unwrap();
    let words = |line: &str| line.split(' ').map(String::from).collect::<Vec<_>>();
    let translate = words("translate --model run --input big.png --output out.png");
    limited(&bench, 8, true, &translate).fails(1, &["out.png"]);
    assert!(!bench.path("out.png").exists());
    let synth = words("dataset synth facades --out drawn --count 2 --test 0");
    limited(&bench, 8, true, &synth).fails(1, &["drawn", "write"]);
    // Training is told at once that there is no room, goes on, and says at the end that nothing was saved.
    let few = ["max_steps=3", "save_latest_freq=1", "display_freq=0"];
    let ran = limited(&bench, 24, true, &tiny_in("pix2pix", "small", &few));
    ran.fails(1, &["cannot write", "small/checkpoints", "free some space"]);
    assert!(ran.err.contains("training goes on without a new checkpoint"), "{}", ran.err);
    assert!(!has_checkpoint(&bench.path("small")));
}
