//! The thread of a model, and the queue in front of it.

use crate::limits::Limits;
use crate::translate::engine::{Engine, Made, Refusal, Work};
use crate::translate::facts::ModelFacts;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// How often a thread without work asks its model what it can do: checkpoints may have come.
const LOOK: Duration = Duration::from_secs(2);

/// A model in a thread of its own.
#[derive(Debug)]
pub(crate) struct Worker {
    id: String,
    facts: Arc<RwLock<ModelFacts>>,
    jobs: Sender<Job>,
    /// One for the request that is worked on, the others for those that wait.
    slots: Arc<Semaphore>,
    counters: Arc<Counters>,
    deadline: Duration,
}

/// What a model has done.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Images that were made.
    pub(crate) made: AtomicU64,
    /// Translations that panicked.
    pub(crate) panics: AtomicU64,
    /// Microseconds that a translation takes, smoothed.
    micros: AtomicU64,
}

/// What waits for the thread. The work is gone if nobody waits for it any more.
struct Job {
    work: Arc<Mutex<Option<Work>>>,
    until: Instant,
    answer: oneshot::Sender<Result<Made, NotMade>>,
}

/// A request that waits. Dropped, it takes its work out of the queue.
#[derive(Debug)]
pub(crate) struct Ticket {
    work: Arc<Mutex<Option<Work>>>,
    answer: oneshot::Receiver<Result<Made, NotMade>>,
    _slot: OwnedSemaphorePermit,
}

/// Why there is no image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotMade {
    Refused(Refusal),
    /// The deadline has passed.
    Late,
    Panicked,
}

impl Worker {
    /// Starts the thread of a model.
    pub(crate) fn start(mut engine: impl Engine, limits: &Limits) -> io::Result<Self> {
        let first = engine.facts();
        let (id, name) = (first.id.clone(), format!("model-{}", first.id));
        let facts = Arc::new(RwLock::new(first));
        let (jobs, queue) = channel();
        let counters = Arc::new(Counters::default());
        let (shared, counted) = (facts.clone(), counters.clone());
        thread::Builder::new().name(name).spawn(move || work(engine, &queue, &shared, &counted))?;
        let slots = Arc::new(Semaphore::new(limits.queue + 1));
        Ok(Worker { id, facts, jobs, slots, counters, deadline: limits.deadline })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn facts(&self) -> ModelFacts {
        self.facts.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Seconds until half of those that wait have had their turn.
    pub(crate) fn patience(&self, limits: &Limits) -> u64 {
        let each = Duration::from_micros(self.counters.micros.load(Ordering::Relaxed)).as_secs_f64();
        (each * self.waiting(limits) as f64 / 2.0).ceil().clamp(1.0, 30.0) as u64
    }

    /// Requests that are worked on or wait.
    pub(crate) fn waiting(&self, limits: &Limits) -> usize {
        (limits.queue + 1).saturating_sub(self.slots.available_permits())
    }

    /// Queues work; `None` if the queue is full.
    pub(crate) fn queue(&self, work: Work) -> Option<Ticket> {
        let slot = self.slots.clone().try_acquire_owned().ok()?;
        let work = Arc::new(Mutex::new(Some(work)));
        let (sender, answer) = oneshot::channel();
        let job = Job { work: work.clone(), until: Instant::now() + self.deadline, answer: sender };
        // A thread that has ended answers by dropping the other side.
        let _ = self.jobs.send(job);
        Some(Ticket { work, answer, _slot: slot })
    }
}

impl Ticket {
    /// Waits for the image.
    pub(crate) async fn made(mut self, deadline: Duration) -> Result<Made, NotMade> {
        match tokio::time::timeout(deadline, &mut self.answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(NotMade::Panicked),
            Err(_) => Err(NotMade::Late),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.work.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Works until nobody can ask any more.
fn work(mut engine: impl Engine, queue: &Receiver<Job>, facts: &RwLock<ModelFacts>, counters: &Counters) {
    let mut looked = Instant::now();
    loop {
        match queue.recv_timeout(LOOK) {
            Ok(job) => serve(&mut engine, job, counters),
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return,
        }
        if looked.elapsed() >= LOOK {
            if let Ok(newer) = catch_unwind(AssertUnwindSafe(|| engine.facts())) {
                *facts.write().unwrap_or_else(PoisonError::into_inner) = newer;
            }
            looked = Instant::now();
        }
    }
}

fn serve(engine: &mut impl Engine, Job { work, until, answer }: Job, counters: &Counters) {
    let Some(work) = work.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
    let begun = Instant::now();
    if begun > until {
        let _ = answer.send(Err(NotMade::Late));
        return;
    }
    let made = catch_unwind(AssertUnwindSafe(|| engine.translate(&work)));
    let result = match made {
        Ok(Ok(made)) => {
            counters.made.fetch_add(1, Ordering::Relaxed);
            let (before, now) = (counters.micros.load(Ordering::Relaxed), begun.elapsed().as_micros() as u64);
            counters.micros.store(if before == 0 { now } else { (3 * before + now) / 4 }, Ordering::Relaxed);
            Ok(made)
        }
        Ok(Err(refusal)) => Err(NotMade::Refused(refusal)),
        Err(_) => {
            counters.panics.fetch_add(1, Ordering::Relaxed);
            let _ = catch_unwind(AssertUnwindSafe(|| engine.recover()));
            Err(NotMade::Panicked)
        }
    };
    let _ = answer.send(result);
}
