//! Event files for TensorBoard: scalars, images and settings of a run.
//!
//! ```text
//! RUN/tensorboard/events.out.tfevents.*     a file for each launch
//! ```
//!
//! Files are appended to record by record; what a killed run leaves can be read up to the last whole record. A launch that goes on
//! from a checkpoint cuts what earlier files have of later steps, and begins a file of its own.

mod proto;
mod record;
mod settings;

use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

use crate::events::{Event, Finish, HeldOut, Observer};
use crate::method::Panels;
use crate::preview_image;
use crate::storage::{Storage, StorageFile};
use crate::{Error, Result};
use proto::{Datum, Image, SessionLog, StepOf, Summary, Value, What};
pub use settings::Settings;

/// Names of event files have it; TensorBoard looks for `tfevents`.
const PREFIX: &str = "events.out.tfevents.";

/// Images of a batch that are shown, and the longest side of one.
const ROWS: usize = 4;
const MAX_SIDE: u32 = 512;

/// Writes event files.
pub struct TensorBoard {
    storage: Arc<dyn Storage>,
    dir: PathBuf,
    settings: Settings,
    path: PathBuf,
    /// Closed after a failed write.
    file: Option<Box<dyn StorageFile>>,
    length: u64,
}

impl TensorBoard {
    /// Begins a file in `dir` for a launch that goes on after `step`. What files of earlier launches have of later steps is cut
    /// off: those steps are computed again.
    ///
    /// # Errors
    /// [`Error::Files`].
    pub fn open(storage: Arc<dyn Storage>, dir: &Path, step: u64, settings: Settings) -> Result<Self> {
        let mut log =
            TensorBoard { storage, dir: dir.to_owned(), settings, path: PathBuf::new(), file: None, length: 0 };
        log.begin(step)?;
        Ok(log)
    }

    /// A new file, after what came before has been cut to `step`.
    fn begin(&mut self, step: u64) -> Result<()> {
        let Self { storage, dir, .. } = self;
        storage.create_dir_all(dir).map_err(|e| Error::io("create", dir, e))?;
        let files = event_files(&**storage, dir)?;
        for name in &files {
            cut(&**storage, &dir.join(name), step)?;
        }
        self.path = self.dir.join(name_after(files.last().map_or("", String::as_str), now()));
        let file = self.storage.create(&self.path).map_err(|e| Error::io("create", &self.path, e))?;
        (self.file, self.length) = (Some(file), 0);
        self.write(0, What::FileVersion("brain.Event:2".into()))?;
        if !files.is_empty() {
            // Programs that are open have read what was cut.
            self.write(step + 1, What::SessionLog(SessionLog { status: SessionLog::START }))?;
        }
        let values = self.settings.values(now());
        self.write(step, What::Summary(Summary { values }))
    }

    fn write(&mut self, step: u64, what: What) -> Result<()> {
        let event = proto::Event { wall_time: now(), step: i64::try_from(step).unwrap_or(i64::MAX), what: Some(what) };
        let record = record::framed(&event.encode_to_vec());
        let file = match self.file.take() {
            Some(file) => file,
            None => self.storage.append(&self.path, self.length).map_err(|e| Error::io("open", &self.path, e))?,
        };
        let file = self.file.insert(file);
        if let Err(error) = file.write_all(&record).and_then(|()| file.flush()) {
            // A part of the record may be in the file; opening it again cuts it off.
            self.file = self.storage.append(&self.path, self.length).ok();
            return Err(Error::io("write", &self.path, error));
        }
        self.length += record.len() as u64;
        Ok(())
    }

    /// Values of a step. Where somebody has removed the file meanwhile, another one is begun.
    fn add(&mut self, step: u64, values: Vec<Value>) -> Result<()> {
        let name = self.path.file_name().unwrap_or_default();
        // A folder that cannot be listed for another reason says nothing against the file that is open.
        let gone = match self.storage.list(&self.dir) {
            Ok(found) => !found.iter().any(|entry| name == entry.name.as_str()),
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        };
        if gone {
            self.begin(step)?;
        }
        if values.is_empty() { Ok(()) } else { self.write(step, What::Summary(Summary { values })) }
    }

    fn preview(&mut self, step: u64, panels: &Panels, held_out: &[HeldOut]) -> Result<()> {
        let mut values = Vec::new();
        // One panel that cannot be drawn does not take the others with it.
        let mut undrawn = None;
        let held_out = held_out.iter().zip(1..).map(|(item, i)| (format!("held out {i}"), &item.panels));
        for (group, panels) in std::iter::once(("training".to_owned(), panels)).chain(held_out) {
            for (label, tensor) in panels {
                let drawn = preview_image::images(label, tensor, ROWS, MAX_SIDE);
                let drawn = drawn.unwrap_or_else(|error| {
                    undrawn.get_or_insert(error);
                    Vec::new()
                });
                for (image, row) in drawn.iter().zip(1..) {
                    let group = if group == "training" { format!("{group} {row}") } else { group.clone() };
                    let encoded =
                        preview_image::png(image).map_err(|reason| Error::Image { path: self.path.clone(), reason })?;
                    let (width, height) = (image.width() as i32, image.height() as i32);
                    let image = Image { height, width, colorspace: 3, encoded };
                    values.push(Value {
                        tag: format!("{group}/{label}"),
                        metadata: None,
                        datum: Some(Datum::Image(image)),
                    });
                }
            }
        }
        self.add(step, values)?;
        undrawn.map_or(Ok(()), Err)
    }
}

impl Observer for TensorBoard {
    fn on(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::Progress { step, epoch, losses, lr, images_per_s, data_wait, .. } => {
                let losses = losses.iter().map(|(name, value)| scalar(format!("loss/{name}"), *value));
                let pace = [("learning_rate", *lr), ("epoch", *epoch as f64), ("images_per_s", *images_per_s)];
                let pace = pace.into_iter().chain([("data_wait", *data_wait)]);
                let pace = pace.map(|(name, value)| scalar(format!("train/{name}"), value));
                self.add(*step, losses.chain(pace).collect())
            }
            Event::Validated { step, metrics, .. } => {
                let metrics = metrics.iter().map(|(name, value)| scalar(format!("validation/{name}"), *value));
                self.add(*step, metrics.collect())
            }
            Event::Preview { step, panels, held_out, .. } => self.preview(*step, panels, held_out),
            Event::Rewound { step, .. } => self.begin(*step),
            Event::Finished { step, reason: Finish::Complete | Finish::EarlyStopped, .. } => {
                self.add(*step, vec![settings::ended(now())])
            }
            _ => Ok(()),
        }
    }
}

fn scalar(tag: String, value: f64) -> Value {
    Value { tag, metadata: None, datum: Some(Datum::Scalar(value as f32)) }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |t| t.as_secs_f64())
}

/// Names of the event files in a folder, in the order in which they are read.
fn event_files(storage: &dyn Storage, dir: &Path) -> Result<Vec<String>> {
    let entries = storage.list(dir).map_err(|e| Error::io("list", dir, e))?;
    let files = entries.into_iter().filter(|entry| !entry.is_dir && entry.name.starts_with(PREFIX));
    let mut names: Vec<_> = files.map(|entry| entry.name).collect();
    names.sort();
    Ok(names)
}

/// A name that is read after the one before, whatever the clock says: `events.out.tfevents.SECONDS.HOST.PROCESS`.
fn name_after(before: &str, now: f64) -> String {
    let seconds = before.strip_prefix(PREFIX).and_then(|rest| rest.split('.').next()?.parse::<u64>().ok());
    let seconds = (now as u64).max(seconds.map_or(0, |seconds| seconds.saturating_add(1)));
    let host = gan_fs::read_regular("/proc/sys/kernel/hostname".as_ref(), 1 << 10).unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let host: String = String::from_utf8_lossy(&host).trim().chars().map(|c| if plain(c) { c } else { '_' }).collect();
    let host = if host.is_empty() { "localhost" } else { &host };
    format!("{PREFIX}{seconds:010}.{host}.{}", std::process::id())
}

/// Cuts a file in front of its first record of a step after `step`, and what is no record. A file of which nothing but its version
/// is left goes.
fn cut(storage: &dyn Storage, path: &Path, step: u64) -> Result<()> {
    let io = |doing: &'static str| move |e| Error::io(doing, path, e);
    let mut from = BufReader::new(storage.open(path).map_err(io("open"))?);
    let (mut kept, mut records) = (0u64, 0);
    while let Some(data) = record::next(&mut from).map_err(io("read"))? {
        match StepOf::decode(data.as_slice()) {
            Ok(of) if u64::try_from(of.step).is_ok_and(|of| of <= step) => {}
            _ => break,
        }
        kept += data.len() as u64 + record::OVERHEAD;
        records += 1;
    }
    drop(from);
    if records <= 1 {
        return storage.remove_file(path).map_err(io("remove"));
    }
    storage.append(path, kept).map(drop).map_err(io("cut"))
}

#[cfg(test)]
mod tests;
