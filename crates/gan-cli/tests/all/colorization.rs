//! Colorization from training to a coloured photograph.
#![allow(clippy::disallowed_methods, reason = "images are judged by another reader than the one under test")]
#![allow(clippy::unwrap_used)]

use crate::support;

use image::{GrayImage, Luma, Rgb, RgbImage};
use support::Bench;

/// A photograph at dusk: orange everywhere, in bands of different lightness.
fn dusk(seed: u32) -> RgbImage {
    RgbImage::from_fn(40, 36, |x, y| {
        let level = 40 + ((x * (3 + seed) + y * 5) % 140);
        Rgb([(level * 5 / 4) as u8, (level * 3 / 4) as u8, (level / 3) as u8])
    })
}

#[test]
fn a_grey_photograph_gets_the_colours_of_the_training_set() {
    let bench = Bench::new();
    std::fs::create_dir_all(bench.path("photos/train")).unwrap();
    (0..4).for_each(|i| dusk(i).save(bench.path(&format!("photos/train/{i}.png"))).unwrap());
    let settings = "data.mode=colorization input_nc=1 output_nc=2 generator.arch=unet generator.num_downs=5 ngf=8 \
                    ndf=4 dropout=false load_size=36 crop_size=32 lr=0.002 max_steps=60 workers=0 display_freq=0";
    let mut train = vec!["train", "pix2pix", "--data", "photos", "--out", "run"];
    train.extend(settings.split_whitespace().flat_map(|setting| ["--set", setting]));
    bench.ok(&train);

    // No side is a multiple of what the network takes.
    let grey = GrayImage::from_fn(45, 38, |x, y| Luma([(50 + (x * 3 + y * 4) % 130) as u8]));
    grey.save(bench.path("grey.png")).unwrap();
    bench.ok(["translate", "--model", "run", "--input", "grey.png", "--output", "colour.png"]);
    let colour = image::open(bench.path("colour.png")).unwrap();
    assert_eq!(colour.color(), image::ColorType::Rgb8);
    let colour = colour.into_rgb8();
    assert_eq!(colour.dimensions(), grey.dimensions());

    let mean = |value: &dyn Fn(&Rgb<u8>) -> f64| colour.pixels().map(value).sum::<f64>() / (45.0 * 38.0);
    let [red, green, blue] = [0, 1, 2].map(|channel| mean(&|pixel| f64::from(pixel[channel])));
    assert!(red > green + 10.0 && green > blue + 10.0, "not orange: {red:.0} {green:.0} {blue:.0}");
    // The lightness is the input's own. Luma is not quite L, hence the tolerance.
    let luma = |p: &Rgb<u8>| 0.299 * f64::from(p[0]) + 0.587 * f64::from(p[1]) + 0.114 * f64::from(p[2]);
    let off = colour.pixels().zip(grey.pixels()).map(|(c, g)| (luma(c) - f64::from(g[0])).abs()).sum::<f64>();
    assert!(off / (45.0 * 38.0) < 25.0, "the image's own light and shade are gone");
}

#[test]
fn previews_of_colorization_are_in_colour() {
    let bench = Bench::new();
    std::fs::create_dir_all(bench.path("photos/train")).unwrap();
    dusk(0).save(bench.path("photos/train/0.png")).unwrap();
    let settings = "data.mode=colorization input_nc=1 output_nc=2 generator.arch=unet generator.num_downs=5 ngf=4 \
                    ndf=4 load_size=36 crop_size=32 max_steps=1 workers=0 display_freq=1";
    let mut train = vec!["train", "pix2pix", "--data", "photos", "--out", "run"];
    train.extend(settings.split_whitespace().flat_map(|setting| ["--set", setting]));
    let ran = bench.ok(&train);
    assert!(!ran.err.contains("preview"), "{}", ran.err);
    // Input, output and target of the only step.
    let panel = |column: usize| {
        image::open(bench.path(&format!("run/gallery/images/000000001-0-{column}.png"))).unwrap().into_rgb8()
    };
    assert!(panel(0).pixels().all(|p| p[0] == p[1] && p[1] == p[2]));
    assert_eq!(panel(1).dimensions(), (32, 32));
    assert!(panel(2).pixels().all(|p| p[0] > p[1] && p[1] > p[2]), "the target is orange");
}
