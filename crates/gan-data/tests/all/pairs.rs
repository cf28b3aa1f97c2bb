//! Making, joining and dividing datasets on disk.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;

use gan_data::{
    Canny, DecodeOptions, Error, Image, ImageFile, PairInput, Raster, SplitCounts, SplitRatio, combine, decode,
    image_files, make_pairs, separate, split, write_image,
};
use tempfile::TempDir;

fn scene(path: &Path, width: usize, level: u8) {
    let raster = Raster::from_fn(width, 12, |x, y| [level, (x * 9) as u8, (y * 20) as u8]);
    write_image(path, &Image::U8(raster)).unwrap();
}

fn read(path: &Path) -> Image {
    decode(path, &DecodeOptions::default()).unwrap()
}

#[test]
fn combine_then_separate_gives_the_folders_back() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    for (i, stem) in ["a", "b", "sub/c"].iter().enumerate() {
        scene(&at("A").join(format!("{stem}.png")), 10, i as u8);
        scene(&at("B").join(format!("{stem}.bmp")), 10, 100 + i as u8);
    }
    let options = DecodeOptions::default();
    let files = combine(&at("A"), &at("B"), &at("AB"), &options, |_, _| ()).unwrap().files;
    assert_eq!(files, [at("AB/a.png"), at("AB/b.png"), at("AB/sub/c.png")]);
    assert_eq!(read(&files[0]).size(), (20, 12));
    separate(&at("AB"), &at("left"), &at("right"), &options, |_, _| ()).unwrap();
    assert_eq!(read(&at("left/sub/c.png")), read(&at("A/sub/c.png")));
    assert_eq!(read(&at("right/b.png")), read(&at("B/b.bmp")));
}

#[test]
fn combine_refuses_before_writing() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    scene(&at("A/a.png"), 10, 0);
    scene(&at("A/b.png"), 10, 0);
    scene(&at("B/a.png"), 10, 0);
    let options = DecodeOptions::default();
    let result = combine(&at("A"), &at("B"), &at("AB"), &options, |_, _| ());
    assert!(matches!(result, Err(Error::Unmatched { .. })));
    assert!(!at("AB").exists());
    scene(&at("B/b.png"), 11, 0);
    let text = combine(&at("A"), &at("B"), &at("AB"), &options, |_, _| ()).unwrap_err().to_string();
    assert!(text.contains("10x12") && text.contains("11x12"), "{text}");
}

#[test]
fn depth_and_colour_of_a_pair_are_unified_upwards() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    write_image(&at("A/a.png"), &Image::U16(Raster::new(2, 1, 1, vec![7, 65_535]))).unwrap();
    write_image(&at("B/a.png"), &Image::U8(Raster::new(2, 1, 3, vec![1, 2, 3, 255, 0, 0]))).unwrap();
    let files = combine(&at("A"), &at("B"), &at("AB"), &DecodeOptions::default(), |_, _| ()).unwrap().files;
    let expected = vec![7, 7, 7, 65_535, 65_535, 65_535, 257, 514, 771, 65_535, 0, 0];
    assert_eq!(read(&files[0]), Image::U16(Raster::new(4, 1, 3, expected)));
}

#[test]
fn pairs_hold_the_input_left_and_the_photograph_right() {
    let dir = TempDir::new().unwrap();
    scene(&dir.path().join("photos/x.png"), 10, 50);
    let photo = read(&dir.path().join("photos/x.png"));
    for input in [PairInput::Grey, PairInput::Edges(Canny::default()), PairInput::Mosaic(3)] {
        let out = dir.path().join("pairs");
        let made = make_pairs(&dir.path().join("photos"), &out, input, &DecodeOptions::default(), |_, _| ()).unwrap();
        let pair = read(&made.files[0]);
        assert_eq!(pair.size(), (20, 12));
        assert_eq!(pair.crop(10, 0, 10, 12), photo);
        assert_ne!(pair.crop(0, 0, 10, 12), photo);
    }
}

#[test]
fn a_split_is_exact_disjoint_and_shared_by_folders_of_equal_names() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    for i in 0..20 {
        scene(&at("photos").join(format!("{i}.png")), 4, i);
        scene(&at("labels").join(format!("{i}.bmp")), 4, i);
    }
    let ratio = SplitRatio { val: 0.1, test: 0.25 };
    let stems =
        |folder: &str| -> BTreeSet<String> { image_files(&at(folder)).unwrap().iter().map(ImageFile::name).collect() };
    for kind in ["photos", "labels"] {
        let counts = split(&at(kind), &at(&format!("split/{kind}")), ratio, 9, |_, _| ()).unwrap().0;
        assert_eq!(counts, [13, 2, 5]);
    }
    let mut all = BTreeSet::new();
    for part in ["train", "val", "test"] {
        let photos = stems(&format!("split/photos/{part}"));
        assert_eq!(photos, stems(&format!("split/labels/{part}")));
        all.extend(photos);
    }
    assert_eq!(all.len(), 20);
    split(&at("photos"), &at("other"), ratio, 10, |_, _| ()).unwrap();
    assert_ne!(stems("other/test"), stems("split/photos/test"));
    assert!(split(&at("photos"), &at("x"), SplitRatio { val: 0.5, test: 0.5 }, 0, |_, _| ()).is_err());
}

#[test]
fn pairs_lose_no_photograph() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    for (level, name) in ["x.jpg", "x.webp", "y.png", "sub/x.bmp"].iter().enumerate() {
        scene(&at("photos").join(name), 10, 40 * level as u8);
    }
    std::fs::write(at("photos/z.psd"), "8BPS").unwrap();
    write_image(&at("photos/y.png"), &Image::U8(Raster::new(2, 2, 4, vec![9; 16]))).unwrap();
    let options = DecodeOptions::default();
    // Once into a folder of its own, once below the photographs, and there twice.
    for out in ["pairs", "photos/pairs", "photos/pairs"] {
        let made = make_pairs(&at("photos"), &at(out), PairInput::Grey, &options, |_, _| ()).unwrap();
        let names = ["sub/x.png", "x.jpg.png", "x.webp.png", "y.png"].map(|name| at(out).join(name));
        assert_eq!(made.files, names);
        assert!(names.iter().all(|path| path.exists()));
        let notes = made.notes.join("\n");
        assert!(notes.contains("1 file was left out: 1 .psd") && notes.contains("x.jpg.png"), "{notes}");
        assert!(notes.contains("alpha of 1 image is dropped"), "{notes}");
    }
    assert_eq!(image_files(&at("photos")).unwrap().len(), 8);
    let notes = make_pairs(&at("photos"), &at("photos/pairs"), PairInput::Grey, &options, |_, _| ()).unwrap().notes;
    assert!(notes[0].contains("1 output folder (pairs)"), "{notes:?}");
}

#[test]
fn what_cannot_be_used_does_not_stop_the_rest() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    scene(&at("photos/a.png"), 10, 1);
    scene(&at("photos/b.png"), 10, 2);
    std::fs::write(at("photos/torn.png"), "no image").unwrap();
    let options = DecodeOptions::default();
    let error = make_pairs(&at("photos"), &at("out"), PairInput::Grey, &options, |_, _| ()).unwrap_err();
    let Error::Failed { done: 2, total: 3, failures } = &error else { panic!("{error}") };
    assert!(failures[0].to_string().contains("torn.png"));
    assert!(at("out/a.png").exists() && at("out/b.png").exists());
    // What an earlier call made of a file that is torn now does not stay.
    scene(&at("out/torn.png"), 10, 3);
    assert!(make_pairs(&at("photos"), &at("out"), PairInput::Mosaic(2), &options, |_, _| ()).is_err());
    assert!(!at("out/torn.png").exists());
    for impossible in [PairInput::Mosaic(0), PairInput::Mosaic(usize::MAX), PairInput::Blur(f32::NAN)] {
        let result = make_pairs(&at("photos"), &at("out"), impossible, &options, |_, _| ());
        assert!(matches!(result, Err(Error::Config { .. })), "{impossible:?}");
        assert!(at("out/a.png").exists(), "nothing is removed before everything is checked");
    }
}

#[test]
fn no_command_writes_onto_what_it_reads() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    for side in ["A", "B"] {
        scene(&at(side).join("a.png"), 10, 1);
        scene(&at(side).join("b.png"), 10, 2);
    }
    let before = std::fs::read(at("A/a.png")).unwrap();
    let options = DecodeOptions::default();
    let refused = |result: Result<(), Error>| assert!(matches!(result, Err(Error::Output { .. })), "{result:?}");
    let none = |_: usize, _: usize| ();
    refused(make_pairs(&at("A"), &at("A"), PairInput::Grey, &options, none).map(drop));
    for out in ["A", "B", "A/../B"] {
        refused(combine(&at("A"), &at("B"), &at(out), &options, none).map(drop));
    }
    refused(separate(&at("A"), &at("A"), &at("right"), &options, none).map(drop));
    refused(separate(&at("A"), &at("one"), &at("one"), &options, none).map(drop));
    refused(split(&at("A"), &at("A"), SplitRatio::default(), 0, none).map(drop));
    std::fs::rename(at("A"), at("train")).unwrap();
    refused(split(&at("train"), dir.path(), SplitRatio::default(), 0, none).map(drop));
    std::fs::hard_link(at("train/a.png"), at("linked.png")).unwrap();
    std::fs::create_dir(at("out")).unwrap();
    std::fs::rename(at("linked.png"), at("out/a.png")).unwrap();
    refused(make_pairs(&at("train"), &at("out"), PairInput::Grey, &options, none).map(drop));
    assert_eq!(std::fs::read(at("train/a.png")).unwrap(), before);
}

#[test]
fn a_second_split_never_mixes_with_the_first() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    for i in 0..12 {
        scene(&at("set/all").join(format!("{i}.png")), 4, i);
    }
    std::fs::create_dir_all(at("set/all/deep.planes")).unwrap();
    for plane in ["0.png", "1.png"] {
        std::fs::copy(at("set/all/1.png"), at("set/all/deep.planes").join(plane)).unwrap();
    }
    let ratio = SplitRatio { val: 0.0, test: 0.25 };
    // The source lies below the folder, beside the parts.
    for _ in 0..2 {
        assert_eq!(split(&at("set/all"), &at("set"), ratio, 1, |_, _| ()).unwrap().0, [10, 0, 3]);
    }
    assert_eq!(image_files(&at("set/train")).unwrap().len() + image_files(&at("set/test")).unwrap().len(), 13);
    let again = split(&at("set/all"), &at("set"), ratio, 2, |_, _| ());
    assert!(matches!(again, Err(Error::Output { .. })), "another seed would leave files of both in one part");
    assert_eq!(image_files(&at("set/train")).unwrap().len(), 10);
    // Below the source: the parts are not taken for sources.
    for _ in 0..2 {
        let (counts, notes) = split(&at("set/all"), &at("set/all/parts"), ratio, 1, |_, _| ()).unwrap();
        assert_eq!(counts, [10, 0, 3], "{notes:?}");
    }
}

#[test]
fn splits_agree_across_unicode_forms() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    for i in 0..8 {
        scene(&at("nfc").join(format!("\u{e9}{i}.png")), 4, i);
        scene(&at("nfd").join(format!("e\u{301}{i}.png")), 4, i);
    }
    let ratio = SplitRatio { val: 0.0, test: 0.5 };
    for form in ["nfc", "nfd"] {
        split(&at(form), &at(&format!("split/{form}")), ratio, 3, |_, _| ()).unwrap();
    }
    let options = DecodeOptions::default();
    let pairs = combine(&at("split/nfc/test"), &at("split/nfd/test"), &at("AB"), &options, |_, _| ()).unwrap();
    assert_eq!(pairs.files.len(), 4);
}

#[test]
fn a_split_by_numbers_shares_its_choice_with_one_by_shares() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    for i in 0..10 {
        let pixel = Image::U8(Raster::new(2, 2, 3, vec![i; 12]));
        write_image(&at("all").join(format!("{i}.png")), &pixel).unwrap();
    }
    let (counts, _) = split(&at("all"), &at("n"), SplitCounts { val: 3, test: 2 }, 5, |_, _| ()).unwrap();
    assert_eq!(counts, [5, 3, 2]);
    split(&at("all"), &at("s"), SplitRatio { val: 0.3, test: 0.2 }, 5, |_, _| ()).unwrap();
    for part in ["train", "val", "test"] {
        let names = |root: &str| -> Vec<String> {
            image_files(&at(root).join(part)).unwrap().iter().map(ImageFile::name).collect()
        };
        assert_eq!(names("n"), names("s"));
    }
    for counts in [SplitCounts { val: 5, test: 5 }, SplitCounts { val: usize::MAX, test: 2 }] {
        let error = split(&at("all"), &at("x"), counts, 5, |_, _| ()).unwrap_err().to_string();
        assert!(error.contains("nothing to train on of 10 images") && !at("x").exists(), "{error}");
    }
}
