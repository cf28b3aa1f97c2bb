//! Batches prepared ahead of time by worker threads, in an order that does not depend on them.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use gan_rng::{Key, Purpose};
use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::config::DataConfig;
use crate::dataset::Dataset;
use crate::error::{Error, Result};

/// How a dataset is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoaderConfig {
    /// Items a batch.
    pub batch_size: usize,
    /// Whether the order changes every epoch.
    pub shuffle: bool,
    /// Seed of order and augmentation.
    pub seed: u64,
    /// Threads that prepare batches; 0 prepares them where they are used.
    pub workers: usize,
    /// Batches that may wait ready, or be in preparation, at any time.
    pub prefetch: usize,
}

impl Default for LoaderConfig {
    fn default() -> Self {
        Self { batch_size: 1, shuffle: true, seed: 0, workers: 4, prefetch: 8 }
    }
}

impl DataConfig {
    /// How batches are loaded in a run with this seed.
    #[must_use]
    pub fn loader(&self, seed: u64) -> LoaderConfig {
        LoaderConfig {
            batch_size: self.batch_size,
            shuffle: self.shuffle,
            seed,
            workers: self.workers,
            prefetch: self.prefetch.unwrap_or(2 * self.workers.max(1)),
        }
    }
}

/// Reads a dataset in batches. What a batch holds depends on the seed, the epoch and the batch's number alone, never
/// on the number of workers.
#[derive(Clone)]
pub struct Loader {
    dataset: Arc<dyn Dataset>,
    config: LoaderConfig,
    /// Which of the orders of the seed; 0 unless a run was rewound.
    order: u64,
    waited: Arc<AtomicU64>,
}

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loader").field("dataset", &self.dataset.describe()).field("config", &self.config).finish()
    }
}

impl Loader {
    /// A loader over `dataset`.
    ///
    /// # Errors
    /// [`Error::Config`] if the batch size is 0 or the dataset is empty.
    pub fn new(dataset: Arc<dyn Dataset>, config: LoaderConfig) -> Result<Self> {
        if config.batch_size == 0 {
            return Err(Error::config("batch_size is 0", "set it to 1 or more"));
        }
        if dataset.is_empty() {
            return Err(Error::config("the dataset is empty", "add images"));
        }
        Ok(Self { dataset, config, order: 0, waited: Arc::default() })
    }

    /// The same data in another order and with other augmentation: number `order` of those that belong to the seed; 0 is the one of
    /// a new loader.
    #[must_use]
    pub fn reordered(&self, order: u64) -> Self {
        Self { order, ..self.clone() }
    }

    /// The key of an epoch.
    fn key(&self, purpose: Purpose, epoch: u64) -> Key {
        let key = Key::new(self.config.seed, purpose);
        let key = if self.order == 0 { key } else { key.at_name("order").at(self.order) };
        key.at(epoch)
    }

    /// Number of batches an epoch; the last may be smaller.
    #[must_use]
    pub fn batches_per_epoch(&self) -> usize {
        self.dataset.len().div_ceil(self.config.batch_size)
    }

    /// The dataset.
    #[must_use]
    pub fn dataset(&self) -> &Arc<dyn Dataset> {
        &self.dataset
    }

    /// How long iterators of this loader have waited for batches, in total: the time that data costs a run.
    #[must_use]
    pub fn waited(&self) -> Duration {
        Duration::from_nanos(self.waited.load(Ordering::Relaxed))
    }

    /// The batches of an epoch from number `first_batch` on (0, or where an interrupted run stopped).
    ///
    /// Dropping the iterator stops its threads; they finish the batch they are at.
    #[must_use]
    pub fn epoch(&self, epoch: u64, first_batch: usize) -> Batches {
        self.every(1, epoch, first_batch)
    }

    /// Every `stride`-th batch of an epoch from number `first_batch` on: what one of `stride` processes reads.
    #[must_use]
    pub fn every(&self, stride: usize, epoch: u64, first_batch: usize) -> Batches {
        let stride = stride.max(1);
        let mut order: Vec<usize> = (0..self.dataset.len()).collect();
        if self.config.shuffle {
            self.key(Purpose::Shuffle, epoch).stream().shuffle(&mut order);
        }
        let plan = Arc::new(Plan {
            dataset: Arc::clone(&self.dataset),
            order,
            batch_size: self.config.batch_size,
            batches: self.batches_per_epoch(),
            key: self.key(Purpose::Augment, epoch),
        });
        let remaining = plan.batches.saturating_sub(first_batch).div_ceil(stride);
        let queue = Arc::new(Queue::new(first_batch, stride, self.config.prefetch.max(1)));
        // Where the calling thread is itself the pool that operators share, a worker that wants the pool would wait for the
        // thread that waits for the worker.
        let wanted = if rayon::current_thread_index().is_some() { 0 } else { self.config.workers.min(remaining) };
        let workers = (0..wanted).map_while(|number| {
            let (plan, queue) = (Arc::clone(&plan), Arc::clone(&queue));
            let builder = thread::Builder::new().name(format!("data-{number}"));
            // If the system gives no more threads, those it gave do the work.
            builder.spawn(move || queue.fill(&plan)).ok()
        });
        let workers = workers.collect();
        Batches { plan, queue, workers, next: first_batch, stride, waited: Arc::clone(&self.waited) }
    }
}

/// What an epoch consists of.
struct Plan {
    dataset: Arc<dyn Dataset>,
    order: Vec<usize>,
    batch_size: usize,
    batches: usize,
    key: Key,
}

impl Plan {
    fn make(&self, batch: usize) -> Result<Batch> {
        let end = ((batch + 1) * self.batch_size).min(self.order.len());
        let indices = &self.order[batch * self.batch_size..end];
        let make = || {
            let items = indices.iter().map(|&index| self.dataset.item(index, self.key.at(index as u64)));
            Batch::collate(items.collect::<Result<_>>()?)
        };
        catch_unwind(AssertUnwindSafe(make)).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            Err(Error::Panicked(text.unwrap_or_else(|| "a worker thread panicked".to_owned())))
        })
    }
}

/// Finished batches, and which are still to be claimed.
struct Queue {
    state: Mutex<QueueState>,
    /// Signals both ways: a batch became ready, or room became free.
    changed: Condvar,
    /// From one batch to the next.
    stride: usize,
    prefetch: usize,
}

struct QueueState {
    next_to_claim: usize,
    next_to_yield: usize,
    ready: BTreeMap<usize, Result<Batch>>,
    stopped: bool,
}

impl Queue {
    fn new(first: usize, stride: usize, prefetch: usize) -> Self {
        let state = QueueState { next_to_claim: first, next_to_yield: first, ready: BTreeMap::new(), stopped: false };
        Self { state: Mutex::new(state), changed: Condvar::new(), stride, prefetch }
    }

    /// The state stays consistent even if a holder panicked: every change is a single assignment or insertion.
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, guard: MutexGuard<'a, QueueState>) -> MutexGuard<'a, QueueState> {
        self.changed.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker's life: claim the next batch as long as there is room, make it, hand it over.
    fn fill(&self, plan: &Plan) {
        loop {
            let mut state = self.lock();
            while !state.stopped
                && state.next_to_claim < plan.batches
                && state.next_to_claim >= state.next_to_yield + self.prefetch * self.stride
            {
                state = self.wait(state);
            }
            if state.stopped || state.next_to_claim >= plan.batches {
                return;
            }
            let claimed = state.next_to_claim;
            state.next_to_claim += self.stride;
            drop(state);
            let batch = plan.make(claimed);
            self.lock().ready.insert(claimed, batch);
            self.changed.notify_all();
        }
    }

    fn take(&self, batch: usize) -> Result<Batch> {
        let mut state = self.lock();
        loop {
            if let Some(made) = state.ready.remove(&batch) {
                state.next_to_yield = batch + self.stride;
                self.changed.notify_all();
                return made;
            }
            state = self.wait(state);
        }
    }

    fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }
}

/// The batches of one epoch, in order. See [`Loader::epoch`].
pub struct Batches {
    plan: Arc<Plan>,
    queue: Arc<Queue>,
    workers: Vec<JoinHandle<()>>,
    next: usize,
    stride: usize,
    waited: Arc<AtomicU64>,
}

impl std::fmt::Debug for Batches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batches").field("next", &self.next).field("batches", &self.plan.batches).finish()
    }
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.plan.batches {
            return None;
        }
        let batch = self.next;
        self.next += self.stride;
        let start = Instant::now();
        let made = if self.workers.is_empty() { self.plan.make(batch) } else { self.queue.take(batch) };
        let nanoseconds = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.waited.fetch_add(nanoseconds, Ordering::Relaxed);
        Some(made)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.plan.batches.saturating_sub(self.next).div_ceil(self.stride);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Batches {}

impl Drop for Batches {
    fn drop(&mut self) {
        self.queue.stop();
        for worker in self.workers.drain(..) {
            // A worker cannot panic outside the guarded part; there is nobody to tell if it did.
            let _ = worker.join();
        }
    }
}
