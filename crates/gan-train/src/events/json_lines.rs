//! `events.jsonl`: one JSON object a line, append-only.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::{Event, Observer};
use crate::storage::{Storage, StorageFile};
use crate::{Error, Result};

/// Longer lines are not ours.
const MAX_LINE: u64 = 1 << 20;

/// Appends events to a file.
pub struct JsonLines {
    storage: Arc<dyn Storage>,
    path: PathBuf,
    /// Closed after a failed write: what is in the file beyond `length` is then unknown.
    file: Option<Box<dyn StorageFile>>,
    length: u64,
    /// What the user should know.
    warning: Option<String>,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    event: &'a Event,
    /// Seconds since 1970.
    time: f64,
}

impl JsonLines {
    /// Starts the file, emptying an existing one.
    ///
    /// # Errors
    /// [`Error::Files`].
    pub fn create(storage: Arc<dyn Storage>, path: &Path) -> Result<Self> {
        Self::resume(storage, path, 0)
    }

    /// Goes on with the first `length` bytes, the length recorded in the checkpoint that training resumes from; later
    /// events describe steps that are computed again. If the file is shorter (the machine stopped before it was
    /// flushed, or somebody deleted it), goes on after its last whole line; [`JsonLines::take_warning`] then says so.
    ///
    /// # Errors
    /// [`Error::Files`].
    pub fn resume(storage: Arc<dyn Storage>, path: &Path, length: u64) -> Result<Self> {
        let kept = if length == 0 { 0 } else { whole_lines(&*storage, path, length)? };
        let file = storage.append(path, kept).map_err(|e| Error::io("open", path, e))?;
        let warning = (kept < length).then(|| lost(path, kept));
        Ok(JsonLines { storage, path: path.to_owned(), file: Some(file), length: kept, warning })
    }

    /// What came up since the last time and is to be shown as a warning.
    pub fn take_warning(&mut self) -> Option<String> {
        self.warning.take()
    }

    /// Length of the file in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Flushes the file to the device and tells its length, which a checkpoint records.
    ///
    /// # Errors
    /// [`Error::Files`].
    pub fn sync(&mut self) -> Result<u64> {
        let io = |path: &Path, e| Error::io("flush", path, e);
        self.find_again();
        self.file()?.sync().map_err(|e| io(&self.path, e))?;
        let dir = gan_fs::parent(&self.path);
        self.storage.sync_dir(dir).map_err(|e| io(dir, e))?;
        Ok(self.length)
    }

    /// If the file was deleted or cut while it was open, what is written would be seen by nobody: goes on in a new one, or
    /// after the last whole line.
    fn find_again(&mut self) {
        let Some(name) = self.path.file_name() else { return };
        // A folder that cannot be listed says nothing against the file that is open.
        let Ok(entries) = self.storage.list(gan_fs::parent(&self.path)) else { return };
        let found = entries.iter().find(|entry| name == entry.name.as_str()).map_or(0, |entry| entry.bytes);
        if found < self.length
            && let Ok(kept) = whole_lines(&*self.storage, &self.path, found)
            && let Ok(file) = self.storage.append(&self.path, kept)
        {
            (self.file, self.length) = (Some(file), kept);
            self.warning = Some(lost(&self.path, kept));
        }
    }

    fn file(&mut self) -> Result<&mut Box<dyn StorageFile>> {
        let file = match self.file.take() {
            Some(file) => file,
            None => self.storage.append(&self.path, self.length).map_err(|e| Error::io("open", &self.path, e))?,
        };
        Ok(self.file.insert(file))
    }
}

impl Observer for JsonLines {
    fn on(&mut self, event: &Event) -> Result<()> {
        let time = now();
        let mut line =
            serde_json::to_vec(&Line { event, time }).map_err(|e| Error::Unsavable { reason: e.to_string() })?;
        line.push(b'\n');
        self.find_again();
        let file = self.file()?;
        if let Err(error) = file.write_all(&line).and_then(|()| file.flush()) {
            // A part of the line may be in the file; opening it again cuts it off, now or before the next line.
            self.file = self.storage.append(&self.path, self.length).ok();
            return Err(Error::io("write", &self.path, error));
        }
        self.length += line.len() as u64;
        Ok(())
    }
}

/// Seconds since 1970, to the millisecond.
pub(super) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |t| (t.as_secs_f64() * 1e3).round() / 1e3)
}

fn lost(path: &Path, kept: u64) -> String {
    let what =
        if kept == 0 { "is missing or empty: it begins anew" } else { "is shorter than it was: it goes on from there" };
    format!("{} {what}, and curves lack what is lost", path.display())
}

/// Length of the whole lines within the first `limit` bytes; 0 for a missing file.
fn whole_lines(storage: &dyn Storage, path: &Path, limit: u64) -> Result<u64> {
    let file = match storage.open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(e) => return Err(Error::io("open", path, e)),
    };
    let mut reader = BufReader::new(file.take(limit));
    let (mut seen, mut whole) = (0u64, 0u64);
    loop {
        let chunk = reader.fill_buf().map_err(|e| Error::io("read", path, e))?;
        if chunk.is_empty() {
            return Ok(whole);
        }
        if let Some(at) = chunk.iter().rposition(|&byte| byte == b'\n') {
            whole = seen + at as u64 + 1;
        }
        let length = chunk.len();
        seen += length as u64;
        reader.consume(length);
    }
}

/// A log point as read back.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ProgressRecord {
    /// Steps done.
    pub step: u64,
    /// The epoch, counted from 1.
    pub epoch: u64,
    /// Losses by name, in the order of the method; those that were not finite are `None`.
    #[serde(deserialize_with = "in_order")]
    pub losses: Vec<(String, Option<f64>)>,
    /// Learning rate of the generator.
    pub lr: f64,
}

/// A validation as read back.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ValidationRecord {
    /// Steps done.
    pub step: u64,
    /// Epochs done.
    pub epoch: u64,
    /// Images, or pairs.
    pub images: u64,
    /// Metrics by name, in the order of the configuration; those that were not finite are `None`.
    #[serde(deserialize_with = "in_order")]
    pub metrics: Vec<(String, Option<f64>)>,
    /// The metric that decided.
    pub best_by: String,
    /// Step of the best checkpoint so far.
    pub best_step: Option<u64>,
}

/// A log point or a validation, in the order of the file, with all that tables show of it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Row {
    pub(super) step: u64,
    pub(super) epoch: u64,
    /// Seconds since 1970.
    #[serde(default)]
    pub(super) time: Option<f64>,
    #[serde(default)]
    pub(super) lr: Option<f64>,
    #[serde(default)]
    pub(super) images_per_s: Option<f64>,
    #[serde(default, deserialize_with = "in_order")]
    pub(super) losses: Vec<(String, Option<f64>)>,
    #[serde(default, deserialize_with = "in_order")]
    pub(super) metrics: Vec<(String, Option<f64>)>,
}

/// As [`read_progress`], for both.
pub(super) fn read_rows(storage: &dyn Storage, path: &Path, mut each: impl FnMut(Row)) -> Result<()> {
    read_records(storage, path, |row: Row| {
        if !(row.losses.is_empty() && row.metrics.is_empty()) {
            each(row);
        }
    })
}

fn in_order<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(String, Option<f64>)>, D::Error> {
    struct InOrder;

    impl<'de> Visitor<'de> for InOrder {
        type Value = Vec<(String, Option<f64>)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("numbers by name")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut losses = Vec::new();
            while let Some(entry) = map.next_entry()? {
                losses.push(entry);
            }
            Ok(losses)
        }
    }

    from.deserialize_map(InOrder)
}

/// Hands the log points of an events file to `each`, in order. Lines that are something else, or damaged, are passed
/// over; a missing file has none.
///
/// # Errors
/// [`Error::Files`].
pub fn read_progress(storage: &dyn Storage, path: &Path, each: impl FnMut(ProgressRecord)) -> Result<()> {
    read_records(storage, path, each)
}

/// As [`read_progress`], for the validations.
///
/// # Errors
/// [`Error::Files`].
pub fn read_validations(storage: &dyn Storage, path: &Path, each: impl FnMut(ValidationRecord)) -> Result<()> {
    read_records(storage, path, each)
}

/// Events of different kinds have different fields, so that a line is of one kind.
fn read_records<R: DeserializeOwned>(storage: &dyn Storage, path: &Path, mut each: impl FnMut(R)) -> Result<()> {
    let file = match storage.open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io("open", path, e)),
    };
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line).map_err(|e| Error::io("read", path, e))?;
        if read == 0 {
            return Ok(());
        }
        if line.ends_with(b"\n")
            && let Ok(record) = serde_json::from_slice(&line)
        {
            each(record);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::events::Finish;
    use crate::storage::Disk;
    use crate::storage::fault::{Fault, FaultyStorage};
    use crate::storage::volatile::VolatileStorage;

    fn progress(step: u64) -> Event {
        Event::Progress {
            step,
            epoch: 1 + step / 10,
            losses: vec![("g_gan".to_owned(), 0.1 * step as f64), ("d_real".to_owned(), f64::NAN)],
            lr: 2e-4,
            images_per_s: 3.5,
            data_wait: 0.01,
            eta_s: None,
        }
    }

    fn steps(storage: &dyn Storage, path: &Path) -> Vec<u64> {
        let mut steps = Vec::new();
        read_progress(storage, path, |record| steps.push(record.step)).unwrap();
        steps
    }

    #[test]
    fn one_object_a_line() {
        let storage = Arc::new(VolatileStorage::new());
        let path = Path::new("/events.jsonl");
        let mut log = JsonLines::create(storage.clone(), path).unwrap();
        let image = candle_core::Tensor::zeros((1, 3, 2, 2), candle_core::DType::F32, &candle_core::Device::Cpu);
        log.on(&progress(7)).unwrap();
        let panels = vec![("input".to_owned(), image.unwrap())];
        let held_out = vec![crate::events::HeldOut { name: "a/1".to_owned(), panels: panels.clone() }];
        log.on(&Event::Preview { step: 7, epoch: 1, panels, held_out }).unwrap();
        log.on(&Event::Finished { step: 8, epoch: 1, reason: Finish::Interrupted }).unwrap();
        let text = String::from_utf8(storage.content(path)).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0]["event"], "progress");
        assert_eq!(lines[0]["losses"]["g_gan"], 0.1 * 7.0);
        assert!(lines[0]["losses"]["d_real"].is_null(), "JSON has no NaN");
        assert!(lines[0]["time"].as_f64().unwrap() > 1.6e9);
        assert_eq!(lines[1]["pictures"][0], "input");
        assert_eq!(lines[1]["held_out"], serde_json::json!(["a/1"]));
        assert_eq!(lines[2]["reason"], "interrupted");
        assert!(text.find("g_gan").unwrap() < text.find("d_real").unwrap(), "order of the method");
        assert_eq!(log.length(), text.len() as u64);
        let mut records = Vec::new();
        read_progress(&*storage, path, |record| records.push(record)).unwrap();
        assert_eq!(records[0].losses, [("g_gan".to_owned(), Some(0.1 * 7.0)), ("d_real".to_owned(), None)]);

        // Those who look for log points pass over validations, and the other way round.
        let metrics = vec![("psnr".to_owned(), f64::INFINITY), ("l1".to_owned(), 0.1)];
        let best = (String::from("l1"), Some(4));
        let (best_by, best_step) = best.clone();
        log.on(&Event::Validated { step: 8, epoch: 2, images: 5, metrics, best_by, best_step, seconds: 0.5 }).unwrap();
        let (mut records, mut validations) = (Vec::new(), Vec::new());
        read_progress(&*storage, path, |record| records.push(record.step)).unwrap();
        read_validations(&*storage, path, |record| validations.push(record)).unwrap();
        assert_eq!((records, validations.len()), (vec![7], 1));
        let read = validations.remove(0);
        assert_eq!((read.step, read.epoch, read.images, (read.best_by, read.best_step)), (8, 2, 5, best));
        assert_eq!(read.metrics, [("psnr".to_owned(), None), ("l1".to_owned(), Some(0.1))]);
    }

    #[test]
    fn resume_cuts_to_the_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let storage: Arc<dyn Storage> = Arc::new(Disk);
        let mut log = JsonLines::create(storage.clone(), &path).unwrap();
        log.on(&progress(1)).unwrap();
        log.on(&progress(2)).unwrap();
        let length = log.sync().unwrap();
        log.on(&progress(3)).unwrap();
        drop(log);
        let mut log = JsonLines::resume(storage.clone(), &path, length).unwrap();
        log.on(&progress(30)).unwrap();
        drop(log);
        assert_eq!(steps(&Disk, &path), [1, 2, 30]);
        // Shorter than recorded, and torn within a line.
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..length as usize - 5]).unwrap();
        let mut log = JsonLines::resume(storage.clone(), &path, length).unwrap();
        assert!(log.length() < length);
        log.on(&progress(40)).unwrap();
        assert_eq!(steps(&Disk, &path), [1, 40]);
        // Gone altogether.
        std::fs::remove_file(&path).unwrap();
        let mut log = JsonLines::resume(storage, &path, length).unwrap();
        assert_eq!(log.length(), 0);
        assert!(log.take_warning().unwrap().contains("begins anew"));
    }

    #[test]
    fn a_log_that_is_deleted_or_cut_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut log = JsonLines::create(Arc::new(Disk), &path).unwrap();
        log.on(&progress(1)).unwrap();
        std::fs::remove_file(&path).unwrap();
        log.on(&progress(2)).unwrap();
        assert_eq!(steps(&Disk, &path), [2]);
        assert!(log.take_warning().unwrap().contains("begins anew") && log.take_warning().is_none());
        let first = log.length();
        log.on(&progress(3)).unwrap();
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(first + 5).unwrap();
        assert_eq!(log.sync().unwrap(), first);
        assert!(log.take_warning().unwrap().contains("shorter"));
        log.on(&progress(4)).unwrap();
        assert_eq!(steps(&Disk, &path), [2, 4]);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), log.length());
    }

    #[test]
    fn failed_write_leaves_no_torn_line() {
        let path = Path::new("/events.jsonl");
        for fault in [Fault::Eio, Fault::Enospc, Fault::ShortWrite] {
            for at in 1..6 {
                let storage = VolatileStorage::new();
                let faulty = Arc::new(FaultyStorage::once(storage.clone(), fault, at));
                let Ok(mut log) = JsonLines::create(faulty.clone(), path) else {
                    assert_eq!(at, 1);
                    continue;
                };
                let written: Vec<u64> = (1..=4).filter(|&step| log.on(&progress(step)).is_ok()).collect();
                assert!(faulty.struck() && written.len() >= 3);
                assert_eq!(steps(&storage, path), written, "{fault:?} at {at}");
                assert_eq!(storage.content(path).len() as u64, log.length());
            }
        }
    }

    #[test]
    fn damaged_lines_are_passed_over() {
        let storage = VolatileStorage::new();
        let path = Path::new("/events.jsonl");
        let good = r#"{"event":"progress","step":5,"epoch":1,"losses":{"g":null},"lr":0.1,"new_key":[1]}"#;
        let huge = "x".repeat(3 << 20);
        let text = format!("{good}\n\u{0}\n{{\n[]\n{huge}\n{good}\n{}", &good[..20]);
        storage.put(path, text.into_bytes());
        assert_eq!(steps(&storage, path), [5, 5]);
        assert_eq!(steps(&storage, Path::new("/none")), [0u64; 0]);
    }
}
