//! `dataset inspect`: what a folder is, which methods can be trained on it, and by which command.
#![allow(clippy::unwrap_used)]

use crate::support;

use gan_data::{DecodeOptions, IdMap, Image, Raster, decode, label_colour, write_ids, write_image};
use gan_train::METHODS;
use serde_json::Value;
use std::fs;
use std::path::Path;
use support::Bench;

/// An image of this size without any seam in the middle that pairs would have.
fn photo(path: &Path, width: usize, height: usize) {
    let wave = |x: usize, y: usize| ((x as f64 * 0.11).sin() + (y as f64 * 0.3).cos()) * 60.0 + 128.0;
    let raster = Raster::from_fn(width, height, |x, y| [wave(x, y) as u8, wave(y, x) as u8, wave(x + y, y) as u8]);
    write_image(path, &Image::U8(raster)).unwrap();
}

/// The report of an inspection that succeeds.
#[track_caller]
fn inspected(bench: &Bench, args: &[&str]) -> Value {
    let ran = bench.ok([&["dataset", "inspect"], args, &["--json"]].concat());
    serde_json::from_str(&ran.out).unwrap()
}

/// What is said of a method.
fn of<'v>(report: &'v Value, method: &str) -> &'v Value {
    report["methods"].as_array().unwrap().iter().find(|entry| entry["method"] == method).unwrap()
}

/// The methods that fit.
fn fitting(report: &Value) -> Vec<&str> {
    let all = report["methods"].as_array().unwrap();
    assert_eq!(all.len(), METHODS.len(), "every method is judged");
    assert!(all.iter().all(|entry| entry["fits"].as_bool().unwrap() == entry["reason"].is_null()));
    all.iter().filter(|entry| entry["fits"] == true).map(|entry| entry["method"].as_str().unwrap()).collect()
}

/// Runs the advised command with narrow networks as a dry run, which opens the dataset and makes two steps.
#[track_caller]
fn runs(bench: &Bench, entry: &Value) -> String {
    let command = entry["command"].as_str().unwrap().to_owned();
    let narrow = ["generator.ngf=2", "discriminator.ndf=2", "workers=0"];
    let own: &[&str] = if entry["method"] == "cut" { &["netf_nc=4", "num_patches=4"] } else { &[] };
    let words = command.strip_prefix("gan-cli ").unwrap().split(' ').chain(["--dry-run", "--json"]);
    let settings = narrow.iter().chain(own).flat_map(|setting| ["--set", setting]);
    let ran = bench.ok(words.chain(settings));
    assert!(serde_json::from_str::<Value>(&ran.out).unwrap()["items"].as_u64().unwrap() > 0);
    command
}

#[test]
fn drawn_datasets_get_commands_that_train() {
    let bench = Bench::new();
    bench.synth("facades", "pairs", 64, 4, 2);
    let report = inspected(&bench, &["pairs"]);
    assert!(report["what"].as_str().unwrap().starts_with("pairs side by side"), "{report}");
    assert_eq!(report["other_parts"][0][0], "test");
    // What serves as two collections by itself is left to who asks for it.
    assert_eq!(fitting(&report), ["pix2pix", "pix2pixhd", "cyclegan", "cut"]);
    let command = runs(&bench, of(&report, "pix2pix"));
    assert_eq!(command, "gan-cli train pix2pix --data pairs --out runs/pairs-pix2pix --preset few");
    assert!(of(&report, "cyclegan")["command"].as_str().unwrap().contains("--set data.mode=aligned"));

    bench.synth("unpaired", "day-night", 64, 3, 0);
    let report = inspected(&bench, &["day-night"]);
    // Equal names may mean nothing in two collections.
    assert_eq!(
        (&report["mode"], fitting(&report)),
        (&Value::from("unaligned"), vec!["pix2pix", "pix2pixhd", "cyclegan", "cut"])
    );
    assert!(of(&report, "pix2pix")["note"].as_str().unwrap().contains("only if images of one name"), "{report}");
    fs::rename(bench.path("day-night/trainA/00000.png"), bench.path("day-night/trainA/first.png")).unwrap();
    let report = inspected(&bench, &["day-night"]);
    assert_eq!(fitting(&report), ["cyclegan", "cut"]);
    for method in ["cyclegan", "cut"] {
        let command = runs(&bench, of(&report, method));
        assert!(command.contains("--preset horse2zebra --size 64"), "images of 64 are not enlarged: {command}");
    }
    assert!(of(&report, "pix2pix")["reason"].as_str().unwrap().contains("no file of this name"), "{report}");
}

#[test]
fn label_maps_get_their_numbers() {
    let bench = Bench::new();
    bench.synth("streets", "streets", 128, 2, 1);
    let report = inspected(&bench, &["streets"]);
    assert_eq!(report["what"], "label maps with photographs and instance maps");
    assert_eq!(fitting(&report), ["pix2pixhd"]);
    let entry = of(&report, "pix2pixhd");
    let label_nc = entry["label_nc"].as_u64().unwrap();
    assert!((2..=16).contains(&label_nc), "{entry}");
    let command = runs(&bench, entry);
    assert!(command.contains("--preset 512p --size 128"), "{command}");
    assert!(command.contains(&format!("--set data.label_nc={label_nc}")), "{command}");
    assert!(command.contains("--set loss.perceptual=none"), "there is no VGG19 here: {command}");
    assert!(entry["note"].as_str().unwrap().contains("VGG19"));
    // Without instance maps, and with a mark of pixels without a label.
    for folder in ["train_inst", "test_inst", "test_label", "test_img"] {
        fs::remove_dir_all(bench.path("streets").join(folder)).unwrap();
    }
    let ids = Raster::from_fn(128, 128, |x, _| [if x < 9 { 255 } else { x as u32 % 3 }]);
    for name in ["00000", "00001"] {
        write_ids(&bench.path("streets/train_label").join(format!("{name}.png")), &IdMap::new(ids.clone())).unwrap();
    }
    let report = inspected(&bench, &["streets"]);
    assert_eq!((report["problems"].as_array().unwrap().len(), &report["labels"]["label_nc"]), (0, &Value::from(3)));
    let entry = of(&report, "pix2pixhd");
    assert_eq!((entry["label_nc"].as_u64(), entry["dont_care"].as_u64()), (Some(3), Some(255)));
    let command = runs(&bench, entry);
    for setting in ["data.label_nc=3", "data.dont_care=255", "data.instances=false"] {
        assert!(command.contains(setting), "{command}");
    }
    // What the user says of labels stands.
    let ran = bench.run(["dataset", "inspect", "streets", "--set", "label_nc=2"]);
    ran.fails(3, &["2 problems"]);
    assert!(ran.out.contains("set label_nc = 3 and dont_care = 255") && ran.out.contains("✗ pix2pixhd"), "{ran:?}");
}

#[test]
fn images_of_many_sizes_get_a_command_that_makes_them_one() {
    let bench = Bench::new();
    for (i, (width, height)) in [(100, 75), (75, 100), (120, 90)].into_iter().enumerate() {
        let ids = IdMap::new(Raster::from_fn(width, height, |x, y| [(x * y % 4) as u32]));
        write_ids(&bench.path("hd/train_label").join(format!("{i}.png")), &ids).unwrap();
        photo(&bench.path("hd/train_img").join(format!("{i}.png")), width, height);
    }
    let report = inspected(&bench, &["hd"]);
    let command = runs(&bench, of(&report, "pix2pixhd"));
    assert!(command.contains("--set data.preprocess=resize"), "{command}");
}

#[test]
fn one_method_alone_decides() {
    let bench = Bench::new();
    let folder = bench.synth("unpaired", "day-night", 64, 2, 0);
    fs::rename(folder.join("trainA/00000.png"), folder.join("trainA/first.png")).unwrap();
    let report = inspected(&bench, &["day-night", "--method", "cyclegan"]);
    assert_eq!((report["methods"].as_array().unwrap().len(), &report["mode"]), (1, &Value::from("unaligned")));
    let ran = bench.run(["dataset", "inspect", "day-night", "--method", "pix2pix"]);
    ran.fails(3, &["pix2pix cannot be trained on day-night: it needs pairs of images", "no file of this name"]);
    bench.run(["dataset", "inspect", "day-night", "--method", "stylegan"]).fails(2, &["pix2pix"]);
    let ran = bench.run(["dataset", "inspect", "day-night", "--mode", "labelled"]);
    ran.fails(3, &["1 problem"]);
    assert!(ran.out.contains("✗ cyclegan: it does not read files of the mode labelled"), "{ran:?}");
}

#[test]
fn own_names_of_folders_are_found() {
    let bench = Bench::new();
    for i in 0..2 {
        photo(&bench.path("scenes/drawings").join(format!("{i}.png")), 64, 64);
        photo(&bench.path("scenes/photos").join(format!("{i}.jpg")), 64, 64);
    }
    let report = inspected(&bench, &["scenes"]);
    assert_eq!(report["what"], "pairs in two folders, A and B");
    let command = runs(&bench, of(&report, "pix2pix"));
    assert!(command.contains("--data scenes --a drawings --b photos --out"), "{command}");
    // The flags say the same, also without the folder that holds both.
    let swapped = inspected(&bench, &["scenes", "--a", "photos", "--b", "drawings"]);
    assert_eq!(swapped["folders"][0]["path"], "scenes/photos");
    let apart = inspected(&bench, &["--a", "scenes/photos", "--b", "scenes/drawings"]);
    assert_eq!(apart["folders"], swapped["folders"]);
    let command = runs(&bench, of(&apart, "pix2pix"));
    assert!(
        command.contains("train pix2pix --a scenes/photos --b scenes/drawings --out runs/photos-pix2pix"),
        "{command}"
    );
    for i in 0..2 {
        let ids = IdMap::new(Raster::new(64, 64, 1, vec![i; 64 * 64]));
        write_ids(&bench.path("scenes/masks").join(format!("{i}.png")), &ids).unwrap();
    }
    let report = inspected(&bench, &["scenes", "--labels", "masks", "--images", "photos"]);
    assert_eq!(report["what"], "label maps with photographs");
    let command = runs(&bench, of(&report, "pix2pixhd"));
    assert!(command.contains("--labels masks --images photos"), "{command}");
    // Names that do not exist are answered with those that do.
    let ran = bench.run(["dataset", "inspect", "scenes", "--a", "drawing", "--b", "photos"]);
    ran.fails(3, &["1 problem"]);
    assert!(ran.out.contains("folder_a leads to scenes/drawing, which is no folder"), "{ran:?}");
    assert!(ran.out.contains("the folders in scenes are drawings, masks, photos"), "{ran:?}");
    bench.run(["dataset", "inspect", "scenes", "--a", "photos"]).fails(2, &["--b"]);
}

#[test]
fn pairs_in_a_folder_without_parts_are_recognised() {
    let bench = Bench::new();
    bench.synth("facades", "drawn", 64, 6, 0);
    fs::rename(bench.path("drawn/train"), bench.path("flat")).unwrap();
    let report = inspected(&bench, &["flat"]);
    assert!(report["what"].as_str().unwrap().starts_with("pairs side by side"), "{report}");
    runs(&bench, of(&report, "pix2pix"));
}

#[test]
fn numbers_and_names_are_said_once_and_in_full_on_request() {
    let bench = Bench::new();
    for i in 0..12 {
        photo(&bench.path("ab/A").join(format!("{i}.png")), 32, 32);
    }
    photo(&bench.path("ab/B/0.png"), 32, 32);
    let ran = bench.run(["dataset", "inspect", "ab"]);
    ran.fails(3, &["11 problems"]);
    let lines: Vec<_> = ran.out.lines().filter(|line| line.starts_with("error")).collect();
    let expected = "error: 11 files in ab/A: no file of this name in ab/B; add it, or remove this one: \
                    1.png, 10.png, 11.png, 2.png, 3.png, 4.png, 5.png, 6.png, 7.png, 8.png and 1 more";
    assert_eq!(lines, [expected]);
    assert!(ran.out.contains("B: 1 file in ab/B") && !ran.out.contains(" 1 files"), "{ran:?}");
    let ran = bench.run(["dataset", "inspect", "ab", "--verbose"]);
    assert_eq!(ran.out.lines().filter(|line| line.starts_with("error: ab/A/")).count(), 11, "{ran:?}");
}

/// Counts pixels of a colour.
fn count(path: &Path, colour: [u8; 3]) -> usize {
    let Image::U8(sheet) = decode(path, &DecodeOptions::default()).unwrap() else { panic!("another depth") };
    sheet.samples().chunks(3).filter(|pixel| **pixel == colour).count()
}

#[test]
fn sheets_show_what_is_read() {
    let bench = Bench::new();
    for i in 0..3 {
        for (side, colour) in [("A", [200, 10, 30]), ("B", [10, 90, 200])] {
            let flat = Image::U8(Raster::new(48, 48, 3, colour.repeat(48 * 48)));
            write_image(&bench.path("ab").join(side).join(format!("{i}.png")), &flat).unwrap();
        }
    }
    let args = ["dataset", "inspect", "ab", "--set", "preprocess=none", "--sheet", "s.png", "--html", "p.html"];
    bench.ok(args);
    let (red, blue) = (count(&bench.path("s.png"), [200, 10, 30]), count(&bench.path("s.png"), [10, 90, 200]));
    assert_eq!((red, blue), (3 * 48 * 48, 3 * 48 * 48), "three items, whole");
    let page = fs::read_to_string(bench.path("p.html")).unwrap();
    assert_eq!(page.matches("<img").count(), 6);
    assert_eq!(
        (page.matches("input (A)</figcaption>").count(), page.matches("target (B)</figcaption>").count()),
        (3, 3)
    );
    assert!(
        page.contains("data-command=\"gan-cli train pix2pix --data ab --out") && page.contains("no problems"),
        "{page}"
    );
    assert!(!page.contains("http"), "it needs nothing from elsewhere");
    // The other direction: B is the input. Two items of three: the first and the last.
    let turned = ["--set", "direction=b2a", "--items", "2"];
    bench.ok([&args[..], &turned].concat());
    let page = fs::read_to_string(bench.path("p.html")).unwrap();
    assert_eq!((page.matches("input (B)</figcaption>").count(), page.matches("<img").count()), (2, 4));
    assert!(
        page.contains(">0</h3>") && page.contains(">2</h3>") && page.contains("--set data.direction=b2a"),
        "{page}"
    );
    // Nothing that is read is written onto, and no page of somebody else's.
    bench.run(["dataset", "inspect", "ab", "--sheet", "ab/A/0.png"]).fails(2, &["ab", "read"]);
    bench.run(["dataset", "inspect", "ab", "--html", "ab/index.html"]).fails(2, &["ab", "read"]);
    fs::write(bench.path("mine.html"), "mine").unwrap();
    bench.run(["dataset", "inspect", "ab", "--html", "mine.html"]).fails(2, &["mine.html", "stays"]);
    bench.run(["dataset", "inspect", "ab", "--sheet", "s.gif"]).fails(2, &["--sheet", ".png"]);
    assert_eq!(fs::read_to_string(bench.path("mine.html")).unwrap(), "mine");
}

#[test]
fn labels_are_shown_in_their_colours_with_a_legend() {
    let bench = Bench::new();
    let ids = Raster::from_fn(64, 64, |x, _| [if x < 32 { 1 } else { 3 }]);
    write_ids(&bench.path("hd/train_label/0.png"), &IdMap::new(ids)).unwrap();
    photo(&bench.path("hd/train_img/0.png"), 64, 64);
    let set = ["--set", "preprocess=none", "--set", "label_nc=5"];
    bench.ok([&["dataset", "inspect", "hd", "--sheet", "s.png", "--html", "p.html"], &set[..]].concat());
    for label in [1, 3] {
        let colour = label_colour(label, 5);
        assert!(count(&bench.path("s.png"), colour) > 32 * 64, "label {label} is on the sheet and in the legend");
        let page = fs::read_to_string(bench.path("p.html")).unwrap();
        assert!(
            page.contains(&format!("rgb({},{},{})\"></i>{label}: 50.0 %", colour[0], colour[1], colour[2])),
            "{page}"
        );
    }
}

#[test]
fn what_cannot_be_read_is_on_the_sheet_by_name() {
    let bench = Bench::new();
    bench.synth("facades", "pairs", 32, 3, 0);
    fs::write(bench.path("pairs/train/torn.png"), "no image").unwrap();
    let ran = bench.run(["dataset", "inspect", "pairs", "--html", "p.html", "--sheet", "s.png"]);
    ran.fails(3, &["1 problem"]);
    let page = fs::read_to_string(bench.path("p.html")).unwrap();
    assert!(page.contains("torn.png") && page.matches("<img").count() == 6, "{page}");
    assert!(bench.path("s.png").is_file());
}
