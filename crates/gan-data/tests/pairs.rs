//! Making, joining and dividing datasets on disk.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;

use gan_data::{
    Canny, DecodeOptions, Error, PairInput, Picture, Raster, SplitRatio, combine, decode, list_pictures, make_pairs,
    separate, split, write_picture,
};
use tempfile::TempDir;

fn scene(path: &Path, width: usize, level: u8) {
    let raster = Raster::from_fn(width, 12, |x, y| [level, (x * 9) as u8, (y * 20) as u8]);
    write_picture(path, &Picture::Eight(raster)).unwrap();
}

fn read(path: &Path) -> Picture {
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
    let files = combine(&at("A"), &at("B"), &at("AB"), &options, |_, _| ()).unwrap();
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
    write_picture(&at("A/a.png"), &Picture::Sixteen(Raster::new(2, 1, 1, vec![7, 65_535]))).unwrap();
    write_picture(&at("B/a.png"), &Picture::Eight(Raster::new(2, 1, 3, vec![1, 2, 3, 255, 0, 0]))).unwrap();
    let files = combine(&at("A"), &at("B"), &at("AB"), &DecodeOptions::default(), |_, _| ()).unwrap();
    let expected = vec![7, 7, 7, 65_535, 65_535, 65_535, 257, 514, 771, 65_535, 0, 0];
    assert_eq!(read(&files[0]), Picture::Sixteen(Raster::new(4, 1, 3, expected)));
}

#[test]
fn pairs_hold_the_input_left_and_the_photograph_right() {
    let dir = TempDir::new().unwrap();
    scene(&dir.path().join("photos/x.png"), 10, 50);
    let photo = read(&dir.path().join("photos/x.png"));
    for input in [PairInput::Grey, PairInput::Edges(Canny::default()), PairInput::Mosaic(3)] {
        let out = dir.path().join("pairs");
        let files = make_pairs(&dir.path().join("photos"), &out, input, &DecodeOptions::default(), |_, _| ()).unwrap();
        let pair = read(&files[0]);
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
    let stems = |folder: &str| -> BTreeSet<String> {
        list_pictures(&at(folder)).unwrap().into_iter().map(|file| file.stem).collect()
    };
    for kind in ["photos", "labels"] {
        let counts = split(&at(kind), &at(&format!("split/{kind}")), ratio, 9, |_, _| ()).unwrap();
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
