//! Signals, closed pipes and the absence of a terminal.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use crate::support;

use std::io::Read;
use std::process::{Child, Stdio};
use std::time::Duration;
use support::{Bench, has_checkpoint, newest, resume, signal, tiny_in, wait, wait_until};

/// Long enough that no signal comes too late, without checkpoints of its own.
const LONG: [&str; 5] =
    ["max_dataset_size=8", "n_epochs=100000", "save_latest_freq=0", "save_epoch_freq=0", "save_minutes=0"];

/// A run in `run` that has begun to train.
fn started(bench: &Bench, run: &str, more: &[&str]) -> Child {
    let settings: Vec<&str> = LONG.iter().chain(more).copied().collect();
    let child = bench.command(tiny_in("pix2pix", run, &settings)).stdout(Stdio::null()).spawn().unwrap();
    wait_until("the first step", || bench.path(run).join("gallery/index.html").exists());
    child
}

fn stderr_of(child: &mut Child) -> String {
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    text
}

#[test]
fn interrupt_and_terminate_save_first() {
    let bench = Bench::new();
    for name in ["INT", "TERM", "HUP"] {
        let mut child = started(&bench, name, &[]);
        assert!(!has_checkpoint(&bench.path(name)), "a checkpoint before the signal proves nothing");
        signal(&child, name);
        assert_eq!(wait(&mut child).code(), Some(130), "{name}");
        let text = stderr_of(&mut child);
        assert!(text.contains("finishing this step"), "{text}");
        let stopped = newest(&bench.path(name)).step;
        assert!(stopped > 0);
        assert!(
            text.contains(&format!("interrupted at step {stopped}; saved {name}/checkpoints/{stopped}\n")),
            "{text}"
        );
        assert!(text.contains(&format!("resume with: gan-cli train pix2pix --out {name} --resume\n")), "{text}");
        let few = format!("max_steps={}", stopped + 3);
        let args = resume("pix2pix", name).into_iter().chain(["--set", &few]);
        let ran = bench.ok(args);
        assert!(ran.err.contains(&format!("from step {stopped}")), "{}", ran.err);
        assert_eq!(newest(&bench.path(name)).step, stopped + 3);
    }
}

#[test]
fn second_interrupt_leaves_at_once() {
    let bench = Bench::new();
    // A step of this size takes long enough for the second signal to fall into it.
    let slow = ["load_size=160", "crop_size=160", "ngf=16", "ndf=16", "display_freq=0"];
    let settings: Vec<&str> = LONG.iter().chain(&slow).copied().collect();
    let mut child = bench.command(tiny_in("pix2pix", "run", &settings)).stdout(Stdio::null()).spawn().unwrap();
    wait_until("the first step", || bench.path("run/gallery/index.html").exists());
    signal(&child, "INT");
    std::thread::sleep(Duration::from_millis(10));
    signal(&child, "INT");
    assert_eq!(wait(&mut child).code(), Some(130));
    // Whether or not there was time for a checkpoint, the folder is usable.
    bench.ok(resume("pix2pix", "run").into_iter().chain(["--set", "max_steps=1"]));
}

/// What `nohup`, and a script that starts it with `&`, have the process ignore.
#[test]
fn ignored_signals_stay_ignored() {
    let bench = Bench::new();
    let settings: Vec<&str> = LONG.to_vec();
    let quoted: Vec<_> = tiny_in("pix2pix", "run", &settings).iter().map(|arg| format!("'{arg}'")).collect();
    let script = format!("trap '' HUP INT; exec '{}' {}", env!("CARGO_BIN_EXE_gan-cli"), quoted.join(" "));
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &script]).current_dir(bench.path("")).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    wait_until("the first step", || bench.path("run/gallery/index.html").exists());
    for name in ["HUP", "INT", "INT"] {
        signal(&child, name);
        std::thread::sleep(Duration::from_millis(300));
        assert!(child.try_wait().unwrap().is_none(), "{name} ended it");
    }
    assert!(!has_checkpoint(&bench.path("run")));
    signal(&child, "TERM");
    assert_eq!(wait(&mut child).code(), Some(130));
    assert_eq!(stderr_of(&mut child).matches("finishing this step").count(), 1);
    assert!(has_checkpoint(&bench.path("run")));
}

#[test]
fn closed_pipes_do_not_end_training() {
    let bench = Bench::new();
    let settings = ["n_epochs=3", "print_freq=1"];
    let mut child = bench.command(tiny_in("pix2pix", "run", &settings)).spawn().unwrap();
    drop(child.stdout.take());
    drop(child.stderr.take());
    assert_eq!(wait(&mut child).code(), Some(0));
    assert_eq!(newest(&bench.path("run")).step, 16);
    // And a reader that has seen enough of a long answer is no failure.
    let mut child = bench.command(["summary", "--model", "run"]).spawn().unwrap();
    drop(child.stdout.take());
    let status = wait(&mut child);
    let text = stderr_of(&mut child);
    assert!(status.success() && !text.contains("panicked"), "{status}: {text}");
    let mut child = bench.command(["completions", "bash"]).spawn().unwrap();
    drop(child.stdout.take());
    let status = wait(&mut child);
    let text = stderr_of(&mut child);
    assert!(status.success() && !text.contains("panicked"), "{status}: {text}");
}

#[test]
fn without_a_terminal_there_are_plain_lines() {
    let bench = Bench::new();
    let ran = bench.ok(tiny_in("pix2pix", "run", &["n_epochs=2", "n_epochs_decay=0", "print_freq=1"]));
    let translated = bench.ok(["translate", "--model", "run", "--input", "run/gallery/images", "--output", "out"]);
    for text in [&ran.err, &ran.out, &translated.err, &translated.out] {
        assert!(!text.contains(['\u{1b}', '\r']), "{text:?}");
        assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
    }
    let start = "training pix2pix on cpu: 8 steps (4 images, 2 epochs, batch size 1); generator: ";
    // Lines of the log have the time of day in front.
    let timed = |line: &str| {
        let (time, rest) = line.split_once(' ')?;
        let digits = time.trim_end_matches('Z').split(':').filter(|part| part.len() == 2 && part.parse::<u8>().is_ok());
        (digits.count() == 3).then(|| rest.to_owned())
    };
    let log: Vec<String> = ran.err.lines().filter_map(timed).collect();
    let plain: Vec<String> = ran.err.lines().filter(|line| timed(line).is_none()).map(String::from).collect();
    for (lines, words) in [
        (&plain, "input: "),
        (&plain, start),
        (&plain, "gallery: run/gallery/index.html"),
        (&log, "step 1/8  epoch 1/2  "),
        (&log, "step 8/8  epoch 2/2  "),
        (&log, "epoch 2/2 done in "),
        (&log, "saved run/checkpoints/8"),
        (&plain, "done. Look at "),
    ] {
        assert_eq!(lines.iter().filter(|line| line.starts_with(words)).count(), 1, "{words}: {}", ran.err);
    }
    assert!(log.iter().find(|line| line.starts_with("step 8/8")).unwrap().contains("  G_GAN "), "{}", ran.err);
    assert!(ran.out.is_empty(), "{}", ran.out);
}
