//! Files and tensors through models: sizes, labels with instances and styles, alpha.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "images are judged by another reader than the one under test")]

mod support;

use candle_core::{DType, Device, Tensor};
use gan_data::{AlphaPolicy, Batch, DecodeOptions, Direction, Image, Preprocess, decode, decode_ids};
use gan_layers::NormKind;
use gan_nets::{Arch, GeneratorConfig};
use gan_translate::{
    Alpha, Content, EachFile, Error, FileError, FileJob, FileOutcome, Files, Made, Model, ModelConfig, Options,
    SizeOptions, Stage, StyleClusters,
};
use gan_weights::{StateDict, safetensors};
use image::{GrayImage, Luma, Rgba, RgbaImage};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use support::{copy, fixture, images, resnet, values, waves, write_model};

fn model_in(folder: &Path, config: &ModelConfig) -> PathBuf {
    let path = folder.join("model");
    write_model(&path, config);
    path
}

#[test]
fn runs_of_the_first_edition_translate_as_they_did() {
    let folder = tempfile::tempdir().unwrap();
    for method in ["pix2pix", "cyclegan", "pix2pixhd"] {
        let output = folder.path().join(format!("{method}.png"));
        let model = Model::open(fixture(method)).unwrap();
        let (label, image) = (fixture("inputs/label.png"), fixture("inputs/img.png"));
        let inst = fixture("inputs/inst.png");
        let files = match method {
            "pix2pixhd" => Files { instances: Some(&inst), style: Some(&image), ..Files::new(&label) },
            _ => Files::new(&image),
        };
        model.translate_files(&files, &output).unwrap();
        let levels = |path: &Path| image::open(path).unwrap().to_rgb8();
        let (made, expected) = (levels(&output), levels(&fixture(&format!("expected/{method}.png"))));
        assert_eq!(made.dimensions(), expected.dimensions());
        // Other instruction sets round differently.
        let worst = made.as_raw().iter().zip(expected.as_raw()).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst <= Some(1), "{method}: off by {worst:?} levels");
    }
}

#[test]
fn tensors_have_any_size_and_number() {
    let folder = tempfile::tempdir().unwrap();
    let unet = GeneratorConfig { arch: Arch::Unet, num_downs: 5, ..resnet(3, 3) };
    let model = Model::open(model_in(folder.path(), &images(&[("g", Direction::A2b, unet)]))).unwrap();
    assert_eq!(model.size_multiple(), 32);
    for (h, w) in [(1, 1), (5, 40), (32, 32)] {
        assert_eq!(model.translate(&waves(3, h, w)).unwrap().dims(), [1, 3, h, w]);
    }
    let pair = Tensor::cat(&[&waves(3, 8, 8), &waves(3, 8, 8)], 0).unwrap();
    assert_eq!(model.translate(&pair).unwrap().dims(), [2, 3, 8, 8]);
    // Other float types are converted.
    let double = waves(3, 8, 8).to_dtype(DType::F64).unwrap();
    assert_eq!(values(&model.translate(&double).unwrap()), values(&model.translate(&waves(3, 8, 8)).unwrap()));
    for refused in [waves(1, 8, 8), waves(3, 8, 8).squeeze(0).unwrap()] {
        assert!(matches!(model.translate(&refused), Err(Error::Shape { .. })), "{:?}", refused.dims());
    }
}

#[test]
fn label_maps_need_their_instances() {
    let model = Model::open(fixture("pix2pixhd")).unwrap();
    let labels = Tensor::zeros((1, 1, 9, 7), DType::U8, &Device::Cpu).unwrap();
    assert!(matches!(model.translate(&labels), Err(Error::NeedsInstances)));
    let inst = Some(Tensor::ones((1, 1, 9, 7), DType::U32, &Device::Cpu).unwrap());
    let batch = Batch { a: labels, b: Some(waves(3, 9, 7)), inst, names: vec!["x".into()] };
    assert_eq!(model.translate_batch(&batch).unwrap().dims(), [1, 3, 9, 7]);
    let other = Batch { inst: Some(Tensor::ones((1, 1, 9, 8), DType::U32, &Device::Cpu).unwrap()), ..batch.clone() };
    assert!(matches!(model.translate_batch(&other), Err(Error::Shape { .. })));
    // Without an image that lends its style, and without styles.
    let plain = Batch { b: None, ..batch };
    assert!(matches!(model.translate_batch(&plain), Err(Error::NoStyles { .. })));

    let folder = tempfile::tempdir().unwrap();
    let (map, other) = (folder.path().join("map.png"), folder.path().join("other.png"));
    GrayImage::from_pixel(9, 7, Luma([3])).save(&map).unwrap();
    GrayImage::from_pixel(9, 8, Luma([3])).save(&other).unwrap();
    assert!(matches!(model.read(&Files::new(&map)), Err(Error::NeedsInstances)));
    let files = Files { instances: Some(&other), ..Files::new(&map) };
    assert!(matches!(model.read(&files), Err(Error::SizesDiffer { size: (9, 8), .. })));
    // Found by its name in a folder.
    assert!(model.read(&Files { instances: Some(folder.path()), ..Files::new(&map) }).is_ok());
    GrayImage::from_fn(9, 7, |x, y| Luma([if (x, y) == (4, 2) { 16 } else { 0 }])).save(&map).unwrap();
    let files = Files { instances: Some(&map), ..Files::new(&map) };
    assert!(matches!(model.read(&files), Err(Error::LabelOutOfRange { x: 4, y: 2, label: 16, label_nc: 16, .. })));
}

#[test]
fn pixels_in_memory_are_as_good_as_files() {
    let folder = tempfile::tempdir().unwrap();
    let model = Model::open(model_in(folder.path(), &images(&[("g", Direction::A2b, resnet(3, 3))]))).unwrap();
    let input = folder.path().join("input.png");
    RgbaImage::from_fn(9, 5, |x, y| Rgba([9 * x as u8, 30 * y as u8, 7, 20 * x as u8])).save(&input).unwrap();
    let image = decode(&input, &DecodeOptions { alpha: AlphaPolicy::Keep, ..DecodeOptions::default() }).unwrap();
    assert_eq!(image.channels(), 4);
    let memory = Files { content: Some(Content::Image(&image)), ..Files::new(Path::new("memory")) };
    let made = |model: &Model, files: &Files<'_>| model.translate_input(model.read(files).unwrap()).unwrap();
    assert_eq!(made(&model, &memory), made(&model, &Files::new(&input)));
    assert!(model.loses_alpha(&model.read(&memory).unwrap()));

    let model = Model::open(fixture("pix2pixhd")).unwrap();
    let (label, inst, style) = (fixture("inputs/label.png"), fixture("inputs/inst.png"), fixture("inputs/img.png"));
    let files = Files { instances: Some(&inst), style: Some(&style), ..Files::new(&label) };
    let ids = |path: &Path| decode_ids(path, &DecodeOptions::default()).unwrap();
    let (labels, instances) = (ids(&label), ids(&inst));
    let lent = decode(&style, &DecodeOptions::default()).unwrap();
    let memory = Files {
        content: Some(Content::Ids(&labels)),
        instance_content: Some(Content::Ids(&instances)),
        style: Some(Path::new("style")),
        style_content: Some(Content::Image(&lent)),
        ..Files::new(Path::new("labels"))
    };
    assert_eq!(made(&model, &memory), made(&model, &files));
    // What is of the other kind is refused.
    let other = Files { content: Some(Content::Image(&lent)), ..memory };
    assert!(matches!(model.read(&other), Err(Error::Shape { got, .. }) if got == [32, 32, 3]));
    let other = Files { style_content: Some(Content::Ids(&labels)), ..memory };
    assert!(matches!(model.read(&other), Err(Error::Shape { got, .. }) if got == [32, 32]));
}

#[test]
fn styles_are_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    copy(&fixture("pix2pixhd"), &run);
    let open = |style| Model::open_with(&run, Options { style, ..Options::default() });
    assert!(matches!(open(Some(1)), Err(Error::NoStyles { .. })));
    let clusters: Vec<Vec<f32>> = (0..8).map(|i| vec![0.2 * i as f32 - 0.8, 0.1, -0.5]).collect();
    let state: StateDict =
        StyleClusters::new(3, BTreeMap::from([(0, clusters)])).to_tensors().unwrap().into_iter().collect();
    std::fs::create_dir(run.join("features")).unwrap();
    safetensors::write(run.join("features").join(StyleClusters::FILE), &state).unwrap();
    let zeros = |dtype| Tensor::zeros((1, 1, 8, 8), dtype, &Device::Cpu).unwrap();
    let batch = Batch { a: zeros(DType::U8), b: None, inst: Some(zeros(DType::U32)), names: vec!["x".into()] };
    let drawn = |style| values(&open(style).unwrap().translate_batch(&batch).unwrap());
    assert_eq!(drawn(None), drawn(Some(0)));
    assert!((1..6).any(|style| drawn(Some(style)) != drawn(Some(0))), "every style looks the same");
    let lent = Batch { b: Some(waves(3, 8, 8)), ..batch.clone() };
    let lent = values(&open(None).unwrap().translate_batch(&lent).unwrap());
    assert_ne!(lent, drawn(None));
}

#[test]
fn files_are_resized_and_cropped_where_asked() {
    let folder = tempfile::tempdir().unwrap();
    let unet = GeneratorConfig { arch: Arch::Unet, num_downs: 5, ..resnet(3, 3) };
    let path = model_in(folder.path(), &images(&[("g", Direction::A2b, unet)]));
    let (input, output) = (fixture("input.png"), folder.path().join("output.png"));
    let translate = |preprocess, load_size, crop_size| {
        let sizes = Some(SizeOptions { preprocess, load_size, crop_size });
        Model::open_with(&path, Options { sizes, ..Options::default() })?.translate_file(&input, &output)?;
        Ok(image::image_dimensions(&output).unwrap())
    };
    assert_eq!(translate(Preprocess::ResizeAndCrop, None, None).unwrap(), (32, 32));
    assert_eq!(translate(Preprocess::Resize, Some(64), None).unwrap(), (64, 64));
    let error = translate(Preprocess::Resize, Some(40), None).unwrap_err();
    assert!(matches!(error, Error::NotMultiple { size: (40, 40), multiple: 32 }), "{error}");
    let error = translate(Preprocess::Resize, Some(0), None).unwrap_err();
    assert!(error.to_string().contains("out of range"), "{error}");
    let own = Model::open(&path).unwrap();
    own.translate_file(&input, &output).unwrap();
    assert_eq!(image::image_dimensions(&output).unwrap(), image::image_dimensions(&input).unwrap());
}

#[test]
fn alpha_is_dropped_or_restored() {
    let folder = tempfile::tempdir().unwrap();
    let path = model_in(folder.path(), &images(&[("g", Direction::A2b, resnet(3, 3))]));
    let (input, output) = (folder.path().join("in.png"), folder.path().join("out.png"));
    RgbaImage::from_fn(9, 5, |x, y| Rgba([9 * x as u8, 30 * y as u8, 7, 20 * x as u8])).save(&input).unwrap();
    let translate = |alpha| {
        let model = Model::open_with(&path, Options { alpha, ..Options::default() }).unwrap();
        (model.translate_file(&input, &output).unwrap().alpha_lost, image::open(&output).unwrap())
    };
    let (lost, dropped) = translate(Alpha::Drop);
    assert!(lost && dropped.color() == image::ColorType::Rgb8);
    let (lost, restored) = translate(Alpha::Restore);
    assert!(!lost && restored.to_rgb8() == dropped.to_rgb8());
    assert!(restored.to_rgba8().enumerate_pixels().all(|(x, _, pixel)| pixel[3] == 20 * x as u8));
}

#[test]
fn outputs_that_no_image_holds_are_tensors_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = model_in(folder.path(), &images(&[("g", Direction::A2b, resnet(3, 5))]));
    let model = Model::open(path).unwrap();
    assert_eq!(model.translate(&waves(3, 8, 8)).unwrap().dims(), [1, 5, 8, 8]);
    let output = folder.path().join("out.png");
    let error = model.translate_file(fixture("input.png"), &output).unwrap_err();
    assert!(matches!(error, Error::TooManyChannels { channels: 5, .. }) && !output.exists(), "{error}");
    for name in ["out.tiff", "out.npy", "out.planes"] {
        model.translate_file(fixture("input.png"), folder.path().join(name)).unwrap();
    }
    let planes = gan_data::decode(&folder.path().join("out.planes"), &gan_data::DecodeOptions::default()).unwrap();
    assert_eq!(planes.channels(), 5);
    assert_eq!(gan_data::tiff_pages(&folder.path().join("out.tiff")), 5);
}

/// Translates files of several sizes, one of which cannot be read, in batches of so many.
fn in_batches(model: &Model, folder: &Path, batch: usize) -> Vec<Result<Image, Stage>> {
    let inputs: Vec<PathBuf> = (0..9).map(|i| folder.join(format!("{i}.png"))).collect();
    for (i, path) in inputs.iter().enumerate() {
        let width = if i == 5 { 40 } else { 33 };
        RgbaImage::from_fn(width, 35, |x, y| Rgba([(9 * x) as u8, (7 * y) as u8, (31 * i) as u8, 255]))
            .save(path)
            .unwrap();
    }
    std::fs::write(&inputs[7], "no image").unwrap();
    let output = folder.join("x.png");
    let jobs: Vec<_> = inputs.iter().map(|input| FileJob { files: Files::new(input), output: &output }).collect();
    let images = std::sync::Mutex::new(BTreeMap::new());
    let mut ends = Vec::new();
    let write = |made: Made<'_>| {
        assert_eq!(made.shown.unwrap().size(), made.image.size());
        images.lock().unwrap().insert(made.index, made.image);
        Ok(())
    };
    let mut done = |i: usize, outcome: Result<FileOutcome, FileError>| {
        assert_eq!(i, ends.len());
        ends.push(outcome.map_err(|error| error.stage));
        ControlFlow::Continue(())
    };
    model.translate_each(&jobs, EachFile { batch, show: true, skip: &|_| false, write: &write, done: &mut done });
    let mut images = images.into_inner().unwrap();
    ends.into_iter().enumerate().map(|(i, end)| end.map(|_| images.remove(&i).unwrap())).collect()
}

#[test]
fn batches_change_no_bit() {
    let unet = GeneratorConfig { arch: Arch::Unet, num_downs: 5, ..resnet(3, 3) };
    for (config, batches) in [
        (resnet(3, 3), true),
        (unet, true),
        (GeneratorConfig { norm: NormKind::None, ..resnet(3, 3) }, true),
        (GeneratorConfig { norm: NormKind::Batch, ..resnet(3, 3) }, false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let model = Model::open(model_in(folder.path(), &images(&[("g", Direction::A2b, config)]))).unwrap();
        assert_eq!(model.batches(), batches);
        let one = in_batches(&model, folder.path(), 1);
        assert_eq!(one.iter().filter(|image| image.is_ok()).count(), 8);
        assert_eq!(one[7], Err(Stage::Read));
        for batch in [2, 4, 100] {
            assert!(in_batches(&model, folder.path(), batch) == one, "{batch}");
        }
    }
    // With running statistics, nothing is shared.
    let folder = tempfile::tempdir().unwrap();
    let config = GeneratorConfig { norm: NormKind::Batch, ..resnet(3, 3) };
    let path = model_in(folder.path(), &images(&[("g", Direction::A2b, config)]));
    assert!(Model::open_with(path, Options { eval: true, ..Options::default() }).unwrap().batches());
}
