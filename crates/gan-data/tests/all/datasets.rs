//! Datasets on disk: what is found, how it is paired, what comes out.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use candle_core::{DType, Tensor};
use gan_data::{
    DataConfig, DataMode, Direction, Error, IdMap, Image, Labelled, Preprocess, Raster, open, write_ids, write_image,
};
use gan_rng::{Key, Purpose};
use tempfile::TempDir;

fn key(index: u64) -> Key {
    Key::new(1, Purpose::Augment).at(index)
}

/// A flat image of one level.
fn flat(path: &Path, width: usize, height: usize, level: u8) {
    write_image(path, &Image::U8(Raster::new(width, height, 3, vec![level; 3 * width * height]))).unwrap();
}

fn config(root: &Path, mode: DataMode) -> DataConfig {
    DataConfig { mode, root: root.to_path_buf(), load_size: 20, crop_size: 16, ..Default::default() }
}

fn mean(tensor: &Tensor) -> f32 {
    tensor.to_dtype(DType::F32).unwrap().mean_all().unwrap().to_scalar::<f32>().unwrap()
}

/// The level 0 … 255 that a flat tensor in [-1, 1] shows.
fn level(tensor: &Tensor) -> u8 {
    ((mean(tensor) + 1.0) * 127.5).round() as u8
}

#[test]
fn side_by_side_pairs_split_in_the_middle() {
    let dir = TempDir::new().unwrap();
    let pair = Raster::from_fn(41, 20, |x, _| if x < 20 { [10; 3] } else { [200; 3] });
    write_image(&dir.path().join("train/a.png"), &Image::U8(pair)).unwrap();
    let data = open(&config(dir.path(), DataMode::Aligned)).unwrap();
    let item = data.item(0, key(0)).unwrap();
    assert_eq!((item.a.dims(), item.name.as_str()), (&[3, 16, 16][..], "a"));
    assert_eq!((level(&item.a), level(&item.b.unwrap())), (10, 200));

    let back = DataConfig { direction: Direction::B2a, input_nc: 1, ..config(dir.path(), DataMode::Aligned) };
    let item = open(&back).unwrap().item(0, key(0)).unwrap();
    assert_eq!((item.a.dims(), item.b.as_ref().unwrap().dims()), (&[1, 16, 16][..], &[3, 16, 16][..]));
    assert_eq!((level(&item.a), level(&item.b.unwrap())), (200, 10));
}

#[test]
fn pairs_share_crop_and_flip() {
    let dir = TempDir::new().unwrap();
    let half = |x: usize, y: usize| [(x * 5) as u8, (y * 5) as u8, ((x * y) % 251) as u8];
    let pair = Raster::from_fn(80, 40, |x, y| half(x % 40, y));
    write_image(&dir.path().join("train/a.png"), &Image::U8(pair)).unwrap();
    let data = open(&DataConfig { preprocess: Preprocess::Crop, ..config(dir.path(), DataMode::Aligned) }).unwrap();
    let pixels = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for index in 0..20 {
        let item = data.item(0, key(index)).unwrap();
        assert_eq!(pixels(&item.a), pixels(&item.b.unwrap()));
        seen.insert(pixels(&item.a).iter().map(|v| (v * 1000.0) as i32).collect::<Vec<_>>());
    }
    assert!(seen.len() > 10);
}

#[test]
fn two_folders_pair_by_stem_across_extensions_in_every_layout() {
    for (a, b) in
        [("trainA", "trainB"), ("train_A", "train_B"), ("train/A", "train/B"), ("A/train", "B/train"), ("A", "B")]
    {
        let dir = TempDir::new().unwrap();
        for (i, stem) in ["x", "y", "sub/z"].iter().enumerate() {
            flat(&dir.path().join(a).join(format!("{stem}.png")), 20, 20, 10 * i as u8);
            flat(&dir.path().join(b).join(format!("{stem}.BMP")), 20, 20, 10 * i as u8 + 100);
        }
        let data = open(&config(dir.path(), DataMode::Aligned)).unwrap();
        assert_eq!(data.len(), 3);
        for index in 0..3 {
            let item = data.item(index, key(0)).unwrap();
            assert_eq!(level(&item.a) + 100, level(&item.b.unwrap()), "{a}");
        }
    }
}

#[test]
fn unmatched_names_are_all_listed() {
    let dir = TempDir::new().unwrap();
    for name in ["trainA/1.png", "trainA/2.png", "trainB/2.png", "trainB/3.png"] {
        flat(&dir.path().join(name), 8, 8, 0);
    }
    let Err(error) = open(&config(dir.path(), DataMode::Aligned)) else { panic!("names do not match") };
    let Error::Unmatched { only_left, only_right, .. } = error else { panic!("{error}") };
    assert_eq!((only_left, only_right), (vec!["1".to_owned()], vec!["3".to_owned()]));
}

#[test]
fn missing_folders_say_what_was_looked_for() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("training")).unwrap();
    for mode in [DataMode::Aligned, DataMode::Unaligned, DataMode::Labelled] {
        let text = open(&config(dir.path(), mode)).err().unwrap().to_string();
        assert!(text.contains("train") && text.contains("it has training"), "{text}");
        let text = open(&config(&dir.path().join("nowhere"), mode)).err().unwrap().to_string();
        assert!(text.contains("does not exist"), "{text}");
    }
    fs::create_dir(dir.path().join("train")).unwrap();
    let text = open(&config(dir.path(), DataMode::Aligned)).err().unwrap().to_string();
    assert!(text.contains("not one image"), "{text}");
}

#[test]
fn test_falls_back_to_val_with_a_note() {
    let dir = TempDir::new().unwrap();
    flat(&dir.path().join("val/a.png"), 40, 20, 0);
    let data = open(&DataConfig { phase: "test".into(), ..config(dir.path(), DataMode::Aligned) }).unwrap();
    assert!(data.describe().notes[0].contains("`val`"));
    assert!(
        open(&DataConfig { phase: "holdout".into(), ..config(&dir.path().join("val"), DataMode::Labelled) }).is_err()
    );
}

#[test]
fn sizes_that_differ_are_refused_unless_resized() {
    let dir = TempDir::new().unwrap();
    flat(&dir.path().join("A/x.png"), 30, 30, 1);
    flat(&dir.path().join("B/x.png"), 31, 30, 1);
    let resize = config(dir.path(), DataMode::Aligned);
    assert!(open(&resize).unwrap().item(0, key(0)).is_ok());
    let crop = DataConfig { preprocess: Preprocess::Crop, ..resize };
    let text = open(&crop).unwrap().item(0, key(0)).unwrap_err().to_string();
    assert!(text.contains("30x30") && text.contains("31x30") && text.contains("resize_and_crop"), "{text}");
}

#[test]
fn unaligned_draws_partners_and_covers_the_larger_folder() {
    let dir = TempDir::new().unwrap();
    for i in 0..5u8 {
        flat(&dir.path().join(format!("trainA/{i}.png")), 20, 20, i);
    }
    for i in 0..3u8 {
        flat(&dir.path().join(format!("trainB/{i}.png")), 20, 20, 100 + i);
    }
    let data = open(&config(dir.path(), DataMode::Unaligned)).unwrap();
    assert_eq!(data.len(), 5);
    let partners: std::collections::BTreeSet<_> =
        (0..40).map(|i| level(&data.item(0, key(i)).unwrap().b.unwrap())).collect();
    assert_eq!(partners.into_iter().collect::<Vec<_>>(), [100, 101, 102]);
    let serial = open(&DataConfig { shuffle: false, ..config(dir.path(), DataMode::Unaligned) }).unwrap();
    let partners: Vec<_> = (0..5).map(|i| level(&serial.item(i, key(9)).unwrap().b.unwrap())).collect();
    assert_eq!(partners, [100, 101, 102, 100, 101]);
    let back = DataConfig { direction: Direction::B2a, ..config(dir.path(), DataMode::Unaligned) };
    let item = open(&back).unwrap().item(1, key(0)).unwrap();
    assert_eq!(level(&item.a), 101);
    assert!(level(&item.b.unwrap()) < 5);
}

#[test]
fn unaligned_takes_any_two_folders() {
    let dir = TempDir::new().unwrap();
    flat(&dir.path().join("zebra/1.png"), 20, 20, 200);
    flat(&dir.path().join("horse/1.png"), 20, 20, 100);
    let data = open(&config(dir.path(), DataMode::Unaligned)).unwrap();
    assert_eq!(level(&data.item(0, key(0)).unwrap().a), 100);
    assert!(data.describe().notes[0].contains("horse"));
}

#[test]
fn single_takes_a_folder_or_a_file() {
    let dir = TempDir::new().unwrap();
    flat(&dir.path().join("sub/b.png"), 30, 18, 50);
    flat(&dir.path().join("a.png"), 18, 22, 60);
    let none = DataConfig { preprocess: Preprocess::None, flip: false, ..config(dir.path(), DataMode::Single) };
    let data = open(&none).unwrap();
    assert_eq!(data.len(), 2);
    let item = data.item(0, key(0)).unwrap();
    assert_eq!((item.name.as_str(), item.a.dims(), item.b.is_none()), ("a", &[3, 24, 16][..], true));
    let file = DataConfig { root: dir.path().join("sub/b.png"), ..none };
    let item = open(&file).unwrap().item(0, key(0)).unwrap();
    assert_eq!((item.name.as_str(), item.a.dims()), ("b", &[3, 16, 32][..]));
}

#[test]
fn sixteen_bit_images_keep_their_depth() {
    let dir = TempDir::new().unwrap();
    let deep = Raster::from_fn(16, 16, |x, y| [40_000 + (16 * y + x) as u16]);
    write_image(&dir.path().join("deep.png"), &Image::U16(deep)).unwrap();
    let single =
        DataConfig { input_nc: 1, preprocess: Preprocess::None, flip: false, ..config(dir.path(), DataMode::Single) };
    let item = open(&single).unwrap().item(0, key(0)).unwrap();
    let values = item.a.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert!(values.windows(2).all(|w| w[1] > w[0]), "256 distinct levels between two 8-bit ones");
}

/// `{phase}_label`, `_img`, `_inst` of two scenes; the second label map has one pixel of `odd`.
fn streets(root: &Path, odd: u32) {
    for (i, stem) in ["s1", "s2"].iter().enumerate() {
        let mut label = Raster::from_fn(24, 20, |x, _| [(x / 6) as u32]);
        label.pixel_mut(7, 3)[0] = if i == 1 { odd } else { 1 };
        write_ids(&root.join(format!("train_label/{stem}.png")), &IdMap::new(label)).unwrap();
        let inst = Raster::from_fn(24, 20, |x, y| [if y < 10 { 26_001 } else { x as u32 / 6 }]);
        write_ids(&root.join(format!("train_inst/{stem}.png")), &IdMap::new(inst)).unwrap();
        flat(&root.join(format!("train_img/{stem}.jpg")), 24, 20, 90);
    }
}

fn labelled(root: &Path) -> DataConfig {
    DataConfig { label_nc: 4, preprocess: Preprocess::Crop, ..config(root, DataMode::Labelled) }
}

#[test]
fn labelled_items_are_ids_images_and_instances() {
    let dir = TempDir::new().unwrap();
    streets(dir.path(), 2);
    let data = open(&labelled(dir.path())).unwrap();
    data.check().unwrap();
    let item = data.item(1, key(0)).unwrap();
    assert_eq!((item.a.dtype(), item.a.dims()), (DType::U8, &[1, 16, 16][..]));
    assert!(item.a.flatten_all().unwrap().to_vec1::<u8>().unwrap().iter().all(|&id| id < 4));
    assert_eq!(item.b.unwrap().dims(), [3, 16, 16]);
    let inst = item.inst.unwrap();
    assert_eq!((inst.dtype(), inst.dims()), (DType::U32, &[1, 16, 16][..]));
    assert!(inst.flatten_all().unwrap().to_vec1::<u32>().unwrap().contains(&26_001));
}

#[test]
fn the_first_label_out_of_range_is_located() {
    let dir = TempDir::new().unwrap();
    streets(dir.path(), 255);
    let data = open(&labelled(dir.path())).unwrap();
    for error in [data.check().unwrap_err(), data.item(1, key(0)).unwrap_err()] {
        let Error::Label { path, x, y, value, label_nc } = error else { panic!("{error}") };
        assert_eq!((x, y, value, label_nc), (7, 3, 255, 4));
        assert!(path.ends_with("s2.png"));
    }
    let lenient = DataConfig { dont_care: Some(255), ..labelled(dir.path()) };
    let scan = Labelled::open(&lenient).unwrap().scan_labels().unwrap();
    assert_eq!((scan.maps, scan.pixels), (2, vec![240, 239, 240, 240, 1]));
    let same = DataConfig { preprocess: Preprocess::None, flip: false, ..lenient };
    let ids = open(&same).unwrap().item(1, key(0)).unwrap().a;
    assert_eq!(ids.flatten_all().unwrap().to_vec1::<u8>().unwrap().iter().max(), Some(&4));
}

#[test]
fn label_maps_match_photographs_as_cityscapes_names_them() {
    let dir = TempDir::new().unwrap();
    let label = IdMap::new(Raster::from_fn(20, 20, |_, _| [1]));
    for stem in ["aachen_000000_000019", "aachen_000001_000019"] {
        write_ids(&dir.path().join(format!("train_label/{stem}_gtFine_labelIds.png")), &label).unwrap();
        write_ids(&dir.path().join(format!("train_inst/{stem}_gtFine_instanceIds.png")), &label).unwrap();
        flat(&dir.path().join(format!("train_img/{stem}_leftImg8bit.png")), 20, 20, 9);
    }
    let data = open(&labelled(dir.path())).unwrap();
    assert_eq!(data.len(), 2);
    assert!(data.item(0, key(0)).unwrap().inst.is_some());
}

#[test]
fn labelled_without_photographs_can_only_be_translated() {
    let dir = TempDir::new().unwrap();
    streets(dir.path(), 2);
    fs::remove_dir_all(dir.path().join("train_img")).unwrap();
    assert!(open(&labelled(dir.path())).is_err());
    for part in ["label", "inst"] {
        fs::rename(dir.path().join(format!("train_{part}")), dir.path().join(format!("test_{part}"))).unwrap();
    }
    let data = open(&DataConfig { phase: "test".into(), ..labelled(dir.path()) }).unwrap();
    assert!(data.item(0, key(0)).unwrap().b.is_none());
    fs::remove_dir_all(dir.path().join("test_inst")).unwrap();
    let text = open(&DataConfig { phase: "test".into(), ..labelled(dir.path()) }).err().unwrap().to_string();
    assert!(text.contains("instances = false"), "{text}");
}

#[test]
fn parts_of_two_phases_are_not_put_together() {
    let dir = TempDir::new().unwrap();
    streets(dir.path(), 2);
    for part in ["img", "inst"] {
        fs::rename(dir.path().join(format!("train_{part}")), dir.path().join(format!("val_{part}"))).unwrap();
    }
    fs::rename(dir.path().join("train_label"), dir.path().join("test_label")).unwrap();
    let test = DataConfig { phase: "test".into(), instances: false, ..labelled(dir.path()) };
    assert!(open(&test).unwrap().item(0, key(0)).unwrap().b.is_none(), "the photographs are those of another part");
    let text = open(&DataConfig { instances: true, ..test }).err().unwrap().to_string();
    assert!(text.contains("looked for test_inst/;"), "{text}");
}

#[test]
fn colorization_gives_lightness_and_colour() {
    let dir = TempDir::new().unwrap();
    flat(&dir.path().join("train/grey.png"), 20, 20, 119);
    let colour = DataConfig { input_nc: 1, output_nc: 2, ..config(dir.path(), DataMode::Colorization) };
    let item = open(&colour).unwrap().item(0, key(0)).unwrap();
    assert_eq!(item.a.dims(), [1, 16, 16]);
    let b = item.b.unwrap();
    assert_eq!(b.dims(), [2, 16, 16]);
    assert!((mean(&item.a) - 0.0007).abs() < 0.01 && mean(&b).abs() < 1e-3, "{} {}", mean(&item.a), mean(&b));
    assert!(matches!(open(&config(dir.path(), DataMode::Colorization)), Err(Error::Config { .. })));
}

#[test]
fn the_configuration_is_strict_and_round_trips() {
    let text = toml::to_string(&DataConfig { dont_care: Some(255), ..Default::default() }).unwrap();
    assert!(
        text.contains("mode = \"aligned\"") && text.contains("direction = \"a2b\"") && text.contains("resize_and_crop")
    );
    let back: DataConfig = toml::from_str(&text).unwrap();
    assert_eq!(back, DataConfig { dont_care: Some(255), ..Default::default() });
    assert!(toml::from_str::<DataConfig>("loadsize = 3").unwrap_err().to_string().contains("load_size"));
}

#[test]
fn parts_of_a_dataset_are_never_taken_for_domains() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    for name in ["Train/1.png", "val/1.png", "horse/1.png", ".cache/1.png", "run/1.png"] {
        flat(&at(name), 20, 20, 1);
    }
    fs::write(at("run/config.toml"), "").unwrap();
    fs::write(at("run/run.json"), "").unwrap();
    let unaligned = || open(&config(dir.path(), DataMode::Unaligned)).map(|data| data.describe().notes);
    let text = unaligned().unwrap_err().to_string();
    assert!(text.contains("it has .cache, Train, horse, run, val"), "{text}");
    flat(&at("zebra/1.png"), 20, 20, 1);
    assert!(unaligned().unwrap()[0].contains("horse"));
    flat(&at("cow/1.png"), 20, 20, 1);
    let text = unaligned().unwrap_err().to_string();
    assert!(text.contains("3 folders hold images: cow, horse, zebra"), "{text}");
}

#[test]
fn flat_folders_work_alike_and_keep_other_parts_out() {
    let dir = TempDir::new().unwrap();
    for name in ["a.png", "b.png", "test/held_out.png"] {
        flat(&dir.path().join(name), 40, 20, 9);
    }
    let colour = DataConfig { input_nc: 1, output_nc: 2, ..config(dir.path(), DataMode::Colorization) };
    for config in [config(dir.path(), DataMode::Aligned), colour] {
        let data = open(&config).unwrap();
        assert_eq!(data.len(), 2, "{:?}", config.mode);
        let notes = data.describe().notes;
        assert!(notes[0].contains("no `train` part found; using all images of the folder"), "{notes:?}");
        assert!(notes[1].contains("1 other part of the dataset (test)"), "{notes:?}");
    }
}

#[test]
fn what_is_left_out_is_noted_by_every_dataset() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    for (folder, mode) in [
        ("aligned/train", DataMode::Aligned),
        ("two/A", DataMode::Aligned),
        ("un/trainB", DataMode::Unaligned),
        ("labelled/train_img", DataMode::Labelled),
        ("colour/train", DataMode::Colorization),
        ("single", DataMode::Single),
    ] {
        let root = at(folder.split('/').next().unwrap());
        for side in ["two/A", "two/B", "un/trainA", "un/trainB", "aligned/train", "colour/train", "single"] {
            flat(&at(side).join("x.png"), 40, 20, 9);
        }
        flat(&at("labelled/train_img/x.png"), 20, 20, 9);
        write_ids(&at("labelled/train_label/x.png"), &IdMap::new(Raster::new(20, 20, 1, vec![1; 400]))).unwrap();
        fs::write(at(folder).join("film.avif"), "\0\0\0\x1cftypavif").unwrap();
        // An animation of two frames, by its header alone: the still image within is what is read.
        let mut png = fs::read(at("single/x.png")).unwrap();
        png.splice(33..33, *b"\0\0\0\x08acTL\0\0\0\x02\0\0\0\0\xf3\x8d\x93\x70");
        fs::write(at(folder).join("x.png"), png).unwrap();
        let (input_nc, output_nc) = if mode == DataMode::Colorization { (1, 2) } else { (3, 3) };
        let config = DataConfig { input_nc, output_nc, instances: false, ..config(&root, mode) };
        let notes = open(&config).unwrap().describe().notes.join("\n");
        assert!(notes.contains("1 file was left out: 1 .avif (format not supported)"), "{folder}: {notes}");
        assert!(
            notes.contains("1 file has further pages or frames; the first is used (x: 1 of 2)"),
            "{folder}: {notes}"
        );
        assert_eq!(open(&config).unwrap().len(), 1);
    }
    fs::create_dir_all(at("none/train")).unwrap();
    fs::write(at("none/train/only.avif"), "").unwrap();
    let text = open(&config(&at("none"), DataMode::Aligned)).err().unwrap().to_string();
    assert!(text.contains("not one image") && text.contains("1 .avif"), "{text}");
}

#[test]
fn names_in_another_unicode_form_are_paired_everywhere() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (nfc, nfd) = ("caf\u{e9}", "cafe\u{301}");
    flat(&at(&format!("A/{nfc}.png")), 20, 20, 9);
    flat(&at(&format!("B/{nfd}.png")), 20, 20, 9);
    assert_eq!(open(&config(dir.path(), DataMode::Aligned)).unwrap().len(), 1);
    assert!(gan_data::partner(&at("B"), nfc).unwrap().ends_with(format!("{nfd}.png")));
    assert!(gan_data::partner(&at("B"), "cafe").is_err());
    streets(&at("streets"), 2);
    fs::rename(at("streets/train_label/s1.png"), at(&format!("streets/train_label/{nfc}.png"))).unwrap();
    fs::rename(at("streets/train_img/s1.jpg"), at(&format!("streets/train_img/{nfd}.jpg"))).unwrap();
    fs::rename(at("streets/train_inst/s1.png"), at(&format!("streets/train_inst/{nfd}.png"))).unwrap();
    assert_eq!(open(&labelled(&at("streets"))).unwrap().len(), 2);
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_text_are_kept_byte_for_byte() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let dir = TempDir::new().unwrap();
    for (at, name) in [b"\xff", b"\xfe"].iter().enumerate() {
        for side in ["A", "B"] {
            let path = dir.path().join(side).join(OsStr::from_bytes(&[*name, &b".png"[..]].concat()));
            flat(&path, 20, 20, if side == "A" { 10 } else { 110 } + at as u8);
        }
    }
    let data = open(&config(dir.path(), DataMode::Aligned)).unwrap();
    for index in 0..2 {
        let item = data.item(index, key(0)).unwrap();
        assert_eq!(level(&item.a) + 100, level(&item.b.unwrap()));
    }
}
