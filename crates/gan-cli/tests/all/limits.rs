//! Memory, threads, descriptors and file sizes that the system limits.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use crate::support;

use std::process::Command;
use support::{Bench, Ran, assert_same_tensors, newest, resume, tiny_in};

/// Runs the binary below a limit that `sh` sets, such as `ulimit -v 100000`.
fn limited(bench: &Bench, limit: &str, args: &[String]) -> Ran {
    let plain = bench.command(args);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{limit}; exec \"$@\""), "sh"]).arg(plain.get_program()).args(plain.get_args());
    command.current_dir(bench.path("")).output().unwrap().into()
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(String::from).collect()
}

/// KiB of addresses at which the system can load the binary; what fails below is not the program.
fn loadable(bench: &Bench) -> u32 {
    (1..200)
        .map(|n| n * 1000)
        .find(|kib| limited(bench, &format!("ulimit -v {kib}"), &words("--version")).code == Some(0))
        .unwrap()
}

/// A run and a few images to work with.
fn furnished() -> Bench {
    let bench = Bench::new();
    bench.synth("facades", "pairs", 32, 3, 0);
    bench.ok(tiny_in("pix2pix", "run", &["n_epochs=50", "max_steps=2"]));
    bench
}

#[test]
fn memory_that_cannot_be_had() {
    let bench = furnished();
    let least = loadable(&bench);
    let mut commands: Vec<_> = [
        "translate --model run --input pairs --output translated",
        "dataset inspect pairs",
        "dataset synth facades --out drawn --size 64 --count 2 --test 0",
        "convert run copy.pth --network g",
        "summary --model run",
        "bench --case infer-unet256 --size 256 256 --runs 1 --warmup 0",
        "completions bash",
    ]
    .map(words)
    .into();
    commands.push(tiny_in("pix2pix", "other", &["max_steps=2", "workers=2"]));
    let (mut done, mut lacking) = (0, 0);
    for more in [0, 1, 2, 3, 4, 5, 6, 8, 11, 16, 24, 40, 100, 300] {
        let limit = format!("ulimit -v {}", least + more * 1000);
        for args in &commands {
            // What an earlier round left would be in the way.
            for folder in ["other", "drawn"] {
                let _ = std::fs::remove_dir_all(bench.path(folder));
            }
            let ran = limited(&bench, &limit, args);
            match ran.code {
                Some(0) => done += 1,
                Some(5) => {
                    ran.fails(5, &["error: not enough memory: ", "more were needed", "(ulimit -v)"]);
                    lacking += 1;
                }
                _ => panic!("{limit}: {args:?}: {ran:?}"),
            }
        }
    }
    assert!(done > 10 && lacking > 10, "{done} and {lacking}: the limits test nothing");
    // The remedy is that of the command.
    let limit = format!("ulimit -v {}", least + 5000);
    limited(&bench, &limit, &words("bench --case infer-unet256")).fails(5, &["lower --size and --batch, or raise"]);
}

#[test]
fn a_checkpoint_outlives_a_lack_of_memory() {
    let bench = furnished();
    let least = loadable(&bench);
    let mut lacking = 0;
    for more in (0..24).step_by(2) {
        let before = newest(&bench.path("run")).step;
        let steps = format!("max_steps={}", before + 1);
        let args: Vec<_> = resume("pix2pix", "run").into_iter().chain(["--set", &steps]).map(String::from).collect();
        let ran = limited(&bench, &format!("ulimit -v {}", least + more * 1000), &args);
        assert!(matches!(ran.code, Some(0 | 5)), "{ran:?}");
        lacking += usize::from(ran.code == Some(5));
        let now = newest(&bench.path("run")).step;
        // The memory may also run out once the checkpoint is there.
        assert!(now == before + 1 || (now == before && ran.code == Some(5)), "{before}, then {now}: {ran:?}");
    }
    assert!(lacking > 0, "the limits test nothing");
    bench.ok(resume("pix2pix", "run").into_iter().chain(["--set", "max_steps=40"]));
    assert_eq!(newest(&bench.path("run")).step, 40);
}

#[test]
fn without_threads_the_result_is_the_same() {
    let bench = furnished();
    let train = |run: &str| tiny_in("pix2pix", run, &["max_steps=5", "workers=3"]);
    bench.ok(train("usual"));
    // No thread can be had: the system has no addresses for stacks of this size.
    let ran: Ran =
        bench.command(train("alone")).env("RUST_MIN_STACK", (1_u64 << 46).to_string()).output().unwrap().into();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains("using the main thread alone"), "{}", ran.err);
    assert_same_tensors(&newest(&bench.path("alone")), &newest(&bench.path("usual")));
    // Numbers of threads that make no sense.
    for number in ["0", "many", "", "1000000000"] {
        let ran: Ran =
            bench.command(train(&format!("r{number}"))).env("RAYON_NUM_THREADS", number).output().unwrap().into();
        assert_eq!(ran.code, Some(0), "{number}: {ran:?}");
        assert_same_tensors(&newest(&bench.path(&format!("r{number}"))), &newest(&bench.path("usual")));
    }
}

#[test]
fn few_descriptors() {
    let bench = furnished();
    let few = tiny_in("pix2pix", "few", &["max_steps=2", "workers=3"]);
    assert_eq!(limited(&bench, "ulimit -n 8", &few).code, Some(0));
    let ran = limited(&bench, "ulimit -n 5", &tiny_in("pix2pix", "fewer", &["max_steps=2"]));
    ran.fails(1, &["fewer", "Too many open files"]);
}

#[test]
fn converted_files_are_whole_or_not_there() {
    let bench = furnished();
    for name in ["copy.pth", "copy.safetensors"] {
        let args = words(&format!("convert run {name} --network g"));
        limited(&bench, "trap '' XFSZ; ulimit -f 4", &args).fails(1, &["cannot write", name, "space"]);
    }
    let mut names: Vec<_> = std::fs::read_dir(bench.path("")).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["pairs", "run"]);
}
