//! Processes that were started together: what a program that was built for one says, shares of a translation, and with the feature
//! `mpi` runs under an installed `mpirun`.

#[cfg(feature = "mpi")]
mod interruptions;
mod many_files;
#[cfg(feature = "mpi")]
mod mpi;

use crate::support::{Bench, Ran, tiny_in};
use std::path::Path;
use std::process::Command;

/// Rank `rank` of `size`, as `mpirun` says it.
fn command_of_rank(bench: &Bench, rank: usize, size: usize, args: &[&str]) -> Command {
    let mut command = bench.command(args);
    command.env("OMPI_COMM_WORLD_RANK", rank.to_string()).env("OMPI_COMM_WORLD_SIZE", size.to_string());
    command
}

fn as_rank(bench: &Bench, rank: usize, size: usize, args: &[&str]) -> Ran {
    command_of_rank(bench, rank, size, args).output().unwrap().into()
}

/// A count that is small unless the environment asks for more.
fn count(variable: &str, few: usize) -> usize {
    std::env::var(variable).map_or(few, |text| text.parse().expect("a number"))
}

/// The files of a folder with their contents.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

#[cfg(not(feature = "mpi"))]
#[test]
fn a_program_for_one_process_says_so() {
    let bench = Bench::new();
    let args = tiny_in("pix2pix", "run", &["max_steps=1"]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    as_rank(&bench, 1, 4, &args).fails(2, &["mpirun started 4 processes", "--features mpi"]);
    assert!(!bench.path("run").exists());
    // The shell of an allocation is one process.
    let mut command = bench.command(&args);
    let ran: Ran = command.env("SLURM_NTASKS", "4").env("SLURM_PROCID", "0").output().unwrap().into();
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn shares_of_a_translation_make_each_image_once() {
    let bench = Bench::new();
    bench.synth("facades", "drawn", 32, 5, 1);
    bench.ok(tiny_in("pix2pix", "run", &["max_steps=1"]));
    let input = if bench.path("drawn/train").is_dir() { "drawn/train" } else { "drawn" };
    bench.ok(["translate", "run", input, "whole"]);
    let whole = files(&bench.path("whole"));
    assert!(whole.len() > 3);
    let mut counts = Vec::new();
    for number in 1..=3 {
        let ran = bench.ok(["translate", "run", input, "shares", "--shard", &format!("{number}/3"), "--json"]);
        let said: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        counts.push(said["written"].as_u64().unwrap());
    }
    assert_eq!(counts.iter().sum::<u64>(), whole.len() as u64, "{counts:?}");
    assert!(files(&bench.path("shares")) == whole);
    // By themselves, where a launcher started them; this needs no MPI.
    for rank in 0..2 {
        let ran = as_rank(&bench, rank, 2, &["translate", "run", input, "ranks"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(files(&bench.path("ranks")).len(), if rank == 0 { whole.len().div_ceil(2) } else { whole.len() });
    }
    assert!(files(&bench.path("ranks")) == whole);
    as_rank(&bench, 0, 2, &["translate", "run", input, "page", "--html"]).fails(2, &["--html"]);
}
