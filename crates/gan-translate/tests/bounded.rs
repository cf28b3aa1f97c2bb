//! A limit of memory changes no bit of a translation.
#![allow(clippy::unwrap_used)]

mod support;

use candle_core::{DType, Device, Tensor};
use gan_data::{AlphaPolicy, Batch, DecodeOptions, Direction, IdMap, Image, Raster, decode, write_ids, write_image};
use gan_kernels::dispatch::precise;
use gan_nets::{Arch, GeneratorConfig, NormKind, Upsample};
use gan_translate::{
    Alpha, Error, Estimate, Files, InputKind, MemoryLimit, Model, ModelConfig, Options, OutputKind, ScratchSpace,
    TrainedModel,
};
use std::path::{Path, PathBuf};
use support::{fixture, images, resnet, values, waves, write_model};

fn limit(folder: &Path, memory: u64) -> MemoryLimit {
    MemoryLimit {
        memory,
        of_device: false,
        scratch: ScratchSpace::Folder(folder.to_owned()),
        scratch_bytes: u64::MAX,
        alone: true,
    }
}

fn open(model: &TrainedModel, limit: Option<MemoryLimit>, eval: bool) -> Model {
    Model::load(model, Options { limit, eval, ..Options::default() }).unwrap()
}

fn bits(t: &Tensor) -> Vec<u32> {
    values(t).into_iter().map(f32::to_bits).collect()
}

/// What a translation takes at least: of an encoder and the generator, whichever is refused last.
fn least(model: &TrainedModel, folder: &Path, batch: &Batch, eval: bool) -> Estimate {
    let mut found = None;
    loop {
        let memory = found.as_ref().map_or(0, |least: &Estimate| least.memory);
        match (open(model, Some(limit(folder, memory)), eval).translate_batch(batch), found) {
            (Err(Error::TooLittleMemory { least, .. }), _) => found = Some(*least),
            (Ok(_), Some(least)) => return least,
            (other, _) => panic!("{other:?}"),
        }
    }
}

/// Holds translations within the tightest limit, and within one half way to that of a translation as a whole, against the latter.
fn assert_same(what: &str, model: &TrainedModel, batch: &Batch, eval: bool) {
    let folder = tempfile::tempdir().unwrap();
    let whole = open(model, None, eval).translate_batch(batch).unwrap();
    let least = least(model, folder.path(), batch, eval);
    let at_once = model.config().encoder.is_some();
    assert!(at_once || !least.whole && least.memory < least.memory_of_whole, "{what}: {least:?}");
    // What lies in files was written there, and is read.
    assert!(least.scratch <= least.moved, "{what}: {least:?}");
    for memory in [least.memory, (least.memory + least.memory_of_whole) / 2, u64::MAX] {
        let y = open(model, Some(limit(folder.path(), memory)), eval).translate_batch(batch).unwrap();
        assert!(y.dims() == whole.dims() && bits(&y) == bits(&whole), "{what} differs in {memory} bytes");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{what} leaves files behind");
}

fn image(channels: usize, h: usize, w: usize) -> Batch {
    Batch { a: waves(channels, h, w), b: None, inst: None, names: vec!["x".into()] }
}

fn model(folder: &Path, config: &ModelConfig) -> TrainedModel {
    write_model(folder, config);
    TrainedModel::open(folder).unwrap()
}

/// Generators of all architectures and norms.
fn generators() -> Vec<GeneratorConfig> {
    let base = GeneratorConfig { ngf: 8, ..resnet(3, 3) };
    let mut cases = vec![
        GeneratorConfig { antialias: true, antialias_up: true, ..base.clone() },
        GeneratorConfig { upsample: Upsample::Resize, ..base.clone() },
        GeneratorConfig { arch: Arch::Unet, num_downs: 5, ..base.clone() },
        GeneratorConfig { arch: Arch::Unet, num_downs: 5, norm: NormKind::Batch, ..base.clone() },
        GeneratorConfig { arch: Arch::Global, n_downsample_global: 2, n_blocks_global: 1, ..base.clone() },
        GeneratorConfig {
            arch: Arch::Local,
            n_downsample_global: 2,
            n_blocks_global: 1,
            n_local_enhancers: 2,
            n_blocks_local: 1,
            ..base.clone()
        },
    ];
    cases.extend(
        [NormKind::Instance, NormKind::Batch, NormKind::None].map(|norm| GeneratorConfig { norm, ..base.clone() }),
    );
    cases
}

#[test]
fn every_architecture_and_norm() {
    let mut configs = generators();
    let local = configs.iter().find(|config| config.arch == Arch::Local).unwrap().clone();
    // Not among those below: enlarged pixels of three scales, normalized again and again, differ by 3e-3 for another order of a sum.
    configs.push(GeneratorConfig { upsample: Upsample::Resize, ..local });
    for config in configs {
        let folder = tempfile::tempdir().unwrap();
        let model = model(folder.path(), &images(&[("g", Direction::A2b, config.clone())]));
        for (h, w) in [(451, 67), (1100, 21)] {
            let what = format!("{:?} {:?} {h}x{w}", config.arch, config.norm);
            assert_same(&what, &model, &image(3, h, w), false);
        }
        if config.norm == NormKind::Batch {
            assert_same("running statistics", &model, &image(3, 1100, 60), true);
        }
    }
}

/// Options for a device's memory of so many bytes, computed on the CPU.
fn as_on_device(memory: u64) -> Options {
    let scratch = ScratchSpace::HostMemory;
    let limit = MemoryLimit { memory, of_device: true, scratch, scratch_bytes: u64::MAX, alone: true };
    Options { limit: Some(limit), as_on_device: true, ..Options::default() }
}

/// Translates by the operators of devices within the least memory that suffices, and holds that against the whole: it is within one level.
fn assert_near(what: &str, model: &TrainedModel, batch: &Batch) {
    // The CPU would choose Winograd convolution for the whole and not for small bands, and these weights amplify how much more that rounds.
    let _precise = precise();
    let open = |options: Options| Model::load(model, options).unwrap();
    let whole = open(Options::default()).translate_batch(batch).unwrap();
    let Err(Error::TooLittleMemory { least, .. }) = open(as_on_device(1)).translate_batch(batch) else {
        panic!("{what}: not refused")
    };
    assert!(!least.whole && least.memory < least.memory_of_whole, "{what}: {least:?}");
    let y = open(as_on_device(least.memory)).translate_batch(batch).unwrap();
    assert_eq!(y.dims(), whole.dims(), "{what}");
    let far = values(&y).iter().zip(values(&whole)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    // Of a range of 2: a level of 255 is 0.0078.
    assert!(far <= 2e-4, "{what} differs by {far}");
}

#[test]
fn every_architecture_by_the_operators_of_devices() {
    for config in generators() {
        let folder = tempfile::tempdir().unwrap();
        let model = model(folder.path(), &images(&[("g", Direction::A2b, config.clone())]));
        assert_near(&format!("{:?} {:?}", config.arch, config.norm), &model, &image(3, 451, 67));
    }
}

#[test]
fn files_by_the_operators_of_devices() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(
        &folder.path().join("model"),
        &images(&[("g", Direction::A2b, GeneratorConfig { ngf: 8, ..resnet(3, 3) })]),
    );
    let input = folder.path().join("in.png");
    write_image(&input, &photos(folder.path(), 3, false, (333, 571))).unwrap();
    let files = Files::new(&input);
    let open = |memory: u64| Model::load(&model, as_on_device(memory)).unwrap();
    let (banded, whole) = (folder.path().join("bands.png"), folder.path().join("whole.png"));
    let Err(Error::TooLittleMemory { least, .. }) = open(1).translate_files(&files, &banded) else { panic!() };
    assert!(least.rows && !least.whole && !banded.exists(), "{least:?}");
    open(least.memory).translate_files(&files, &banded).unwrap();
    // With room for all of it, the device computes it at once.
    let endless = open(u64::MAX / 2);
    assert!(endless.estimate_files(&files, &whole, true).unwrap().unwrap().whole);
    endless.translate_files(&files, &whole).unwrap();
    let levels = |path: &Path| match decode(path, &DecodeOptions::default()).unwrap() {
        Image::U8(raster) => raster.samples().to_vec(),
        Image::U16(_) => panic!("16 bits"),
    };
    let (banded, whole) = (levels(&banded), levels(&whole));
    assert!(banded.len() == whole.len() && banded.iter().zip(&whole).all(|(a, b)| a.abs_diff(*b) <= 1));
}

#[test]
fn label_maps_with_instances_and_styles() {
    let model = TrainedModel::open(&fixture("pix2pixhd")).unwrap();
    let InputKind::Labels { label_nc, .. } = model.config().input else { panic!("not a model of labels") };
    let (h, w) = (533, 61);
    let ids = |below: usize| {
        let ids: Vec<u8> = (0..h * w).map(|i| (i / 40 % below) as u8).collect();
        Tensor::from_vec(ids, (1, 1, h, w), &Device::Cpu).unwrap()
    };
    let inst = ids(9).to_dtype(DType::U32).unwrap();
    let batch = Batch { a: ids(label_nc), b: Some(waves(3, h, w)), inst: Some(inst), names: vec!["x".into()] };
    assert_same("label maps", &model, &batch, false);
}

#[test]
fn what_does_not_fit_is_refused_before_it_starts() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path(), &images(&[("g", Direction::A2b, resnet(3, 3))]));
    let batch = image(3, 900, 48);
    let needed = least(&model, folder.path(), &batch, false);
    assert_eq!((needed.size, needed.whole), ((48, 900), false));
    let tight = MemoryLimit { scratch_bytes: 0, ..limit(folder.path(), needed.memory - 1) };
    match open(&model, Some(tight.clone()), false).translate_batch(&batch) {
        Err(Error::TooLittleMemory { least, limit }) => {
            assert!(least.memory >= needed.memory && limit == tight);
        }
        other => panic!("{other:?}"),
    }
    // A folder for files that is not there.
    if needed.scratch > 0 {
        let gone = limit(&folder.path().join("none"), needed.memory);
        let error = open(&model, Some(gone), false).translate_batch(&batch).unwrap_err().to_string();
        assert!(error.contains("a scratch file in"), "{error}");
    }
}

/// Translates files within a limit that makes their rows be read one after the other, and without a limit; the results have the same bytes.
fn assert_same_files(what: &str, model: &TrainedModel, files: &Files<'_>, names: &[&str], options: &Options) {
    let folder = tempfile::tempdir().unwrap();
    let open = |limit: Option<MemoryLimit>| Model::load(model, Options { limit, ..options.clone() }).unwrap();
    let whole = open(None);
    // A byte less than all at once takes.
    let endless = open(Some(limit(folder.path(), u64::MAX)));
    let needed = endless.estimate(&endless.read(files).unwrap()).unwrap().unwrap().memory_of_whole;
    let first = folder.path().join(names[0]);
    let least = match open(Some(limit(folder.path(), 100 << 20))).estimate_files(files, &first, true) {
        Err(Error::TooLittleMemory { least, .. }) => least,
        other => panic!("{what}: {other:?}"),
    };
    // With the least memory, bands are short.
    for (memory, names) in [(needed - (1 << 20), names), (least.memory, &names[..1])] {
        let rows = open(Some(limit(folder.path(), memory)));
        for name in names {
            let (at_once, in_rows) = (folder.path().join("once").join(name), folder.path().join("rows").join(name));
            let estimate = rows.estimate_files(files, &in_rows, true).unwrap().unwrap();
            assert!(estimate.rows && !estimate.whole, "{what}, {name}: {estimate:?}");
            let expected = whole.translate_files(files, &at_once).unwrap();
            assert_eq!(rows.translate_files(files, &in_rows).unwrap(), expected, "{what}, {name}");
            assert!(std::fs::read(&at_once).unwrap() == std::fs::read(&in_rows).unwrap(), "{what}, {name} differs");
            assert_eq!(std::fs::read_dir(in_rows.parent().unwrap()).unwrap().count(), 1);
            std::fs::remove_file(in_rows).unwrap();
        }
    }
}

/// Image files of one content: as many channels, 8 bits or 16.
fn photos(folder: &Path, channels: usize, deep: bool, (width, height): (usize, usize)) -> Image {
    std::fs::create_dir_all(folder).unwrap();
    let level = |i: usize| (i * 31 + i / 977 * 7) % 60_013;
    let samples = (0..width * height * channels).map(level);
    match deep {
        true => Image::U16(Raster::new(width, height, channels, samples.map(|v| v as u16).collect())),
        false => Image::U8(Raster::new(width, height, channels, samples.map(|v| v as u8).collect())),
    }
}

#[test]
fn files_are_read_and_written_row_by_row() {
    let folder = tempfile::tempdir().unwrap();
    let unet = GeneratorConfig { arch: Arch::Unet, num_downs: 5, ngf: 8, norm: NormKind::Batch, ..resnet(3, 3) };
    let models = [GeneratorConfig { ngf: 8, ..resnet(3, 3) }, unet].map(|config| {
        let path = folder.path().join(format!("{:?}", config.arch));
        model(&path, &images(&[("g", Direction::A2b, config)]))
    });
    let put = |name: &str, image: &Image| -> PathBuf {
        let path = folder.path().join(name);
        write_image(&path, image).unwrap();
        path
    };
    // Sides that are no multiples: rows and columns are mirrored, for the U-Net 31 of them.
    let size = (461, 545);
    let grey = photos(folder.path(), 1, false, size);
    let colour = photos(folder.path(), 3, false, size);
    let deep = photos(folder.path(), 4, true, size);
    let inputs = [
        (put("colour.png", &colour), &["a.png", "a.tif", "a.jpg", "a.npy", "a.ppm"][..]),
        (put("grey.tif", &grey), &["a.png"]),
        (put("deep.png", &deep), &["a.png", "a.tiff"]),
        // Decoded as a whole.
        (put("lossy.jpg", &colour), &["a.png"]),
        (put("map.ppm", &colour), &["a.tif"]),
    ];
    for (input, names) in &inputs {
        for model in &models {
            let what = format!("{} through {:?}", input.display(), model.config().generators[0].config.arch);
            assert_same_files(&what, model, &Files::new(input), names, &Options::default());
        }
    }
    // Alpha that the model does not take: written back, and dropped, which is told.
    let keep = Options { alpha: Alpha::Restore, ..Options::default() };
    for (image, name) in [(&deep, "alpha16.png"), (&photos(folder.path(), 2, false, size), "alpha8.tif")] {
        let input = put(name, image);
        assert_same_files(name, &models[0], &Files::new(&input), &["a.png", "a.tif"], &keep);
        assert_same_files(name, &models[0], &Files::new(&input), &["a.png"], &Options::default());
    }
    let output = folder.path().join("kept.png");
    Model::load(&models[0], keep).unwrap().translate_files(&Files::new(&inputs[2].0), &output).unwrap();
    let kept = decode(&output, &DecodeOptions { alpha: AlphaPolicy::Keep, ..DecodeOptions::default() }).unwrap();
    assert_eq!((kept.channels(), kept.depth()), (4, 16));
}

#[test]
fn labels_and_lightness_row_by_row() {
    let folder = tempfile::tempdir().unwrap();
    let (width, height) = (450, 566);
    let ids = |below: u32| {
        let ids = (0..(width * height) as u32).map(|i| (i / 37 + i / 5000 * 3) % below);
        IdMap::new(Raster::new(width, height, 1, ids.collect()))
    };
    let (map, inst) = (folder.path().join("map.png"), folder.path().join("inst.png"));
    write_ids(&map, &ids(12)).unwrap();
    write_ids(&inst, &ids(40_000)).unwrap();
    let wide =
        GeneratorConfig { arch: Arch::Global, n_downsample_global: 2, n_blocks_global: 1, ngf: 8, ..resnet(13, 3) };
    let local = GeneratorConfig { arch: Arch::Local, n_local_enhancers: 1, n_blocks_local: 1, ..wide.clone() };
    for (name, config) in [("global", wide), ("local", local)] {
        let input = InputKind::Labels { label_nc: 12, dont_care: None };
        let config = ModelConfig { input, instances: true, ..images(&[("g", Direction::A2b, config)]) };
        let model = model(&folder.path().join(name), &config);
        let files = Files { instances: Some(&inst), ..Files::new(&map) };
        assert_same_files(name, &model, &files, &["a.png", "a.jpg"], &Options::default());
        // A label that is none, told at its place.
        let wrong = folder.path().join("wrong.png");
        let mut raster = ids(12).raster().clone();
        raster.pixel_mut(7, 300)[0] = 12;
        write_ids(&wrong, &IdMap::new(raster)).unwrap();
        let rows = Options { limit: Some(limit(folder.path(), u64::MAX)), ..Options::default() };
        let refused = Model::load(&model, rows).unwrap();
        match refused
            .translate_files(&Files { instances: Some(&inst), ..Files::new(&wrong) }, &folder.path().join("x.png"))
        {
            Err(Error::LabelOutOfRange { x: 7, y: 300, label: 12, label_nc: 12, .. }) => {}
            other => panic!("{other:?}"),
        }
        assert!(!folder.path().join("x.png").exists());
    }
    // A map without instances.
    let config = ModelConfig {
        input: InputKind::Labels { label_nc: 12, dont_care: None },
        ..images(&[("g", Direction::A2b, GeneratorConfig { ngf: 8, ..resnet(12, 3) })])
    };
    let labels = model(&folder.path().join("labels"), &config);
    assert_same_files("labels", &labels, &Files::new(&map), &["a.png"], &Options::default());
    let colours = GeneratorConfig { ngf: 8, ..resnet(1, 2) };
    let config = ModelConfig {
        input: InputKind::Lightness,
        output: OutputKind::Colour,
        ..images(&[("g", Direction::A2b, colours)])
    };
    let model = model(&folder.path().join("colours"), &config);
    let photo = folder.path().join("photo.png");
    write_image(&photo, &photos(folder.path(), 3, false, (width, height))).unwrap();
    assert_same_files("lightness", &model, &Files::new(&photo), &["a.png", "a.tif"], &Options::default());
}

#[test]
fn a_file_that_is_damaged_leaves_no_result() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(
        &folder.path().join("model"),
        &images(&[("g", Direction::A2b, GeneratorConfig { ngf: 8, ..resnet(3, 3) })]),
    );
    let input = folder.path().join("in.png");
    write_image(&input, &photos(folder.path(), 3, false, (500, 600))).unwrap();
    let files = Files::new(&input);
    let endless = open(&model, Some(limit(folder.path(), u64::MAX)), false);
    let needed = endless.estimate(&endless.read(&files).unwrap()).unwrap().unwrap().memory_of_whole;
    let rows = open(&model, Some(limit(folder.path(), needed - (1 << 20))), false);
    let output = folder.path().join("out/out.png");
    rows.translate_files(&files, &output).unwrap();
    let good = std::fs::read(&output).unwrap();
    // A byte of the compressed pixels: only who reads to the end sees it.
    let mut bytes = std::fs::read(&input).unwrap();
    let at = bytes.len() - 40;
    bytes[at] ^= 0xff;
    std::fs::write(&input, bytes).unwrap();
    assert!(rows.estimate_files(&files, &output, true).unwrap().unwrap().rows);
    let error = rows.translate_files(&files, &output).unwrap_err();
    assert!(matches!(error, Error::Data(gan_data::Error::Decode { .. })), "{error}");
    assert!(std::fs::read(&output).unwrap() == good);
    assert_eq!(std::fs::read_dir(output.parent().unwrap()).unwrap().count(), 1);
}
