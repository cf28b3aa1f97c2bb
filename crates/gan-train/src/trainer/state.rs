//! Between a method's parts and a checkpoint.

use super::progress::{Pending, Sums};
use super::rate::{Rate, RateState};
use crate::checkpoint::Snapshot;
use crate::method::Method;
use crate::{Error, Result};
use candle_core::Device;
use gan_layers::Missing;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// File stems beside the networks'.
const OPTIMIZER: &str = "optimizer";
const POOL: &str = "pool";

/// `state.json`.
#[derive(Serialize, Deserialize)]
struct State {
    events_length: u64,
    pending: Sums,
    rate: RateState,
    optimizers: BTreeMap<String, Counters>,
}

#[derive(Serialize, Deserialize)]
struct Counters {
    updates: u64,
    range: std::ops::Range<usize>,
}

/// Bytes of `events.jsonl` that belong to the snapshot.
pub(super) fn events_length(snapshot: &Snapshot) -> u64 {
    snapshot.state.get("events_length").and_then(serde_json::Value::as_u64).unwrap_or(0)
}

/// Puts everything that continues into the snapshot.
pub(super) fn fill(
    snapshot: &mut Snapshot,
    method: &mut dyn Method,
    events_length: u64,
    pending: &mut Pending,
    rate: &mut Rate,
) -> Result<()> {
    let parts = method.parts();
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
    let state =
        State { events_length, pending: pending.sums()?.clone(), rate: rate.state()?.clone(), optimizers: counters };
    snapshot.state = serde_json::to_value(state).map_err(|e| Error::Unsavable { reason: e.to_string() })?;
    Ok(())
}

/// Takes it out again.
pub(super) fn restore(
    snapshot: &Snapshot,
    method: &mut dyn Method,
    rate: &mut Rate,
    device: &Device,
) -> Result<Pending> {
    let place = format!("checkpoint of step {}", snapshot.step);
    let bad = |reason: String| Error::damaged(Path::new(&place), reason);
    let file = |stem: &str| snapshot.file(stem).ok_or_else(|| bad(format!("{stem}.safetensors is missing")));
    let state: State = State::deserialize(&snapshot.state).map_err(|e| bad(format!("state.json: {e}")))?;
    let parts = method.parts();
    for (name, optimizer, networks) in parts.optimizers {
        for network in networks {
            optimizer.store().load(&format!("{network}."), file(network)?, Missing::Refuse)?;
        }
        let moment = |which: &str| {
            let key = format!("{name}.{which}");
            let found = file(OPTIMIZER)?.iter().find(|(k, _)| *k == key);
            found.map(|(_, t)| t.clone()).ok_or_else(|| bad(format!("optimizer.safetensors has no {key}")))
        };
        optimizer.store().set_moments(&moment("m")?, &moment("v")?)?;
        let counters = state.optimizers.get(name).ok_or_else(|| bad(format!("state.json has no optimizer {name}")))?;
        optimizer.restore(counters.updates, counters.range.clone());
    }
    for (name, pool) in parts.pools {
        pool.restore(name, snapshot.file(POOL).map_or(&[], Vec::as_slice), device)?;
    }
    rate.restore(state.rate);
    Ok(Pending::with(state.pending))
}
