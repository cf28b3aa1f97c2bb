//! Between a method's parts and a checkpoint.

use super::history::History;
use super::lr_scheduler::{LrScheduler, LrState};
use super::position::{Data, Position};
use super::progress::{Pending, Sums};
use crate::augmentation::Augmentation;
use crate::checkpoint::{Loaded, Snapshot};
use crate::error::first_line;
use crate::method::Method;
use crate::{Error, Result, WayBack};
use candle_core::{DType, Device, Tensor};
use gan_layers::{Missing, MovingAverage, ParamStore, Skipped, Tensors};
use gan_weights::checkpoint::averaged;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

/// File stems beside the networks'.
const OPTIMIZER: &str = "optimizer";
const POOL: &str = "pool";
const AUGMENT: &str = "augment";

/// `state.json`.
#[derive(Serialize, Deserialize)]
struct State {
    events_length: u64,
    pending: Sums,
    rate: LrState,
    optimizers: BTreeMap<String, Counters>,
    /// Absent in checkpoints of older versions.
    place: Option<TrainingPosition>,
    /// Absent in checkpoints of older versions.
    #[serde(default)]
    validation: History,
    /// How often the run was rewound.
    #[serde(default, skip_serializing_if = "is_zero")]
    rewinds: u64,
}

/// What of the run goes into a snapshot, beside the method and the place.
pub(super) struct OfRun<'a> {
    pub(super) events_length: u64,
    pub(super) pending: &'a mut Pending,
    pub(super) rate: &'a mut LrScheduler,
    pub(super) history: &'a History,
    pub(super) rewinds: u64,
}

/// Where the run is, and in which data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TrainingPosition {
    pub(super) position: Position,
    pub(super) data: Data,
}

#[derive(Serialize, Deserialize)]
struct Counters {
    updates: u64,
    range: Range<usize>,
    /// Updates that the moving average is of, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    averaged: Option<u64>,
    /// Updates that were left out.
    #[serde(default, skip_serializing_if = "SkippedUpdates::is_none")]
    skipped: SkippedUpdates,
}

#[derive(Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct SkippedUpdates {
    /// The last ones in a row.
    run: u32,
    total: u32,
}

impl SkippedUpdates {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What of the run comes out of a checkpoint, beside the method.
pub(super) struct RestoredState {
    /// The losses since the last log point.
    pub(super) pending: Sums,
    /// Where the run is, if the checkpoint knows it.
    pub(super) place: Option<TrainingPosition>,
    /// What validation found.
    pub(super) history: History,
    /// How often the run was rewound.
    pub(super) rewinds: u64,
    /// Updates of all optimizers that were left out.
    pub(super) skipped: u32,
    /// What the user should know.
    pub(super) notes: Vec<String>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Where a run goes on with `data`, and what is to be said about it. A checkpoint of an older version knows its `step` alone;
/// `sealed` is the data that it is then taken to be of.
pub(super) fn carry_on(
    place: Option<TrainingPosition>,
    step: u64,
    data: &Data,
    sealed: Data,
) -> (Position, Vec<String>) {
    let mut older = None;
    let TrainingPosition { position, data: saved } = place.unwrap_or_else(|| {
        let position = sealed.position_of_step(step);
        older = Some(format!(
            "this checkpoint is of an older version, which kept no epoch: with this data, step {step} lies in epoch {}",
            position.epoch()
        ));
        TrainingPosition { position, data: sealed }
    });
    let (position, notes) = data.carry_on(&saved, position);
    (position, older.into_iter().chain(notes).collect())
}

/// Bytes of `events.jsonl` that belong to the snapshot.
pub(super) fn events_length(snapshot: &Snapshot) -> u64 {
    snapshot.state.get("events_length").and_then(serde_json::Value::as_u64).unwrap_or(0)
}

/// Puts everything that continues into the snapshot, without copies: it is to be saved before the next update.
///
/// # Errors
/// [`Error::Diverged`] if a loss is not finite: the snapshot could not be read back.
pub(super) fn fill(
    snapshot: &mut Snapshot,
    method: &mut dyn Method,
    of_run: OfRun<'_>,
    place: TrainingPosition,
) -> Result<()> {
    let OfRun { events_length, pending, rate, history, rewinds } = of_run;
    let parts = method.state();
    let (mut moments, mut counters) = (Vec::new(), BTreeMap::new());
    for (name, optimizer, networks) in parts.optimizers {
        for network in networks {
            let prefix = format!("{network}.");
            snapshot.tensors.push((network.to_string(), optimizer.store().state_views(&prefix)?));
            let averages = optimizer.averaged_state_views(&prefix)?;
            snapshot.tensors.extend(averages.map(|tensors| (averaged(network), tensors)));
        }
        let (m, v) = optimizer.store().moments()?;
        moments.extend([(format!("{name}.m"), m), (format!("{name}.v"), v)]);
        let averaged = optimizer.average().map(MovingAverage::updates);
        let Skipped { run, total, .. } = optimizer.skipped()?;
        let skipped = SkippedUpdates { run, total };
        let (updates, range) = (optimizer.updates(), optimizer.range());
        counters.insert(name.to_string(), Counters { updates, range, averaged, skipped });
    }
    snapshot.tensors.push((OPTIMIZER.into(), moments));
    let pools = parts.pools.into_iter().map(|(name, pool)| pool.save(name)).collect::<Result<Vec<_>>>()?.concat();
    if !pools.is_empty() {
        snapshot.tensors.push((POOL.into(), pools));
    }
    let augment: Tensors = parts.augmentations.into_iter().filter_map(Augmentation::save).collect();
    if !augment.is_empty() {
        snapshot.tensors.push((AUGMENT.into(), augment));
    }
    let (pending, rate) = (pending.sums()?.clone(), rate.state()?.clone());
    if let Some(what) = pending.not_finite().or(rate.not_finite()) {
        return Err(Error::Diverged { what, way_back: WayBack::Unknown });
    }
    let validation = history.clone();
    let state = State { events_length, pending, rate, optimizers: counters, place: Some(place), validation, rewinds };
    snapshot.state = serde_json::to_value(state).map_err(|e| Error::Unsavable { reason: e.to_string() })?;
    Ok(())
}

/// Checks everything that [`restore`] needs, by the name of the file in `dir`. Nothing is changed.
pub(super) fn check(dir: &Path, snapshot: &Snapshot, method: &mut dyn Method) -> Result<()> {
    let state = read(dir, snapshot)?;
    let parts = method.state();
    for (name, optimizer, networks) in parts.optimizers {
        let store = optimizer.store();
        for network in networks {
            check_network(store, network, file(dir, snapshot, network)?)
                .map_err(|reason| Error::damaged(&path(dir, network), reason))?;
            let averages = averaged(network);
            if let Some(tensors) = snapshot.file(&averages) {
                check_network(store, network, tensors)
                    .map_err(|reason| Error::damaged(&path(dir, &averages), reason))?;
            }
        }
        let bad = |reason: String| Error::damaged(&path(dir, OPTIMIZER), reason);
        let (m, v) = moments(dir, snapshot, name)?;
        for (which, moment) in [("m", m), ("v", v)] {
            if moment.dims() != [store.len()] || !moment.dtype().is_float() {
                let (dims, dtype) = (moment.dims(), moment.dtype());
                return Err(bad(format!("{name}.{which} is {dims:?} {dtype:?} for {} parameters", store.len())));
            }
        }
        // The second moment is a mean of squares.
        if !store.is_empty() && v.min_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()? < 0.0 {
            return Err(bad(format!("{name}.v has a negative value")));
        }
        let counters = counters(dir, &state, name)?;
        // Each step makes one update.
        let updates = counters.updates.max(counters.averaged.unwrap_or(0));
        if updates > snapshot.step {
            return Err(bad_state(dir, &format!("{updates} updates in {} steps", snapshot.step)));
        }
        if counters.range.start > counters.range.end || counters.range.end > store.len() {
            return Err(bad_state(dir, &format!("range {:?} of {} parameters", counters.range, store.len())));
        }
    }
    let pooled = snapshot.file(POOL).map_or(&[][..], Vec::as_slice);
    for (name, pool) in &parts.pools {
        pool.check(name, pooled).map_err(|reason| Error::damaged(&path(dir, POOL), reason))?;
    }
    let augment = snapshot.file(AUGMENT).map_or(&[][..], Vec::as_slice);
    for augmentation in &parts.augmentations {
        augmentation.check(augment).map_err(|reason| Error::damaged(&path(dir, AUGMENT), reason))?;
    }
    let known =
        |key: &str| key.split_once('.').is_some_and(|(pool, _)| parts.pools.iter().any(|(name, _)| *name == pool));
    if let Some((key, _)) = pooled.iter().find(|(key, _)| !known(key)) {
        return Err(Error::damaged(&path(dir, POOL), format!("{key} belongs to no pool")));
    }
    let contradiction = state.pending.contradiction(snapshot.step).or(state.rate.contradiction(snapshot.step));
    let place = || state.place.as_ref().and_then(|place| place.position.contradiction(snapshot.step, &place.data));
    let validation = || state.validation.contradiction(snapshot.step);
    contradiction.or_else(place).or_else(validation).map_or(Ok(()), |reason| Err(bad_state(dir, &reason)))
}

/// Takes it out again, file by file, so that nothing is in memory twice for long. To be called with what [`check`] accepts.
pub(super) fn restore(
    loaded: &mut Loaded,
    method: &mut dyn Method,
    rate: &mut LrScheduler,
    device: &Device,
) -> Result<RestoredState> {
    let Loaded { dir, snapshot, .. } = loaded;
    let state = read(dir, snapshot)?;
    let (mut notes, mut skipped) = (Vec::new(), 0);
    let parts = method.state();
    for (name, optimizer, networks) in parts.optimizers {
        for network in &networks {
            let tensors = snapshot.take(network).ok_or_else(|| no_file(dir, network))?;
            optimizer.store().load(&format!("{network}."), &tensors, Missing::Refuse)?;
        }
        let (m, v) = moments(dir, snapshot, name).map(|(m, v)| (m.clone(), v.clone()))?;
        snapshot.forget(OPTIMIZER, |key| key.strip_prefix(name).is_some_and(|rest| rest == ".m" || rest == ".v"));
        optimizer.store().set_moments(m, v)?;
        let counters = counters(dir, &state, name)?;
        let SkippedUpdates { run, total } = counters.skipped;
        optimizer.restore(counters.updates, counters.range.clone(), Skipped { run, longest: run, total })?;
        skipped += total;
        let averages = networks.iter().map(|network| Some((*network, snapshot.file(&averaged(network))?)));
        match (counters.averaged, averages.collect::<Option<Vec<_>>>()) {
            (Some(updates), Some(averages)) => {
                for (network, tensors) in averages {
                    optimizer.load_average(&format!("{network}."), tensors, updates)?;
                }
            }
            _ if optimizer.restart_average()? => {
                notes.push(format!(
                    "the moving average of {} begins with the weights of step {}",
                    networks.join(", "),
                    snapshot.step
                ));
            }
            _ => {}
        }
    }
    for (name, pool) in parts.pools {
        pool.restore(name, snapshot.file(POOL).map_or(&[], Vec::as_slice), device)?;
    }
    for augmentation in parts.augmentations {
        augmentation.restore(snapshot.file(AUGMENT).map_or(&[], Vec::as_slice))?;
    }
    rate.restore(state.rate);
    let State { pending, place, validation, rewinds, .. } = state;
    Ok(RestoredState { pending, place, history: validation, rewinds, skipped, notes })
}

fn read(dir: &Path, snapshot: &Snapshot) -> Result<State> {
    State::deserialize(&snapshot.state).map_err(|e| bad_state(dir, &e.to_string()))
}

fn path(dir: &Path, stem: &str) -> std::path::PathBuf {
    dir.join(format!("{stem}.safetensors"))
}

fn bad_state(dir: &Path, reason: &str) -> Error {
    Error::damaged(&dir.join("state.json"), reason)
}

fn file<'a>(dir: &Path, snapshot: &'a Snapshot, stem: &str) -> Result<&'a Tensors> {
    snapshot.file(stem).ok_or_else(|| no_file(dir, stem))
}

fn no_file(dir: &Path, stem: &str) -> Error {
    Error::damaged(dir, format!("it has no {stem}.safetensors"))
}

/// Both moments of an optimizer.
fn moments<'a>(dir: &Path, snapshot: &'a Snapshot, name: &str) -> Result<(&'a Tensor, &'a Tensor)> {
    let tensors = file(dir, snapshot, OPTIMIZER)?;
    let moment = |which: &str| {
        let key = format!("{name}.{which}");
        let found = tensors.iter().find(|(k, _)| *k == key).map(|(_, t)| t);
        found.ok_or_else(|| Error::damaged(&path(dir, OPTIMIZER), format!("it has no {key}")))
    };
    Ok((moment("m")?, moment("v")?))
}

fn counters<'a>(dir: &Path, state: &'a State, name: &str) -> Result<&'a Counters> {
    state.optimizers.get(name).ok_or_else(|| bad_state(dir, &format!("it has no optimizer {name}")))
}

/// Names, shapes and kinds of numbers.
fn check_network(store: &ParamStore, network: &str, tensors: &Tensors) -> Result<(), String> {
    store.check(&format!("{network}."), tensors).map_err(|e| first_line(&e))?;
    let counts = |name: &str| name.ends_with("num_batches_tracked");
    match tensors.iter().find(|(name, t)| counts(name) != t.dtype().is_int() || counts(name) == t.dtype().is_float()) {
        Some((name, t)) => Err(format!("{name} is of the element type {:?}", t.dtype())),
        None => Ok(()),
    }
}
