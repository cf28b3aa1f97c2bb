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
use gan_layers::{Missing, ParamStore, Tensors};
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
}

/// What of the run goes into a snapshot, beside the method and the place.
pub(super) struct OfRun<'a> {
    pub(super) events_length: u64,
    pub(super) pending: &'a mut Pending,
    pub(super) rate: &'a mut LrScheduler,
    pub(super) history: &'a History,
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
}

/// Bytes of `events.jsonl` that belong to the snapshot.
pub(super) fn events_length(snapshot: &Snapshot) -> u64 {
    snapshot.state.get("events_length").and_then(serde_json::Value::as_u64).unwrap_or(0)
}

/// Puts everything that continues into the snapshot.
///
/// # Errors
/// [`Error::Diverged`] if a loss is not finite: the snapshot could not be read back.
pub(super) fn fill(
    snapshot: &mut Snapshot,
    method: &mut dyn Method,
    of_run: OfRun<'_>,
    place: TrainingPosition,
) -> Result<()> {
    let OfRun { events_length, pending, rate, history } = of_run;
    let parts = method.state();
    let (mut moments, mut counters) = (Vec::new(), BTreeMap::new());
    for (name, optimizer, networks) in parts.optimizers {
        for network in networks {
            snapshot.tensors.push((network.to_string(), optimizer.store().state_dict(&format!("{network}."))?));
        }
        let (m, v) = optimizer.store().moments()?;
        moments.extend([(format!("{name}.m"), m), (format!("{name}.v"), v)]);
        counters.insert(name.to_string(), Counters { updates: optimizer.updates(), range: optimizer.range() });
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
    let state = State { events_length, pending, rate, optimizers: counters, place: Some(place), validation };
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
        if counters.updates > snapshot.step {
            return Err(bad_state(dir, &format!("{} updates in {} steps", counters.updates, snapshot.step)));
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

/// Takes it out again: the losses since the last log point, the place, where the checkpoint knows it, and what validation found.
/// To be called with what [`check`] accepts.
pub(super) fn restore(
    loaded: &Loaded,
    method: &mut dyn Method,
    rate: &mut LrScheduler,
    device: &Device,
) -> Result<(Pending, Option<TrainingPosition>, History)> {
    let Loaded { dir, snapshot, .. } = loaded;
    let state = read(dir, snapshot)?;
    let parts = method.state();
    for (name, optimizer, networks) in parts.optimizers {
        for network in networks {
            let tensors = file(dir, snapshot, network)?;
            optimizer.store().load(&format!("{network}."), tensors, Missing::Refuse)?;
        }
        let (m, v) = moments(dir, snapshot, name)?;
        optimizer.store().set_moments(m, v)?;
        let counters = counters(dir, &state, name)?;
        optimizer.restore(counters.updates, counters.range.clone());
    }
    for (name, pool) in parts.pools {
        pool.restore(name, snapshot.file(POOL).map_or(&[], Vec::as_slice), device)?;
    }
    for augmentation in parts.augmentations {
        augmentation.restore(snapshot.file(AUGMENT).map_or(&[], Vec::as_slice))?;
    }
    rate.restore(state.rate);
    Ok((Pending::with(state.pending), state.place, state.validation))
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
    snapshot.file(stem).ok_or_else(|| Error::damaged(dir, format!("it has no {stem}.safetensors")))
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
