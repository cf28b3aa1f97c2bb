//! Configurations and the events of a run.

use std::sync::Arc;

use gan_train::METHODS;
use gan_train::config::ConfigSource;
use gan_train::events::{Csv, Event, JsonLines, Observer, read_progress, read_validations};
use gan_train::storage::Disk;

use super::scratch;

/// A configuration: TOML, with settings on lines that begin with `--set `. What is resolved resolves to the same once it was saved.
pub fn read_config(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    let (settings, lines): (Vec<&str>, Vec<&str>) =
        text.split_inclusive('\n').partition(|line| line.starts_with("--set "));
    let mut layers = vec![ConfigSource::Text { name: "run.toml".into(), toml: lines.concat() }];
    layers.extend(settings.iter().map(|line| ConfigSource::Setting(line["--set ".len()..].trim().to_owned())));
    for method in METHODS {
        if let Ok(config) = (method.resolve)(&layers) {
            let again = (method.resolve)(&[ConfigSource::saved(&*config).unwrap()]).unwrap();
            assert_eq!(again.to_table().unwrap(), config.to_table().unwrap());
        }
    }
}

/// `events.jsonl`: whatever it holds, what is appended is read, and the table is written.
pub fn read_events(file: &[u8]) {
    let path = scratch::file("events.jsonl", file);
    let (mut before, mut after) = (Vec::new(), Vec::new());
    read_progress(&Disk, &path, |record| before.push(record)).unwrap();
    read_validations(&Disk, &path, drop).unwrap();
    let table = scratch::folder().join("events.csv");
    let csv = Csv::open(Arc::new(Disk), &table, &path);
    assert!(csv.is_ok() && table.is_file());
    // As after a checkpoint that saw half of it.
    let length = file.len() as u64 / 2;
    let mut log = JsonLines::resume(Arc::new(Disk), &path, length).unwrap();
    assert!(log.length() <= length);
    let losses = vec![("g".to_owned(), 1.0)];
    let event = Event::Progress { step: 7, epoch: 1, losses, lr: 2e-4, images_per_s: 1.0, data_wait: 0.0, eta_s: None };
    log.on(&event).unwrap();
    read_progress(&Disk, &path, |record| after.push(record)).unwrap();
    let last = after.pop().unwrap();
    assert_eq!((last.step, last.losses.len()), (7, 1));
    assert!(before.starts_with(&after));
}
