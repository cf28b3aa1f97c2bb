//! What is read is never written to, what was written is never taken for input, and one bad file costs one file.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // only images of the tests' own making are opened

use crate::support;

use candle_core::{DType, Device, Tensor};
use gan_nets::{Arch, GeneratorConfig};
use gan_weights::{StateDict, safetensors};
use image::{DynamicImage, GrayAlphaImage, Rgb, RgbImage, Rgba, RgbaImage};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use support::{Bench, Ran, tiny_in};

/// A bench with the weights of a tiny ResNet in `g.safetensors`.
pub(crate) fn bench() -> Bench {
    let bench = Bench::new();
    model(&bench, "g.safetensors", 3, |_, value| value);
    bench
}

/// Writes a ResNet of `channels` in and out, whose parameters `change` may change by name.
pub(crate) fn model(bench: &Bench, name: &str, channels: usize, change: impl Fn(&str, f32) -> f32) {
    let config = GeneratorConfig {
        arch: Arch::Resnet,
        input_nc: channels,
        output_nc: channels,
        ngf: 2,
        n_blocks: 1,
        ..GeneratorConfig::default()
    };
    let variables = candle_nn::VarMap::new();
    let _ = config.build(candle_nn::VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu)).unwrap();
    let mut names: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (name, variable) in variables.data().lock().unwrap().iter() {
        names.insert(name.clone(), variable.dims().to_vec());
    }
    let state: StateDict = names
        .into_iter()
        .map(|(name, dims)| {
            let count = dims.iter().product::<usize>();
            let values: Vec<f32> = (0..count).map(|i| change(&name, 0.3 * (1.7 * i as f32).sin())).collect();
            (name, Tensor::from_vec(values, dims, &Device::Cpu).unwrap())
        })
        .collect();
    safetensors::write(bench.path(name), &state).unwrap();
}

pub(crate) fn image(path: &Path, width: u32, height: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_fn(width, height, |x, y| Rgb([(5 * x) as u8, (7 * y) as u8, 99])).save(path).unwrap();
}

pub(crate) fn translate(bench: &Bench, input: &str, output: &str, more: &[&str]) -> Ran {
    let args = ["translate", "--model", "g.safetensors", "--input"];
    let inputs = input.split(' ');
    bench.run(args.into_iter().chain(inputs).chain(["--output", output]).chain(more.iter().copied()))
}

#[track_caller]
pub(crate) fn ok(ran: Ran) -> Ran {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran
}

/// Every file below a folder with its content, by path within it.
pub(crate) fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut pending = vec![folder.to_path_buf()];
    while let Some(current) = pending.pop() {
        for entry in fs::read_dir(&current).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                pending.push(path);
            } else {
                found.insert(path.strip_prefix(folder).unwrap().to_path_buf(), fs::read(&path).unwrap_or_default());
            }
        }
    }
    found
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    files(folder).keys().map(|path| path.to_string_lossy().replace('\\', "/")).collect()
}

#[test]
fn no_output_is_an_input() {
    let bench = bench();
    image(&bench.path("photos/a.png"), 12, 8);
    image(&bench.path("photos/b.jpg"), 12, 8);
    image(&bench.path("other/c.png"), 12, 8);
    image(&bench.path("style.png"), 12, 8);
    let before = files(&bench.path(""));
    let all = |ran: Ran, words: &[&str]| {
        ran.fails(2, words);
        assert_eq!(files(&bench.path("")), before, "something was written");
    };
    all(translate(&bench, "photos", "photos", &[]), &["photos", "another folder"]);
    all(translate(&bench, "photos", "photos/../photos", &[]), &["another folder"]);
    all(translate(&bench, "photos", "photos", &["--merge", "--skip-existing"]), &["another folder"]);
    all(translate(&bench, "photos/a.png", "photos/a.png", &[]), &["photos/a.png", "is the input"]);
    all(translate(&bench, "photos/a.png", "photos", &[]), &["photos/a.png", "is the input"]);
    all(translate(&bench, "photos/a.png other/c.png", "other", &[]), &["other/c.png", "is the input"]);
    // Beside an input, `a.png` is another original rather than an earlier result of `a.jpg`.
    fs::copy(bench.path("photos/b.jpg"), bench.path("photos/a.jpg")).unwrap();
    let before = files(&bench.path(""));
    let all = |ran: Ran, words: &[&str]| {
        ran.fails(2, words);
        assert_eq!(files(&bench.path("")), before, "something was written");
    };
    all(translate(&bench, "photos/a.jpg", "photos", &[]), &["photos/a.png", "exists already"]);
    all(translate(&bench, "photos", "other/../photos", &[]), &["another folder"]);
    // The other things that are read.
    all(translate(&bench, "photos/a.png", "g.safetensors", &[]), &["g.safetensors"]);
    all(translate(&bench, "photos/a.png", "style.png", &["--encode", "style.png"]), &["style.png", "is the input"]);
    all(translate(&bench, "photos/a.png", "other/c.png", &["--inst", "other/c.png"]), &["is the input"]);
    all(translate(&bench, "photos/a.png", "other/new.png", &["--inst", "other"]), &["other", "which is read"]);
    // Weights.
    let convert =
        |from: &str, to: &str, more: &[&str]| bench.run(["convert", from, to].into_iter().chain(more.iter().copied()));
    all(convert("g.safetensors", "g.safetensors", &[]), &["g.safetensors", "is the input"]);
    all(convert("g.safetensors", "photos/../g.safetensors", &["--clean"]), &["is the input"]);
}

#[cfg(unix)]
#[test]
fn no_output_is_an_input_by_links() {
    use std::os::unix::fs::symlink;
    let bench = bench();
    image(&bench.path("photos/a.png"), 12, 8);
    symlink("photos", bench.path("link")).unwrap();
    fs::create_dir(bench.path("soft")).unwrap();
    symlink("../photos/a.png", bench.path("soft/a.png")).unwrap();
    fs::create_dir(bench.path("hard")).unwrap();
    fs::hard_link(bench.path("photos/a.png"), bench.path("hard/a.png")).unwrap();
    symlink("g.safetensors", bench.path("weights.safetensors")).unwrap();
    let before = files(&bench.path(""));
    translate(&bench, "photos", "link", &[]).fails(2, &["another folder"]);
    translate(&bench, "link", "photos", &[]).fails(2, &["another folder"]);
    for output in ["soft", "hard"] {
        translate(&bench, "photos", output, &[]).fails(2, &["a.png", "is the input"]);
        let file = format!("{output}/a.png");
        translate(&bench, "photos/a.png", &file, &["--skip-existing"]).fails(2, &["a.png", "is the input"]);
    }
    bench.run(["convert", "g.safetensors", "weights.safetensors"]).fails(2, &["weights.safetensors", "is the input"]);
    assert_eq!(files(&bench.path("")), before, "something was written");

    // A link to anything else gives way to the result; what it leads to stays.
    image(&bench.path("keep.png"), 3, 3);
    fs::create_dir(bench.path("out")).unwrap();
    symlink("../keep.png", bench.path("out/a.png")).unwrap();
    let kept = fs::read(bench.path("keep.png")).unwrap();
    ok(translate(&bench, "photos", "out", &[]));
    assert_eq!(fs::read(bench.path("keep.png")).unwrap(), kept);
    assert_eq!(image::image_dimensions(bench.path("out/a.png")).unwrap(), (12, 8));
}

#[test]
fn checkpoints_are_not_written_into() {
    let bench = bench();
    bench.ok(tiny_in("pix2pix", "run", &["max_steps=1"]));
    image(&bench.path("a.png"), 12, 8);
    let before = files(&bench.path("run"));
    for output in ["run/checkpoints/1/a.png", "run/checkpoints"] {
        let args = ["translate", "--model", "run", "--input", "a.png", "--output", output];
        bench.run(args).fails(2, &["run/checkpoints", "which is read"]);
    }
    for from in ["run", "run/checkpoints/1"] {
        let args = ["convert", from, "run/checkpoints/1/copy.pth", "--network", "g"];
        bench.run(args).fails(2, &["which is read"]);
    }
    assert_eq!(files(&bench.path("run")), before);
    // Beside the checkpoints there is room.
    bench.ok(["translate", "--model", "run", "--input", "a.png", "--output", "run/results/a.png"]);
    bench.ok(["convert", "run", "run/g.pth", "--network", "g"]);
}

#[test]
fn results_are_no_inputs() {
    let bench = bench();
    for name in ["a.png", "b.jpg", "deeper/c.png"] {
        image(&bench.path("photos").join(name), 12, 8);
    }
    let results = ["a.png", "b.png", "deeper/c.png"];
    for round in 0..3 {
        let ran = ok(translate(&bench, "photos", "photos/deeper/out", &[]));
        assert_eq!(names(&bench.path("photos/deeper/out")), results);
        assert!(ran.err.contains("3 images in photos/deeper/out"), "{}", ran.err);
        assert_eq!(ran.err.contains("left out: 1 output folder (deeper/out)"), round > 0, "{}", ran.err);
    }
    // A run among the images, and a folder that holds nothing but what was left out.
    bench.ok(tiny_in("pix2pix", "photos/run", &["max_steps=1"]));
    assert!(names(&bench.path("photos/run")).iter().any(|name| name.ends_with(".png")));
    let ran = ok(translate(&bench, "photos", "photos/deeper/out", &[]));
    assert!(ran.err.contains("1 training run (run)") && ran.err.contains("3 images in"), "{}", ran.err);
    fs::create_dir(bench.path("results")).unwrap();
    image(&bench.path("results/out/a.png"), 4, 4);
    translate(&bench, "results", "results/out", &[])
        .fails(3, &["no images in results", "left out: 1 output folder (out)"]);
}

#[test]
fn further_pages_are_noted() {
    let bench = bench();
    // Two pages of one grey pixel, the second a copy of the first behind it.
    let page = |at: u32, next: u32| {
        let entry = |tag: u16, kind: u16, value: u32| {
            [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &1u32.to_le_bytes(), &value.to_le_bytes()].concat()
        };
        let fields = [(256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, at), (277, 1), (278, 1), (279, 1)]
            .map(|(tag, v)| entry(tag, 3, v));
        [&9u16.to_le_bytes()[..], &fields.concat(), &next.to_le_bytes()].concat()
    };
    let length = page(0, 0).len() as u32;
    let tiff = [&b"II*\0\x0a\0\0\0\x50\x60"[..], &page(8, 10 + length), &page(9, 0)].concat();
    fs::write(bench.path("two.tif"), tiff).unwrap();
    let ran = ok(translate(&bench, "two.tif", "out.png", &[]));
    assert!(
        ran.err.contains("1 file has further pages or frames; the first is used (two.tif: 1 of 2); --page N"),
        "{}",
        ran.err
    );
}

#[test]
fn old_and_new_results_are_not_mixed() {
    let bench = bench();
    for name in ["one/a.png", "one/b.png", "two/b.png", "two/c.png"] {
        image(&bench.path(name), 12, 8);
    }
    fs::create_dir(bench.path("out")).unwrap();
    fs::write(bench.path("out/notes.txt"), "mine").unwrap();
    ok(translate(&bench, "one", "out", &[]));
    // The same again replaces.
    ok(translate(&bench, "one", "out", &[]));
    let before = files(&bench.path("out"));
    translate(&bench, "two", "out", &[]).fails(2, &["out/a.png", "--merge"]);
    fs::remove_file(bench.path("one/a.png")).unwrap();
    translate(&bench, "one", "out", &[]).fails(2, &["out/a.png", "--merge"]);
    assert_eq!(files(&bench.path("out")), before);
    ok(translate(&bench, "two", "out", &["--merge"]));
    assert_eq!(names(&bench.path("out")), ["a.png", "b.png", "c.png", "notes.txt"]);
    // Files that are named one by one gather in a folder.
    ok(translate(&bench, "one/b.png", "single", &[]));
    ok(translate(&bench, "two/c.png", "single", &[]));
    assert_eq!(names(&bench.path("single")), ["b.png", "c.png"]);
}

#[test]
fn one_bad_file_costs_one_file() {
    let bench = bench();
    for name in ["a.png", "c.png", "sub/d.png"] {
        image(&bench.path("photos").join(name), 12, 8);
    }
    fs::write(bench.path("photos/b.jpg"), "<html>").unwrap();
    fs::write(bench.path("photos/e.png"), "").unwrap();
    let ran = translate(&bench, "photos", "out", &[]);
    ran.fails(3, &["3 of 5 images in out; 2 failed:", "photos/b.jpg: ", "photos/e.png: "]);
    let results = ["a.png", "c.png", "sub/d.png"];
    assert_eq!(names(&bench.path("out")), results);
    // Stopping at the first.
    let ran = translate(&bench, "photos", "fast", &["--fail-fast"]);
    ran.fails(3, &["photos/b.jpg"]);
    assert!(ran.err.contains("1 image written before"), "{}", ran.err);
    assert_eq!(names(&bench.path("fast")), ["a.png"]);
    // Going on with what is left; a result that is cut off is made anew.
    image(&bench.path("photos/b.jpg"), 20, 8);
    let whole = fs::read(bench.path("out/a.png")).unwrap();
    fs::write(bench.path("out/a.png"), &whole[..whole.len() / 2]).unwrap();
    image(&bench.path("out/c.png"), 3, 3);
    let ran = translate(&bench, "photos", "out", &["--skip-existing"]);
    ran.fails(3, &["2 of 5 images in out, 2 skipped", "1 failed:", "photos/e.png"]);
    assert_eq!(fs::read(bench.path("out/a.png")).unwrap(), whole);
    assert_eq!(image::image_dimensions(bench.path("out/c.png")).unwrap(), (3, 3), "it was computed again");
    fs::remove_file(bench.path("photos/e.png")).unwrap();
    let ran = ok(translate(&bench, "photos", "out", &["--skip-existing"]));
    assert!(ran.err.contains("0 images in out, 4 skipped"), "{}", ran.err);
    // What stays of an earlier call beside a failure is named.
    fs::write(bench.path("photos/b.jpg"), "<html>").unwrap();
    translate(&bench, "photos", "out", &[]).fails(3, &["3 of 4 images", "out/b.png of an earlier call stays"]);
    // All of them, and one by itself.
    for name in ["x.png", "y.png"] {
        fs::create_dir_all(bench.path("bad")).unwrap();
        fs::write(bench.path("bad").join(name), "no image").unwrap();
    }
    translate(&bench, "bad", "none", &[]).fails(3, &["0 of 2 images in none; 2 failed"]);
    let ran = translate(&bench, "bad/x.png", "x.png", &[]);
    ran.fails(3, &["cannot decode bad/x.png"]);
    assert!(!ran.err.contains("1 failed"), "{}", ran.err);
}

#[test]
fn the_exit_code_is_that_of_the_worst_failure() {
    let bench = bench();
    image(&bench.path("photos/a.png"), 12, 8);
    image(&bench.path("photos/b.png"), 12, 8);
    fs::write(bench.path("photos/c.png"), "no image").unwrap();
    // A folder in the way of a result is a failure of writing.
    fs::create_dir_all(bench.path("out/a.png")).unwrap();
    let ran = translate(&bench, "photos", "out", &[]);
    ran.fails(1, &["1 of 3 images", "2 failed", "cannot write out/a.png", "photos/c.png"]);
    assert_eq!(names(&bench.path("out")), ["b.png"], "something half-written was left");
}

#[test]
fn inputs_of_one_name_keep_their_extension() {
    let bench = bench();
    for (name, width) in [("x/a.png", 10), ("x/a.jpg", 12), ("x/b.png", 14), ("y/a.jpg", 16)] {
        image(&bench.path(name), width, 8);
    }
    let width = |name: &str| image::image_dimensions(bench.path(name)).unwrap().0;
    let ran = ok(translate(&bench, "x", "out", &[]));
    assert_eq!(names(&bench.path("out")), ["a.jpg.png", "a.png.png", "b.png"]);
    assert_eq!((width("out/a.jpg.png"), width("out/a.png.png")), (12, 10));
    assert_eq!(ran.err.matches("share a name").count(), 1, "{}", ran.err);
    ok(translate(&bench, "x/a.jpg y/a.jpg", "two", &[]));
    assert_eq!(names(&bench.path("two")), ["x/a.jpg.png", "y/a.jpg.png"]);
    assert_eq!((width("two/x/a.jpg.png"), width("two/y/a.jpg.png")), (12, 16));
    // One file, named twice, is one file.
    let ran = ok(translate(&bench, "y y/a.jpg y/../y/a.jpg", "once", &[]));
    assert_eq!(names(&bench.path("once")), ["a.png"]);
    assert!(ran.err.contains("1 image in once"), "{}", ran.err);
}

#[cfg(target_os = "linux")]
#[test]
fn names_are_kept_byte_by_byte() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let bench = bench();
    image(&bench.path("a.png"), 12, 8);
    fs::create_dir(bench.path("in")).unwrap();
    let odd = [&b"\xff.png"[..], b"\xfe.png"].map(OsStr::from_bytes);
    for name in odd {
        fs::copy(bench.path("a.png"), bench.path("in").join(name)).unwrap();
    }
    ok(translate(&bench, "in", "out", &[]));
    for name in odd {
        assert!(bench.path("out").join(name).is_file());
    }
}

#[test]
fn outputs_that_cannot_be_are_refused_before_anything_is_computed() {
    let bench = bench();
    image(&bench.path("in/a.png"), 12, 8);
    image(&bench.path("in/b.png"), 12, 8);
    fs::write(bench.path("file"), "mine").unwrap();
    let before = files(&bench.path(""));
    for (input, output, words) in [
        ("in/a.png", "x.v2", ["x.v2", "png, jpg"]),
        ("in/a.png", "x.gif", ["x.gif", "png, jpg"]),
        ("in/a.png", "new/x.HEIC", ["x.HEIC", "png, jpg"]),
        ("in/a.png in/b.png", "two.png", ["two.png", "a folder"]),
        ("in", "two.jpeg", ["two.jpeg", "a folder"]),
        ("in", "two.gif", ["two.gif", "a folder"]),
        ("in", "file", ["file", "name a folder"]),
        ("in/a.png", "file", ["file", "name a folder"]),
        ("in", "-", ["standard output", "one image"]),
        ("in/a.png in/b.png", "-", ["standard output", "one image"]),
        ("in/a.png -", "out", ["standard input", "./-"]),
    ] {
        // Nor is the model looked at.
        let inputs = input.split(' ');
        let args = ["translate", "--model", "none.pth", "--output", output, "--input"].into_iter().chain(inputs);
        bench.run(args).fails(2, &words);
    }
    translate(&bench, "in/a.png", "a.jpg", &["--alpha", "keep"]).fails(2, &["no alpha channel", ".png"]);
    assert_eq!(files(&bench.path("")), before);
    // With a slash it is a folder, whatever its name looks like.
    ok(translate(&bench, "in/a.png", "x.v2/", &[]));
    ok(translate(&bench, "in", "two.png/", &[]));
    ok(translate(&bench, "in", "run.v2", &[]));
    assert_eq!((names(&bench.path("x.v2")), names(&bench.path("two.png")).len()), (vec!["a.png".into()], 2));
    for name in ["x.jpg", "x.webp", "x.bmp", "x.tiff", "x.ppm"] {
        ok(translate(&bench, "in/a.png", name, &[]));
        assert_eq!(image::image_dimensions(bench.path(name)).unwrap(), (12, 8));
    }
}

#[test]
fn alpha_is_kept_dropped_or_taken() {
    let bench = bench();
    let alpha = |x: u32, y: u32| (10 * x + 20 * y) as u8;
    fs::create_dir(bench.path("in")).unwrap();
    let rgba = RgbaImage::from_fn(12, 8, |x, y| Rgba([5 * x as u8, 7 * y as u8, 99, alpha(x, y)]));
    rgba.save(bench.path("in/rgba.png")).unwrap();
    GrayAlphaImage::from_fn(12, 8, |x, y| image::LumaA([9 * x as u8, alpha(x, y)]))
        .save(bench.path("in/la.png"))
        .unwrap();
    RgbaImage::from_fn(12, 8, |x, y| Rgba([x as u8, y as u8, 1, 255])).save(bench.path("in/opaque.png")).unwrap();
    image(&bench.path("in/rgb.png"), 12, 8);
    let open = |name: &str| image::open(bench.path(name)).unwrap();

    let ran = ok(translate(&bench, "in", "plain", &[]));
    assert_eq!(ran.err.matches("alpha of 2 images was dropped").count(), 1, "{}", ran.err);
    let ran = ok(translate(&bench, "in", "silent", &["--alpha", "drop"]));
    assert!(!ran.err.contains("alpha"), "{}", ran.err);
    assert_eq!(files(&bench.path("plain")), files(&bench.path("silent")));
    let ran = ok(translate(&bench, "in", "kept", &["--alpha", "keep"]));
    assert!(!ran.err.contains("dropped"), "{}", ran.err);
    for name in ["rgba.png", "la.png"] {
        let (plain, kept) = (open(&format!("plain/{name}")), open(&format!("kept/{name}")));
        assert!(matches!((&plain, &kept), (DynamicImage::ImageRgb8(_), DynamicImage::ImageRgba8(_))), "{name}");
        assert_eq!(plain.to_rgb8(), kept.to_rgb8());
        assert!(kept.to_rgba8().enumerate_pixels().all(|(x, y, pixel)| pixel[3] == alpha(x, y)), "{name}");
    }
    assert_eq!(open("kept/rgb.png").color().channel_count(), 3);
    // Resized with its image.
    let sizes = ["--alpha", "keep", "--preprocess", "resize_and_crop", "--crop-size", "16"];
    ok(translate(&bench, "in/rgba.png", "small.png", &sizes));
    assert_eq!((open("small.png").width(), open("small.png").color().channel_count()), (16, 4));

    // A model of four channels gets the file's alpha: another alpha, another image.
    model(&bench, "g4.safetensors", 4, |_, value| value);
    let four = |input: &str, output: &str, more: &[&str]| {
        let args = ["translate", "--model", "g4.safetensors", "--input", input, "--output", output];
        bench.run(args.into_iter().chain(more.iter().copied()))
    };
    ok(four("in/rgba.png", "four.png", &[]));
    let mut opaque = rgba.clone();
    opaque.pixels_mut().for_each(|pixel| pixel[3] = 255);
    opaque.save(bench.path("opaque.png")).unwrap();
    ok(four("opaque.png", "four-opaque.png", &[]));
    assert_ne!(open("four.png").to_rgba8(), open("four-opaque.png").to_rgba8());
    assert!(four("in/rgba.png", "noted.png", &["--alpha", "keep"]).err.contains("--alpha changes nothing"));
    ok(four("in/la.png", "four-la.png", &[]));
    four("in/rgb.png", "x.png", &[]).fails(3, &["in/rgb.png", "3 channels", "4 are wanted", "with an alpha channel"]);
    assert!(!bench.path("x.png").exists());
}

#[test]
fn values_that_are_no_numbers_are_no_image() {
    let bench = bench();
    // Finite weights whose sums are not: the first norm takes infinity from infinity.
    model(&bench, "g.safetensors", 3, |name, value| if name == "model.1.weight" { value * 10.0 * 1e38 } else { value });
    image(&bench.path("in/a.png"), 12, 8);
    fs::write(bench.path("in/b.png"), "no image").unwrap();
    translate(&bench, "in/a.png", "x.png", &[]).fails(6, &["in/a.png", "not finite"]);
    translate(&bench, "in", "out", &[]).fails(6, &["0 of 2 images", "in/a.png", "not finite", "in/b.png"]);
    assert!(!bench.path("x.png").exists() && names(&bench.path("out")).is_empty());
}

#[test]
fn every_size_is_translated() {
    let bench = bench();
    let sizes = [(1, 1), (2, 2), (3, 3), (4, 4), (64, 1), (1, 64), (5, 3), (9, 4)];
    for (width, height) in sizes {
        image(&bench.path(&format!("in/{width}x{height}.png")), width, height);
    }
    bench.ok(tiny_in("pix2pix", "run", &["max_steps=1"]));
    bench.ok(tiny_in("cyclegan", "cycle", &["max_steps=1"]));
    for model in ["g.safetensors", "run", "cycle"] {
        let output = format!("out-{model}");
        bench.ok(["translate", "--model", model, "--input", "in", "--output", &format!("{output}/")]);
        for (width, height) in sizes {
            let made = image::image_dimensions(bench.path(&output).join(format!("{width}x{height}.png"))).unwrap();
            assert_eq!(made, (width, height));
        }
    }
    // In a size of the user's choice it is a sentence.
    let sizes = ["--preprocess", "resize_and_crop", "--crop-size", "4"];
    translate(&bench, "in/9x4.png", "x.png", &sizes).fails(3, &["it is 4x4", "8x8 and larger"]);
}

#[test]
fn models_that_are_none_say_what_there_is() {
    let bench = bench();
    image(&bench.path("a.png"), 12, 8);
    let with = |model: &str, more: &[&str]| {
        let args = ["translate", "--model", model, "--input", "a.png", "--output", "x.png"];
        bench.run(args.into_iter().chain(more.iter().copied()))
    };
    fs::create_dir(bench.path("python")).unwrap();
    for name in ["horses.pth", "zebras.pth"] {
        fs::write(bench.path("python").join(name), "").unwrap();
    }
    with("python", &[]).fails(4, &["horses.pth and zebras.pth", "name one", "--model python/horses.pth"]);
    bench.ok(tiny_in("pix2pix", "runs/p", &["max_steps=2", "save_latest_freq=1"]));
    bench.ok(tiny_in("cyclegan", "cycle", &["max_steps=1"]));
    with("runs/p/checkpoints/999", &[]).fails(4, &["no checkpoint 999 in runs/p", "2"]);
    with("runs", &[]).fails(4, &["the runs p", "--model runs/p"]);
    with("nowhere", &[]).fails(4, &["nowhere does not exist"]);
    for command in ["summary", "encode-features"] {
        bench.run([command, "--model", "runs/p/checkpoints/999"]).fails(4, &["no checkpoint 999"]);
    }
    // Both ways, and networks by name.
    with("runs/p", &["--direction", "b2a"]).fails(2, &["--direction b2a", "pix2pix", "one generator"]);
    bench.run(["convert", "cycle", "x.pth"]).fails(2, &["d_a, d_b, g_a and g_b", "--network g_a"]);
    bench.run(["convert", "cycle", "x.pth", "--network", "g"]).fails(4, &["no network g,", "d_a, d_b, g_a and g_b"]);
    let ran = bench.ok(["summary", "--model", "cycle"]);
    assert!(ran.err.contains("this is g_a; show g_b with --network g_b"), "{}", ran.err);
    let ran = bench.ok(["summary", "--model", "cycle", "--network", "g_b"]);
    assert!(ran.out.contains("generator") && ran.err.is_empty(), "{ran:?}");
    let ran = bench.ok(["summary", "--model", "runs/p", "--network", "d"]);
    assert!(ran.out.contains("discriminator"), "{}", ran.out);
    bench.run(["summary", "--model", "cycle", "--network", "g"]).fails(4, &["d_a, d_b, g_a and g_b"]);
    bench.run(["summary", "--model", "g.safetensors", "--network", "g"]).fails(2, &["--network"]);
    assert!(!bench.path("x.pth").exists() && !bench.path("x.png").exists());
}

#[test]
fn what_a_model_does_not_take_is_said() {
    let bench = bench();
    image(&bench.path("a.png"), 12, 8);
    let ran = ok(translate(&bench, "a.png", "x.png", &["--label-nc", "0", "--no-instance", "--inst", "a.png"]));
    assert!(ran.err.contains("--inst changes nothing"), "{}", ran.err);
    let streets = bench.synth("streets", "streets", 40, 2, 0);
    bench.ok(tiny_in("pix2pixhd", "hd", &["max_steps=1", "encoder.instance_feat=false"]));
    let labels = streets.join("train_label").display().to_string();
    let inst = streets.join("train_inst");
    let one = fs::read_dir(&inst).unwrap().next().unwrap().unwrap().path().display().to_string();
    let args = ["translate", "--model", "hd", "--input", &labels, "--output", "out", "--inst", &one];
    bench.run(args).fails(2, &["one instance map for 2 label maps"]);
    let inst = inst.display().to_string();
    let args = ["translate", "--model", "hd", "--input", &labels, "--output", "out", "--inst", &inst];
    bench.run(args.into_iter().chain(["--encode", "a.png"])).fails(2, &["--encode is for models with"]);
    bench.ok(args);
    // A style of another size than the label map is what is wrong with the data.
    bench.ok(tiny_in("pix2pixhd", "styled", &["max_steps=1", "encoder.instance_feat=true"]));
    let args = ["translate", "--model", "styled", "--input", &labels, "--output", "out", "--inst", &inst];
    let ran = bench.run(args.into_iter().chain(["--encode", "a.png"]));
    ran.fails(3, &["0 of 2 images", "a.png is 12x8", "is 40x40"]);
}

/// A disk that takes no more, by a limit on the size of files.
#[cfg(unix)]
#[test]
fn nothing_half_written_is_left() {
    let bench = bench();
    image(&bench.path("in/big.png"), 300, 300);
    image(&bench.path("in/small.png"), 8, 8);
    let script = format!(
        "trap '' XFSZ; ulimit -f 8; exec '{}' translate --model g.safetensors --input in --output out",
        env!("CARGO_BIN_EXE_gan-cli")
    );
    let mut command = std::process::Command::new("sh");
    let ran: Ran = command.args(["-c", &script]).current_dir(bench.path("")).output().unwrap().into();
    ran.fails(1, &["1 of 2 images", "cannot write out/big.png"]);
    assert_eq!(names(&bench.path("out")), ["small.png"]);
}

#[test]
fn paths_may_stand_alone_or_in_a_list() {
    let bench = bench();
    for name in ["a.png", "b.png", "c.png"] {
        image(&bench.path("photos").join(name), 12, 8);
    }
    ok(bench.run(["translate", "g.safetensors", "photos/a.png", "photos/b.png", "short"]));
    assert_eq!(names(&bench.path("short")), ["a.png", "b.png"]);
    ok(bench.run(["translate", "g.safetensors", "photos/a.png", "short.png"]));
    assert_eq!(fs::read(bench.path("short.png")).unwrap(), fs::read(bench.path("short/a.png")).unwrap());
    fs::write(bench.path("list"), "photos/c.png\nphotos/a.png\n").unwrap();
    let listed = ["translate", "--model", "g.safetensors", "--list", "list", "--output", "listed"];
    ok(bench.run(listed));
    assert_eq!(names(&bench.path("listed")), ["a.png", "c.png"]);
    fs::write(bench.path("list"), "\n").unwrap();
    bench.run(listed).fails(3, &["list", "names no file"]);
    bench.run(["translate", "g.safetensors", "photos"]).fails(2, &["required"]);
    bench.run(["translate", "g.safetensors", "photos", "out", "--output", "out"]).fails(2, &["cannot be used with"]);
}

#[test]
fn results_have_the_format_that_was_asked_for() {
    let bench = bench();
    for name in ["a.png", "b.jpg", "c.bmp", "d.tiff"] {
        image(&bench.path("photos").join(name), 12, 8);
    }
    ok(translate(&bench, "photos", "kept", &["--format", "keep"]));
    assert_eq!(names(&bench.path("kept")), ["a.png", "b.jpg", "c.bmp", "d.tiff"]);
    ok(translate(&bench, "photos", "webp", &["--format", "webp"]));
    assert_eq!(names(&bench.path("webp")), ["a.webp", "b.webp", "c.webp", "d.webp"]);
    let pixels = |path: &str| image::open(bench.path(path)).unwrap().to_rgb8();
    assert_eq!(pixels("webp/a.webp"), pixels("kept/a.png"), "WebP is written without loss");
    ok(translate(&bench, "photos/a.png", "best.jpg", &["--quality", "100"]));
    ok(translate(&bench, "photos/a.png", "small.jpg", &["--quality", "20"]));
    let bytes = |name: &str| fs::metadata(bench.path(name)).unwrap().len();
    assert!(bytes("best.jpg") > bytes("small.jpg"));
    translate(&bench, "photos/a.png", "x.png", &["--format", "webp"]).fails(2, &["x.png", "leave --format out"]);
    translate(&bench, "photos", "x", &["--format", "jpg", "--alpha", "keep"]).fails(2, &["JPEG has none"]);
}

#[test]
fn what_was_done_is_there_as_json() {
    let bench = bench();
    for name in ["a.png", "b.png", "c.png", "d.png"] {
        image(&bench.path("photos").join(name), 12, 8);
    }
    fs::write(bench.path("photos/b.png"), "no image").unwrap();
    let ran = translate(&bench, "photos", "out", &["--json"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&json["written"], &json["skipped"]), (&3.into(), &0.into()));
    assert_eq!(json["failed"].as_array().unwrap().len(), 1);
    assert_eq!((&json["failed"][0]["input"], &json["failed"][0]["exit_code"]), (&"photos/b.png".into(), &3.into()));
    let ran = ok(translate(&bench, "photos/a.png photos/c.png", "out", &["--json", "--skip-existing"]));
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&json["written"], &json["skipped"]), (&0.into(), &2.into()));
}
