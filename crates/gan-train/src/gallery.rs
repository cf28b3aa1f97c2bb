//! The gallery: a page with curves of losses and validation, and previews, of bounded size.
//!
//! ```text
//! RUN/gallery/index.html       the page
//! RUN/gallery/newer.js         newer data, which an open page looks for; written at log points
//! RUN/gallery/images/*.png     the images
//! RUN/gallery/gallery.json     what is shown; read back when a run is resumed
//! ```
//!
//! The page needs no server and no network. Without scripts it shows the newest previews.

mod curve;
mod epochs;
mod export;
mod facts;
pub mod html;
mod live;
mod page;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gan_fs::parent;
use serde::{Deserialize, Serialize};

use crate::events::{Event, HeldOut, Observer, read_progress, read_validations};
use crate::method::Panels;
use crate::preview_image;
use crate::storage::{Durability, Storage, read_limited, replace_file};
use crate::{Error, Result};
use curve::{Curves, Kind};
use epochs::Epochs;
pub use export::export;
use facts::Facts;
pub use live::LiveRuns;
use page::RunView;

/// Bounds of a gallery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GalleryOptions {
    /// Previews that are kept; beyond that, older ones are thinned out evenly. At least 2.
    pub previews: usize,
    /// Rows (images of the batch) of a preview.
    pub rows: usize,
    /// Longest side of an image in pixels; larger ones are scaled down.
    pub max_side: u32,
}

impl Default for GalleryOptions {
    fn default() -> Self {
        GalleryOptions { previews: 60, rows: 4, max_side: 512 }
    }
}

/// Name of the file that describes what is shown.
const CONTENT: &str = "gallery.json";
/// Name of the file with newer data than the page's.
const DATA: &str = "newer.js";
/// Newer data is written at most so often.
const REFRESH: Duration = Duration::from_secs(2);
/// The page lists at most a few hundred images.
const MAX_CONTENT: u64 = 8 << 20;

/// What is shown.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    title: String,
    previews: Vec<Preview>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Preview {
    step: u64,
    epoch: u64,
    rows: Vec<Vec<ImageFile>>,
    /// Names of the held-out images, which the last rows are of.
    #[serde(default)]
    held_out: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ImageFile {
    label: String,
    /// File name in `images/`.
    file: String,
    width: u32,
    height: u32,
}

/// Draws the gallery of a run.
pub struct Gallery {
    storage: Arc<dyn Storage>,
    dir: PathBuf,
    events: PathBuf,
    options: GalleryOptions,
    shown: Shown,
    status: Status,
    /// When data was written last.
    written: Option<Instant>,
}

/// What is shown of a run.
#[derive(Debug, Default)]
struct Shown {
    content: Content,
    curves: Curves,
    epochs: Epochs,
    facts: Facts,
}

/// What the page says about the run.
#[derive(Debug, Clone, Default)]
struct Status {
    step: u64,
    total_steps: u64,
    epoch: u64,
    lr: Option<f64>,
    images_per_s: Option<f64>,
    eta_s: Option<f64>,
    finished: Option<String>,
    rewinds: u64,
}

impl Gallery {
    /// Opens the gallery in `dir` at `step`, creating it if it is missing. Previews of later steps (from before a run
    /// was resumed) are dropped; the curves go on from the events file.
    ///
    /// # Errors
    /// [`Error::Files`]. A damaged `gallery.json` is not an error: the gallery then starts anew.
    pub fn open(
        storage: Arc<dyn Storage>,
        dir: &Path,
        events: &Path,
        step: u64,
        options: GalleryOptions,
    ) -> Result<Self> {
        let images = dir.join("images");
        storage.create_dir_all(&images).map_err(|e| Error::io("create", &images, e))?;
        let shown = Shown::read(&*storage, dir, events, step)?;
        let status = Status { step, ..Status::default() };
        let (dir, events) = (dir.to_owned(), events.to_owned());
        let gallery = Gallery { storage, dir, events, options, shown, status, written: None };
        gallery.remove_orphans()?;
        Ok(gallery)
    }

    fn add(&mut self, step: u64, epoch: u64, panels: &Panels, held_out: &[HeldOut]) -> Result<()> {
        let images = panels.iter().map(|(_, tensor)| tensor.dims().first().copied().unwrap_or(0)).max().unwrap_or(0);
        let mut rows = vec![Vec::new(); images.min(self.options.rows)];
        // One panel that cannot be drawn does not take the others with it.
        let mut undrawn = None;
        self.draw(step, panels, &mut rows, 0, &mut undrawn)?;
        for item in held_out {
            let first = rows.len();
            rows.push(Vec::new());
            self.draw(step, &item.panels, &mut rows, first, &mut undrawn)?;
        }
        let held_out = held_out.iter().map(|item| item.name.clone()).collect();
        self.shown.content.previews.retain(|preview| preview.step != step);
        self.shown.content.previews.push(Preview { step, epoch, rows, held_out });
        thin(&mut self.shown.content.previews, self.options.previews.max(2));
        self.write_page()?;
        self.remove_orphans()?;
        undrawn.map_or(Ok(()), Err)
    }

    /// Draws the images of the panels into `rows` from row `first` on.
    fn draw(
        &self,
        step: u64,
        panels: &Panels,
        rows: &mut [Vec<ImageFile>],
        first: usize,
        undrawn: &mut Option<Error>,
    ) -> Result<()> {
        for (column, (label, tensor)) in panels.iter().enumerate() {
            let images = preview_image::images(label, tensor, rows.len() - first, self.options.max_side);
            let images = images.unwrap_or_else(|error| {
                undrawn.get_or_insert(error);
                Vec::new()
            });
            for (row, image) in (first..).zip(images) {
                let file = format!("{step:09}-{row}-{column}.png");
                let path = self.dir.join("images").join(&file);
                let png = preview_image::png(&image).map_err(|reason| Error::Image { path: path.clone(), reason })?;
                replace_file(&*self.storage, &path, &png, Durability::Visible)?;
                rows[row].push(ImageFile { label: label.clone(), file, width: image.width(), height: image.height() });
            }
        }
        Ok(())
    }

    /// Writes the description, the page and its data. Each file is replaced as a whole, so that a browser never sees half.
    fn write_page(&mut self) -> Result<()> {
        if self.shown.facts.listed.is_empty() {
            self.shown.facts = Facts::read(&*self.storage, parent(&self.dir));
        }
        let json = serde_json::to_vec(&self.shown.content).map_err(unwritable)?;
        self.replace(CONTENT, &json)?;
        let runs = [self.shown.view(&self.status, BTreeMap::new(), true)];
        let data = page::data(&runs).map_err(unwritable)?;
        self.replace("index.html", page::page(runs[0].name, &runs, &data).as_bytes())?;
        self.write_data(&data)
    }

    /// Writes newer data for a page that is open, if the last was written a while ago.
    fn refresh(&mut self) -> Result<()> {
        if self.written.is_some_and(|at| at.elapsed() < REFRESH) {
            return Ok(());
        }
        self.find_folder()?;
        let data = page::data(&[self.shown.view(&self.status, BTreeMap::new(), true)]).map_err(unwritable)?;
        self.write_data(&data)
    }

    fn write_data(&mut self, data: &str) -> Result<()> {
        self.written = Some(Instant::now());
        self.replace(DATA, page::update(data).as_bytes())
    }

    fn replace(&self, name: &str, content: &[u8]) -> Result<()> {
        replace_file(&*self.storage, &self.dir.join(name), content, Durability::Visible)
    }

    /// Somebody may have deleted the folder since: the gallery then starts anew.
    fn find_folder(&mut self) -> Result<()> {
        let images = self.dir.join("images");
        if self.storage.list(&images).is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
            // Not in the place of a run that is gone.
            let run = gan_fs::parent(&self.dir);
            self.storage.list(run).map_err(|e| Error::io("read", run, e))?;
            self.shown.content.previews.clear();
            self.storage.create_dir_all(&images).map_err(|e| Error::io("create", &images, e))?;
        }
        Ok(())
    }

    /// Removes images and pages that are shown no more.
    fn remove_orphans(&self) -> Result<()> {
        let images = self.dir.join("images");
        let all = self.shown.content.previews.iter().flat_map(|preview| preview.rows.iter().flatten());
        let shown: HashSet<&str> = all.map(|image| image.file.as_str()).collect();
        self.remove_unless(&images, |name| !name.ends_with(".png") || shown.contains(name))?;
        // Earlier versions wrote several pages.
        self.remove_unless(&self.dir, |name| !(name.starts_with("page-") && name.ends_with(".html")))
    }

    fn remove_unless(&self, dir: &Path, keep: impl Fn(&str) -> bool) -> Result<()> {
        for entry in self.storage.list(dir).map_err(|e| Error::io("list", dir, e))? {
            if !entry.is_dir && !keep(&entry.name) {
                let path = dir.join(&entry.name);
                self.storage.remove_file(&path).map_err(|e| Error::io("remove", &path, e))?;
            }
        }
        Ok(())
    }
}

impl Observer for Gallery {
    fn on(&mut self, event: &Event) -> Result<()> {
        self.status.step = event.step();
        if !matches!(event, Event::Progress { .. } | Event::Warning { .. }) {
            self.find_folder()?;
        }
        match event {
            Event::Started { method, total_steps, .. } => {
                self.shown.content.title = format!("{} · {method}", export::name(parent(&self.dir)));
                self.status.total_steps = *total_steps;
                self.status.finished = None;
                self.write_page()
            }
            Event::Progress { step, epoch, losses, lr, images_per_s, eta_s, .. } => {
                self.status.epoch = *epoch;
                self.status.lr = Some(*lr);
                self.status.images_per_s = Some(*images_per_s);
                self.status.eta_s = *eta_s;
                self.shown.progress(*epoch, *step, *lr, losses.iter().map(|(name, value)| (name, *value)));
                self.refresh()
            }
            Event::Validated { step, metrics, .. } => {
                self.shown.validation(*step, metrics.iter().map(|(name, value)| (name, *value)));
                self.write_page()
            }
            Event::Preview { step, epoch, panels, held_out } => self.add(*step, *epoch, panels, held_out),
            Event::Finished { epoch, reason, .. } => {
                self.status.epoch = *epoch;
                self.status.finished = Some(reason.to_string());
                self.write_page()
            }
            Event::Rewound { step, rewinds, .. } => {
                let status = Status { rewinds: *rewinds, ..self.status.clone() };
                // What was shown of later steps is dropped.
                let opened = Self::open(self.storage.clone(), &self.dir, &self.events, *step, self.options)?;
                *self = Gallery { status, ..opened };
                self.write_page()
            }
            Event::Saved { .. } => self.write_page(),
            Event::Warning { .. } => Ok(()),
        }
    }
}

impl Shown {
    /// What the gallery in `dir` and the events file hold of the steps up to `step`.
    fn read(storage: &dyn Storage, dir: &Path, events: &Path, step: u64) -> Result<Self> {
        let content = read_limited(storage, &dir.join(CONTENT), MAX_CONTENT).ok();
        let mut content: Content = content.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        content.previews.retain(|preview| preview.step <= step);
        let facts = Facts::read(storage, parent(dir));
        let mut shown = Shown { content, facts, ..Shown::default() };
        let number = |(name, value): &(String, Option<f64>)| (name.clone(), value.unwrap_or(f64::NAN));
        read_progress(storage, events, |record| {
            if record.step <= step {
                shown.progress(record.epoch, record.step, record.lr, record.losses.iter().map(number));
            }
        })?;
        read_validations(storage, events, |record| {
            if record.step <= step {
                shown.validation(record.step, record.metrics.iter().map(number));
            }
        })?;
        Ok(shown)
    }

    /// Takes in a log point.
    fn progress<N: AsRef<str>>(&mut self, epoch: u64, step: u64, lr: f64, losses: impl Iterator<Item = (N, f64)>) {
        self.epochs.push(epoch, step);
        for (name, value) in losses {
            self.curves.push(Kind::Loss, name.as_ref(), step, value);
        }
        self.curves.push(Kind::Rate, "learning rate", step, lr);
    }

    fn validation<N: AsRef<str>>(&mut self, step: u64, metrics: impl Iterator<Item = (N, f64)>) {
        for (name, value) in metrics {
            self.curves.push(Kind::Validation, &format!("validation {}", name.as_ref()), step, value);
        }
    }

    /// As a page shows it, with these images as part of it.
    fn view(&self, status: &Status, images: BTreeMap<String, String>, live: bool) -> RunView<'_> {
        let name = if self.content.title.is_empty() { "training" } else { &self.content.title };
        RunView {
            name,
            summary: page::summary(status),
            step: status.step,
            total: status.total_steps,
            finished: status.finished.is_some(),
            live,
            curves: &self.curves,
            epochs: &self.epochs,
            previews: &self.content.previews,
            images,
            facts: &self.facts.listed,
            settings: &self.facts.settings,
        }
    }
}

fn unwritable(error: serde_json::Error) -> Error {
    Error::Unsavable { reason: error.to_string() }
}

/// Thins the previews down to `limit`: first and newest stay, and of the others each time the one whose loss leaves
/// the smallest gap in steps.
fn thin(previews: &mut Vec<Preview>, limit: usize) {
    previews.sort_by_key(|preview| preview.step);
    while previews.len() > limit {
        let gap = |i: &usize| previews[i + 1].step - previews[i - 1].step;
        match (1..previews.len() - 1).min_by_key(gap) {
            Some(i) => drop(previews.remove(i)),
            None => return,
        }
    }
}

#[cfg(test)]
mod tests;
