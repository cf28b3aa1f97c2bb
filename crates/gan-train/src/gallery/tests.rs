//! The pages that a gallery writes.

#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor};

use super::*;
use crate::events::{Finish, JsonLines};
use crate::storage::volatile::VolatileStorage;
use crate::storage::{Disk, Files};

fn options() -> GalleryOptions {
    GalleryOptions { previews: 10, per_page: 4, rows: 2, max_side: 16 }
}

fn open(storage: &VolatileStorage, step: u64) -> Gallery {
    Gallery::open(Arc::new(storage.clone()), Path::new("/g"), Path::new("/events.jsonl"), step, options()).unwrap()
}

fn preview(step: u64) -> Event {
    let image = |shape: (usize, usize, usize, usize)| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let panels = vec![("input".to_owned(), image((3, 3, 4, 4))), ("<b>\"fake\"".to_owned(), image((3, 1, 4, 4)))];
    Event::Preview { step, epoch: step / 10, panels }
}

fn progress(step: u64, value: f64) -> Event {
    Event::Progress {
        step,
        epoch: 1,
        losses: vec![("g_gan".to_owned(), value), ("d_<real>".to_owned(), 1.0)],
        lr: 2e-4,
        images_per_s: 4.0,
        data_wait: 0.0,
        eta_s: Some(7300.0),
    }
}

fn names(storage: &VolatileStorage, dir: &str) -> Vec<String> {
    storage.list(Path::new(dir)).unwrap().into_iter().filter(|entry| !entry.is_dir).map(|entry| entry.name).collect()
}

fn text(storage: &VolatileStorage, name: &str) -> String {
    String::from_utf8(storage.content(&Path::new("/g").join(name))).unwrap()
}

fn steps(gallery: &Gallery) -> Vec<u64> {
    gallery.content.previews.iter().map(|preview| preview.step).collect()
}

#[test]
fn size_is_bounded_and_previews_stay_spread() {
    let storage = VolatileStorage::new();
    let mut gallery = open(&storage, 0);
    for step in 1..=120 {
        gallery.on(&preview(step)).unwrap();
    }
    let kept = steps(&gallery);
    assert_eq!(kept.len(), 10);
    assert_eq!((kept[0], kept[9]), (1, 120));
    let gaps: Vec<u64> = kept.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|&gap| gap <= 32), "{kept:?}");
    assert_eq!(names(&storage, "/g"), ["gallery.json", "index.html", "page-2.html", "page-3.html"]);
    assert_eq!(names(&storage, "/g/images").len(), 10 * 2 * 2, "10 previews, 2 rows, 2 columns");
}

#[test]
fn every_image_and_page_that_is_named_exists() {
    let storage = VolatileStorage::new();
    let mut gallery = open(&storage, 0);
    gallery.on(&Event::Started { method: "pix2pix".into(), step: 0, total_steps: 100, device: "cpu".into() }).unwrap();
    for step in [3, 6, 9, 12, 15] {
        gallery.on(&progress(step, 1.0 / step as f64)).unwrap();
        gallery.on(&preview(step)).unwrap();
    }
    for page in ["index.html", "page-2.html"] {
        let html = text(&storage, page);
        for attribute in ["src=\"", "href=\""] {
            for part in html.split(attribute).skip(1) {
                let target = part.split('"').next().unwrap();
                assert!(!storage.content(&Path::new("/g").join(target)).is_empty(), "{target}");
            }
        }
        assert!(!html.contains("<b>\"fake\""), "labels are escaped");
        assert!(html.contains("&lt;b&gt;&quot;fake&quot;"));
        assert!(!html.contains("http://") && !html.contains("https://") && !html.contains("<script"), "self-contained");
    }
    let index = text(&storage, "index.html");
    assert!(index.contains("step 15 of 100") && index.contains("about 2 h 2 min left") && index.contains("refresh"));
    assert_eq!(index.matches("<polyline").count(), 2);
    assert!(index.contains("d_&lt;real&gt;"));
    assert!(index.contains("Epoch 1, step 15") && !index.contains("step 3<"));
    gallery.on(&Event::Finished { step: 20, epoch: 2, reason: Finish::Complete }).unwrap();
    let index = text(&storage, "index.html");
    assert!(index.contains("complete") && !index.contains("refresh"));
}

#[test]
fn resume_drops_what_is_computed_again() {
    let storage = VolatileStorage::new();
    let mut log = JsonLines::create(Arc::new(storage.clone()), Path::new("/events.jsonl")).unwrap();
    let mut gallery = open(&storage, 0);
    for step in [5, 10, 15, 20, 25] {
        log.on(&progress(step, step as f64)).unwrap();
        gallery.on(&preview(step)).unwrap();
    }
    storage.put(Path::new("/g/images/left-over.png"), vec![1]);
    let gallery = open(&storage, 12);
    assert_eq!(steps(&gallery), [5, 10]);
    let curve = gallery.curves.iter().find(|curve| curve.name == "g_gan").unwrap();
    assert_eq!(curve.points, [(5, 5.0), (10, 10.0)]);
    let images = names(&storage, "/g/images");
    assert!(
        images.len() == 8 && images.iter().all(|name| name.starts_with("000000005") || name.starts_with("000000010"))
    );
    storage.put(Path::new("/g/gallery.json"), b"{".to_vec());
    assert!(steps(&open(&storage, 12)).is_empty(), "damaged description: a new gallery");
}

#[test]
fn pixels() {
    let values: Vec<f32> =
        vec![-1.0, 1.0, 0.0, -2.0, /* green */ 1.0, 1.0, 1.0, 3.0, /* blue */ -1.0, -0.5, 0.5, -9.0];
    let tensor = Tensor::from_vec(values, (1, 3, 2, 2), &Device::Cpu).unwrap();
    let png = image::png(&image::images("x", &tensor, 4, 512).unwrap()[0]).unwrap();
    #[allow(clippy::disallowed_methods)] // our own bytes, a few pixels
    let image = ::image::load_from_memory(&png).unwrap().to_rgb8();
    let pixels: Vec<[u8; 3]> = image.pixels().map(|pixel| pixel.0).collect();
    assert_eq!(pixels, [[0, 255, 0], [255, 255, 64], [128, 255, 191], [0, 255, 0]]);
    let wide = Tensor::ones((2, 1, 8, 100), DType::F64, &Device::Cpu).unwrap();
    let images = image::images("x", &wide, 1, 50).unwrap();
    assert_eq!((images.len(), images[0].dimensions()), (1, (50, 4)));
    assert!(images[0].pixels().all(|pixel| pixel.0 == [255; 3]));
    for shape in [vec![3, 4, 4], vec![1, 3, 0, 4], vec![1, 0, 4, 4], vec![0, 3, 4, 4]] {
        let odd = Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        assert!(image::images("odd", &odd, 1, 50).unwrap_err().to_string().contains("odd"));
    }
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let odd = Tensor::full(value, (1, 3, 4, 4), &Device::Cpu).unwrap();
        assert!(image::images("odd", &odd, 1, 50).unwrap_err().to_string().contains("infinite"));
    }
}

#[test]
fn alpha_lies_over_a_chequer_and_many_planes_beside_each_other() {
    let drawn = |values: Vec<f32>, c: usize, h: usize, w: usize| {
        let tensor = Tensor::from_vec(values, (1, c, h, w), &Device::Cpu).unwrap();
        image::images("x", &tensor, 1, 512).unwrap().remove(0)
    };
    // One row of ten pixels: opaque, transparent from the second on.
    let alpha = || (0..10).map(|x| if x == 0 { 1.0 } else { -1.0 });
    let plane = |value: f32| std::iter::repeat_n(value, 10);
    let rgba = drawn(plane(1.0).chain(plane(-1.0)).chain(plane(0.0)).chain(alpha()).collect(), 4, 1, 10);
    let grey = drawn(plane(-1.0).chain(alpha()).collect(), 2, 1, 10);
    assert_eq!([0, 1, 7, 8].map(|x| rgba.get_pixel(x, 0).0), [[255, 0, 128], [255; 3], [255; 3], [204; 3]]);
    assert_eq!([0, 1, 7, 8].map(|x| grey.get_pixel(x, 0).0), [[0; 3], [255; 3], [255; 3], [204; 3]]);
    let planes = drawn((0..5).flat_map(|c| [c as f32 / 4.0 - 1.0; 6]).collect(), 5, 2, 3);
    assert_eq!(planes.dimensions(), (9, 4));
    let levels = [(0, 0), (3, 1), (8, 0), (2, 2), (3, 3), (6, 2)].map(|(x, y)| planes.get_pixel(x, y).0[0]);
    assert_eq!(levels, [0, 32, 64, 96, 128, 255]);
}

#[test]
fn a_panel_that_cannot_be_drawn_does_not_take_the_others_with_it() {
    let storage = VolatileStorage::new();
    let mut gallery = open(&storage, 0);
    let panel = |label: &str, value: f32| (label.to_owned(), Tensor::full(value, (2, 3, 4, 4), &Device::Cpu).unwrap());
    let panels = vec![panel("input", 0.0), panel("output", f32::NAN), panel("target", 1.0)];
    let error = gallery.on(&Event::Preview { step: 1, epoch: 0, panels }).unwrap_err().to_string();
    assert!(error.contains("output"), "{error}");
    assert_eq!(names(&storage, "/g/images").len(), 4);
    let index = text(&storage, "index.html");
    assert!(index.contains("input") && index.contains("target") && !index.contains("output"));
}

#[test]
fn works_on_a_real_disk() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("gallery");
    let events = folder.path().join("events.jsonl");
    let mut gallery = Gallery::open(Arc::new(Disk), &dir, &events, 0, GalleryOptions::default()).unwrap();
    gallery.on(&preview(1)).unwrap();
    assert!(dir.join("index.html").exists() && dir.join("images/000000001-0-1.png").exists());
}

#[test]
fn validation_has_curves_of_its_own() {
    let storage = VolatileStorage::new();
    let mut log = JsonLines::create(Arc::new(storage.clone()), Path::new("/events.jsonl")).unwrap();
    let mut gallery = open(&storage, 0);
    for (step, l1) in [(10, 9.0), (20, f64::NAN), (30, 7.0)] {
        for event in [
            progress(step, 1.0),
            Event::Validated {
                step,
                epoch: step / 10,
                images: 4,
                metrics: vec![("l1".to_owned(), l1)],
                best_by: "l1".to_owned(),
                best_step: Some(step),
                seconds: 1.0,
            },
        ] {
            log.on(&event).unwrap();
            gallery.on(&event).unwrap();
        }
    }
    let curve = |gallery: &Gallery| gallery.curves.iter().find(|c| c.name == "validation l1").unwrap().points.clone();
    assert_eq!(curve(&gallery), [(10, 9.0), (30, 7.0)]);
    let index = text(&storage, "index.html");
    assert!(index.contains("<b>validation l1</b>") && index.matches("<polyline").count() == 3, "{index}");
    gallery.on(&Event::Finished { step: 30, epoch: 3, reason: Finish::EarlyStopped }).unwrap();
    assert!(text(&storage, "index.html").contains("stopped early"));
    assert_eq!(curve(&open(&storage, 12)), [(10, 9.0)]);
}
