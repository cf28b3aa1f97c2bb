//! Folders of datasets under their own names, in training.
#![allow(clippy::unwrap_used)]

use crate::support;

use gan_data::{IdMap, Image, Raster, write_ids, write_image};
use std::fs;
use support::{Bench, assert_same_tensors, newest, tiny_in};

/// A folder of four images, and their names.
fn images(bench: &Bench, folder: &str, grey: bool) {
    for i in 0..4usize {
        let pixel = |x: usize, y: usize| {
            let level = ((x * 7 + y * 3 + i * 40) % 256) as u8;
            if grey { [level; 3] } else { [level, (x * 5 % 256) as u8, (y * 9 % 256) as u8] }
        };
        let raster = Raster::from_fn(40, 40, pixel);
        write_image(&bench.path(folder).join(format!("{i}.png")), &Image::U8(raster)).unwrap();
    }
}

/// A tiny run of a method on files.
fn on_files(method: &str, run: &str, mode: &str, more: &[&str]) -> Vec<String> {
    let mode = format!("data.mode={mode}");
    let mut args = tiny_in(method, run, &["max_steps=2", &mode]);
    args.extend(more.iter().map(ToString::to_string));
    args
}

#[test]
fn two_folders_of_any_name_are_trained_on_and_resumed() {
    let bench = Bench::new();
    images(&bench, "scenes/drawings", true);
    images(&bench, "scenes/photos", false);
    let named = ["--data", "scenes", "--a", "drawings", "--b", "photos"];
    let ran = bench.ok(on_files("pix2pix", "run", "aligned", &named));
    assert!(ran.err.contains("input: scenes/drawings (A), target: scenes/photos (B)"), "{ran:?}");
    let saved = fs::read_to_string(bench.path("run/config.toml")).unwrap();
    assert!(saved.contains("folder_a = \"drawings\"") && saved.contains("folder_b = \"photos\""), "{saved}");
    // The same through paths from here, without the folder that holds both.
    let apart = ["--a", "scenes/drawings", "--b", "scenes/photos"];
    bench.ok(on_files("pix2pix", "apart", "aligned", &apart));
    assert_same_tensors(&newest(&bench.path("apart")), &newest(&bench.path("run")));
    // And under the usual names: what the folders are called changes nothing.
    fs::create_dir(bench.path("usual")).unwrap();
    fs::rename(bench.path("scenes/drawings"), bench.path("usual/A")).unwrap();
    fs::rename(bench.path("scenes/photos"), bench.path("usual/B")).unwrap();
    bench.ok(on_files("pix2pix", "usual-run", "aligned", &["--data", "usual"]));
    assert_same_tensors(&newest(&bench.path("usual-run")), &newest(&bench.path("run")));
    fs::rename(bench.path("usual/A"), bench.path("scenes/drawings")).unwrap();
    fs::rename(bench.path("usual/B"), bench.path("scenes/photos")).unwrap();
    // A run goes on with its folders, named or not.
    bench.ok(["train", "--out", "run", "--resume", "--set", "max_steps=4"]);
    let again = [&named[..], &["--resume", "--set", "max_steps=4"]].concat();
    bench.ok(on_files("pix2pix", "apart", "aligned", &["--resume", "--set", "max_steps=4"]));
    assert_same_tensors(&newest(&bench.path("apart")), &newest(&bench.path("run")));
    let ran = bench.ok(on_files("pix2pix", "run", "aligned", &again));
    assert!(!ran.err.contains("this run changes data.folder"), "{ran:?}");
    assert_eq!(newest(&bench.path("run")).step, 4);
}

#[test]
fn parts_of_named_folders_are_found() {
    let bench = Bench::new();
    for part in ["train", "val"] {
        images(&bench, &format!("scenes/drawings/{part}"), true);
        images(&bench, &format!("scenes/photos-{part}"), false);
    }
    let named = ["--data", "scenes", "--a", "drawings", "--b", "photos-{phase}"];
    let validated = [&named[..], &["--set", "validation.every=1", "--set", "validation.metrics=[\"l1\"]"]].concat();
    let ran = bench.ok(on_files("pix2pix", "run", "aligned", &validated));
    assert!(ran.err.contains("input: scenes/drawings/train (A), target: scenes/photos-train (B)"), "{ran:?}");
    assert!(bench.ok(["evaluate", "--model", "run", "--split", "val", "--metrics", "l1"]).out.contains("scenes val"));
    // What is trained on as a whole cannot be held out.
    fs::rename(bench.path("scenes/drawings/val"), bench.path("flat-a")).unwrap();
    fs::rename(bench.path("scenes/photos-val"), bench.path("flat-b")).unwrap();
    let flat = ["--a", "flat-a", "--b", "flat-b", "--set", "validation.every=1"];
    bench.run(on_files("pix2pix", "other", "aligned", &flat)).fails(4, &["which is trained on"]);
}

#[test]
fn label_maps_of_any_name_are_trained_on() {
    let bench = Bench::new();
    images(&bench, "city/photos", false);
    for i in 0..4 {
        let ids =
            |offset: u32| IdMap::new(Raster::from_fn(40, 40, |x, y| [(x as u32 / 9 + y as u32 / 17 + offset) % 5]));
        write_ids(&bench.path("city/masks").join(format!("{i}.png")), &ids(i)).unwrap();
        write_ids(&bench.path("city/objects").join(format!("{i}.png")), &ids(i)).unwrap();
    }
    let named = ["--data", "city", "--labels", "masks", "--images", "photos", "--instances", "objects"];
    let settings = ["--set", "label_nc=5"];
    let ran = bench.ok(on_files("pix2pixhd", "run", "labelled", &[&named[..], &settings].concat()));
    assert!(ran.err.contains("label maps city/masks with instance maps city/objects"), "{ran:?}");
    let saved = fs::read_to_string(bench.path("run/config.toml")).unwrap();
    for line in ["label_folder = \"masks\"", "image_folder = \"photos\"", "instance_folder = \"objects\""] {
        assert!(saved.contains(line), "{saved}");
    }
    // Instance maps that nobody has are said to be missing, with what helps.
    let without = [&named[..6], &settings].concat();
    let ran = bench.run(on_files("pix2pixhd", "none", "labelled", &without));
    ran.fails(3, &["looked for train_inst/", "it has masks, objects, photos", "instances = false", "--instances DIR"]);
    let off = [&without[..], &["--set", "data.instances=false", "--set", "instance_feat=false"]].concat();
    bench.ok(on_files("pix2pixhd", "none", "labelled", &off));
}

#[test]
fn folders_that_do_not_fit_are_refused_in_a_sentence() {
    let bench = Bench::new();
    images(&bench, "scenes/drawings", true);
    images(&bench, "scenes/photos", false);
    let refused = |named: &[&str], code: i32, words: &[&str]| {
        bench.run(on_files("pix2pix", "run", "aligned", named)).fails(code, words);
        assert!(!bench.path("run").exists());
    };
    let unknown = ["folder_a leads to scenes/drawing,", "the folders in scenes are drawings, photos"];
    refused(&["--data", "scenes", "--a", "drawing", "--b", "photos"], 3, &unknown);
    refused(&["--data", "scenes"], 3, &["it has drawings, photos", "--a DIR --b DIR"]);
    refused(&["--data", "scenes", "--a", "drawings"], 2, &["--b"]);
    refused(&["--data", "scenes", "--labels", "drawings"], 4, &["mode = \"aligned\" reads no label_folder"]);
    refused(&["--data", "scenes", "--a", "photos", "--b", "drawings", "--labels", "photos"], 2, &["--labels"]);
    // The run must not lie among the images, nor they in it.
    let named = ["--a", "scenes/drawings", "--b", "scenes/photos"];
    bench.run(on_files("pix2pix", "scenes/photos/run", "aligned", &named)).fails(2, &["lies among the images"]);
    bench.run(on_files("pix2pix", "scenes", "aligned", &named)).fails(2, &["holds the dataset scenes/drawings"]);
}
