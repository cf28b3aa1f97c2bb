//! The look over a dataset finds every planted problem at once.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use gan_data::{
    DataConfig, DataMode, Guess, IdMap, Image, Inspector, Preprocess, ProblemKind, Raster, Report, Severity,
    SynthFiles, SynthKind, guess, inspect, write_ids, write_image, write_synth,
};
use tempfile::TempDir;

fn flat(path: &Path, width: usize, height: usize, channels: usize) {
    write_image(path, &Image::U8(Raster::new(width, height, channels, vec![9; width * height * channels]))).unwrap();
}

fn config(root: &Path, mode: DataMode) -> DataConfig {
    DataConfig {
        mode,
        root: root.to_path_buf(),
        preprocess: Preprocess::Crop,
        load_size: 32,
        crop_size: 32,
        label_nc: 16,
        ..Default::default()
    }
}

/// `(kind, severity, end of the path)` of every problem, in an order of their own.
fn found(report: &Report) -> Vec<(ProblemKind, Severity, String)> {
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let mut found: Vec<_> = report.problems.iter().map(|p| (p.kind, p.severity, name(&p.path))).collect();
    found.sort_by(|a, b| a.2.cmp(&b.2).then(format!("{:?}", a.0).cmp(&format!("{:?}", b.0))));
    found
}

#[test]
fn a_good_dataset_has_no_problems() {
    let dir = TempDir::new().unwrap();
    for (kind, mode) in [
        (SynthKind::Facades, DataMode::Aligned),
        (SynthKind::Streets, DataMode::Labelled),
        (SynthKind::Unpaired, DataMode::Unaligned),
    ] {
        let root = dir.path().join(format!("{kind:?}"));
        write_synth(&root, &SynthFiles { kind, seed: 1, size: 64, train: 4, test: 0 }, |_, _| ()).unwrap();
        let heard = AtomicUsize::new(0);
        let report = inspect(&config(&root, mode), |_, _| {
            heard.fetch_add(1, Ordering::SeqCst);
        });
        assert_eq!(found(&report), [], "{kind:?}");
        assert_eq!((report.is_usable(), report.items), (true, 4));
        assert_eq!(heard.into_inner(), report.folders.iter().map(|folder| folder.files).sum::<usize>());
        if mode == DataMode::Labelled {
            let labels = report.labels.unwrap();
            assert_eq!(labels.pixels.values().sum::<u64>(), 4 * 64 * 64);
        }
    }
}

#[test]
fn all_problems_of_a_pair_of_folders_are_reported_at_once() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    for name in ["ok", "small", "sizes", "lonely", "broken"] {
        let side = if name == "small" { 20 } else { 40 };
        flat(&at(&format!("trainA/{name}.png")), side, side, 3);
    }
    for name in ["ok", "small", "sizes", "broken", "other"] {
        let side = if name == "small" {
            20
        } else if name == "sizes" {
            48
        } else {
            40
        };
        flat(&at(&format!("trainB/{name}.png")), side, side, if name == "ok" { 1 } else { 3 });
    }
    let broken = at("trainB/broken.png");
    let bytes = fs::read(&broken).unwrap();
    fs::write(&broken, &bytes[..bytes.len() / 2]).unwrap();
    let report = inspect(&config(dir.path(), DataMode::Aligned), |_, _| ());
    assert!(!report.is_usable());
    use ProblemKind::{Mixed, SizeMismatch, TooSmall, Unmatched, Unreadable};
    use Severity::{Error, Warning};
    let expected = [
        (Unreadable, Error, "broken.png"),
        (Unmatched, Error, "lonely.png"),
        (Unmatched, Error, "other.png"),
        (SizeMismatch, Error, "sizes.png"),
        (TooSmall, Warning, "small.png"),
        (TooSmall, Warning, "small.png"),
        (Mixed, Warning, "trainB"),
    ];
    assert_eq!(found(&report), expected.map(|(k, s, n)| (k, s, n.to_owned())));
    assert!(report.problems.windows(2).all(|pair| pair[0].severity >= pair[1].severity), "worst first");
    assert_eq!(report.folders[0].sizes[0].images, 4);
}

#[test]
fn labels_and_instances_are_looked_into() {
    let dir = TempDir::new().unwrap();
    let what = SynthFiles { kind: SynthKind::Streets, seed: 1, size: 64, train: 3, test: 0 };
    write_synth(dir.path(), &what, |_, _| ()).unwrap();
    let at = |name: &str| dir.path().join(name);
    // An instance map of stripes that has nothing to do with the scene, and a label beyond all labels.
    let stripes = Raster::from_fn(64, 64, |x, _| [x as u32 / 8]);
    write_ids(&at("train_inst/00001.png"), &IdMap::new(stripes)).unwrap();
    write_ids(&at("train_label/00002.png"), &IdMap::new(Raster::new(64, 64, 1, vec![300; 4096]))).unwrap();
    let report = inspect(&config(dir.path(), DataMode::Labelled), |_, _| ());
    let expected = [
        (ProblemKind::InstanceMismatch, Severity::Warning, "00001.png".to_owned()),
        (ProblemKind::LabelOutOfRange, Severity::Error, "00002.png".to_owned()),
    ];
    assert_eq!(found(&report), expected);
    assert!(report.problems[0].message.contains("the first is 300 at x=0, y=0"), "{}", report.problems[0].message);
    assert_eq!(report.labels.unwrap().pixels[&300], 4096);
    let lenient = DataConfig { dont_care: Some(300), ..config(dir.path(), DataMode::Labelled) };
    assert!(inspect(&lenient, |_, _| ()).is_usable());
}

#[test]
fn lone_images_smaller_than_the_crop_are_errors() {
    let dir = TempDir::new().unwrap();
    flat(&dir.path().join("a.png"), 20, 40, 3);
    let report = inspect(&config(dir.path(), DataMode::Single), |_, _| ());
    assert_eq!(found(&report), [(ProblemKind::TooSmall, Severity::Error, "a.png".to_owned())]);
    let resized = DataConfig { preprocess: Preprocess::ResizeAndCrop, ..config(dir.path(), DataMode::Single) };
    assert!(inspect(&resized, |_, _| ()).is_usable());
}

#[test]
fn missing_folders_are_part_of_the_report_and_reports_can_be_stored() {
    let dir = TempDir::new().unwrap();
    for mode in [DataMode::Aligned, DataMode::Unaligned, DataMode::Labelled, DataMode::Colorization] {
        let report = inspect(&config(dir.path(), mode), |_, _| ());
        assert!(!report.is_usable() && report.problems[0].kind == ProblemKind::Layout, "{mode:?}");
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }
}

/// Something like a photograph: it goes on from left to right, with texture in every column.
fn photo(path: &Path, scene: u64) {
    let wave = |x: usize, y: usize| ((x as f64 * 0.11 + scene as f64).sin() + (y as f64 * 0.3).cos()) * 60.0 + 128.0;
    let raster = Raster::from_fn(80, 40, |x, y| [wave(x, y) as u8, wave(y, x) as u8, wave(x + y, y) as u8]);
    write_image(path, &Image::U8(raster)).unwrap();
}

#[test]
fn plain_photographs_are_not_taken_for_pairs_without_a_word() {
    let dir = TempDir::new().unwrap();
    for scene in 0..6 {
        photo(&dir.path().join(format!("train/{scene}.png")), scene);
    }
    let report = inspect(&config(dir.path(), DataMode::Aligned), |_, _| ());
    assert_eq!(found(&report), [(ProblemKind::NotPairs, Severity::Warning, "train".to_owned())]);
    let notes = gan_data::open(&config(dir.path(), DataMode::Aligned)).unwrap().describe().notes;
    assert!(notes[0].contains("plain photographs"), "{notes:?}");
}

#[test]
fn what_is_not_read_is_reported() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    flat(&at("a.png"), 40, 40, 4);
    fs::write(at("b.psd"), "8BPS").unwrap();
    fs::write(at("notes.txt"), "").unwrap();
    let report = inspect(&config(dir.path(), DataMode::Single), |_, _| ());
    assert!(report.is_usable());
    let folder = &report.folders[0];
    assert_eq!(folder.alpha_dropped, ["a"]);
    assert_eq!(folder.left_out["1 .psd"], ["b.psd"]);
    assert_eq!(folder.left_out["1 other file"], ["notes.txt"]);
    let notes = report.notes.join("\n");
    assert!(notes.contains("1 .psd") && notes.contains("alpha of 1 image is dropped"), "{notes}");
    let kept = DataConfig { alpha: gan_data::AlphaPolicy::Composite, ..config(dir.path(), DataMode::Single) };
    assert!(inspect(&kept, |_, _| ()).folders[0].alpha_dropped.is_empty());
}

#[test]
fn everything_that_opening_or_loading_refuses_is_an_error_here() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    flat(&at("thin/train/a.png"), 1, 40, 3);
    flat(&at("sizes/a.png"), 40, 40, 3);
    flat(&at("sizes/b.png"), 40, 48, 3);
    let batch = DataConfig { batch_size: 2, preprocess: Preprocess::None, ..config(&at("sizes"), DataMode::Single) };
    let limit = DataConfig { max_dataset_size: Some(0), ..config(&at("sizes"), DataMode::Single) };
    let thin = config(&at("thin"), DataMode::Aligned);
    let colour = config(&at("sizes"), DataMode::Colorization);
    for config in [batch.clone(), limit, thin, colour] {
        let report = inspect(&config, |_, _| ());
        assert!(!report.is_usable(), "{config:?}");
        assert!(report.problems.iter().all(|p| !p.message.contains(&p.remedy) || p.remedy.is_empty()), "{report:?}");
    }
    assert!(inspect(&DataConfig { batch_size: 1, ..batch }, |_, _| ()).is_usable());
}

#[test]
fn one_remedy_suits_the_labels_of_all_maps() {
    let dir = TempDir::new().unwrap();
    let map = |name: &str, ids: [u32; 4]| {
        write_ids(&dir.path().join("train_label").join(name), &IdMap::new(Raster::new(2, 2, 1, ids.to_vec()))).unwrap();
        flat(&dir.path().join("train_img").join(name), 2, 2, 3);
    };
    map("a.png", [0, 1, 2, 255]);
    map("b.png", [16, 17, 18, 19]);
    let resized = DataConfig {
        instances: false,
        preprocess: Preprocess::ResizeAndCrop,
        ..config(dir.path(), DataMode::Labelled)
    };
    let report = inspect(&resized, |_, _| ());
    assert_eq!(report.count(Severity::Error), 2);
    let remedy = "labels up to 19 and 255 occur: set label_nc = 20 and dont_care = 255 if 255 marks pixels \
                  without a label, else label_nc = 256";
    assert!(report.problems.iter().all(|p| p.remedy == remedy), "{:?}", report.problems);
    for mended in
        [DataConfig { label_nc: 20, dont_care: Some(255), ..resized.clone() }, DataConfig { label_nc: 256, ..resized }]
    {
        assert!(inspect(&mended, |_, _| ()).is_usable());
    }
}

#[test]
fn folders_are_guessed_by_their_names() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    for name in [
        "pairs/A/x.png",
        "pairs/B/x.png",
        "un/A/x.png",
        "un/B/y.png",
        "domains/horse/1.png",
        "domains/zebra/1.png",
        "flat/1.png",
        "joint/train/1.png",
        "cycle/trainA/1.png",
        "cycle/trainB/1.png",
        "hd/test_label/1.png",
        "parts/val/1.png",
        "parts/test/1.png",
    ] {
        flat(&at(name), 8, 8, 3);
    }
    for (name, guessed) in [
        ("pairs", Guess::Pairs),
        ("un", Guess::Unpaired),
        ("domains", Guess::Unpaired),
        ("flat", Guess::Images),
        ("joint", Guess::Pairs),
        ("cycle", Guess::Unpaired),
        ("hd", Guess::Labelled),
        ("parts", Guess::Images),
        ("flat/1.png", Guess::Images),
        ("nowhere", Guess::Images),
    ] {
        assert_eq!(guess(&at(name)), guessed, "{name}");
    }
}

#[test]
fn several_readings_decode_each_file_once() {
    let dir = TempDir::new().unwrap();
    for side in ["A", "B"] {
        for i in 0..3 {
            flat(&dir.path().join(side).join(format!("{i}.png")), 40, 40, 3);
        }
    }
    let mut inspector = Inspector::default();
    let mut read = |mode| {
        let heard = AtomicUsize::new(0);
        let report = inspector.inspect(&config(dir.path(), mode), |done, all| {
            assert!(done <= all);
            heard.fetch_add(1, Ordering::SeqCst);
        });
        assert_eq!(report, inspect(&config(dir.path(), mode), |_, _| ()), "what is remembered changes nothing");
        heard.into_inner()
    };
    assert_eq!([DataMode::Aligned, DataMode::Unaligned, DataMode::Aligned].map(&mut read), [6, 0, 0]);
    // Lightness and colour are of the same images.
    assert_eq!(read(DataMode::Single), 0);
}

#[test]
fn labels_suggest_the_settings_that_take_them() {
    let suggested = |names: &[&str], ids: &[u32]| {
        let dir = TempDir::new().unwrap();
        for name in names {
            let map = IdMap::new(Raster::new(ids.len(), 1, 1, ids.to_vec()));
            write_ids(&dir.path().join("train_label").join(name), &map).unwrap();
            flat(&dir.path().join("train_img").join(name), ids.len(), 1, 3);
        }
        let config = DataConfig { instances: false, ..config(dir.path(), DataMode::Labelled) };
        let labels = inspect(&config, |_, _| ()).labels.unwrap();
        let (label_nc, dont_care) = (labels.suggested_label_nc, labels.suggested_dont_care);
        let fitted = DataConfig { label_nc, dont_care, preprocess: Preprocess::ResizeAndCrop, ..config };
        assert!(inspect(&fitted, |_, _| ()).is_usable(), "{ids:?}");
        (label_nc, dont_care)
    };
    assert_eq!(suggested(&["a.png"], &[0, 1, 2]), (3, None));
    assert_eq!(suggested(&["a.png"], &[0, 7, 255]), (8, Some(255)));
    assert_eq!(suggested(&["a.png"], &[0, 65_535]), (1, Some(65_535)));
    assert_eq!(suggested(&["a.png"], &[254, 255]), (256, None), "255 is one of many");
    assert_eq!(suggested(&["a.png"], &[0, 40]), (41, None));
    // Labels of other parts count, so that these can be used with what is trained.
    let dir = TempDir::new().unwrap();
    for (part, top) in [("train", 3), ("val", 9)] {
        write_ids(&dir.path().join(format!("{part}_label/x.png")), &IdMap::new(Raster::new(1, 1, 1, vec![top])))
            .unwrap();
        flat(&dir.path().join(format!("{part}_img/x.png")), 1, 1, 3);
    }
    let both = DataConfig { instances: false, ..config(dir.path(), DataMode::Labelled) };
    let report = inspect(&both, |_, _| ());
    assert_eq!((report.other_parts, report.labels.unwrap().suggested_label_nc), (vec![("val".to_owned(), 1)], 10));
    assert_eq!(suggested(&["x_000000_000019_gtFine_labelIds.png"], &[0, 26]), (35, None), "Cityscapes has 35");
}

#[test]
fn other_parts_are_counted_once() {
    let dir = TempDir::new().unwrap();
    for (part, images) in [("train", 3), ("val", 2)] {
        (0..images).for_each(|i| flat(&dir.path().join(part).join(format!("{i}.png")), 80, 40, 3));
    }
    let report = inspect(&config(dir.path(), DataMode::Aligned), |_, _| ());
    assert_eq!(report.other_parts, [("val".to_owned(), 2)], "test would be val");
    let val = DataConfig { phase: "val".into(), ..config(dir.path(), DataMode::Aligned) };
    assert_eq!(inspect(&val, |_, _| ()).other_parts, [("train".to_owned(), 3)]);
}
