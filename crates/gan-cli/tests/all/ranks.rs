//! Processes that were started together: what a program that was built for one says, shares of a translation, and with the feature
//! `mpi` runs under an installed `mpirun`.

use crate::support;
use std::path::Path;
use support::{Bench, Ran, tiny_in};

/// Rank `rank` of `size`, as `mpirun` says it.
fn as_rank(bench: &Bench, rank: usize, size: usize, args: &[&str]) -> Ran {
    let mut command = bench.command(args);
    command.env("OMPI_COMM_WORLD_RANK", rank.to_string()).env("OMPI_COMM_WORLD_SIZE", size.to_string());
    command.output().unwrap().into()
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

#[cfg(feature = "mpi")]
mod mpi {
    use super::*;
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};
    use support::{assert_same_tensors, has_checkpoint, newest, resume, signal, wait, wait_until};

    /// Of the methods' tiny runs: batch norms and pools that exchange, steps of which the last of an epoch is not full.
    const SMALL: [&str; 6] =
        ["max_dataset_size=5", "n_epochs=2", "n_epochs_decay=0", "pool_size=2", "save_minutes=0", "print_freq=1"];

    /// `mpirun` with so many processes of the program.
    fn mpirun<A: AsRef<std::ffi::OsStr>>(bench: &Bench, ranks: usize, args: impl IntoIterator<Item = A>) -> Command {
        let program = bench.command(args);
        let mut command = Command::new("mpirun");
        // Between the signal that ends a run and the kill, a step has to end; the launcher waits all that time.
        command.args(["--allow-run-as-root", "--oversubscribe", "--mca", "odls_base_sigkill_timeout", "3"]);
        command.args(["-n", &ranks.to_string()]).arg(program.get_program()).args(program.get_args());
        command.current_dir(bench.path(".")).envs(program.get_envs().filter_map(|(key, value)| Some((key, value?))));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn ran(mut command: Command) -> Ran {
        command.output().unwrap().into()
    }

    fn with(settings: &[&'static str], accumulate: usize) -> Vec<String> {
        settings.iter().map(ToString::to_string).chain([format!("train.accumulate={accumulate}")]).collect()
    }

    fn args(method: &str, run: &str, settings: &[String]) -> Vec<String> {
        tiny_in(method, run, &settings.iter().map(String::as_str).collect::<Vec<_>>())
    }

    #[test]
    fn processes_train_what_one_trains() {
        let bench = Bench::new();
        for method in ["pix2pix", "pix2pixhd", "cyclegan", "cut"] {
            for (per_step, splits) in [(4, &[1, 2, 4][..]), (3, &[3])] {
                let whole = format!("{method}-{per_step}");
                bench.ok(args(method, &whole, &with(&SMALL, per_step)));
                for &ranks in splits {
                    let run = format!("{whole}-on-{ranks}");
                    let ended = ran(mpirun(&bench, ranks, args(method, &run, &with(&SMALL, per_step / ranks))));
                    assert_eq!(ended.code, Some(0), "{method} on {ranks}: {ended:?}");
                    assert_eq!(ended.err.matches("done. Look at").count(), 1, "{}", ended.err);
                    assert_same_tensors(&newest(&bench.path(&run)), &newest(&bench.path(&whole)));
                }
            }
        }
    }

    /// A run of three processes that has saved a checkpoint and trains on.
    fn started(bench: &Bench, run: &str, saves: &'static str) -> Child {
        let long = ["max_dataset_size=6", "n_epochs=100000", "save_epoch_freq=0", "save_minutes=0", saves];
        let child = mpirun(bench, 3, args("cyclegan", run, &with(&long, 1))).stdout(Stdio::null()).spawn().unwrap();
        wait_until("the first step", || match saves {
            "save_latest_freq=0" => bench.path(run).join("gallery/index.html").exists(),
            _ => has_checkpoint(&bench.path(run)),
        });
        child
    }

    /// Goes on to a step on two processes, and compares with a run of one.
    fn same_after_resuming(bench: &Bench, run: &str, step: u64) {
        let few = format!("max_steps={step}");
        let resume = resume("cyclegan", run).into_iter().chain(["--set", &few]);
        let ended = ran(mpirun(bench, 3, resume));
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let long = ["max_dataset_size=6", "n_epochs=100000", "save_epoch_freq=0", "save_minutes=0"];
        let settings = long.iter().map(ToString::to_string).chain([few, "train.accumulate=3".into()]);
        let whole = format!("{run}-whole");
        bench.ok(args("cyclegan", &whole, &settings.collect::<Vec<_>>()));
        assert_same_tensors(&newest(&bench.path(run)), &newest(&bench.path(&whole)));
    }

    #[test]
    fn a_signal_to_the_launcher_saves_first() {
        let bench = Bench::new();
        for name in ["TERM", "USR1"] {
            let mut child = started(&bench, name, "save_latest_freq=0");
            signal(&child, name);
            assert!(!wait(&mut child).success(), "{name}");
            let stopped = newest(&bench.path(name)).step;
            assert!(stopped > 0);
            same_after_resuming(&bench, name, stopped + 3);
        }
    }

    #[test]
    fn a_rank_that_is_killed_ends_all() {
        let bench = Bench::new();
        let mut child = started(&bench, "run", "save_latest_freq=1");
        let children = Command::new("pgrep").args(["-P", &child.id().to_string()]).output().unwrap();
        let ranks = String::from_utf8(children.stdout).unwrap();
        let ranks: Vec<&str> = ranks.split_whitespace().collect();
        assert_eq!(ranks.len(), 3, "{ranks:?}");
        assert!(Command::new("kill").args(["-KILL", ranks[2]]).status().unwrap().success());
        let killed = Instant::now();
        assert!(!wait(&mut child).success());
        assert!(killed.elapsed() < Duration::from_secs(10), "{:?}", killed.elapsed());
        for rank in ranks {
            assert!(!Path::new("/proc").join(rank).join("exe").exists(), "rank {rank} lives");
        }
        same_after_resuming(&bench, "run", newest(&bench.path("run")).step + 3);
    }

    #[test]
    fn an_error_is_said_once_with_its_code() {
        let bench = Bench::new();
        let adaptive = ["augment.adaptive=true".into(), "augment.policy=color".into()];
        let ended = ran(mpirun(&bench, 3, args("pix2pix", "run", &adaptive)));
        assert_eq!(ended.code, Some(4), "{ended:?}");
        assert_eq!(ended.err.matches("augment.adaptive = false").count(), 1, "{}", ended.err);
        let ended = ran(mpirun(&bench, 3, args("pix2pix", "run", &["on_nonfinite=stop".into(), "lr=1e30".into()])));
        assert_eq!(ended.code, Some(6), "{ended:?}");
        assert_eq!(ended.err.matches("error: training diverged").count(), 1, "{}", ended.err);
    }
}
