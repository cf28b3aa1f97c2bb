//! Data parallelism: one update from micro-batches that several ranks compute.
//!
//! Micro-batch `j` of a step belongs to rank `j mod n`, so a round of `n` of them is computed at a time. All that a step
//! leaves is put together in the order of the micro-batches, on whichever rank they were computed: gradients round by round ([`gan_comm::OrderedSum`]), images in
//! pools at once, statistics of batch norms and losses at the end of a pass. So every rank is left with the bits that one
//! process has which accumulates over all micro-batches (`accumulation.rs`). [`Reduce::Once`] gives that up for gradients alone.

mod gradient_sum;
mod report;

use crate::accumulation::{accumulated_step, passes};
use crate::method::{Losses, Method, StepContext};
use crate::pool::SharedQuery;
use crate::{Error, Reduce, Result};
use candle_core::Device;
use gan_comm::Communicator;
use gan_comm::tensors::{Reader, pack};
use gan_data::Batch;
use gradient_sum::GradientSum;
use report::Report;
use std::sync::Arc;

/// One step as [`accumulated_step`] makes it, on every rank: `batches` are those of this rank, `images` counts the images of all
/// micro-batches of the step. `cx` is that of the first one.
///
/// In a round with fewer micro-batches than ranks, the ranks that are left compute the first one again, and nobody takes what they
/// find: so all ranks make the same calls.
///
/// # Errors
/// As [`accumulated_step`]; [`Error::Ranks`] where another rank has ended.
pub(crate) fn parallel_step(
    method: &mut dyn Method,
    ranks: &Arc<dyn Communicator>,
    batches: &[Batch],
    images: &[f64],
    reduce: Reduce,
    mut upload: impl FnMut(Batch) -> Result<Batch>,
    cx: &StepContext,
) -> Result<Losses> {
    let (rank, size) = (ranks.rank(), ranks.size());
    if images.len() == 1 {
        return accumulated_step(method, &[of_first(&**ranks, batches.first())?], upload, cx);
    }
    let (first, all) = (images.first().copied().unwrap_or(1.0), images.iter().sum::<f64>());
    let mut means = Losses::new();
    for pass in 0..passes(method)? {
        let mut report = Report::default();
        let mut sums: Vec<_> = method.state().optimizers.iter().map(|_| GradientSum::new(reduce)).collect();
        for (round, from) in (0..images.len()).step_by(size).enumerate() {
            let count = size.min(images.len() - from);
            let (own, at) = match rank < count {
                true => (batches.get(round), from + rank),
                false => (None, from),
            };
            let first_one = if count < size { Some(of_first(&**ranks, own)?) } else { None };
            let batch = upload(own.cloned().or(first_one).ok_or_else(|| missing(rank))?)?;
            begin(method, ranks, count);
            let losses = method.pass(pass, &batch, &StepContext { step: cx.step + at as u64, ..*cx });
            let seen = end(method);
            let losses = losses.map_err(|error| error.in_step(cx.update + 1, &batch))?;
            for ((_, optimizer, _), sum) in method.state().optimizers.into_iter().zip(&mut sums) {
                if let Some(gradients) = optimizer.take_grads(images[at] / first)? {
                    sum.add(&**ranks, gradients, count)?;
                }
            }
            report.add(rank < count, losses, seen)?;
        }
        means.splice(0..0, report.exchange(method, &**ranks, images, all)?);
        for ((_, optimizer, _), sum) in method.state().optimizers.into_iter().zip(sums) {
            if optimizer.is_due() {
                optimizer.update_with(&sum.take(&**ranks, first / all, images.len())?)?;
            } else {
                optimizer.release();
            }
        }
    }
    Ok(means)
}

/// Lets what a pass would change be kept, or be exchanged with the first `count` ranks.
fn begin(method: &mut dyn Method, ranks: &Arc<dyn Communicator>, count: usize) {
    let state = method.state();
    for (_, optimizer, _) in state.optimizers {
        optimizer.release(); // what a step that failed has left
        optimizer.hold();
        optimizer.store().running_statistics().keep();
    }
    state.pools.into_iter().for_each(|(_, pool)| pool.share(Some(SharedQuery::new(ranks.clone(), count))));
}

/// What batch norms have seen, store by store.
fn end(method: &mut dyn Method) -> Vec<Vec<gan_layers::Seen>> {
    let state = method.state();
    state.pools.into_iter().for_each(|(_, pool)| pool.share(None));
    state.optimizers.into_iter().map(|(_, optimizer, _)| optimizer.store().running_statistics().take()).collect()
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
