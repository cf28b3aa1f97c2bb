//! A look ahead: what a run would be, from a few steps whose weights are thrown away.

use super::device_prefetcher::DevicePrefetcher;
use super::lr_scheduler::LrScheduler;
use super::position::Position;
use super::{Job, Prepared, prepare};
use crate::config::ConfigSource;
use crate::memory::MemoryNeed;
use crate::method::StepContext;
use crate::{Result, accumulated_step};
use candle_core::{DType, Tensor};
use std::time::Instant;

/// What a run would be.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// Items of the dataset.
    pub items: usize,
    /// Items that are held out for validation, where there is any.
    pub held_out: Option<usize>,
    /// Shape of a batch of inputs, `[N, C, H, W]`.
    pub batch: Vec<usize>,
    /// Parameters of each network, by its name in a checkpoint.
    pub networks: Vec<(String, usize)>,
    /// Steps of an epoch.
    pub steps_per_epoch: u64,
    /// Steps of the whole run.
    pub total_steps: u64,
    /// Seconds of each step that was made, its images included. The first one warms up.
    pub seconds: Vec<f64>,
    /// Bytes of a checkpoint, about.
    pub checkpoint_bytes: u64,
    /// What training takes by the shapes of its networks; `None` on a device, and where the images decide the size.
    pub memory: Option<MemoryNeed>,
    /// What training would say first.
    pub notes: Vec<String>,
}

/// Makes `steps` steps of a new run, and writes nothing. Refuses what [`train`](crate::train) refuses, but does not look at the
/// run folder. Images are decoded anew: `data.cache` is left alone.
///
/// # Errors
/// As [`train`](crate::train).
pub fn probe(mut job: Job, steps: u64) -> Result<Probe> {
    if !job.config.data().cache.as_os_str().is_empty() {
        let without = ConfigSource::Setting("data.cache=\"\"".to_owned());
        job.config = (job.method.resolve)(&[ConfigSource::saved(&*job.config)?, without])?;
    }
    let Prepared { train, dataset, loader, validator, mut method, memory, warnings, .. } = prepare(&mut job)?;
    let mut prefetcher = DevicePrefetcher::new(&job.device_config)?;
    let per_epoch = loader.batches_per_epoch() as u64;
    let lr = LrScheduler::new(&train).of_epoch(1);
    let of_step = train.accumulate.min(per_epoch) as usize;
    let (mut epoch, mut seconds, mut shape) = (1, Vec::new(), Vec::new());
    let mut images = loader.epoch(epoch, 0);
    for step in 1..=steps {
        let started = Instant::now();
        let mut batches = Vec::new();
        while batches.len() < of_step {
            match images.next() {
                Some(batch) => batches.push(batch?),
                None => {
                    epoch += 1;
                    images = loader.epoch(epoch, 0);
                }
            }
        }
        shape = batches.first().map(|batch| batch.a.dims().to_vec()).unwrap_or(shape);
        let cx = StepContext { epoch, step: (step - 1) * train.accumulate, update: step - 1, lr, seed: train.seed };
        let losses = accumulated_step(&mut *method, &batches, |batch| prefetcher.take(batch), &cx)?;
        // Reading them waits for the device.
        for (_, loss) in losses {
            loss.to_dtype(DType::F64)?.to_scalar::<f64>()?;
        }
        seconds.push(started.elapsed().as_secs_f64());
    }

    let bytes = |tensors: &[(String, Tensor)]| -> u64 {
        tensors.iter().map(|(_, tensor)| (tensor.elem_count() * tensor.dtype().size_in_bytes()) as u64).sum()
    };
    let (mut networks, mut checkpoint_bytes) = (Vec::new(), 0);
    let state = method.state();
    for (_, optimizer, names) in state.optimizers {
        let store = optimizer.store();
        checkpoint_bytes += 2 * (store.len() * store.dtype().size_in_bytes()) as u64;
        for name in names {
            let prefix = format!("{name}.");
            checkpoint_bytes += bytes(&store.state_views(&prefix)?);
            checkpoint_bytes += optimizer.averaged_state_views(&prefix)?.map_or(0, |averages| bytes(&averages));
            let own = store.ranges(|parameter| parameter.starts_with(&prefix));
            networks.push((name.to_owned(), own.iter().map(ExactSizeIterator::len).sum()));
        }
    }
    for (name, pool) in state.pools.into_iter().filter(|(_, pool)| !pool.is_empty()) {
        // Full pools, as a run has them before long.
        checkpoint_bytes += bytes(&pool.save(name)?) / pool.len() as u64 * train.pool_size as u64;
    }
    Ok(Probe {
        items: dataset.len(),
        held_out: validator.map(|validator| validator.dataset().len()),
        batch: shape,
        networks,
        steps_per_epoch: per_epoch.div_ceil(train.accumulate),
        total_steps: Position::default().total_steps(0, &train, per_epoch),
        seconds,
        checkpoint_bytes,
        memory,
        notes: warnings,
    })
}
