//! The gallery: static pages with curves of losses and validation, and previews, of bounded size.
//!
//! ```text
//! RUN/gallery/index.html       curves and the newest previews
//! RUN/gallery/page-2.html …    older ones
//! RUN/gallery/images/*.png     the images
//! RUN/gallery/gallery.json     what is shown; read back when a run is resumed
//! ```
//!
//! The pages need no server, no network and no script.

mod curve;
mod image;
mod page;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::events::{Event, Observer, read_progress, read_validations};
use crate::method::Panels;
use crate::storage::{Durability, Storage, read_limited, replace_file};
use crate::{Error, Result};
use curve::Curves;

/// Bounds of a gallery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GalleryOptions {
    /// Previews that are kept; beyond that, older ones are thinned out evenly. At least 2.
    pub previews: usize,
    /// Previews on a page.
    pub per_page: usize,
    /// Rows (images of the batch) of a preview.
    pub rows: usize,
    /// Longest side of an image in pixels; larger ones are scaled down.
    pub max_side: u32,
}

impl Default for GalleryOptions {
    fn default() -> Self {
        GalleryOptions { previews: 60, per_page: 12, rows: 4, max_side: 512 }
    }
}

/// Name of the file that describes what is shown.
const CONTENT: &str = "gallery.json";
/// The pages list at most a few hundred images.
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
    rows: Vec<Vec<Shown>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Shown {
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
    content: Content,
    curves: Curves,
    status: Status,
}

/// What the first page says about the run.
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
        let mut content: Content = read_limited(&*storage, &dir.join(CONTENT), MAX_CONTENT)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        content.previews.retain(|preview| preview.step <= step);
        let mut curves = Curves::default();
        read_progress(&*storage, events, |record| {
            if record.step <= step {
                for (name, value) in &record.losses {
                    curves.push(name, record.step, value.unwrap_or(f64::NAN));
                }
            }
        })?;
        read_validations(&*storage, events, |record| {
            if record.step <= step {
                for (name, value) in &record.metrics {
                    curves.push(&of_validation(name), record.step, value.unwrap_or(f64::NAN));
                }
            }
        })?;
        let status = Status { step, ..Status::default() };
        let (dir, events) = (dir.to_owned(), events.to_owned());
        let gallery = Gallery { storage, dir, events, options, content, curves, status };
        gallery.remove_orphans()?;
        Ok(gallery)
    }

    fn add(&mut self, step: u64, epoch: u64, panels: &Panels) -> Result<()> {
        let images = panels.iter().map(|(_, tensor)| tensor.dims().first().copied().unwrap_or(0)).max().unwrap_or(0);
        let mut rows = vec![Vec::new(); images.min(self.options.rows)];
        // One panel that cannot be drawn does not take the others with it.
        let mut undrawn = None;
        for (column, (label, tensor)) in panels.iter().enumerate() {
            let images = image::images(label, tensor, self.options.rows, self.options.max_side);
            let images = images.unwrap_or_else(|error| {
                undrawn.get_or_insert(error);
                Vec::new()
            });
            for (row, image) in images.into_iter().enumerate() {
                let file = format!("{step:09}-{row}-{column}.png");
                let path = self.dir.join("images").join(&file);
                let png = image::png(&image).map_err(|reason| Error::Image { path: path.clone(), reason })?;
                replace_file(&*self.storage, &path, &png, Durability::Visible)?;
                rows[row].push(Shown { label: label.clone(), file, width: image.width(), height: image.height() });
            }
        }
        self.content.previews.retain(|preview| preview.step != step);
        self.content.previews.push(Preview { step, epoch, rows });
        thin(&mut self.content.previews, self.options.previews.max(2));
        self.write_pages()?;
        self.remove_orphans()?;
        undrawn.map_or(Ok(()), Err)
    }

    /// Writes the description and every page. Each file is replaced as a whole, so that a browser never sees half.
    fn write_pages(&self) -> Result<()> {
        let write = |name: &str, content: &[u8]| {
            replace_file(&*self.storage, &self.dir.join(name), content, Durability::Visible)
        };
        let json = serde_json::to_vec(&self.content).map_err(|e| Error::Unsavable { reason: e.to_string() })?;
        write(CONTENT, &json)?;
        for (name, html) in page::pages(&self.content, &self.curves, &self.status, self.options.per_page) {
            write(&name, html.as_bytes())?;
        }
        Ok(())
    }

    /// Somebody may have deleted the folder since: the gallery then starts anew.
    fn find_folder(&mut self) -> Result<()> {
        let images = self.dir.join("images");
        if self.storage.list(&images).is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
            self.content.previews.clear();
            self.storage.create_dir_all(&images).map_err(|e| Error::io("create", &images, e))?;
        }
        Ok(())
    }

    /// Removes images and pages that are shown no more.
    fn remove_orphans(&self) -> Result<()> {
        let images = self.dir.join("images");
        let all = self.content.previews.iter().flat_map(|preview| preview.rows.iter().flatten());
        let shown: HashSet<&str> = all.map(|image| image.file.as_str()).collect();
        self.remove_unless(&images, |name| !name.ends_with(".png") || shown.contains(name))?;
        let pages = self.content.previews.len().div_ceil(self.options.per_page.max(1));
        self.remove_unless(&self.dir, |name| page::number(name).is_none_or(|number| number <= pages))
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
                self.content.title = method.clone();
                self.status.total_steps = *total_steps;
                self.status.finished = None;
                self.write_pages()
            }
            Event::Progress { step, epoch, losses, lr, images_per_s, eta_s, .. } => {
                self.status.epoch = *epoch;
                self.status.lr = Some(*lr);
                self.status.images_per_s = Some(*images_per_s);
                self.status.eta_s = *eta_s;
                for (name, value) in losses {
                    self.curves.push(name, *step, *value);
                }
                Ok(())
            }
            Event::Validated { step, metrics, .. } => {
                for (name, value) in metrics {
                    self.curves.push(&of_validation(name), *step, *value);
                }
                self.write_pages()
            }
            Event::Preview { step, epoch, panels } => self.add(*step, *epoch, panels),
            Event::Finished { epoch, reason, .. } => {
                self.status.epoch = *epoch;
                self.status.finished = Some(reason.to_string());
                self.write_pages()
            }
            Event::Rewound { step, rewinds, .. } => {
                let status = Status { rewinds: *rewinds, ..self.status.clone() };
                // What was shown of later steps is dropped.
                let opened = Self::open(self.storage.clone(), &self.dir, &self.events, *step, self.options)?;
                *self = Gallery { status, ..opened };
                self.write_pages()
            }
            Event::Saved { .. } => self.write_pages(),
            Event::Warning { .. } => Ok(()),
        }
    }
}

/// The name of a metric's curve, beside those of the losses.
fn of_validation(metric: &str) -> String {
    format!("validation {metric}")
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
