//! The pages that a gallery writes.

#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor};

use super::*;
use crate::events::{Finish, JsonLines};
use crate::storage::volatile::VolatileStorage;
use crate::storage::{Disk, Files};

fn options() -> GalleryOptions {
    GalleryOptions { previews: 10, rows: 2, max_side: 16 }
}

fn open(storage: &VolatileStorage, step: u64) -> Gallery {
    Gallery::open(Arc::new(storage.clone()), Path::new("/g"), Path::new("/events.jsonl"), step, options()).unwrap()
}

fn preview(step: u64) -> Event {
    let image = |shape: (usize, usize, usize, usize)| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let panels = vec![("input".to_owned(), image((3, 3, 4, 4))), ("<b>\"fake\"".to_owned(), image((3, 1, 4, 4)))];
    Event::Preview { step, epoch: step / 10, panels, held_out: Vec::new() }
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
    gallery.shown.content.previews.iter().map(|preview| preview.step).collect()
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
    assert_eq!(names(&storage, "/g"), ["gallery.json", "index.html", "newer.js"]);
    assert_eq!(names(&storage, "/g/images").len(), 10 * 2 * 2, "10 previews, 2 rows, 2 columns");
}

/// The data of a page, as its script reads it.
fn data(html: &str) -> serde_json::Value {
    let start = "<script type=\"application/json\" id=\"data\">";
    let json = html.split_once(start).unwrap().1.split_once("</script>").unwrap().0;
    serde_json::from_str(json).unwrap()
}

#[test]
fn the_page_holds_its_data_and_names_images_that_exist() {
    let storage = VolatileStorage::new();
    let mut gallery = open(&storage, 0);
    gallery.on(&Event::Started { method: "pix2pix".into(), step: 0, total_steps: 100, device: "cpu".into() }).unwrap();
    for step in [3, 6, 9, 12, 15] {
        gallery.on(&progress(step, 1.0 / step as f64)).unwrap();
        gallery.on(&preview(step)).unwrap();
    }
    let html = text(&storage, "index.html");
    let without_names = html.replace("http://www.w3.org/2000/svg", "");
    assert!(!without_names.contains("http://") && !without_names.contains("https://"), "self-contained");
    assert!(!html.contains("<b>\"fake\"") && html.contains("&lt;b&gt;&quot;fake&quot;"), "labels are escaped");
    assert!(!html.contains("{{") && html.contains("step 15 of 100") && html.contains("about 2 h 2 min left"));
    let shown = data(&html);
    let run = &shown[0];
    assert_eq!((&run["name"], &run["total"], &run["finished"]), (&"/ · pix2pix".into(), &100.into(), &false.into()));
    let curves = run["curves"].as_array().unwrap();
    let names: Vec<_> =
        curves.iter().map(|curve| (curve["kind"].as_str().unwrap(), curve["name"].as_str().unwrap())).collect();
    assert_eq!(names, [("loss", "g_gan"), ("loss", "d_<real>"), ("rate", "learning rate")]);
    assert_eq!(curves[0]["points"][4], serde_json::json!([15, 1.0 / 15.0]));
    assert_eq!(run["epochs"], serde_json::json!([[1, 3]]));
    let previews = run["previews"].as_array().unwrap();
    assert_eq!(previews.len(), 5);
    for image in
        previews.iter().flat_map(|preview| preview["rows"].as_array().unwrap()).flat_map(|row| row.as_array().unwrap())
    {
        let file = image["file"].as_str().unwrap();
        assert!(!storage.content(&Path::new("/g/images").join(file)).is_empty(), "{file}");
    }
    // What an open page looks for is the same.
    let newer = text(&storage, "newer.js");
    let json = newer.strip_prefix("window.galleryData(").unwrap().trim_end().strip_suffix(");").unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(json).unwrap(), shown);
    gallery.on(&Event::Finished { step: 20, epoch: 2, reason: Finish::Complete }).unwrap();
    let html = text(&storage, "index.html");
    assert!(html.contains("complete") && data(&html)[0]["finished"] == true);
}

#[test]
fn log_points_refresh_the_data_alone_and_not_too_often() {
    let storage = VolatileStorage::new();
    let mut gallery = open(&storage, 0);
    gallery.on(&Event::Started { method: "cut".into(), step: 0, total_steps: 9, device: "cpu".into() }).unwrap();
    let (page, first) = (text(&storage, "index.html"), text(&storage, "newer.js"));
    gallery.on(&progress(1, 0.5)).unwrap();
    assert_eq!(text(&storage, "newer.js"), first, "written a moment ago");
    gallery.written = None;
    gallery.on(&progress(2, 0.25)).unwrap();
    assert!(text(&storage, "newer.js").contains("[2,0.25]"));
    assert_eq!(text(&storage, "index.html"), page);
}

#[test]
fn an_export_holds_several_runs_and_their_images() {
    let folder = tempfile::tempdir().unwrap();
    let runs = ["one", "two"].map(|name| folder.path().join(name));
    for (run, value) in runs.iter().zip([1.0, 2.0]) {
        std::fs::create_dir_all(run).unwrap();
        std::fs::write(run.join("config.toml"), "[train]\nlr = 0.5\n").unwrap();
        let mut log = JsonLines::create(Arc::new(Disk), &run.join("events.jsonl")).unwrap();
        log.on(&progress(10, value)).unwrap();
        log.sync().unwrap();
        let (dir, events) = (run.join("gallery"), run.join("events.jsonl"));
        let mut gallery = Gallery::open(Arc::new(Disk), &dir, &events, 10, options()).unwrap();
        for step in 1..=30 {
            gallery.on(&preview(step)).unwrap();
        }
    }
    let html = export(&Disk, &runs).unwrap();
    let shown = data(&html);
    for (i, name) in ["one", "two"].into_iter().enumerate() {
        let run = &shown[i];
        assert_eq!(
            (run["name"].as_str(), run["live"].as_bool(), run["step"].as_u64()),
            (Some(name), Some(false), Some(10))
        );
        assert_eq!(run["curves"][0]["points"], serde_json::json!([[10, (i + 1) as f64]]));
        assert!(run["settings"].as_str().unwrap().contains("lr = 0.5"));
        let images = run["images"].as_object().unwrap();
        assert_eq!(images.len(), 10 * 2 * 2);
        assert!(images.values().all(|image| image.as_str().unwrap().starts_with("data:image/png;base64,iVBOR")));
    }
    assert!(export(&Disk, &[folder.path().join("none")]).unwrap_err().to_string().contains("no run"));
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
    let curve = gallery.shown.curves.iter().find(|curve| curve.name == "g_gan").unwrap();
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
    let png = preview_image::png(&preview_image::images("x", &tensor, 4, 512).unwrap()[0]).unwrap();
    #[allow(clippy::disallowed_methods)] // our own bytes, a few pixels
    let image = image::load_from_memory(&png).unwrap().to_rgb8();
    let pixels: Vec<[u8; 3]> = image.pixels().map(|pixel| pixel.0).collect();
    assert_eq!(pixels, [[0, 255, 0], [255, 255, 64], [128, 255, 191], [0, 255, 0]]);
    let wide = Tensor::ones((2, 1, 8, 100), DType::F64, &Device::Cpu).unwrap();
    let images = preview_image::images("x", &wide, 1, 50).unwrap();
    assert_eq!((images.len(), images[0].dimensions()), (1, (50, 4)));
    assert!(images[0].pixels().all(|pixel| pixel.0 == [255; 3]));
    for shape in [vec![3, 4, 4], vec![1, 3, 0, 4], vec![1, 0, 4, 4], vec![0, 3, 4, 4]] {
        let odd = Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        assert!(preview_image::images("odd", &odd, 1, 50).unwrap_err().to_string().contains("odd"));
    }
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let odd = Tensor::full(value, (1, 3, 4, 4), &Device::Cpu).unwrap();
        assert!(preview_image::images("odd", &odd, 1, 50).unwrap_err().to_string().contains("infinite"));
    }
}

#[test]
fn alpha_lies_over_a_chequer_and_many_planes_beside_each_other() {
    let drawn = |values: Vec<f32>, c: usize, h: usize, w: usize| {
        let tensor = Tensor::from_vec(values, (1, c, h, w), &Device::Cpu).unwrap();
        preview_image::images("x", &tensor, 1, 512).unwrap().remove(0)
    };
    // One row of ten pixels: opaque, transparent from the second on.
    let alpha = || (0..10).map(|x| if x == 0 { 1.0 } else { -1.0 });
    let plane = |value: f32| std::iter::repeat_n(value, 10);
    let rgba = drawn(plane(1.0).chain(plane(-1.0)).chain(plane(0.0)).chain(alpha()).collect(), 4, 1, 10);
    let grey = drawn(plane(-1.0).chain(alpha()).collect(), 2, 1, 10);
    assert_eq!([0, 1, 7, 8].map(|x| rgba.get_pixel(x, 0).0), [[255, 0, 128], [255; 3], [255; 3], [204; 3]]);
    assert_eq!([0, 1, 7, 8].map(|x| grey.get_pixel(x, 0).0), [[0; 3], [255; 3], [255; 3], [204; 3]]);
    // Seven planes: three as RGB, four tiles of grey beside it, nothing in the sixth.
    let planes = drawn((0..7).flat_map(|c| [c as f32 / 4.0 - 1.0; 6]).collect(), 7, 2, 3);
    assert_eq!(planes.dimensions(), (9, 4));
    let levels = [(0, 0), (3, 1), (8, 0), (2, 2), (3, 3), (6, 2)].map(|(x, y)| planes.get_pixel(x, y).0);
    assert_eq!(levels, [[0, 32, 64], [96; 3], [128; 3], [159; 3], [191; 3], [255; 3]]);
}

#[test]
fn held_out_images_are_rows_of_their_own() {
    let storage = VolatileStorage::new();
    let mut gallery = open(&storage, 0);
    let Event::Preview { step, epoch, panels, .. } = preview(3) else { panic!() };
    // Whole images, each of its own size.
    let held_out = [("val/<a>", 4, 8), ("b", 40, 20)].map(|(name, h, w)| {
        let image = || Tensor::zeros((1, 3, h, w), DType::F32, &Device::Cpu).unwrap();
        HeldOut { name: name.into(), panels: vec![("input".into(), image()), ("output".into(), image())] }
    });
    gallery.on(&Event::Preview { step, epoch, panels, held_out: held_out.to_vec() }).unwrap();
    let shown = data(&text(&storage, "index.html"));
    let preview = &shown[0]["previews"][0];
    assert_eq!(preview["held_out"], serde_json::json!(["val/<a>", "b"]));
    let rows = preview["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 4, "two of the batch, two that are held out");
    assert_eq!((&rows[2][0]["width"], &rows[2][0]["height"]), (&8.into(), &4.into()));
    assert_eq!((&rows[3][1]["width"], &rows[3][1]["height"]), (&8.into(), &16.into()), "bounded");
    assert_eq!(rows[3][1]["file"], "000000003-3-1.png");
    assert_eq!(names(&storage, "/g/images").len(), 8);
    let html = text(&storage, "index.html");
    assert!(html.contains("Held out: val/&lt;a&gt;"), "also without scripts");
    // Galleries of earlier versions say nothing of it.
    let text = String::from_utf8(storage.content(Path::new("/g/gallery.json"))).unwrap();
    storage.put(Path::new("/g/gallery.json"), text.replace(",\"held_out\":[\"val/<a>\",\"b\"]", "").into_bytes());
    assert_eq!(steps(&open(&storage, 3)), [3]);
}

#[test]
fn a_panel_that_cannot_be_drawn_does_not_take_the_others_with_it() {
    let storage = VolatileStorage::new();
    let mut gallery = open(&storage, 0);
    let panel = |label: &str, value: f32| (label.to_owned(), Tensor::full(value, (2, 3, 4, 4), &Device::Cpu).unwrap());
    let panels = vec![panel("input", 0.0), panel("output", f32::NAN), panel("target", 1.0)];
    let error =
        gallery.on(&Event::Preview { step: 1, epoch: 0, panels, held_out: Vec::new() }).unwrap_err().to_string();
    assert!(error.contains("output"), "{error}");
    assert_eq!(names(&storage, "/g/images").len(), 4);
    let labels: Vec<_> = gallery.shown.content.previews[0].rows[0].iter().map(|image| &*image.label).collect();
    assert_eq!(labels, ["input", "target"]);
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
    let curve =
        |gallery: &Gallery| gallery.shown.curves.iter().find(|c| c.name == "validation l1").unwrap().points.clone();
    assert_eq!(curve(&gallery), [(10, 9.0), (30, 7.0)]);
    assert_eq!(data(&text(&storage, "index.html"))[0]["curves"][3]["kind"], "validation");
    gallery.on(&Event::Finished { step: 30, epoch: 3, reason: Finish::EarlyStopped }).unwrap();
    assert!(text(&storage, "index.html").contains("stopped early"));
    assert_eq!(curve(&open(&storage, 12)), [(10, 9.0)]);
}

#[test]
fn a_server_shows_runs_as_they_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let runs = ["one", "two"].map(|name| folder.path().join(name));
    let mut galleries = Vec::new();
    for run in &runs {
        std::fs::create_dir_all(run).unwrap();
        std::fs::write(run.join("config.toml"), "[train]\nlr = 0.5\n").unwrap();
        let mut log = JsonLines::create(Arc::new(Disk), &run.join("events.jsonl")).unwrap();
        log.on(&progress(10, 2.0)).unwrap();
        log.sync().unwrap();
        let (dir, events) = (run.join("gallery"), run.join("events.jsonl"));
        galleries.push(Gallery::open(Arc::new(Disk), &dir, &events, 10, options()).unwrap());
    }
    galleries[0].on(&preview(10)).unwrap();
    let mut live = LiveRuns::open(&runs).unwrap();
    let shown = data(&live.page());
    // The second has no page yet: its events tell.
    for (run, name) in [(&shown[0], "one"), (&shown[1], "two")] {
        assert_eq!((run["name"].as_str(), run["live"].as_bool()), (Some(name), Some(false)));
        assert_eq!(run["curves"][0]["points"], serde_json::json!([[10, 2.0]]));
    }
    let address = shown[0]["images"].as_object().unwrap().values().next().unwrap().as_str().unwrap();
    assert!(live.image(address).unwrap().is_file() && live.image("images/0/../../config.toml").is_none());
    assert!(!live.refresh().unwrap(), "nothing has changed");
    galleries[1].on(&progress(20, 1.0)).unwrap();
    assert!(live.refresh().unwrap());
    let shown: serde_json::Value = serde_json::from_str(live.data()).unwrap();
    assert!(
        shown[1]["curves"][0]["points"].to_string().contains("[20,1.0]")
            && shown[1]["summary"].as_str().unwrap().contains("left")
    );
    // What somebody else wrote there is not shown, and leads nowhere.
    let hostile = r#"window.galleryData([{"name":"x","summary":"</script>","curves":[],"epochs":[],"facts":[],"previews":[{"rows":[[{"file":"../../config.toml"}]]}]}]);"#;
    std::fs::write(runs[0].join("gallery/newer.js"), hostile).unwrap();
    assert!(live.refresh().unwrap());
    let shown: serde_json::Value = serde_json::from_str(live.data()).unwrap();
    assert_eq!(shown[0]["images"], serde_json::json!({}));
    assert!(!live.page().contains("</script>\""), "data stays data");
    std::fs::write(runs[0].join("gallery/newer.js"), "window.galleryData([{}]);").unwrap();
    assert!(live.refresh().unwrap());
    assert!(live.page().contains("g_gan"), "a file that is no data is passed over");
    assert!(LiveRuns::open(&[folder.path().join("none")]).unwrap_err().to_string().contains("no run"));
}
