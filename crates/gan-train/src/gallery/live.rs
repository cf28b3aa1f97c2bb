//! Runs that a server shows while they go on.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::export::name;
use super::{DATA, MAX_CONTENT, Shown, Status, page, unwritable};
use crate::Result;
use crate::run::read_config;
use crate::storage::{Disk, read_limited};

/// Several runs on one page, whose images a server gives.
///
/// What the trainer of a run writes at its log points (`gallery/newer.js`) is taken as it is. A run without that file is read off its
/// events.
#[derive(Debug)]
pub struct LiveRuns {
    runs: Vec<LiveRun>,
    data: String,
    images: HashMap<String, PathBuf>,
}

#[derive(Debug)]
struct LiveRun {
    folder: PathBuf,
    stamp: Stamp,
    view: Value,
}

/// What tells whether the files of a run have changed: time of change and length.
type Stamp = [Option<(SystemTime, u64)>; 2];

impl LiveRuns {
    /// The runs in these folders.
    ///
    /// # Errors
    /// [`Error::RunFolder`](crate::Error::RunFolder) for a folder without a run, [`Error::Files`](crate::Error::Files) if one cannot be read.
    pub fn open(folders: &[PathBuf]) -> Result<Self> {
        let mut runs = Vec::new();
        for folder in folders {
            read_config(&Disk, folder)?;
            runs.push(LiveRun { folder: folder.clone(), stamp: [None; 2], view: Value::Null });
        }
        let mut live = LiveRuns { runs, data: String::new(), images: HashMap::new() };
        live.refresh()?;
        Ok(live)
    }

    /// Reads the runs that have changed, and tells whether there are any.
    ///
    /// What was read of a run before stays if its files are gone, or cannot be read.
    ///
    /// # Errors
    /// As [`LiveRuns::open`], of runs that were never read.
    pub fn refresh(&mut self) -> Result<bool> {
        let mut changed = false;
        for (i, run) in self.runs.iter_mut().enumerate() {
            let stamp = stamp(&run.folder);
            let is_known = !run.view.is_null();
            if is_known && (stamp == run.stamp || stamp == [None; 2]) {
                continue;
            }
            match view(i, &run.folder, &stamp) {
                Ok(view) => (run.view, run.stamp, changed) = (view, stamp, true),
                // It is being written, or taken away: what was read before stays.
                Err(_) if is_known => {}
                Err(error) => return Err(error),
            }
        }
        if changed {
            let views: Vec<&Value> = self.runs.iter().map(|run| &run.view).collect();
            self.data = page::in_script(&serde_json::to_string(&views).map_err(unwritable)?);
            self.images = self.runs.iter().flat_map(images).collect();
        }
        Ok(changed)
    }

    /// What the page shows, as JSON that may stand in a script element: an array of runs.
    #[must_use]
    pub fn data(&self) -> &str {
        &self.data
    }

    /// The page with what it shows. Newer [data](LiveRuns::data) is handed to its function `galleryData`.
    #[must_use]
    pub fn page(&self) -> String {
        let names: Vec<String> = self.runs.iter().map(|run| name(&run.folder)).collect();
        let summary = match &self.runs[..] {
            [run] => run.view["summary"].as_str().unwrap_or_default().to_owned(),
            runs => format!("{} runs", runs.len()),
        };
        page::render(&names.join(", "), &summary, "", &self.data)
    }

    /// The file of an image that the page shows under this address.
    #[must_use]
    pub fn image(&self, address: &str) -> Option<&Path> {
        self.images.get(address).map(PathBuf::as_path)
    }
}

/// Address and file of each image of a run.
fn images(run: &LiveRun) -> impl Iterator<Item = (String, PathBuf)> {
    let shown = run.view["images"].as_object().into_iter().flatten();
    shown.filter_map(|(file, address)| {
        Some((address.as_str()?.to_owned(), run.folder.join("gallery/images").join(file)))
    })
}

fn stamp(folder: &Path) -> Stamp {
    [folder.join("gallery").join(DATA), folder.join("events.jsonl")].map(|file| {
        let metadata = gan_fs::regular_metadata(&file).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    })
}

/// What the page shows of a run.
fn view(number: usize, folder: &Path, stamp: &Stamp) -> Result<Value> {
    let mut view = match written(folder) {
        Some(view) => view,
        None => of_events(folder)?,
    };
    // Names of files only: whatever else somebody wrote there leads nowhere.
    let plain = |file: &str| file.ends_with(".png") && !file.contains(['/', '\\', ':']) && !file.starts_with('.');
    let rows = view["previews"].as_array().into_iter().flatten().filter_map(|preview| preview["rows"].as_array());
    let shown = rows.flatten().filter_map(Value::as_array).flatten().filter_map(|image| image["file"].as_str());
    let images: BTreeMap<String, String> =
        shown.filter(|file| plain(file)).map(|file| (file.to_owned(), format!("images/{number}/{file}"))).collect();
    let newest = stamp.iter().flatten().map(|(time, _)| *time).max();
    let written = newest.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map(|time| time.as_secs());
    view["name"] = json!(name(folder));
    // This page asks its server instead of looking for a file.
    view["live"] = json!(false);
    view["images"] = json!(images);
    view["written"] = json!(written);
    Ok(view)
}

/// What the trainer wrote for an open page, if that can be read.
fn written(folder: &Path) -> Option<Value> {
    let bytes = read_limited(&Disk, &folder.join("gallery").join(DATA), MAX_CONTENT).ok()?;
    let runs: Value = serde_json::from_str(page::data_in(std::str::from_utf8(&bytes).ok()?)?).ok()?;
    let run = runs.get(0)?;
    let has = |key: &str, is: fn(&Value) -> bool| run.get(key).is_some_and(is);
    let whole = has("curves", Value::is_array) && has("previews", Value::is_array) && has("facts", Value::is_array);
    (whole && has("epochs", Value::is_array) && has("summary", Value::is_string)).then(|| run.clone())
}

fn of_events(folder: &Path) -> Result<Value> {
    let mut shown = Shown::read(&Disk, &folder.join("gallery"), &folder.join("events.jsonl"), u64::MAX)?;
    shown.content.title = name(folder);
    let status = Status { step: shown.curves.last_step(), epoch: shown.epochs.last(), ..Status::default() };
    serde_json::to_value(shown.view(&status, BTreeMap::new(), false)).map_err(unwritable)
}
