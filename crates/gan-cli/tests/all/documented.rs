//! The documented path: README's commands, Ctrl-C and the line that is printed then.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use crate::support;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use support::{Bench, newest, signal, wait, wait_until};

/// Over README's settings: small and soon done.
const TINY: &str =
    "--set generator.arch=unet --set num_downs=5 --set generator.ngf=4 --set ndf=4 --size 32 --set workers=0";

/// A line for the shell, with the binary under test as `gan-cli`.
fn shell(bench: &Bench, line: &str) -> Command {
    let bin = Path::new(env!("CARGO_BIN_EXE_gan-cli")).parent().unwrap();
    let mut command = Command::new("sh");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    command.args(["-c", &format!("exec {line}")]).current_dir(bench.path("")).env("PATH", path);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[track_caller]
fn ok(bench: &Bench, line: &str) -> support::Ran {
    let ran: support::Ran = shell(bench, line).output().unwrap().into();
    assert_eq!(ran.code, Some(0), "{line}: {ran:?}");
    ran
}

/// Starts the line, interrupts it when `begun` exists, and returns the line that resumes.
fn interrupted(bench: &Bench, line: &str, begun: &str) -> String {
    let mut child = shell(bench, line).stdout(Stdio::null()).spawn().unwrap();
    wait_until("the first step", || bench.path(begun).exists());
    signal(&child, "INT");
    assert_eq!(wait(&mut child).code(), Some(130));
    let said = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
    let resume = said.lines().find_map(|line| line.strip_prefix("resume with: "));
    resume.unwrap_or_else(|| panic!("no line to resume with: {said}")).to_owned()
}

#[test]
fn the_commands_of_the_readme_work_as_written() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")).unwrap();
    // The path from a folder to images is numbered.
    let numbered = |i: usize| readme.lines().find(|line| line.contains(&format!(" # {i}. "))).unwrap();
    let [pairs, inspect, train, translate] = [1, 2, 3, 4].map(numbered);
    let command = |line: &str| line.split('#').next().unwrap().trim().to_owned();

    let bench = Bench::new();
    bench.synth("unpaired", "drawn", 64, 3, 0);
    fs::rename(bench.path("drawn/trainA"), bench.path("my-photos")).unwrap();
    ok(&bench, &command(pairs));
    assert!(ok(&bench, &command(inspect)).out.contains("no problems"));
    let train = command(train);
    let resume = interrupted(&bench, &format!("{train} {TINY}"), "runs/photos/gallery/index.html");
    assert!(readme.contains(&format!("`{resume}`")), "README promises another line than {resume}");
    let stopped = newest(&bench.path("runs/photos")).step;
    let few = format!("--set max_steps={}", stopped + 1);
    ok(&bench, &format!("{resume} {few}"));
    // The command of the start, with --resume, is the same run.
    ok(&bench, &format!("{train} {TINY} --resume --set max_steps={}", stopped + 2));
    assert_eq!(newest(&bench.path("runs/photos")).step, stopped + 2);
    fs::rename(bench.path("drawn/trainB"), bench.path("new")).unwrap();
    ok(&bench, &command(translate));
    assert_eq!(fs::read_dir(bench.path("out")).unwrap().count(), 3);
}

#[test]
fn an_interrupted_demo_resumes_to_its_table() {
    let bench = Bench::new();
    let quick = "--set max_dataset_size=8 --set load_size=32 --set crop_size=32 --set generator.arch=unet --set num_downs=5 \
        --set ngf=4 --set ndf=4 --set n_epochs=100000";
    let resume = interrupted(&bench, &format!("gan-cli demo --out 'my demo' {quick}"), "my demo/gallery/index.html");
    assert_eq!(resume, "gan-cli demo --out 'my demo' --resume");
    let ran = ok(&bench, &format!("{resume} --set max_steps={}", newest(&bench.path("my demo")).step + 1));
    assert!(ran.out.contains("the trained model") && ran.out.contains("baseline"), "{}", ran.out);
    assert!(bench.path("my demo/held-out.png").is_file());
    // Another run is no demo.
    bench.ok(support::tiny_in("cyclegan", "run", &["max_steps=1"]));
    let other = bench.run(["demo", "--out", "run", "--resume"]);
    other.fails(4, &["no demo", "gan-cli train --out run --resume"]);
}
