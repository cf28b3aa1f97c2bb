//! README and tutorials: every command of their `sh` blocks, from top to bottom, with fewer and smaller steps.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use crate::support;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use support::{Bench, Ran};

/// Over a page's settings: narrow networks and two steps.
const SHORT: &str = "--set ndf=4 --set max_steps=2 --set max_dataset_size=2 --set workers=0 --set print_freq=1";

/// The commands of a page's `sh` blocks, each in one line and without its comment.
fn commands(page: &str) -> Vec<String> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(page)).unwrap();
    let blocks = page.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n"));
    let lines = blocks.flat_map(|block| block.replace("\\\n", " ").lines().map(str::to_owned).collect::<Vec<_>>());
    let commands = lines.map(|line| line.split(" # ").next().unwrap().split_whitespace().collect::<Vec<_>>().join(" "));
    commands.filter(|line| !line.is_empty()).collect()
}

/// The command with less to do.
fn shortened(line: &str) -> String {
    let mut words: Vec<&str> = line.split(' ').collect();
    if line.starts_with("gan-cli dataset synth") {
        for (option, few) in [("--count", "5"), ("--test", "2")] {
            let at = words.iter().position(|word| *word == option).unwrap();
            words[at + 1] = few;
        }
    }
    let line = words.join(" ");
    match line {
        line if !line.starts_with("gan-cli train") => line,
        line if line.contains("--resume") => format!("{line} --set max_steps=4"),
        // An enhancer has half the width of the network that it is put around.
        line if line.contains("--preset 1024p") => format!("{line} {SHORT} --set generator.ngf=2"),
        // Validation has to come before the last step.
        line if line.contains("validation.every") => {
            format!("{line} {SHORT} --set generator.ngf=4 --set validation.every=1")
        }
        line => format!("{line} {SHORT} --set generator.ngf=4"),
    }
}

/// Runs the line in a shell, with the binary under test as `gan-cli`.
fn run(bench: &Bench, line: &str) {
    let bin = Path::new(env!("CARGO_BIN_EXE_gan-cli")).parent().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(bench.path("")).env("GAN_DATA_DIR", bench.path("data-dir"));
    command.env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap())).stdin(Stdio::null());
    let ran: Ran = command.output().unwrap().into();
    assert_eq!(ran.code, Some(0), "{line}: {ran:?}");
}

/// Runs a page. `least` is how many commands it has at least: a page whose blocks are not found has none.
fn follow(bench: &Bench, page: &str, least: usize) {
    let commands = commands(page);
    assert!(commands.len() >= least, "{page}: {commands:#?}");
    for line in commands {
        assert!(line.starts_with("gan-cli "), "{page}: {line}");
        if line.contains("latest_net_G.pth")
            && !line.contains("convert runs")
            && !bench.path("latest_net_G.pth").exists()
        {
            // The page takes a file of PyTorch for granted.
            run(bench, "gan-cli convert runs/photos latest_net_G.pth --network g");
        }
        run(bench, &shortened(&line));
    }
}

/// A folder `name` of photos of this size.
fn photos(bench: &Bench, name: &str, size: usize, count: usize) {
    bench.synth("unpaired", "drawn", size, count, 0);
    fs::rename(bench.path("drawn/trainA"), bench.path(name)).unwrap();
    fs::remove_dir_all(bench.path("drawn")).unwrap();
}

#[test]
fn readme() {
    let bench = Bench::new();
    photos(&bench, "my-photos", 272, 3);
    photos(&bench, "new", 64, 2);
    follow(&bench, "README.md", 7);
    for made in ["runs/photos/gallery/index.html", "out", "from-python", "g.safetensors"] {
        assert!(bench.path(made).exists(), "{made}");
    }
}

#[test]
fn pix2pix() {
    let bench = Bench::new();
    photos(&bench, "my-photos", 64, 10);
    bench.synth("facades", "pairs-drawn", 32, 3, 0);
    bench.ok(["dataset", "separate", "pairs-drawn/train", "--out", "halves"]);
    fs::rename(bench.path("halves/A"), bench.path("drawings")).unwrap();
    fs::rename(bench.path("halves/B"), bench.path("paintings")).unwrap();
    follow(&bench, "docs/tutorials/pix2pix.md", 14);
    assert!(bench.path("made/index.html").exists() && bench.path("latest_net_G.pth").exists());
    assert!(bench.path("photos/val").exists() && bench.path("pairs/all").exists());
}

#[test]
fn cyclegan() {
    let bench = Bench::new();
    follow(&bench, "docs/tutorials/cyclegan.md", 10);
    for made in ["made-night", "made-day", "made-by-cut"] {
        assert_eq!(fs::read_dir(bench.path(made)).unwrap().count(), 2, "{made}");
    }
}

#[test]
fn pix2pixhd() {
    let bench = Bench::new();
    follow(&bench, "docs/tutorials/pix2pixhd.md", 10);
    for made in ["made", "style-1", "style-2"] {
        assert_eq!(fs::read_dir(bench.path(made)).unwrap().count(), 2, "{made}");
    }
}
