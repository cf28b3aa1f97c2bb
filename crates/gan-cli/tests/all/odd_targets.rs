//! Run folders that are none, cannot be made, or go away while a run trains into them.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use crate::support;

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use support::{Bench, Ran, assert_same_tensors, has_checkpoint, newest, resume, tiny, tiny_in, wait_until};

/// A short run into whatever this names.
fn train_into(bench: &Bench, target: impl Into<OsString>) -> Ran {
    let args = tiny("pix2pix", &["max_steps=2"]).into_iter().map(OsString::from);
    bench.run(args.chain(["--out".into(), target.into()]))
}

#[test]
fn targets_that_are_refused_before_the_first_step() {
    let bench = Bench::new();
    fs::write(bench.path("file"), "mine").unwrap();
    fs::create_dir(bench.path("full")).unwrap();
    fs::write(bench.path("full/holiday.txt"), "mine").unwrap();
    symlink("nowhere/at/all", bench.path("dangling")).unwrap();
    symlink("loop", bench.path("loop")).unwrap();
    fs::create_dir_all(bench.path("locked/lock")).unwrap();
    let long = "x".repeat(300);
    let before = listing(&bench.path(""));
    let link = "remove the link that leads to itself";
    // Each with its remedy, where that is not the run folder's own.
    let targets = [
        ("file", ""),
        ("file/run", "leads through folders alone"),
        ("full", ""),
        ("dangling", ""),
        ("loop", link),
        ("loop/run", link),
        (&long, "choose another, shorter name"),
        ("/proc/run", ""),
        ("locked", ""),
    ];
    for (target, remedy) in targets {
        let ran = train_into(&bench, target);
        let message = ran.err.find("error: ").map(|at| &ran.err[at..]);
        assert!(matches!(ran.code, Some(1 | 3 | 4)), "{target}: {ran:?}");
        let message = message.unwrap_or_else(|| panic!("{target}: {}", ran.err));
        assert!(message.contains(target) && !ran.err.contains("panicked"), "{target}: {}", ran.err);
        assert!(remedy.is_empty() || message.matches(remedy).count() == 1, "{target}: {}", ran.err);
        assert!(!ran.err.contains("step 1/"), "{target} was refused too late: {}", ran.err);
        assert_eq!(listing(&bench.path("")), before, "{target}");
    }
    assert_eq!(fs::read_to_string(bench.path("file")).unwrap(), "mine");
}

/// Every path below a folder.
fn listing(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        found.push(path.display().to_string());
        if path.is_dir() && !path.is_symlink() {
            found.extend(listing(&path));
        }
    }
    found.sort();
    found
}

#[test]
fn targets_that_are_as_good_as_any() {
    let bench = Bench::new();
    bench.ok(tiny_in("pix2pix", "plain", &["max_steps=2"]));
    fs::create_dir_all(bench.path("elsewhere/deep")).unwrap();
    symlink("elsewhere/deep", bench.path("link")).unwrap();
    fs::create_dir(bench.path("empty")).unwrap();
    let not_unicode = OsString::from_vec(b"run-\xff\xfe".to_vec());
    let targets: [OsString; 6] = [
        "link".into(),
        "empty".into(),
        "new/folders/all/the/way".into(),
        "a name with spaces, 'quotes' and \"more\"".into(),
        "-dash".into(),
        not_unicode,
    ];
    for target in targets {
        // A name that begins like an option needs its folder.
        let out = if target == "-dash" { OsString::from("./-dash") } else { target.clone() };
        let ran = train_into(&bench, out);
        assert_eq!(ran.code, Some(0), "{target:?}: {ran:?}");
        assert_same_tensors(&newest(&bench.path("").join(&target)), &newest(&bench.path("plain")));
    }
    assert!(has_checkpoint(&bench.path("elsewhere/deep")) && bench.path("link").is_symlink());
}

/// How a run folder, or a part of it, goes away.
type Vanishing = fn(&Path);

#[test]
fn folders_that_vanish_while_a_run_trains() {
    let ways: [(&str, Vanishing); 4] = [
        ("removed", |run| fs::remove_dir_all(run).unwrap()),
        ("moved away", |run| fs::rename(run, run.with_extension("moved")).unwrap()),
        ("replaced by an empty folder", |run| {
            fs::rename(run, run.with_extension("moved")).unwrap();
            fs::create_dir(run).unwrap();
        }),
        ("replaced by a file", |run| {
            fs::rename(run, run.with_extension("moved")).unwrap();
            fs::write(run, "mine").unwrap();
        }),
    ];
    for (name, vanish) in ways {
        let bench = Bench::new();
        let run = bench.path("run");
        let mut child = bench.command(tiny_in("pix2pix", "run", &["n_epochs=100000", "print_freq=4"])).spawn().unwrap();
        wait_until("the first step", || run.join("gallery/index.html").exists());
        // What is being written just then may make the first attempt fail.
        wait_until("the folder to go", || std::panic::catch_unwind(|| vanish(&run)).is_ok());
        let mut status = None;
        wait_until("the end of a run without a folder", || {
            status = child.try_wait().unwrap();
            status.is_some()
        });
        let text = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
        assert_eq!(status.unwrap().code(), Some(1), "{name}: {text}");
        assert!(text.contains("error: run was removed or replaced while training"), "{name}: {text}");
        assert!(!text.contains("panicked"), "{name}: {text}");
        // What has taken its place is not written into.
        if run.is_dir() {
            assert_eq!(listing(&run), [""; 0], "{name}");
        } else if run.exists() {
            assert_eq!(fs::read_to_string(&run).unwrap(), "mine");
        }
    }
}

#[test]
fn parts_of_a_run_folder_that_vanish_are_made_again() {
    for part in ["checkpoints", "gallery", "config.toml", "run.json", "checkpoints/latest"] {
        let bench = Bench::new();
        let run = bench.path("run");
        let settings = ["n_epochs=100000", "save_latest_freq=4", "keep=2", "max_steps=150"];
        let mut child = bench.command(tiny_in("pix2pix", "run", &settings)).spawn().unwrap();
        wait_until("two checkpoints", || support::steps(&run).len() >= 2);
        let path = run.join(part);
        wait_until("the part to go", || {
            let gone = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            gone.is_ok()
        });
        let text = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
        assert_eq!(support::wait(&mut child).code(), Some(0), "{part}: {text}");
        assert!(!text.contains("panicked"), "{part}: {text}");
        assert_eq!(newest(&run).step, 150, "{part}");
        assert!(run.join(part).exists(), "{part}");
        bench.ok(resume("pix2pix", "run").into_iter().chain(["--set", "max_steps=152"]));
    }
}
