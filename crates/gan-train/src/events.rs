//! What a run tells the outside: events, and observers that make something of them.

mod csv;
mod json_lines;

use std::path::PathBuf;

use crate::method::Panels;
use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};

pub use csv::Csv;
pub use json_lines::{JsonLines, ProgressRecord, ValidationRecord, read_progress, read_validations};

use crate::Result;

/// Losses by name, in the order in which the method reports them.
pub type Losses = Vec<(String, f64)>;

/// Metrics by name, in the order of the configuration.
pub type Metrics = Vec<(String, f64)>;

/// What the networks make of an image that is not trained on.
#[derive(Debug, Clone)]
pub struct HeldOut {
    /// The image's name in its folder, without extension.
    pub name: String,
    /// Images of one item, `[1, C, H, W]` in [-1, 1], each with its label.
    pub panels: Panels,
}

/// Something that happened in a run.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// Training begins, or goes on.
    Started {
        /// The method, spelt as on the command line.
        method: String,
        /// Steps done before.
        step: u64,
        /// Steps in all.
        total_steps: u64,
        /// The device, in words.
        device: String,
    },
    /// A log point.
    Progress {
        /// Steps done.
        step: u64,
        /// The epoch, counted from 1.
        epoch: u64,
        /// Losses, averaged since the last log point.
        #[serde(serialize_with = "as_map")]
        losses: Losses,
        /// Learning rate of the generator.
        lr: f64,
        /// Images a second, training only.
        images_per_s: f64,
        /// Fraction of the time spent waiting for data, `0..=1`.
        data_wait: f64,
        /// Seconds until the end, where it can be told.
        eta_s: Option<f64>,
    },
    /// Held-out images were translated and measured.
    Validated {
        /// Steps done.
        step: u64,
        /// Epochs done.
        epoch: u64,
        /// Images, or pairs.
        images: u64,
        /// What was measured.
        #[serde(serialize_with = "as_map")]
        metrics: Metrics,
        /// The metric that decides which checkpoint is the best.
        best_by: String,
        /// Step of the best checkpoint so far; none if no value was finite.
        best_step: Option<u64>,
        /// How long training stood still for it.
        seconds: f64,
    },
    /// Images to look at.
    Preview {
        /// Steps done.
        step: u64,
        /// The epoch, counted from 1.
        epoch: u64,
        /// The images; in JSON only their labels.
        #[serde(rename = "pictures", serialize_with = "labels")]
        panels: Panels,
        /// Held-out images, where the dataset has some; in JSON only their names.
        #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "names")]
        held_out: Vec<HeldOut>,
    },
    /// A checkpoint was written.
    Saved {
        /// Steps done.
        step: u64,
        /// Its folder.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// How long training stood still for it.
        seconds: f64,
    },
    /// Something went wrong that did not stop the run.
    Warning {
        /// Steps done.
        step: u64,
        /// What, and what to do about it.
        message: String,
    },
    /// Training went back to a checkpoint, because numbers were not finite, and goes on with the images in another order.
    Rewound {
        /// Steps done there.
        step: u64,
        /// Steps done before it went back.
        from: u64,
        /// How often the run has been rewound by now.
        rewinds: u64,
        /// What was not finite.
        reason: String,
    },
    /// Training ends.
    Finished {
        /// Steps done.
        step: u64,
        /// Epochs done.
        epoch: u64,
        /// Why.
        reason: Finish,
    },
}

/// Why training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finish {
    /// All epochs are done.
    Complete,
    /// Validation has not improved for as long as the configuration allows (`validation.patience`).
    EarlyStopped,
    /// The user asked for it.
    Interrupted,
    /// All epochs (or `max_steps`) had been done before: nothing was trained and nothing was written.
    NothingLeft,
}

/// In words.
impl std::fmt::Display for Finish {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Finish::Complete => "complete",
            Finish::EarlyStopped => "stopped early",
            Finish::Interrupted => "interrupted",
            Finish::NothingLeft => "nothing left",
        })
    }
}

impl Event {
    /// Steps done when it happened.
    pub fn step(&self) -> u64 {
        match *self {
            Event::Started { step, .. }
            | Event::Progress { step, .. }
            | Event::Validated { step, .. }
            | Event::Preview { step, .. }
            | Event::Saved { step, .. }
            | Event::Warning { step, .. }
            | Event::Rewound { step, .. }
            | Event::Finished { step, .. } => step,
        }
    }
}

/// Makes something of events: a progress bar, a log, a gallery.
pub trait Observer {
    /// Takes one event. An error is reported, training goes on.
    ///
    /// # Errors
    /// Whatever kept the observer from doing its work.
    fn on(&mut self, event: &Event) -> Result<()>;

    /// Hears that `step` steps are done, and how many seconds are left where that can be told. Most have no use for it.
    fn step(&mut self, _step: u64, _eta_s: Option<f64>) {}

    /// Hears that `epoch` is done after `step` steps. Most have no use for it.
    fn end_epoch(&mut self, _epoch: u64, _step: u64) {}

    /// Hears what keeps the run from its next step for a while: validating, saving. Over when anything else is heard.
    fn busy(&mut self, _with: Busy) {}
}

/// What a run does between two steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Busy {
    /// Translating held-out images and measuring.
    Validating,
    /// Writing a checkpoint.
    Saving,
}

fn as_map<S: Serializer>(values: &[(String, f64)], out: S) -> Result<S::Ok, S::Error> {
    out.collect_map(values.iter().map(|(name, value)| (name, value)))
}

fn names<S: Serializer>(items: &[HeldOut], out: S) -> Result<S::Ok, S::Error> {
    out.collect_seq(items.iter().map(|item| &item.name))
}

fn labels<S: Serializer>(panels: &Panels, out: S) -> Result<S::Ok, S::Error> {
    let mut seq = out.serialize_seq(Some(panels.len()))?;
    for (label, _) in panels {
        seq.serialize_element(label)?;
    }
    seq.end()
}
