//! Images that are not whole, and images that lack a channel, through every command that reads them.
#![allow(clippy::unwrap_used)]

use crate::support;

use image::{Rgba, RgbaImage};
use std::fs;
use support::Bench;

/// A tiny pix2pix run in `run` on the images of `data`, with `channels` in and out.
fn train(bench: &Bench, run: &str, channels: usize) -> support::Ran {
    let spec = gan_train::find(gan_train::METHODS, "pix2pix").unwrap();
    let channels = [format!("input_nc={channels}"), format!("output_nc={channels}")];
    let settings = spec.smoke_overrides.iter().copied().chain(["workers=0", "max_steps=2"]);
    let settings = settings.chain(channels.iter().map(String::as_str)).flat_map(|s| ["--set", s]);
    bench.run(["train", "pix2pix", "--data", "data", "--out", run].into_iter().chain(settings))
}

fn rgba() -> RgbaImage {
    RgbaImage::from_fn(64, 32, |x, y| Rgba([x as u8 * 4, y as u8 * 8, 99, (x * y) as u8]))
}

#[test]
fn what_is_cut_off_is_refused_by_every_command() {
    let bench = Bench::new();
    fs::create_dir_all(bench.path("data/train")).unwrap();
    let colour = image::DynamicImage::ImageRgba8(rgba()).to_rgb8();
    colour.save(bench.path("data/train/a.jpg")).unwrap();
    assert_eq!(train(&bench, "run", 3).code, Some(0));
    let whole = fs::read(bench.path("data/train/a.jpg")).unwrap();
    fs::write(bench.path("data/train/a.jpg"), &whole[..whole.len() * 3 / 4]).unwrap();
    let words = ["a.jpg", "the file is truncated"];
    bench.run(["translate", "--model", "run", "--input", "data/train/a.jpg", "--output", "o.png"]).fails(3, &words);
    assert!(!bench.path("o.png").exists());
    train(&bench, "other", 3).fails(3, &words);
    let report = bench.run(["dataset", "inspect", "data"]);
    assert_eq!(report.code, Some(3), "{report:?}");
    assert!(words.iter().all(|word| report.out.contains(word) || report.err.contains(word)), "{report:?}");
}

#[test]
fn a_network_of_four_channels_gets_the_alpha_of_the_file() {
    let bench = Bench::new();
    fs::create_dir_all(bench.path("data/train")).unwrap();
    rgba().save(bench.path("data/train/a.png")).unwrap();
    assert_eq!(train(&bench, "run", 4).code, Some(0));
    // The same values, plane by plane: there is no policy for planes.
    fs::create_dir_all(bench.path("planes/a.planes")).unwrap();
    for channel in 0..4 {
        let plane = image::GrayImage::from_fn(64, 32, |x, y| image::Luma([rgba().get_pixel(x, y)[channel]]));
        plane.save(bench.path(&format!("planes/a.planes/{channel}.png"))).unwrap();
    }
    let translate =
        |input: &str, output: &str| bench.run(["translate", "--model", "run", "--input", input, "--output", output]);
    assert_eq!(translate("data/train/a.png", "file.png").code, Some(0));
    assert_eq!(translate("planes", "out").code, Some(0));
    assert!(fs::read(bench.path("file.png")).unwrap() == fs::read(bench.path("out/a.png")).unwrap());

    image::DynamicImage::ImageRgba8(rgba()).to_rgb8().save(bench.path("data/train/a.png")).unwrap();
    translate("data/train/a.png", "o.png").fails(3, &["a.png", "alpha"]);
    train(&bench, "other", 4).fails(3, &["a.png", "alpha"]);
}
