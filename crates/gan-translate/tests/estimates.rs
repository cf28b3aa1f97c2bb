//! What a translation of files takes, number by number: of inputs and of outputs that are read and written in rows, or not.
#![allow(clippy::unwrap_used)]

mod support;

use gan_data::{
    AlphaPolicy, DecodeOptions, Direction, IdMap, IdRowReader, Image, Raster, RowReader, write_ids, write_image,
};
use gan_nets::{GeneratorConfig, NormKind};
use gan_translate::{
    Alpha, Content, Error, Estimate, Files, InputKind, MemoryLimit, Model, ModelConfig, Options, OutputKind,
    ScratchSpace, TrainedModel,
};
use std::path::{Path, PathBuf};
use support::{images, resnet, write_model};

/// A limit of so many bytes, and no files.
fn options(memory: u64) -> Options {
    let scratch = ScratchSpace::HostMemory;
    let limit = MemoryLimit { memory, of_device: false, scratch, scratch_bytes: 0, alone: true };
    Options { limit: Some(limit), ..Options::default() }
}

/// A network without statistics, which is evaluated in one sweep: what the output needs on its way adds to all that it takes.
fn model(folder: &Path, input_nc: usize, change: impl FnOnce(ModelConfig) -> ModelConfig) -> TrainedModel {
    let config = GeneratorConfig { norm: NormKind::None, ..resnet(input_nc, 3) };
    write_model(folder, &change(images(&[("g", Direction::A2b, config)])));
    TrainedModel::open(folder).unwrap()
}

fn put(path: PathBuf, channels: usize, deep: bool, (width, height): (usize, usize)) -> PathBuf {
    let count = width * height * channels;
    let image = match deep {
        true => Image::U16(Raster::new(width, height, channels, vec![500; count])),
        false => Image::U8(Raster::new(width, height, channels, vec![50; count])),
    };
    write_image(&path, &image).unwrap();
    path
}

/// Less than the program takes, and enough to decode a file.
const LITTLE: u64 = 100 << 20;

/// What a translation of files takes at least.
fn least(model: &TrainedModel, files: &Files<'_>, output: &str, alpha: Alpha) -> Estimate {
    let model = Model::load(model, Options { alpha, ..options(LITTLE) }).unwrap();
    match model.estimate_files(files, Path::new(output), true) {
        Err(Error::TooLittleMemory { least, .. }) => *least,
        other => panic!("{other:?}"),
    }
}

/// Bytes that stay, bytes that pass through, and bytes that are decoded.
struct Expected {
    held: u64,
    passing: u64,
    decoded: u64,
}

/// The reader's own of a file.
fn reader(path: &Path) -> u64 {
    let options = DecodeOptions { alpha: AlphaPolicy::Keep, ..DecodeOptions::default() };
    RowReader::open(path, &options).unwrap().unwrap().working_bytes()
}

fn ids(path: &Path) -> u64 {
    IdRowReader::open(path, &DecodeOptions::default()).unwrap().unwrap().working_bytes()
}

/// What evaluations of one size take beside what is expected: it is the same for all.
fn assert_same(cases: &[(&str, Estimate, Expected)]) {
    let rest = |(_, estimate, expected): &(&str, Estimate, Expected)| {
        estimate.memory as i64 - expected.held as i64 - (expected.passing * 128 / 100) as i64
    };
    for case in cases {
        let (what, estimate, expected) = case;
        let far = rest(case) - rest(&cases[0]);
        assert!(far.abs() <= 256, "{what}: {far} bytes differ, {estimate:?}");
        assert!(estimate.rows && estimate.decoded == expected.decoded, "{what}: {estimate:?}");
    }
}

/// The floats of rows on their way, and those of their levels: of all rows, or so many as fill 32 MiB.
fn rows(channels: u64, (width, height): (u64, u64)) -> u64 {
    let floats = 4 * channels * width;
    (floats * 3 / 2 * height).min((32 << 20) * 3 / 2)
}

const ENCODER: u64 = 4 << 20;

/// What is large goes row by row even where there is memory for all of it; a device computes at once what it has memory for, and so does the CPU what is small.
#[test]
fn large_images_go_row_by_row_and_those_of_a_device_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let trained = model(&folder.path().join("model"), 3, |config| config);
    for ((width, height), as_on_device, rows) in [
        ((4000, 4000), false, true),
        ((4000, 4000), true, false),
        ((300, 200), false, false),
        ((300, 200), true, false),
    ] {
        let photo = put(folder.path().join("photo.png"), 3, false, (width, height));
        let mut options = Options { as_on_device, ..options(1 << 40) };
        options.limit.iter_mut().for_each(|limit| limit.of_device = as_on_device);
        let model = Model::load(&trained, options).unwrap();
        let estimate = model.estimate_files(&Files::new(&photo), Path::new("a.png"), true).unwrap().unwrap();
        assert_eq!((estimate.rows, estimate.whole), (rows, !rows), "{width}x{height}, {as_on_device}: {estimate:?}");
    }
}

#[test]
fn files_that_are_read_and_written_in_rows_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let model = model(&at("model"), 3, |config| config);
    // Nothing is mirrored. Of the larger one, the output is more than passes at a time.
    for (width, height) in [(400, 300), (1600, 2000)] {
        let size = (width as u64, height as u64);
        let (row, all) = (3 * size.0, 3 * size.0 * size.1);
        let named = |name: &str| at(&format!("{height}-{name}"));
        let png = put(named("in.png"), 3, false, (width, height));
        let deep = put(named("deep.png"), 3, true, (width, height));
        let ppm = put(named("in.ppm"), 3, false, (width, height));
        let deep_ppm = put(named("deep.ppm"), 3, true, (width, height));
        let alpha = put(named("alpha.png"), 4, false, (width, height));
        let take = |file: &Path, output: &str| least(&model, &Files::new(file), output, Alpha::Drop);
        let passing = rows(3, size);
        let mut cases = vec![
            ("png", take(&png, "a.png"), (reader(&png), passing + ENCODER + 4 * row, 0)),
            ("png to tif", take(&png, "a.tif"), (reader(&png), passing + ENCODER + 4 * row, 0)),
            ("png to jpg", take(&png, "a.jpg"), (reader(&png) + 2 * all, passing, 0)),
            ("16 bits", take(&deep, "a.png"), (reader(&deep), passing + ENCODER + 8 * row, 0)),
            ("16 bits to jpg", take(&deep, "a.jpg"), (reader(&deep) + 4 * all, passing, 0)),
            (
                "alpha",
                least(&model, &Files::new(&alpha), "a.png", Alpha::Restore),
                (2 * reader(&alpha), rows(4, size) + ENCODER + 16 * size.0, 0),
            ),
        ];
        // A small one is decoded while the network is not yet there; of a large one, that is all that counts.
        let whole = [("ppm", &ppm, all), ("16 bits of ppm", &deep_ppm, 2 * all)];
        for (what, file, decoded) in whole {
            let estimate = take(file, "a.png");
            let before = std::fs::metadata(file).unwrap().len() + 3 * decoded;
            let program = (128 << 20) + (6 << 20) * rayon::current_num_threads() as u64 + estimate.parameters;
            assert!(estimate.memory >= program + before, "{what}");
            if estimate.memory > program + before {
                let line = if decoded > all { 8 * row } else { 4 * row };
                cases.push((what, estimate, (decoded, passing + ENCODER + line, decoded)));
            } else {
                assert_eq!(estimate.decoded, decoded);
            }
        }
        let cases: Vec<_> = cases
            .into_iter()
            .map(|(what, estimate, (held, passing, decoded))| (what, estimate, Expected { held, passing, decoded }))
            .collect();
        assert_same(&cases);
    }
}

#[test]
fn rows_that_are_mirrored_are_held() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let model = model(&at("model"), 3, |config| config);
    // Both become 400 x 304.
    let (whole, less) = (put(at("a.png"), 3, false, (400, 304)), put(at("b.png"), 3, false, (397, 301)));
    let take = |file: &Path| least(&model, &Files::new(file), "a.png", Alpha::Drop);
    let (a, b) = (take(&whole), take(&less));
    assert_eq!((a.size, b.size), ((400, 304), (400, 304)));
    // Rows 301, 302 and 303 repeat 299, 298 and 297: rows from 297 on are kept, twice while they are joined.
    let mirrored = 2 * 4 * 400 * 3 * 4;
    let passing = |(w, h): (u64, u64)| rows(3, (w, h)) + ENCODER + 4 * 3 * w;
    assert_same(&[
        ("as it is", a, Expected { held: reader(&whole), passing: passing((400, 304)), decoded: 0 }),
        ("mirrored", b, Expected { held: reader(&less) + mirrored, passing: passing((397, 301)), decoded: 0 }),
    ]);
}

#[test]
fn label_maps_and_their_instances() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let size = (400, 300);
    let map = |name: &str, below: u32| {
        let ids = (0..400 * 300_u32).map(|i| i / 50 % below).collect();
        write_ids(&at(name), &IdMap::new(Raster::new(400, 300, 1, ids))).unwrap();
        at(name)
    };
    let (labels, instances) = (map("labels.png", 5), map("instances.png", 40_000));
    let input = InputKind::Labels { label_nc: 5, dont_care: None };
    let with = model(&at("with"), 6, |config| ModelConfig { input: input.clone(), instances: true, ..config });
    let files = |map, inst| Files { instances: Some(inst), ..Files::new(map) };
    let passing = rows(3, size) + ENCODER + 4 * 3 * 400;
    let held = ids(&labels) + ids(&instances);
    assert_same(&[
        (
            "in 16 bits",
            least(&with, &files(&labels, &instances), "a.png", Alpha::Drop),
            Expected { held, passing, decoded: 0 },
        ),
        (
            "in 8 bits",
            least(&with, &files(&labels, &labels), "a.png", Alpha::Drop),
            Expected { held: 2 * ids(&labels), passing, decoded: 0 },
        ),
        (
            "to jpg",
            least(&with, &files(&labels, &labels), "a.jpg", Alpha::Drop),
            Expected { held: 2 * ids(&labels) + 2 * 3 * 400 * 300, passing: rows(3, size), decoded: 0 },
        ),
    ]);
    // Maps in a format that is decoded as a whole take four bytes an id, and three times that before.
    let pgm = at("labels.pgm");
    write_image(&pgm, &Image::U8(Raster::new(400, 300, 1, vec![1; 400 * 300]))).unwrap();
    let all = 4 * 400 * 300;
    let both = least(&with, &files(&pgm, &pgm), "a.png", Alpha::Drop);
    assert_eq!(both.decoded, 2 * all);
}

#[test]
fn what_is_not_read_in_rows() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let trained = model(&at("model"), 3, |config| config);
    let file = put(at("in.png"), 3, false, (400, 300));
    let pixels = Image::U8(Raster::zeros(400, 300, 3));
    let bytes = std::fs::read(&file).unwrap();
    let rows = |files: &Files<'_>, output: &str| least(&trained, files, output, Alpha::Drop).rows;
    assert!(rows(&Files::new(&file), "a.png"));
    assert!(!rows(&Files { content: Some(Content::Image(&pixels)), ..Files::new(&file) }, "a.png"));
    assert!(!rows(&Files { content: Some(Content::File(&bytes)), ..Files::new(&file) }, "a.png"));
    assert!(!rows(&Files::new(&file), "-"));
    assert!(!rows(&Files::new(&file), ""));
    // Nor are images of few pixels, which nobody asks about.
    let few = put(at("few.png"), 3, false, (256, 256));
    assert!(!rows(&Files::new(&few), "a.png"));
    let more = put(at("more.png"), 3, false, (257, 256));
    assert!(rows(&Files::new(&more), "a.png"));
}

#[test]
fn lightness_of_any_file() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let config = GeneratorConfig { norm: NormKind::None, ngf: 16, ..resnet(1, 2) };
    let config = ModelConfig {
        input: InputKind::Lightness,
        output: OutputKind::Colour,
        ..images(&[("g", Direction::A2b, config)])
    };
    write_model(&at("model"), &config);
    let trained = TrainedModel::open(&at("model")).unwrap();
    let passing = rows(3, (400, 300)) + ENCODER + 4 * 3 * 400;
    let mut cases = Vec::new();
    // The file is read twice; the result has 8 bits.
    for (what, channels, deep) in [("colour", 3, false), ("grey", 1, false), ("16 bits", 3, true)] {
        let file = put(at(&format!("{what}.png")), channels, deep, (400, 300));
        let estimate = least(&trained, &Files::new(&file), "a.png", Alpha::Drop);
        let limited = Model::load(&trained, options(estimate.memory)).unwrap();
        cases.push((what, estimate, Expected { held: 2 * reader(&file), passing, decoded: 0 }));
        let whole = Model::load(&trained, Options::default()).unwrap();
        let (banded, once) = (at("bands.png"), at("once.png"));
        assert!(limited.estimate_files(&Files::new(&file), &banded, true).unwrap().unwrap().rows);
        limited.translate_files(&Files::new(&file), &banded).unwrap();
        whole.translate_files(&Files::new(&file), &once).unwrap();
        assert!(std::fs::read(&banded).unwrap() == std::fs::read(&once).unwrap(), "{what}");
    }
    assert_same(&cases);
}
