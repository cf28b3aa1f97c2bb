//! The cache of decoded images: it must never change what a dataset yields.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use gan_data::{
    AlphaPolicy, Batch, DataConfig, DataMode, IdMap, Image, Loader, Preprocess, Raster, open, write_ids, write_image,
    write_planes,
};
use tempfile::TempDir;

fn noise(width: usize, height: usize, seed: usize) -> Raster<u8> {
    Raster::from_fn(width, height, |x, y| [(x * 7 + y * 13 + seed) as u8, (x * y + seed) as u8, (x ^ y) as u8])
}

/// Label maps of 8 bits, instance maps of 16 bits, photographs.
fn labelled(folder: &Path) -> DataConfig {
    for i in 0..3 {
        let labels = Raster::from_fn(24, 20, |x, y| [((x + y + i) % 5) as u32]);
        let instances = Raster::from_fn(24, 20, |x, y| [(1000 * (x / 5) + y + i) as u32]);
        write_ids(&folder.join(format!("train_label/{i}.png")), &IdMap::new(labels)).unwrap();
        write_ids(&folder.join(format!("train_inst/{i}.png")), &IdMap::new(instances)).unwrap();
        write_image(&folder.join(format!("train_img/{i}.png")), &Image::U8(noise(24, 20, i))).unwrap();
    }
    DataConfig {
        mode: DataMode::Labelled,
        label_nc: 5,
        root: folder.to_path_buf(),
        load_size: 18,
        crop_size: 16,
        workers: 2,
        ..Default::default()
    }
}

fn single(folder: &Path) -> DataConfig {
    DataConfig {
        mode: DataMode::Single,
        root: folder.to_path_buf(),
        preprocess: Preprocess::None,
        flip: false,
        workers: 0,
        ..Default::default()
    }
}

/// An item's name, input, target and instances.
type Numbers = (String, Vec<f32>, Option<Vec<f32>>, Option<Vec<u32>>);

/// Every number of an epoch.
fn epoch(config: &DataConfig) -> Vec<Numbers> {
    let loader = Loader::new(open(config).unwrap(), config.loader(3)).unwrap();
    let f32s = |t: &candle_core::Tensor| {
        t.to_dtype(candle_core::DType::F32).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    let numbers = |batch: Batch| {
        let inst = batch.inst.map(|t| t.flatten_all().unwrap().to_vec1::<u32>().unwrap());
        (batch.names[0].clone(), f32s(&batch.a), batch.b.as_ref().map(f32s), inst)
    };
    loader.epoch(0, 0).map(|batch| numbers(batch.unwrap())).collect()
}

/// All files of a cache, sorted.
fn entries(cache: &Path) -> Vec<PathBuf> {
    let folders = fs::read_dir(cache).unwrap().map(|e| e.unwrap().path());
    let mut files: Vec<_> = folders.flat_map(|f| fs::read_dir(f).unwrap().map(|e| e.unwrap().path())).collect();
    files.sort();
    files
}

#[test]
fn cold_and_warm_equal_uncached_bit_for_bit() {
    let dir = TempDir::new().unwrap();
    let plain = labelled(dir.path());
    let cached = DataConfig { cache: dir.path().join("deep/cache"), ..plain.clone() };
    let expected = epoch(&plain);
    assert_eq!(epoch(&cached), expected);
    let written = entries(&cached.cache);
    assert_eq!(written.len(), 9);
    assert!(written.iter().all(|path| path.extension().unwrap() == "raster"), "{written:?}");
    assert_eq!(epoch(&cached), expected);
    assert_eq!(entries(&cached.cache), written);
}

#[test]
fn warm_entries_are_what_is_read() {
    let dir = TempDir::new().unwrap();
    let photo = dir.path().join("photos/a.png");
    write_image(&photo, &Image::U8(noise(16, 12, 0))).unwrap();
    let config = DataConfig { cache: dir.path().join("cache"), ..single(&dir.path().join("photos")) };
    let expected = epoch(&config);
    // The image's own bytes stay; only its decoding could notice that they moved to another name.
    fs::rename(&photo, dir.path().join("photos/b.png")).unwrap();
    assert_eq!(epoch(&config)[0].1, expected[0].1);
    assert_eq!(entries(&config.cache).len(), 1, "equal content shares an entry");
    let first = fs::metadata(&entries(&config.cache)[0]).unwrap().modified().unwrap();
    epoch(&config);
    assert_eq!(fs::metadata(&entries(&config.cache)[0]).unwrap().modified().unwrap(), first, "read, not rewritten");
}

#[test]
fn other_content_and_other_options_miss() {
    let dir = TempDir::new().unwrap();
    let photo = dir.path().join("photos/a.png");
    let alpha = |opacity| Image::U8(Raster::from_fn(16, 12, |x, y| [(x * 9) as u8, (y * 9) as u8, 7, opacity]));
    write_image(&photo, &alpha(90)).unwrap();
    let before = fs::metadata(&photo).unwrap();
    let plain = single(&dir.path().join("photos"));
    let cached = DataConfig { cache: dir.path().join("cache"), ..plain.clone() };
    for policy in [AlphaPolicy::Drop, AlphaPolicy::Composite] {
        let expected = epoch(&DataConfig { alpha: policy, ..plain.clone() });
        assert_eq!(epoch(&DataConfig { alpha: policy, ..cached.clone() }), expected);
    }
    assert_eq!(entries(&cached.cache).len(), 2);

    // New content under the old time of modification.
    write_image(&photo, &Image::U8(noise(16, 12, 5))).unwrap();
    fs::File::options().write(true).open(&photo).unwrap().set_modified(before.modified().unwrap()).unwrap();
    assert_eq!(epoch(&cached), epoch(&plain));
    assert_eq!(entries(&cached.cache).len(), 3);
}

#[test]
fn damaged_entries_are_ignored_and_rewritten() {
    let dir = TempDir::new().unwrap();
    write_image(&dir.path().join("photos/a.png"), &Image::U8(noise(16, 12, 0))).unwrap();
    let config = DataConfig { cache: dir.path().join("cache"), ..single(&dir.path().join("photos")) };
    let expected = epoch(&config);
    let path = &entries(&config.cache)[0];
    let whole = fs::read(path).unwrap();
    let mut damaged = vec![Vec::new(), whole[..whole.len() / 2].to_vec(), [&whole[..], &[0]].concat()];
    // Every byte of the header, and samples at both ends.
    for at in (0..whole.len() - 16 * 12 * 3).chain([whole.len() - 16 * 12 * 3, whole.len() - 1]) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x81;
        damaged.push(bytes);
    }
    for bytes in damaged {
        fs::write(path, &bytes).unwrap();
        assert_eq!(epoch(&config), expected);
        assert_eq!(fs::read(path).unwrap(), whole);
    }
}

#[test]
fn deep_images_and_planes_come_back() {
    let dir = TempDir::new().unwrap();
    let deep = Raster::from_fn(16, 12, |x, y| [(4000 * x + y) as u16, (50 * y) as u16, 65535]);
    write_image(&dir.path().join("deep/a.png"), &Image::U16(deep)).unwrap();
    let planes = Raster::from_fn(16, 12, |x, y| [x as u8, y as u8, 3, 4, (x * y) as u8]);
    write_planes(&dir.path().join("many/a.planes"), &Image::U8(planes)).unwrap();
    for (folder, input_nc, files) in [("deep", 3, 1), ("many", 5, 5)] {
        let plain = DataConfig { input_nc, ..single(&dir.path().join(folder)) };
        let cached = DataConfig { cache: dir.path().join(format!("cache-{folder}")), ..plain.clone() };
        let expected = epoch(&plain);
        assert_eq!(epoch(&cached), expected);
        assert_eq!(epoch(&cached), expected);
        assert_eq!(entries(&cached.cache).len(), files);
    }
}

#[test]
fn many_writers_share_a_folder() {
    let dir = TempDir::new().unwrap();
    let config = labelled(dir.path());
    let expected = epoch(&config);
    let cached = DataConfig { cache: dir.path().join("cache"), ..config };
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| epoch(&cached))).collect();
        runs.into_iter().for_each(|run| assert_eq!(run.join().unwrap(), expected));
    });
    assert_eq!(entries(&cached.cache).len(), 9, "nothing temporary stays");
}

#[test]
fn a_cache_that_cannot_be_made_is_named_and_one_that_cannot_be_written_does_no_harm() {
    let dir = TempDir::new().unwrap();
    write_image(&dir.path().join("photos/a.png"), &Image::U8(noise(16, 12, 0))).unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let config = DataConfig { cache: dir.path().join("file"), ..single(&dir.path().join("photos")) };
    let error = open(&config).err().unwrap().to_string();
    assert!(error.contains("cache") && error.contains("file"), "{error}");

    // Files stand where the cache wants folders: every write fails, even for a privileged user.
    let config = DataConfig { cache: dir.path().join("cache"), ..config };
    fs::create_dir(&config.cache).unwrap();
    (0..256).for_each(|i| fs::write(config.cache.join(format!("{i:02x}")), "").unwrap());
    assert_eq!(epoch(&config), epoch(&DataConfig { cache: PathBuf::new(), ..config.clone() }));
}
