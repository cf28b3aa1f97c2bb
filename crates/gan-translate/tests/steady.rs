//! Statistics that are kept, and frames that are steady.
#![allow(clippy::unwrap_used)]

mod support;

use gan_data::Image;
use gan_translate::{
    Content, Direction, Error, Files, Input, MemoryLimit, Model, Options, ScratchSpace, Statistics, Steadier,
    SteadyOptions,
};
use std::path::Path;
use support::{images, resnet, write_model};

const WIDTH: usize = 96;
const HEIGHT: usize = 80;

fn model(folder: &Path, options: Options) -> Model {
    write_model(folder, &images(&[("g", Direction::A2b, resnet(3, 3))]));
    Model::open_with(folder, options).unwrap()
}

/// A window at `(x0, y0)` of a scene without end, brighter by `light`.
fn frame(model: &Model, (x0, y0): (usize, usize), light: f32) -> Input {
    let mut file = format!("P6\n{WIDTH} {HEIGHT}\n255\n").into_bytes();
    for y in y0..y0 + HEIGHT {
        for x in x0..x0 + WIDTH {
            let (x, y) = (x as f32, y as f32);
            let wave = |p: f32| (0.31 * x + p).sin() * (0.23 * y - p).cos() + (0.11 * x + 0.17 * y + p).sin();
            file.extend([0.0, 1.3, 2.1].map(|p| (120.0 + light + 55.0 * wave(p)).clamp(0.0, 255.0) as u8));
        }
    }
    model.read(&Files { content: Some(Content::File(&file)), ..Files::new(Path::new("frame")) }).unwrap()
}

fn levels(image: &Image) -> &[u8] {
    let Image::U8(raster) = image else { panic!("8 bits") };
    raster.samples()
}

/// The mean and the largest difference of two results, the second of a window that lies `(dx, dy)` further, away from their borders.
fn difference(a: &Image, b: &Image, (dx, dy): (usize, usize)) -> (f64, u8) {
    const AWAY: usize = 26;
    let (a, b) = (levels(a), levels(b));
    let (mut sum, mut most, mut count) = (0.0, 0, 0);
    for y in AWAY..HEIGHT - AWAY - dy {
        for x in AWAY..WIDTH - AWAY - dx {
            for c in 0..3 {
                let d = a[((y + dy) * WIDTH + x + dx) * 3 + c].abs_diff(b[(y * WIDTH + x) * 3 + c]);
                (sum, most, count) = (sum + f64::from(d), most.max(d), count + 1);
            }
        }
    }
    (sum / f64::from(count), most)
}

#[test]
fn statistics_of_an_image_are_its_own_and_survive_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = model(folder.path(), Options::default());
    let own = model.translate_input(frame(&model, (0, 0), 0.0)).unwrap();
    let statistics = model.statistics_of([Ok(frame(&model, (0, 0), 0.0))]).unwrap();
    assert_eq!(statistics.images(), 1);
    let path = folder.path().join("look.json");
    statistics.save(&path).unwrap();
    assert_eq!(Statistics::load(&path).unwrap(), statistics);
    model.use_statistics(Some(&Statistics::load(&path).unwrap())).unwrap();
    let kept = model.translate_input(frame(&model, (0, 0), 0.0)).unwrap();
    assert!(difference(&own, &kept, (0, 0)).1 <= 1);
    // A brighter image stays brighter by constant statistics, and does not by its own.
    let bright = |model: &Model| model.translate_input(frame(model, (0, 0), 50.0)).unwrap();
    let by_kept = difference(&kept, &bright(&model), (0, 0)).0;
    model.use_statistics(None).unwrap();
    let by_own = difference(&own, &bright(&model), (0, 0)).0;
    assert!(by_kept > 2.0 * by_own, "{by_kept} and {by_own}");
    assert!(difference(&own, &model.translate_input(frame(&model, (0, 0), 0.0)).unwrap(), (0, 0)).1 == 0);
}

/// Images that are looked at within a limit of memory, one after the other in bands, have the statistics of those that are not.
#[test]
fn statistics_within_a_limit_of_memory_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let free = model(folder.path(), Options::default());
    let limit = MemoryLimit {
        memory: 1,
        of_device: false,
        scratch: ScratchSpace::Folder(folder.path().to_owned()),
        scratch_bytes: 1 << 30,
        alone: true,
    };
    // The least that it takes is told by the refusal of less.
    let tight = |memory: u64| {
        let limit = MemoryLimit { memory, ..limit.clone() };
        Model::open_with(folder.path(), Options { limit: Some(limit), ..Options::default() }).unwrap()
    };
    let refused = tight(1);
    let Err(Error::TooLittleMemory { least, .. }) = refused.statistics_of([Ok(frame(&free, (0, 0), 0.0))]) else {
        panic!("a byte is too little")
    };
    let within = tight(least.memory);
    let of = |model: &Model| model.statistics_of([Ok(frame(&free, (3, 5), 0.0))]).unwrap();
    assert_eq!(of(&within), of(&free));
}

#[test]
fn statistics_of_other_weights_and_damaged_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = model(&folder.path().join("a"), Options::default());
    let config = gan_nets::GeneratorConfig { ngf: 3, ..resnet(3, 3) };
    write_model(&folder.path().join("b"), &images(&[("g", Direction::A2b, config)]));
    let other = Model::open(folder.path().join("b")).unwrap();
    let statistics = other.statistics_of([Ok(frame(&other, (0, 0), 0.0))]).unwrap();
    assert!(matches!(first.use_statistics(Some(&statistics)), Err(Error::OtherStatistics)));
    let path = folder.path().join("look.json");
    statistics.save(&path).unwrap();
    let whole = std::fs::read_to_string(&path).unwrap();
    for damaged in [
        &whole[..whole.len() / 2],
        "{}",
        "[]",
        &whole.replacen("\"format\":1", "\"format\":9", 1),
        &whole.replacen("\"var\":[", "\"var\":[-1,", 1),
    ] {
        std::fs::write(&path, damaged).unwrap();
        assert!(matches!(Statistics::load(&path), Err(Error::BadStatistics { .. })), "{damaged:.40}");
    }
    let none = gan_nets::GeneratorConfig { norm: gan_nets::NormKind::None, ..resnet(3, 3) };
    write_model(&folder.path().join("c"), &images(&[("g", Direction::A2b, none)]));
    let none = Model::open(folder.path().join("c")).unwrap();
    assert!(!none.has_own_statistics());
    assert!(matches!(none.statistics_of([Ok(frame(&none, (0, 0), 0.0))]), Err(Error::NoOwnStatistics)));
}

/// Of a pan by whole pixels a lattice that moves with the scene makes the same, which one that stands still does not.
#[test]
fn the_lattice_moves_with_the_scene() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = model(folder.path(), Options::default());
    let statistics = model.statistics_of([Ok(frame(&model, (0, 0), 0.0))]).unwrap();
    model.use_statistics(Some(&statistics)).unwrap();
    let run = |options: SteadyOptions| {
        let mut steadier = Steadier::new(options);
        let place = |t: usize| (3 * t, t);
        let frames: Vec<Image> =
            (0..5).map(|t| steadier.translate(&model, frame(&model, place(t), 0.0)).unwrap()).collect();
        frames
            .windows(2)
            .map(|pair| difference(&pair[0], &pair[1], (3, 1)))
            .fold((0.0f64, 0), |a, b| (a.0.max(b.0), a.1.max(b.1)))
    };
    let still = run(SteadyOptions { lattice: false, spin: 1, filter: false });
    let moving = run(SteadyOptions { lattice: true, spin: 1, filter: false });
    assert!(moving.0 < 0.05 * still.0, "{moving:?} and {still:?}");
    // An average over all positions does not depend on where the lattice lies.
    let spun = run(SteadyOptions { lattice: false, spin: 16, filter: false });
    assert!(spun.0 < 0.05 * still.0, "{spun:?} and {still:?}");
    let filtered = run(SteadyOptions { lattice: false, spin: 1, filter: true });
    assert!(filtered.0 < 0.7 * still.0, "{filtered:?} and {still:?}");
}

/// Frames after a state that was saved are those that would have come.
#[test]
fn a_saved_state_goes_on_with_the_same_frames() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path(), Options::default());
    let place = |t: usize| (2 * t, t);
    let (options, path) = (SteadyOptions::default(), folder.path().join("state.safetensors"));
    let mut whole = Steadier::new(options);
    for t in 0..3 {
        whole.translate(&model, frame(&model, place(t), 0.0)).unwrap();
    }
    whole.save(&path).unwrap();
    let mut resumed = Steadier::load(options, &path).unwrap();
    for t in 3..6 {
        let (a, b) = (
            whole.translate(&model, frame(&model, place(t), 0.0)),
            resumed.translate(&model, frame(&model, place(t), 0.0)),
        );
        assert_eq!(levels(&a.unwrap()), levels(&b.unwrap()), "{t}");
    }
    // Before the first frame there is nothing to go on with, and a file of something else is refused.
    Steadier::new(options).save(&path).unwrap();
    Steadier::load(options, &path).unwrap();
    let weights = folder.path().join("g.safetensors");
    assert!(Steadier::load(options, &weights).is_err());
}
