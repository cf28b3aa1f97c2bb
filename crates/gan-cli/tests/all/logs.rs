//! Files that other programs read beside events.jsonl, and previews of held-out images, through launches that are killed and resumed.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use crate::support;

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use support::{Bench, assert_same_tensors, newest, resume, tiny_in, wait};

/// The data of all records of a run's event files, in the order in which they are read. Each file has to be whole.
fn records(run: &Path) -> Vec<Vec<u8>> {
    let mut files: Vec<_> = fs::read_dir(run.join("tensorboard")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let bytes = fs::read(&file).unwrap();
        // The first record names the version of the format and has 24 bytes.
        assert_eq!(bytes[..12], [24, 0, 0, 0, 0, 0, 0, 0, 0xa3, 0x7f, 0x4b, 0x22], "{}", file.display());
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            all.push(rest[12..12 + length].to_vec());
            rest = &rest[16 + length..];
        }
    }
    all
}

fn count(records: &[Vec<u8>], tag: &str) -> usize {
    records.iter().filter(|record| record.windows(tag.len()).any(|part| part == tag.as_bytes())).count()
}

/// Log points and previews of the events file, without what depends on the clock.
fn events(run: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(run.join("events.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let kept = lines.filter(|line| ["progress", "preview", "validated"].contains(&line["event"].as_str().unwrap()));
    kept.map(|mut line| {
        for clock in ["time", "images_per_s", "data_wait", "eta_s", "seconds"] {
            line.as_object_mut().unwrap().remove(clock);
        }
        line
    })
    .collect()
}

/// The table without the columns that depend on the clock.
fn table(run: &Path) -> Vec<String> {
    let text = fs::read_to_string(run.join("events.csv")).unwrap();
    assert!(text.starts_with("step,epoch,time,learning rate,images/s,G_GAN,") && text.ends_with('\n'), "{text}");
    let without = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        [&cells[..2], &cells[3..4], &cells[5..]].concat().join(",")
    };
    text.lines().map(without).collect()
}

#[test]
fn a_killed_run_has_the_logs_of_one_that_was_not() {
    let bench = Bench::new();
    let settings = ["max_dataset_size=3", "n_epochs=60", "n_epochs_decay=0", "save_minutes=0", "save_epoch_freq=0"];
    let settings =
        [&settings[..], &["save_latest_freq=7", "print_freq=2", "display_freq=20", "validation.every=9"]].concat();
    let started =
        |run: &str| [tiny_in("pix2pix", run, &settings), vec!["--log".into(), "tensorboard,csv".into()]].concat();
    bench.ok(started("whole"));
    let (run, whole) = (bench.path("run"), bench.path("whole"));
    let mut random = gan_rng::Key::new(5, gan_rng::Purpose::Test).stream();
    let mut alive = 0;
    for _ in 0..6 {
        let args = match run.join("config.toml").exists() {
            true => resume("pix2pix", "run").map(String::from).to_vec(),
            false => started("run"),
        };
        let mut child = bench.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(200 + random.below(500)));
        alive += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        wait(&mut child);
    }
    assert!(alive > 1, "the run was over before it could be killed");
    bench.ok(resume("pix2pix", "run"));
    assert_same_tensors(&newest(&run), &newest(&whole));
    assert_eq!(events(&run), events(&whole));
    assert_eq!(table(&run), table(&whole));
    assert_eq!(table(&run)[0].matches(",validation l1").count(), 1, "{}", table(&run)[0]);
    let (have, want) = (records(&run), records(&whole));
    let of_kind = |kind: &str| events(&whole).iter().filter(|event| event["event"] == kind).count();
    for (tag, kind) in [("loss/G_GAN", "progress"), ("training 1/output", "preview"), ("validation/l1", "validated")] {
        assert_eq!((count(&have, tag), count(&want, tag)), (of_kind(kind), of_kind(kind)), "{tag}");
    }
    assert!(of_kind("validated") > 2 && count(&want, "held out 1/target") == of_kind("preview"));
    assert_eq!((count(&want, "_hparams_/session_start_info"), count(&have, "_hparams_/session_end_info")), (1, 1));
    // What a page shows of the end is the same, image by image.
    let last = format!("{:09}", newest(&run).step);
    for row in 0..6 {
        let image = |run: &Path| fs::read(run.join(format!("gallery/images/{last}-{row}-1.png"))).unwrap();
        assert_eq!(image(&run), image(&whole), "row {row}");
    }
}

#[test]
fn logs_may_begin_and_end_with_any_launch() {
    let bench = Bench::new();
    bench.ok(tiny_in("pix2pix", "run", &["max_steps=2", "print_freq=1"]));
    let run = bench.path("run");
    assert!(!run.join("tensorboard").exists() && !run.join("events.csv").exists());
    bench.ok(resume("pix2pix", "run").into_iter().chain(["--log", "csv,tensorboard", "--set", "max_steps=4"]));
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    assert!(config.contains("tensorboard = true") && config.contains("csv = true"), "{config}");
    // The table has the steps before, too; event files those of their launch.
    assert_eq!(table(&run).len(), 5);
    assert_eq!(count(&records(&run), "loss/G_L1"), 2);
    bench.ok(resume("pix2pix", "run").into_iter().chain(["--set", "max_steps=5", "--set", "tensorboard=false"]));
    assert_eq!((table(&run).len(), count(&records(&run), "loss/G_L1")), (6, 2));
    bench.run(["train", "pix2pix", "--out", "x", "--log", "wandb"]).fails(2, &["wandb", "tensorboard", "csv"]);
}

/// What `val` and `test` hold is shown as it is, whole; what is trained on never stands there.
#[test]
fn held_out_images_are_shown_beside_those_of_training() {
    let bench = Bench::new();
    let drawn = bench.synth("facades", "pairs", 64, 4, 5);
    let of_run = |run: &str, more: &[&str]| {
        let own = ["data.mode=aligned", "data.root=pairs", "crop_size=32", "load_size=36", "max_steps=1"];
        bench.ok(tiny_in("pix2pix", run, &[&own[..], more].concat()));
        let previews = events(&bench.path(run));
        previews.iter().find(|event| event["event"] == "preview").unwrap()["held_out"].clone()
    };
    assert_eq!(
        of_run("tested", &["preprocess=none"]),
        serde_json::json!(["00000", "00001", "00002"]),
        "of 4, the limit"
    );
    let size = |row: usize| {
        let path = bench.path(&format!("tested/gallery/images/000000001-{row}-0.png"));
        image::image_dimensions(path).unwrap()
    };
    assert_eq!((size(0), size(3), size(5)), ((64, 64), (64, 64), (64, 64)));
    assert_eq!(of_run("cropped", &[]), serde_json::json!(["00000", "00001", "00002"]));
    // A part of that name comes first; without one there are none.
    fs::create_dir(drawn.join("val")).unwrap();
    fs::rename(drawn.join("test/00004.png"), drawn.join("val/unseen.png")).unwrap();
    assert_eq!(of_run("validated", &[]), serde_json::json!(["unseen"]));
    let page = fs::read_to_string(bench.path("validated/gallery/index.html")).unwrap();
    assert!(page.contains("Held out: unseen"));
    fs::remove_dir_all(drawn.join("val")).unwrap();
    fs::remove_dir_all(drawn.join("test")).unwrap();
    assert!(of_run("none", &[]).is_null());
    // An image that cannot be read is a note; training goes on.
    fs::create_dir(drawn.join("val")).unwrap();
    fs::write(drawn.join("val/broken.png"), "no image").unwrap();
    let own = ["data.mode=aligned", "data.root=pairs", "crop_size=32", "load_size=36", "max_steps=1"];
    let ran = bench.ok(tiny_in("pix2pix", "broken", &own));
    assert!(
        ran.err.contains("note: no more previews of held-out images: ") && ran.err.contains("broken.png"),
        "{}",
        ran.err
    );
}
