//! What a run folder holds is state: whatever is edited, deleted, damaged or replaced in it, a run goes on from what its
//! checkpoints seal, or is refused by name.
#![allow(clippy::unwrap_used)]

#[path = "run_folder/data.rs"]
mod data;
#[path = "run_folder/dates.rs"]
mod dates;
#[path = "run_folder/edited.rs"]
mod edited;
#[path = "run_folder/files.rs"]
mod files;
#[path = "run_folder/formats.rs"]
mod formats;
#[path = "run_folder/unusable.rs"]
mod unusable;

use gan_train::config::ConfigSource;
use gan_train::events::{Event, Observer, ProgressRecord, read_progress};
use gan_train::storage::Disk;
use gan_train::{
    DeviceConfig, Job, METHODS, MethodConfig, MethodSpec, Outcome, Result, require_method, resume_config, train,
};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// A tiny run of pix2pix: two epochs of two images, a checkpoint a step.
const TINY: [&str; 12] = [
    "generator.arch=resnet",
    "n_blocks=1",
    "generator.ngf=4",
    "ndf=4",
    "load_size=36",
    "crop_size=32",
    "workers=0",
    "seed=5",
    "n_epochs=2",
    "n_epochs_decay=0",
    "save_latest_freq=1",
    "print_freq=1",
];
const FACADES: [&str; 2] = ["data.mode=facades", "max_dataset_size=2"];

/// What a launch says.
type Said = Arc<Mutex<Vec<String>>>;

struct Listener(Said);

impl Observer for Listener {
    fn on(&mut self, event: &Event) -> Result<()> {
        let text = match event {
            Event::Warning { message, .. } => message.clone(),
            Event::Started { step, total_steps, .. } => format!("started at {step} of {total_steps}"),
            _ => return Ok(()),
        };
        self.0.lock().unwrap().push(text);
        Ok(())
    }
}

/// Does something when a step is done.
struct At<F>(u64, F);

impl<F: FnMut()> Observer for At<F> {
    fn on(&mut self, _: &Event) -> Result<()> {
        Ok(())
    }

    fn step(&mut self, step: u64, _: Option<f64>) {
        if step == self.0 {
            (self.1)();
        }
    }
}

fn settings(all: &[&str]) -> Vec<ConfigSource> {
    all.iter().map(|setting| ConfigSource::Setting((*setting).to_string())).collect()
}

/// A launch with what it says.
fn launch(
    method: &'static MethodSpec,
    run: &Path,
    config: Result<Box<dyn MethodConfig>>,
    resume: bool,
    observer: Option<Box<dyn Observer>>,
) -> (Result<Outcome>, Vec<String>) {
    let said = Said::default();
    let outcome = config.and_then(|config| {
        let mut observers: Vec<Box<dyn Observer>> = vec![Box::new(Listener(said.clone()))];
        observers.extend(observer);
        train(Job {
            method,
            config,
            dataset: None,
            run: run.to_path_buf(),
            resume,
            device_config: DeviceConfig::cpu(),
            argv: Vec::new(),
            version: "test".into(),
            revision: None,
            stop: Arc::default(),
            observers,
            ranks: std::sync::Arc::new(gan_train::Single),
        })
    });
    let said = said.lock().unwrap().clone();
    (outcome, said)
}

fn find(name: &str) -> &'static MethodSpec {
    gan_train::find(METHODS, name).unwrap()
}

fn pix2pix() -> &'static MethodSpec {
    find("pix2pix")
}

fn start(run: &Path, more: &[&str]) -> (Result<Outcome>, Vec<String>) {
    launch(pix2pix(), run, (pix2pix().resolve)(&settings(&[&TINY, more].concat())), false, None)
}

fn resume(run: &Path, more: &[&str]) -> (Result<Outcome>, Vec<String>) {
    resume_with(pix2pix(), run, more, None)
}

/// Resumes as the command does.
fn resume_with(
    method: &'static MethodSpec,
    run: &Path,
    more: &[&str],
    observer: Option<Box<dyn Observer>>,
) -> (Result<Outcome>, Vec<String>) {
    let config = require_method(run, method).and_then(|()| {
        resume_config(run, method, |saved| {
            (method.resolve)(&[vec![ConfigSource::saved(saved)?], settings(more)].concat())
        })
    });
    launch(method, run, config, true, observer)
}

fn log(run: &Path) -> Vec<ProgressRecord> {
    let mut records = Vec::new();
    read_progress(&Disk, &run.join("events.jsonl"), |record| records.push(record)).unwrap();
    records
}

/// Steps of the checkpoints, ascending.
fn steps(run: &Path) -> Vec<u64> {
    let names = std::fs::read_dir(run.join("checkpoints")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut steps: Vec<u64> = names.filter_map(|name| name.to_str()?.parse().ok()).collect();
    steps.sort_unstable();
    steps
}

/// A copy of a folder and all that is in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
