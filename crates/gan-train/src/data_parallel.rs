//! Data parallelism: one update from micro-batches that several ranks compute.
//!
//! Micro-batch `j` of a step belongs to rank `j mod n`, so a round of `n` of them is computed at a time. All that a step
//! leaves is put together in the order of the micro-batches, on whichever rank they were computed: gradients round by round, in buckets that are
//! sent while the backward pass goes on (`reduction.rs`, [`gan_comm::OrderedSum`]), images in
//! pools at once, statistics of batch norms and losses at the end of a pass. So every rank is left with the bits that one
//! process has which accumulates over all micro-batches (`accumulation.rs`). [`Reduce::Once`] gives that up for gradients alone.

mod plan;
mod reduction;
mod report;

use crate::accumulation::{accumulated_step, passes};
use crate::method::{Losses, Method, StepContext};
use crate::pool::SharedQuery;
use crate::{Error, Reduce, Result};
use candle_core::Device;
use gan_comm::Communicator;
use gan_comm::tensors::{Reader, pack};
use gan_data::Batch;
use gan_layers::{BackwardHook, ParamStore};
use plan::Plan;
use reduction::{Learned, Reduction, Round};
use report::Report;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of gradients that are sent at a time: long enough for a network, short enough for the cache.
const BUCKET: usize = 4 << 20;

/// Kinds of passes that are remembered. A method has a few.
const KINDS: usize = 64;

/// Makes steps of several ranks.
pub(crate) struct DataParallel {
    ranks: Arc<dyn Communicator>,
    reduce: Reduce,
    bucket: usize,
    /// By pass and graph key.
    plans: HashMap<(usize, Option<u64>), Arc<Plan>>,
}

impl DataParallel {
    pub(crate) fn new(ranks: Arc<dyn Communicator>, reduce: Reduce) -> Self {
        DataParallel { ranks, reduce, bucket: BUCKET, plans: HashMap::new() }
    }

    /// One step as [`accumulated_step`] makes it, on every rank: `batches` are those of this rank, `images` counts the images of all
    /// micro-batches of the step. `cx` is that of the first one.
    ///
    /// In a round with fewer micro-batches than ranks, the ranks that are left compute the first one again, and nobody takes what they
    /// find: so all ranks make the same calls.
    ///
    /// # Errors
    /// As [`accumulated_step`]; [`Error::Ranks`] where another rank has ended or makes another step.
    pub(crate) fn step(
        &mut self,
        method: &mut dyn Method,
        batches: &[Batch],
        images: &[f64],
        mut upload: impl FnMut(Batch) -> Result<Batch>,
        cx: &StepContext,
    ) -> Result<Losses> {
        let ranks = self.ranks.clone();
        let (rank, size) = (ranks.rank(), ranks.size());
        if images.len() == 1 {
            return accumulated_step(method, &[of_first(&*ranks, batches.first())?], upload, cx);
        }
        let (first, all) = (images.first().copied().unwrap_or(1.0), images.iter().sum::<f64>());
        let mut means = Losses::new();
        for pass in 0..passes(method)? {
            let kind = (pass, method.graph_key(cx));
            let reduction = Reduction::new(method.state(), ranks.clone(), self.bucket);
            require_same(&*ranks, kind, &reduction.layout())?;
            let reduction = Arc::new(Mutex::new(reduction));
            let (mut report, mut due) = (Report::default(), Vec::new());
            for (round, from) in (0..images.len()).step_by(size).enumerate() {
                let count = size.min(images.len() - from);
                let (own, at) = match rank < count {
                    true => (batches.get(round), from + rank),
                    false => (None, from),
                };
                let first_one = if count < size { Some(of_first(&*ranks, own)?) } else { None };
                let batch = upload(own.cloned().or(first_one).ok_or_else(|| missing(rank))?)?;
                let reduced = match self.reduce {
                    Reduce::Ordered => count,
                    Reduce::Once if from + size >= images.len() => size.min(images.len()),
                    Reduce::Once => 0,
                };
                let plan = self.plans.get(&kind).filter(|_| reduced > 0).cloned();
                lock(&reduction).begin(Round::new(images[at] / first, rank < count, reduced, plan));
                begin(method, &ranks, &reduction, count);
                let losses = method.pass(pass, &batch, &StepContext { step: cx.step + at as u64, ..*cx });
                let seen = end(method);
                let losses = losses.map_err(|error| error.in_step(cx.update + 1, &batch))?;
                due = method.state().optimizers.iter().map(|(_, optimizer, _)| optimizer.is_due()).collect();
                self.learn(kind, lock(&reduction).end_round(&due)?);
                report.add(rank < count, losses, seen)?;
            }
            let mut reduction = lock(&reduction);
            let finite = reduction.gather(&due, first / all)?;
            let (of_pass, finite) = report.exchange(method, &*ranks, images, all, &finite)?;
            means.splice(0..0, of_pass);
            reduction.finish(&finite)?;
            for (_, optimizer, _) in method.state().optimizers {
                optimizer.update_held()?;
            }
        }
        Ok(means)
    }

    /// All ranks learn the same.
    fn learn(&mut self, kind: (usize, Option<u64>), learned: Learned) {
        match learned {
            Learned::Nothing => {}
            Learned::Unlike => drop(self.plans.remove(&kind)),
            Learned::New(plan) => {
                if self.plans.len() >= KINDS {
                    self.plans.clear();
                }
                self.plans.insert(kind, Arc::new(plan));
            }
        }
    }
}

/// Lets what a pass would change be kept, or be exchanged with the first `count` ranks; gradients are sent as they become complete.
fn begin(method: &mut dyn Method, ranks: &Arc<dyn Communicator>, reduction: &Arc<Mutex<Reduction>>, count: usize) {
    let state = method.state();
    let of_hook = reduction.clone();
    let hook: BackwardHook = Arc::new(move || lock(&of_hook).after_layer());
    for (_, optimizer, _) in state.optimizers {
        optimizer.release(); // what a step that failed has left
        optimizer.hold();
        optimizer.store().running_statistics().keep();
        optimizer.store().gradients().watch(Some(hook.clone()));
    }
    let within: Arc<dyn Communicator> = Arc::new(WithinPass { ranks: ranks.clone(), reduction: reduction.clone() });
    state.pools.into_iter().for_each(|(_, pool)| pool.share(Some(SharedQuery::new(within.clone(), count))));
}

/// What batch norms have seen, store by store. Nobody watches the backward passes any more.
fn end(method: &mut dyn Method) -> Vec<Vec<gan_layers::Seen>> {
    let state = method.state();
    state.pools.into_iter().for_each(|(_, pool)| pool.share(None));
    let of_store = |store: &ParamStore| {
        store.gradients().watch(None);
        store.running_statistics().take()
    };
    state.optimizers.into_iter().map(|(_, optimizer, _)| of_store(optimizer.store())).collect()
}

/// The ranks, for what they send within a pass: all send it between the same buckets of gradients.
struct WithinPass {
    ranks: Arc<dyn Communicator>,
    reduction: Arc<Mutex<Reduction>>,
}

impl Communicator for WithinPass {
    fn rank(&self) -> usize {
        self.ranks.rank()
    }

    fn size(&self) -> usize {
        self.ranks.size()
    }

    fn all_to_all(&self, parts: Vec<Vec<u8>>) -> gan_comm::Result<Vec<Vec<u8>>> {
        lock(&self.reduction).before_message()?;
        self.ranks.all_to_all(parts)
    }
}

fn lock(reduction: &Mutex<Reduction>) -> MutexGuard<'_, Reduction> {
    reduction.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Refuses ranks whose pass is of another kind, or whose gradients lie elsewhere: they would send other things.
fn require_same(ranks: &dyn Communicator, (pass, key): (usize, Option<u64>), layout: &[[u64; 2]]) -> Result<()> {
    let head = [pass as u64, u64::from(key.is_some()), key.unwrap_or_default()];
    let own: Vec<u8> = head.iter().chain(layout.as_flattened()).flat_map(|n| n.to_le_bytes()).collect();
    for (rank, theirs) in ranks.all_gather(own.clone())?.iter().enumerate() {
        if *theirs != own {
            return Err(gan_comm::Error::Unexpected { rank, what: "a step of another kind".into() }.into());
        }
    }
    Ok(())
}

/// The batch of rank 0, on every rank.
fn of_first(ranks: &dyn Communicator, own: Option<&Batch>) -> Result<Batch> {
    let mut bytes = Vec::new();
    if ranks.rank() == 0 {
        let batch = own.ok_or_else(|| missing(0))?;
        let parts = [Some(&batch.a), batch.b.as_ref(), batch.inst.as_ref()];
        bytes.extend(parts.map(|part| u8::from(part.is_some())));
        pack(&mut bytes, parts.into_iter().flatten())?;
        bytes.extend(batch.names.join("\0").as_bytes());
    }
    let bytes = ranks.broadcast(0, bytes)?;
    let mut reader = Reader::new(0, &bytes);
    let there = reader.bytes(3)?.to_vec();
    let mut part = |at: usize| (there[at] != 0).then(|| reader.tensor(&Device::Cpu)).transpose();
    let (a, b, inst) = (part(0)?, part(1)?, part(2)?);
    let a = a.ok_or_else(|| reader.unexpected("a batch without images"))?;
    let names = String::from_utf8_lossy(reader.rest()).split('\0').map(str::to_owned).collect();
    Ok(Batch { a, b, inst, names })
}

fn missing(rank: usize) -> Error {
    gan_comm::Error::Unexpected { rank, what: "fewer batches than its part of the step".into() }.into()
}

#[cfg(test)]
mod tests;
