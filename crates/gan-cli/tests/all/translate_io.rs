//! Files of any kind in, results as they were asked for out: names, pages, pipes, batches, labels in colour.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // only images of the tests' own making are opened

use crate::files_in_files_out::{bench, files, image, model, names, ok, translate};
use crate::support;

use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgb, RgbImage};
use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;
use std::process::{Output, Stdio};
use support::{Bench, tiny_in};

#[test]
fn results_are_called_as_the_pattern_says() {
    let bench = bench();
    for name in ["a.png", "b.jpg", "sub/a.png"] {
        image(&bench.path("in").join(name), 12, 8);
    }
    let with = |output: &str, pattern: &str, more: &[&str]| {
        translate(&bench, "in", output, &[&["--name", pattern], more].concat())
    };
    ok(with("kept", "{model}_{stem}.{ext}", &[]));
    assert_eq!(names(&bench.path("kept")), ["g_a.png", "g_b.png", "sub/g_a.png"]);
    ok(with("flat", "{folder}_{stem}", &["--format", "webp"]));
    assert_eq!(names(&bench.path("flat")), ["_a.webp", "_b.webp", "sub_a.webp"]);
    let ran = ok(with("same", "{folder}/x.jpg", &[]));
    assert_eq!(names(&bench.path("same")), ["sub/x.jpg", "x-2.jpg", "x.jpg"]);
    assert!(ran.err.contains("1 results share a name with others and got a number: x-2.jpg"), "{}", ran.err);
    ok(with("numbered", "{index}-{name}.{ext}", &[]));
    assert_eq!(names(&bench.path("numbered")), ["1-a.png.png", "2-b.jpg.png", "sub/3-a.png.png"]);
    // The step is that of the checkpoint.
    bench.ok(tiny_in("pix2pix", "run", &["max_steps=2"]));
    bench.ok(["translate", "run", "in/a.png", "stepped/", "--name", "{model}-{step}.{ext}"]);
    assert_eq!(names(&bench.path("stepped")), ["run-2.png"]);

    let before = files(&bench.path(""));
    for (pattern, words) in [
        ("../{stem}.{ext}", ["below the output folder", "--name"]),
        ("/tmp/{stem}", ["below the output folder", "--name"]),
        ("{stem", ["braces", "--name"]),
        ("{stm}", ["no field {stm}", "stem, name, ext"]),
        ("{stem}.gif", ["a.gif", "png, jpg"]),
        ("{stem}_{step}", ["{step}", "has no step"]),
    ] {
        with("refused", pattern, &[]).fails(2, &words);
    }
    with("refused", "{stem}.jpg", &["--format", "webp"]).fails(2, &["picks the format", "--format"]);
    with("refused", "{stem}.jpg", &["--alpha", "keep"]).fails(2, &["with alpha", "a.jpg"]);
    translate(&bench, "in/a.png", "x.png", &["--name", "{stem}"]).fails(2, &["x.png", "leave --name out"]);
    assert_eq!(files(&bench.path("")), before, "something was written");
}

#[test]
fn inputs_results_and_targets_stand_side_by_side() {
    let bench = bench();
    image(&bench.path("in/a.png"), 12, 8);
    image(&bench.path("in/b.png"), 12, 8);
    RgbImage::from_pixel(24, 16, Rgb([200, 100, 50])).save(bench.path("target.png")).unwrap();
    fs::create_dir(bench.path("targets")).unwrap();
    fs::copy(bench.path("target.png"), bench.path("targets/a.png")).unwrap();
    let open = |name: &str| image::open(bench.path(name)).unwrap().to_rgb8();
    ok(translate(&bench, "in/a.png", "plain.png", &[]));
    ok(translate(&bench, "in/a.png", "row.png", &["--side-by-side", "--target", "target.png"]));
    let row = open("row.png");
    assert_eq!(row.dimensions(), (36, 8));
    let part = |at: u32| image::imageops::crop_imm(&row, 12 * at, 0, 12, 8).to_image();
    assert_eq!((part(0), part(1)), (open("in/a.png"), open("plain.png")));
    assert!(part(2).pixels().all(|pixel| *pixel == Rgb([200, 100, 50])));
    let ran = ok(translate(&bench, "in", "rows", &["--side-by-side", "--target", "targets"]));
    assert_eq!((open("rows/a.png").width(), open("rows/b.png").width()), (36, 24));
    assert!(ran.err.contains("1 result has no target in targets"), "{}", ran.err);
    translate(&bench, "in", "x", &["--side-by-side", "--target", "target.png"]).fails(2, &["one target for 2 results"]);
    translate(&bench, "in", "x", &["--target", "targets"]).fails(2, &["--side-by-side", "--html"]);
    translate(&bench, "in", "targets/x", &["--html", "--target", "targets"]).fails(2, &["targets", "which is read"]);
}

/// The values of an attribute in a page, in order.
fn attributes(page: &str, name: &str) -> Vec<String> {
    let start = format!("{name}=\"");
    let parts = page.split(&start).skip(1);
    parts
        .map(|part| part.split('"').next().unwrap().replace("%20", " ").replace("%3C", "<").replace("%3E", ">"))
        .collect()
}

#[test]
fn a_page_shows_inputs_results_and_targets() {
    let bench = bench();
    for name in ["a<b> c.png", "sub/d.png"] {
        image(&bench.path("in").join(name), 700, 8);
        image(&bench.path("targets").join(name), 12, 8);
    }
    fs::write(bench.path("in/broken.png"), "no image").unwrap();
    let page = |more: &[&str]| {
        let ran = translate(&bench, "in", "out", &[&["--html"], more].concat());
        ran.fails(3, &["of 3 images", "1 failed", "broken.png"]);
        fs::read_to_string(bench.path("out/index.html")).unwrap()
    };
    let html = page(&["--target", "targets"]);
    assert!(html.contains("a&lt;b&gt; c.png") && !html.contains("<b>"), "{html}");
    assert!(html.contains("color-scheme: light dark") && html.contains("2 of 3 images") && html.contains("broken.png"));
    assert_eq!(html.matches("<figcaption>").count(), 6);
    let links = [attributes(&html, "src"), attributes(&html, "href")].concat();
    assert_eq!(links.len(), 12);
    for link in &links {
        assert!(bench.path("out").join(link).is_file() && !link.contains("://"), "{link}");
    }
    assert_eq!(image::open(bench.path("out/page-images/sub/d.png.input.png")).unwrap().width(), 512);
    // What the page shows is not taken for an image of somebody else, or for an input.
    let again = page(&["--target", "targets", "--skip-existing"]);
    assert_eq!(attributes(&again, "src"), attributes(&html, "src"));
    page(&[]);
    ok(translate(&bench, "out", "next", &[]));
    assert_eq!(names(&bench.path("next")).len(), 2);
    // Formats that browsers do not show, and a page of somebody else.
    ok(translate(&bench, "in/sub/d.png", "tiff/", &["--html", "--format", "tiff"]));
    let html = fs::read_to_string(bench.path("tiff/index.html")).unwrap();
    assert!(attributes(&html, "src").contains(&"page-images/d.tiff.output.png".into()));
    assert!(attributes(&html, "href").contains(&"d.tiff".into()));
    fs::create_dir(bench.path("site")).unwrap();
    fs::write(bench.path("site/index.html"), "mine").unwrap();
    translate(&bench, "in", "site", &["--html"]).fails(2, &["site/index.html", "another folder"]);
    translate(&bench, "in/sub/d.png", "x.png", &["--html"]).fails(2, &["x.png", "--html"]);
}

/// Runs a command that gets these bytes on standard input.
fn piped(bench: &Bench, args: &[&str], input: &[u8]) -> Output {
    let mut child = bench.command(args).stdin(Stdio::piped()).spawn().unwrap();
    // A command that refuses does not read.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

#[test]
fn images_pass_through_pipes() {
    let bench = bench();
    image(&bench.path("a.png"), 12, 8);
    ok(translate(&bench, "a.png", "a-out.png", &[]));
    let (input, expected) = (fs::read(bench.path("a.png")).unwrap(), fs::read(bench.path("a-out.png")).unwrap());
    let through = |args: &[&str], input: &[u8]| {
        let out = piped(&bench, &[&["translate", "g.safetensors"], args].concat(), input);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(0), "{said}");
        out.stdout
    };
    assert_eq!(through(&["-", "-"], &input), expected, "there is something else on standard output");
    assert_eq!(through(&["a.png", "-"], b""), expected);
    through(&["-", "from-pipe.png"], &input);
    assert_eq!(fs::read(bench.path("from-pipe.png")).unwrap(), expected);
    through(&["-", "folder/"], &input);
    assert_eq!(names(&bench.path("folder")), ["stdin.png"]);
    // Any format in, and that of --format out.
    let decoded = |bytes: &[u8], format| image::load_from_memory_with_format(bytes, format).unwrap().to_rgb8();
    let mut tiff = Cursor::new(Vec::new());
    image::open(bench.path("a.png")).unwrap().write_to(&mut tiff, ImageFormat::Tiff).unwrap();
    let webp = through(&["-", "-", "--format", "webp"], tiff.get_ref());
    assert_eq!(decoded(&webp, ImageFormat::WebP), decoded(&expected, ImageFormat::Png));
    assert!(through(&["-", "-", "--format", "npy"], &input).starts_with(b"\x93NUMPY"));

    for (args, input, code, words) in [
        (&["-", "-"][..], &b""[..], 3, ["standard input", "empty"]),
        (&["-", "-"], b"<html>", 3, ["standard input", "not an image"]),
        (&["-", "-"], &input[..input.len() / 2], 3, ["standard input", "truncated"]),
        (&["-", "-", "--json"], &input, 2, ["--json", "standard output"]),
        (&["-", "-", "--html"], &input, 2, ["--html", "folder"]),
        (&["-", "-", "--name", "x"], &input, 2, ["--name", "no name"]),
        (&["-", "-", "--format", "planes"], &input, 2, ["planes", "folder"]),
        (&["-", "-", "--page", "all"], &input, 2, ["--page all", "one page"]),
    ] {
        let out = piped(&bench, &[&["translate", "g.safetensors"], args].concat(), input);
        assert!(out.stdout.is_empty(), "{args:?}");
        support::Ran::from(out).fails(code, &words);
    }
    let list = ["translate", "--model", "g.safetensors", "--input", "-", "--list", "-", "--output", "x"];
    support::Ran::from(piped(&bench, &list, b"a.png\n")).fails(2, &["--list -", "standard input"]);
}

#[test]
fn the_first_inputs_alone_are_translated() {
    let bench = bench();
    ["a.png", "b.png", "c.png"].iter().for_each(|name| image(&bench.path("photos").join(name), 12, 8));
    ok(translate(&bench, "photos", "first", &["--limit", "2"]));
    assert_eq!(names(&bench.path("first")), ["a.png", "b.png"]);
    translate(&bench, "photos", "none", &["--limit", "0"]).fails(2, &["--limit", "from 1"]);
}

#[test]
fn batches_change_nothing_but_the_order_of_the_work() {
    let bench = bench();
    for i in 0..7 {
        image(&bench.path(&format!("in/{i}.png")), if i % 2 == 0 { 12 } else { 16 }, 8);
    }
    ok(translate(&bench, "in", "one", &[]));
    let ran = ok(translate(&bench, "in", "many", &["--batch", "3"]));
    assert_eq!(files(&bench.path("one")), files(&bench.path("many")));
    assert!(!ran.err.contains("--batch"), "{}", ran.err);
    translate(&bench, "in", "x", &["--batch", "0"]).fails(2, &["--batch", "from 1"]);
    bench.ok(tiny_in("pix2pix", "run", &["max_steps=1", "generator.norm=batch"]));
    let ran = bench.ok(["translate", "run", "in", "noted", "--batch", "3"]);
    assert!(ran.err.contains("--batch changes nothing"), "{}", ran.err);
    bench.ok(["translate", "run", "in", "alone"]);
    assert_eq!(files(&bench.path("noted")), files(&bench.path("alone")));
}

#[test]
fn pages_are_translated_one_by_one() {
    let bench = bench();
    // Four channels or more are written as pages: two models, of five channels and of one.
    model(&bench, "g5.safetensors", 5, |_, value| value);
    model(&bench, "g1.safetensors", 1, |_, value| value);
    for plane in 0..5u8 {
        fs::create_dir_all(bench.path("five.planes")).unwrap();
        let plane_of = |x: u32, y: u32| Luma([(9 * x + 5 * y) as u8 + 20 * plane]);
        GrayImage::from_fn(12, 8, plane_of).save(bench.path(&format!("five.planes/{plane}.png"))).unwrap();
    }
    for output in ["out.tiff", "out.npy", "out.planes"] {
        bench.ok(["translate", "g5.safetensors", "five.planes", output]);
    }
    assert_eq!(names(&bench.path("out.planes")), ["000.png", "001.png", "002.png", "003.png", "004.png"]);
    bench.ok(["translate", "g5.safetensors", "five.planes", "folder/", "--format", "planes"]);
    assert_eq!(files(&bench.path("folder/five.planes")), files(&bench.path("out.planes")));
    bench.ok(["translate", "g5.safetensors", "five.planes", "folder/", "--format", "planes", "--skip-existing"]);
    let five = ["translate", "g5.safetensors", "five.planes"];
    bench.run(five.into_iter().chain(["x.png"])).fails(2, &["5 channels", "x.png", "--format tiff"]);
    bench.run(five.into_iter().chain(["x/"])).fails(2, &["5 channels", "five.png", "--format tiff"]);
    bench.run(five.into_iter().chain(["x/", "--format", "npy", "--side-by-side"])).fails(2, &["--side-by-side"]);
    bench.ok(five.into_iter().chain(["page/", "--format", "npy", "--html"]));

    // A page is the image that was that plane.
    let one = |more: &[&str]| bench.run([&["translate", "g1.safetensors", "out.tiff"], more].concat());
    bench.ok(["translate", "g1.safetensors", "out.planes/002.png", "expected.png"]);
    let expected = fs::read(bench.path("expected.png")).unwrap();
    let ran = ok(one(&["first.png"]));
    assert!(ran.err.contains("out.tiff: 1 of 5") && ran.err.contains("--page N or --page all"), "{}", ran.err);
    let ran = ok(one(&["third.png", "--page", "3"]));
    assert!(!ran.err.contains("further pages"), "{}", ran.err);
    assert_eq!(fs::read(bench.path("third.png")).unwrap(), expected);
    ok(one(&["all/", "--page", "all"]));
    assert_eq!(names(&bench.path("all")), ["out-1.png", "out-2.png", "out-3.png", "out-4.png", "out-5.png"]);
    assert_eq!(fs::read(bench.path("all/out-3.png")).unwrap(), expected);
    one(&["x.png", "--page", "6"]).fails(3, &["out.tiff", "page 6 was asked for, and it has 5"]);
    one(&["x.png", "--page", "0"]).fails(2, &["--page", "from 1"]);
    one(&["x.png", "--page", "all"]).fails(2, &["x.png", "5 pages", "a folder"]);
}

#[test]
fn more_kinds_of_images_are_read_and_others_are_named() {
    let bench = bench();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gan-data/tests/whole");
    fs::create_dir(bench.path("in")).unwrap();
    for name in ["animated.gif", "palette.tif", "animated.webp"] {
        fs::copy(folder.join(name), bench.path("in").join(name)).unwrap();
    }
    image(&bench.path("photo.jpg"), 12, 8);
    for name in ["j.jfif", "k.jpe"] {
        fs::copy(bench.path("photo.jpg"), bench.path("in").join(name)).unwrap();
    }
    for (name, brand) in [("a.avif", "avif"), ("b.heic", "heic")] {
        fs::write(bench.path("in").join(name), [b"\0\0\0\x1cftyp", brand.as_bytes(), &[0; 20]].concat()).unwrap();
    }
    let ran = ok(translate(&bench, "in", "out", &[]));
    assert_eq!(names(&bench.path("out")).len(), 5);
    assert!(ran.err.contains("2 files were left out: 1 .avif, 1 .heic (formats not supported)"), "{}", ran.err);
    assert!(ran.err.contains("2 files have further pages or frames; the first is used"), "{}", ran.err);
    assert!(ran.err.contains("animated.gif: 1 of 3") && !ran.err.contains("--page"), "{}", ran.err);
    for (name, format) in [("a.avif", "avif"), ("b.heic", "heic")] {
        translate(&bench, &format!("in/{name}"), "x.png", &[]).fails(3, &[name, format, "magick"]);
    }
    let gif = fs::read(bench.path("in/animated.gif")).unwrap();
    fs::write(bench.path("cut.gif"), &gif[..gif.len() - 9]).unwrap();
    translate(&bench, "cut.gif", "x.png", &[]).fails(3, &["cut.gif", "truncated"]);
    ok(translate(&bench, "in", "kept", &["--format", "keep"]));
    assert!(names(&bench.path("kept")).contains(&"animated.png".into()) && !bench.path("x.png").exists());
}

/// A folder of two label maps, made of ids, beside photographs.
fn labelled(bench: &Bench, root: &str, colour: impl Fn(u8) -> [u8; 3]) {
    for i in 0..2u32 {
        for part in ["train_label", "train_img"] {
            fs::create_dir_all(bench.path(root).join(part)).unwrap();
        }
        let id = |x: u32, y: u32| ((x / 8 + y / 8 + i) % 5) as u8;
        let name = format!("{i}.png");
        let map = RgbImage::from_fn(40, 32, |x, y| Rgb(colour(id(x, y))));
        map.save(bench.path(root).join("train_label").join(&name)).unwrap();
        image(&bench.path(root).join("train_img").join(name), 40, 32);
    }
}

/// The arguments of a tiny run of pix2pixHD on a folder of label maps.
fn on_labels(root: &str, run: &str, more: &[&str]) -> Vec<String> {
    let settings =
        ["data.mode=labelled", "label_nc=5", "data.instances=false", "max_steps=1", "encoder.instance_feat=false"];
    let mut args = tiny_in("pix2pixhd", run, &[&settings, more].concat());
    args.extend(["--data".into(), root.into()]);
    args
}

#[test]
fn label_maps_in_grey_colours_train_and_translate() {
    let bench = Bench::new();
    labelled(&bench, "grey", |id| [id; 3]);
    bench
        .run(on_labels("grey", "refused", &[]))
        .fails(3, &["train_label", "in colour", "labels_as = \"rgb\"", "dataset labels"]);
    bench.ok(on_labels("grey", "run", &["labels_as=rgb"]));
    // The model knows how its maps are read, and maps of ids are read as well.
    bench.ok(["translate", "run", "grey/train_label/0.png", "rgb.png"]);
    let map = image::open(bench.path("grey/train_label/0.png")).unwrap().to_rgb8();
    let ids = GrayImage::from_fn(40, 32, |x, y| Luma([map.get_pixel(x, y)[0]]));
    DynamicImage::ImageLuma8(ids).save(bench.path("ids.png")).unwrap();
    bench.ok(["translate", "run", "ids.png", "ids-out.png"]);
    bench.ok(["translate", "run", "ids.png", "plain.png", "--labels-as", "ids"]);
    let bytes = |name: &str| fs::read(bench.path(name)).unwrap();
    assert!(bytes("rgb.png") == bytes("ids-out.png") && bytes("rgb.png") == bytes("plain.png"));
    bench.run(["translate", "run", "grey/train_label/0.png", "x.png", "--labels-as", "ids"]).fails(3, &["in colour"]);
    // A run that learned from ids.
    fs::create_dir_all(bench.path("plain/train_label")).unwrap();
    fs::create_dir_all(bench.path("plain/train_img")).unwrap();
    fs::copy(bench.path("ids.png"), bench.path("plain/train_label/0.png")).unwrap();
    fs::copy(bench.path("grey/train_img/0.png"), bench.path("plain/train_img/0.png")).unwrap();
    bench.ok(on_labels("plain", "of-ids", &[]));
    bench.run(["translate", "of-ids", "grey/train_label/0.png", "x.png"]).fails(3, &["in colour"]);
    bench.ok(["translate", "of-ids", "grey/train_label/0.png", "y.png", "--labels-as", "rgb"]);
    bench.ok(["translate", "of-ids", "ids.png", "z.png"]);
    assert_eq!(bytes("y.png"), bytes("z.png"));
    bench.ok(["translate", "of-ids", "ids.png", "row.png", "--side-by-side"]);
    assert_eq!(image::image_dimensions(bench.path("row.png")).unwrap(), (80, 32));
}

#[test]
fn label_maps_are_made_of_colours() {
    let bench = Bench::new();
    let colours: [[u8; 3]; 5] = [[0, 0, 0], [128, 64, 128], [70, 70, 70], [107, 142, 35], [0, 0, 142]];
    labelled(&bench, "maps", |id| colours[usize::from(id)]);
    let lines: String =
        colours.iter().enumerate().map(|(id, [r, g, b])| format!("{id},{r},{g},{b},label {id}\n")).collect();
    fs::write(bench.path("palette.csv"), format!("id,r,g,b,name\n{lines}")).unwrap();
    let objects = colours.iter().enumerate().map(|(id, color)| serde_json::json!({ "id": id, "color": color }));
    fs::write(bench.path("palette.json"), serde_json::Value::from_iter(objects).to_string()).unwrap();
    RgbImage::from_fn(5, 1, |x, _| Rgb(colours[x as usize])).save(bench.path("palette.png")).unwrap();
    let make = |palette: &str, out: &str, more: &[&str]| {
        bench.run([&["dataset", "labels", "maps/train_label", "--palette", palette, "--out", out], more].concat())
    };
    for kind in ["csv", "json", "png"] {
        let ran = ok(make(&format!("palette.{kind}"), kind, &[]));
        assert!(ran.err.contains("2 label maps in") && ran.err.contains("label_nc=5"), "{}", ran.err);
        assert_eq!(files(&bench.path(kind)), files(&bench.path("csv")));
    }
    let made = image::open(bench.path("csv/1.png")).unwrap();
    assert!(matches!(&made, DynamicImage::ImageLuma8(ids) if ids.get_pixel(0, 0) == &Luma([1])));
    // They are what training takes.
    fs::create_dir_all(bench.path("set")).unwrap();
    fs::rename(bench.path("csv"), bench.path("set/train_label")).unwrap();
    fs::rename(bench.path("maps/train_img"), bench.path("set/train_img")).unwrap();
    bench.ok(on_labels("set", "run", &[]));

    let mut odd = image::open(bench.path("maps/train_label/0.png")).unwrap().to_rgb8();
    odd.put_pixel(3, 2, Rgb([128, 64, 120]));
    odd.save(bench.path("maps/train_label/0.png")).unwrap();
    let ran = make("palette.csv", "odd", &[]);
    assert!(ran.err.contains("--nearest"), "{}", ran.err);
    ran.fails(3, &["1 of 2", "0.png", "128,64,120 (1 px, first at x=3, y=2)"]);
    assert_eq!(names(&bench.path("odd")), ["1.png"]);
    let ran = ok(make("palette.csv", "odd", &["--nearest"]));
    assert!(ran.err.contains("1 pixels of 1 maps"), "{}", ran.err);
    assert!(
        matches!(image::open(bench.path("odd/0.png")).unwrap(), DynamicImage::ImageLuma8(ids) if ids.get_pixel(3, 2) == &Luma([1]))
    );
    fs::write(bench.path("bad.csv"), "1,0,0,0\n2,0,0,0\n").unwrap();
    make("bad.csv", "x", &[]).fails(3, &["bad.csv", "the ids 1 and 2"]);
    make("none.csv", "x", &[]).fails(3, &["none.csv"]);
    make("palette.csv", "maps/train_label", &[]).fails(2, &["the folder that is read"]);
}
