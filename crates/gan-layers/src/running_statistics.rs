//! Running statistics of batch norms, which may move later than they are seen.
//!
//! Where the micro-batches of an update are computed by several processes, each sees a part of them. What a batch norm saw is kept
//! until that of the others is there, and then moves the running statistics in the order of the micro-batches. No training pass reads them.

use crate::Counter;
use candle_core::{Result, bail};
use gan_kernels::norm::{Moments, update_running};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Share of the new statistics.
const MOMENTUM: f64 = 0.1;

/// Those of all batch norms of a store, in the order in which they were built.
#[derive(Debug, Clone, Default)]
pub struct RunningStatistics(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    layers: Vec<(Moments, Counter)>,
    /// What was seen and has not moved them; `None` while they move at once.
    kept: Option<Vec<Seen>>,
}

/// What a batch norm saw in one pass.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Which batch norm of the store.
    pub layer: usize,
    /// Mean and (biased) variance `[C]`.
    pub moments: Moments,
    /// Elements of a channel.
    pub count: usize,
}

/// The place of one batch norm among them.
#[derive(Debug, Clone)]
pub(crate) struct Tracked {
    all: RunningStatistics,
    layer: usize,
}

impl RunningStatistics {
    /// Adds a batch norm.
    pub(crate) fn track(&self, running: &Moments, batches: &Counter) -> Tracked {
        let mut state = self.lock();
        state.layers.push((running.clone(), batches.clone()));
        Tracked { all: self.clone(), layer: state.layers.len() - 1 }
    }

    /// From now on, what batch norms see is kept.
    pub fn keep(&self) {
        self.lock().kept = Some(Vec::new());
    }

    /// What was kept since the last time, in the order of the passes.
    pub fn take(&self) -> Vec<Seen> {
        self.lock().kept.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Moves the statistics by what was seen, one after the other; from now on they move at once.
    ///
    /// # Errors
    /// There is no such batch norm, or it has other channels.
    pub fn apply<'a>(&self, seen: impl IntoIterator<Item = &'a Seen>) -> Result<()> {
        let mut state = self.lock();
        state.kept = None;
        for Seen { layer, moments, count } in seen {
            let Some((running, batches)) = state.layers.get(*layer) else { bail!("there is no batch norm {layer}") };
            move_by(running, batches, moments, *count)?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tracked {
    /// Keeps what was seen, or moves the running statistics.
    pub(crate) fn see(&self, running: &Moments, batches: &Counter, moments: &Moments, count: usize) -> Result<()> {
        if let Some(kept) = &mut self.all.lock().kept {
            kept.push(Seen { layer: self.layer, moments: moments.clone(), count });
            return Ok(());
        }
        move_by(running, batches, moments, count)
    }
}

/// Moves running statistics by those of one pass.
pub(crate) fn move_by(running: &Moments, batches: &Counter, moments: &Moments, count: usize) -> Result<()> {
    update_running(moments, count, MOMENTUM, running)?;
    batches.increment();
    Ok(())
}
