//! What stands in event files, read back record by record. `tests/oracle/read_tensorboard.py` opens such files with TensorBoard itself.

#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor};

use super::proto::{Hparam, HparamKind, Hparams, Session};
use super::*;
use crate::storage::Disk;
use crate::storage::fault::{Fault, FaultyStorage};
use crate::storage::volatile::VolatileStorage;

const DIR: &str = "/run/tensorboard";

fn settings() -> Settings {
    let text = "[train]\nlr = 0.5\nseed = 3\ntf32 = true\n[data]\nmode = \"aligned\"\nlist = [1]\n";
    Settings { method: "pix2pix".into(), argv: vec!["gan-cli".into()], table: text.parse().unwrap(), text: text.into() }
}

fn open(storage: &VolatileStorage, step: u64) -> TensorBoard {
    TensorBoard::open(Arc::new(storage.clone()), Path::new(DIR), step, settings()).unwrap()
}

fn progress(step: u64) -> Event {
    Event::Progress {
        step,
        epoch: 2,
        losses: vec![("G_GAN".into(), step as f64 / 2.0)],
        lr: 0.25,
        images_per_s: 4.0,
        data_wait: 0.0,
        eta_s: None,
    }
}

fn preview(step: u64) -> Event {
    let image = |n, h, w| Tensor::zeros((n, 3, h, w), DType::F32, &Device::Cpu).unwrap();
    let panels = vec![("input".to_owned(), image(2, 4, 4)), ("output".to_owned(), image(2, 4, 4))];
    let held_out = vec![HeldOut { name: "a".into(), panels: vec![("output".into(), image(1, 6, 9))] }];
    Event::Preview { step, epoch: 1, panels, held_out }
}

fn events_of(bytes: &[u8]) -> Vec<proto::Event> {
    let (mut from, mut events) = (bytes, Vec::new());
    while let Some(data) = record::next(&mut from).unwrap() {
        events.push(proto::Event::decode(data.as_slice()).unwrap());
    }
    events
}

/// The events of all files, in the order in which they are read.
fn all(storage: &VolatileStorage) -> Vec<proto::Event> {
    let names = event_files(storage, Path::new(DIR)).unwrap();
    names.iter().flat_map(|name| events_of(&storage.content(&Path::new(DIR).join(name)))).collect()
}

fn values(event: &proto::Event) -> &[Value] {
    match &event.what {
        Some(What::Summary(summary)) => &summary.values,
        _ => &[],
    }
}

/// Steps of the values with a tag.
fn steps(storage: &VolatileStorage, tag: &str) -> Vec<i64> {
    let has = |event: &proto::Event| values(event).iter().any(|value| value.tag == tag);
    all(storage).iter().filter(|event| has(event)).map(|event| event.step).collect()
}

#[test]
fn a_file_begins_with_its_version_and_the_settings() {
    let storage = VolatileStorage::new();
    let mut log = open(&storage, 0);
    log.on(&progress(1)).unwrap();
    let events = all(&storage);
    assert_eq!(events[0].what, Some(What::FileVersion("brain.Event:2".into())));
    assert!(events.iter().all(|event| event.wall_time > 1.6e9));
    let [run, config, hparams] = values(&events[1]) else { panic!() };
    let text = |value: &Value| match &value.datum {
        Some(Datum::Tensor(tensor)) => String::from_utf8(tensor.strings[0].clone()).unwrap(),
        _ => panic!(),
    };
    assert!(text(run).contains("pix2pix") && text(config).contains("    lr = 0.5\n"), "{}", text(config));
    let plugin = hparams.metadata.clone().unwrap().plugin.unwrap();
    assert_eq!((hparams.tag.as_str(), plugin.name.as_str()), ("_hparams_/session_start_info", "hparams"));
    let Some(Session::Start(start)) = Hparams::decode(plugin.content.as_slice()).unwrap().session else { panic!() };
    let value = |key: &str| match &start.hparams[key] {
        Hparam { kind: Some(kind) } => kind.clone(),
        Hparam { kind: None } => panic!("{key}"),
    };
    assert_eq!(value("train.lr"), HparamKind::Number(0.5));
    assert_eq!(value("train.seed"), HparamKind::Number(3.0));
    assert_eq!(value("train.tf32"), HparamKind::Bool(true));
    assert_eq!(value("data.mode"), HparamKind::Text("aligned".into()));
    assert_eq!((value("data.list"), start.hparams.len()), (HparamKind::Text("[1]".into()), 6));
    assert_eq!(steps(&storage, "loss/G_GAN"), [1]);
    assert_eq!(steps(&storage, "train/learning_rate"), [1]);
}

#[test]
fn previews_are_images_by_row() {
    let storage = VolatileStorage::new();
    let mut log = open(&storage, 0);
    log.on(&preview(4)).unwrap();
    let events = all(&storage);
    let last = values(events.last().unwrap());
    let tags: Vec<_> = last.iter().map(|value| value.tag.as_str()).collect();
    let of_batch = ["training 1/input", "training 2/input", "training 1/output", "training 2/output"];
    assert_eq!(tags, [&of_batch[..], &["held out 1/output"]].concat());
    let Some(Datum::Image(image)) = &last[4].datum else { panic!() };
    assert_eq!((image.height, image.width, image.colorspace), (6, 9, 3));
    #[allow(clippy::disallowed_methods)] // our own bytes, a few pixels
    let decoded = image::load_from_memory(&image.encoded).unwrap();
    assert_eq!((decoded.width(), decoded.height()), (9, 6));
}

#[test]
fn a_launch_that_goes_on_cuts_what_is_computed_again() {
    let storage = VolatileStorage::new();
    for (from, to) in [(0, 6), (4, 5), (4, 9), (9, 12)] {
        let mut log = open(&storage, from);
        for step in from + 1..=to {
            log.on(&progress(step)).unwrap();
        }
    }
    assert_eq!(steps(&storage, "loss/G_GAN"), (1..=12).collect::<Vec<_>>());
    let starts = all(&storage).into_iter().filter(|event| matches!(event.what, Some(What::SessionLog(_))));
    assert_eq!(starts.map(|event| event.step).collect::<Vec<_>>(), [5, 10]);
    let names = event_files(&storage, Path::new(DIR)).unwrap();
    assert_eq!(names.len(), 3, "of the second launch nothing is left: {names:?}");
    // From the beginning again.
    open(&storage, 0).on(&progress(1)).unwrap();
    assert_eq!(steps(&storage, "loss/G_GAN"), [1]);
    // A rewind within a launch.
    let mut log = open(&storage, 1);
    for step in 2..5 {
        log.on(&progress(step)).unwrap();
    }
    log.on(&Event::Rewound { step: 3, from: 4, rewinds: 1, reason: "a test".into() }).unwrap();
    log.on(&progress(4)).unwrap();
    assert_eq!(steps(&storage, "loss/G_GAN"), [1, 2, 3, 4]);
}

#[test]
fn torn_files_of_a_killed_run_are_mended() {
    let whole = VolatileStorage::new();
    let mut log = open(&whole, 0);
    for step in 1..4 {
        log.on(&progress(step)).unwrap();
    }
    let bytes = whole.content(&log.path);
    for length in [bytes.len() - 1, bytes.len() - 20, 30, 5, 0] {
        let storage = VolatileStorage::new();
        storage.create_dir_all(Path::new(DIR)).unwrap();
        storage.put(&Path::new(DIR).join("events.out.tfevents.0000000007.host.1"), bytes[..length].to_vec());
        open(&storage, 2).on(&progress(3)).unwrap();
        let found = steps(&storage, "loss/G_GAN");
        assert!(found.last() == Some(&3) && found.is_sorted_by(|a, b| a < b), "{length}: {found:?}");
    }
}

#[test]
fn a_failed_write_leaves_whole_records() {
    for fault in [Fault::Eio, Fault::Enospc, Fault::ShortWrite] {
        for at in 1..16 {
            let storage = VolatileStorage::new();
            let faulty = Arc::new(FaultyStorage::once(storage.clone(), fault, at));
            let Ok(mut log) = TensorBoard::open(faulty, Path::new(DIR), 0, settings()) else { continue };
            let written: Vec<i64> = (1..=5).filter(|step| log.on(&progress(*step)).is_ok()).map(|s| s as i64).collect();
            assert_eq!(steps(&storage, "loss/G_GAN"), written, "{fault:?} at {at}");
            assert!(written.len() >= 4);
        }
    }
}

#[test]
fn names_are_read_in_the_order_of_the_launches() {
    let first = name_after("", 1e9);
    let second = name_after(&first, 5.0);
    assert!(first.starts_with("events.out.tfevents.1000000000.") && second > first, "{first} {second}");
    assert!(second.starts_with("events.out.tfevents.1000000001."), "{second}");
    assert!(name_after(&second, 2e9).starts_with("events.out.tfevents.2000000000."));
}

#[test]
fn a_folder_that_vanishes_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("tensorboard");
    let mut log = TensorBoard::open(Arc::new(Disk), &dir, 0, settings()).unwrap();
    log.on(&progress(1)).unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    log.on(&progress(2)).unwrap();
    log.on(&Event::Finished { step: 2, epoch: 1, reason: Finish::Complete }).unwrap();
    let names = event_files(&Disk, &dir).unwrap();
    let events = events_of(&std::fs::read(dir.join(&names[0])).unwrap());
    let tags: Vec<_> = events.iter().flat_map(values).map(|value| value.tag.as_str()).collect();
    assert_eq!((names.len(), tags.iter().filter(|tag| **tag == "loss/G_GAN").count()), (1, 1));
    assert_eq!(tags.last(), Some(&"_hparams_/session_end_info"));
}
