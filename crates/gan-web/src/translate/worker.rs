//! The threads of a model, and the queues in front of them.
//!
//! Images that take long have a queue and a thread of their own, whose computing gives way to all else: those that take a moment do not wait for them.

use crate::limits::Limits;
use crate::translate::engine::{Engine, Made, Refusal, Work};
use crate::translate::facts::ModelFacts;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// How often a thread without work asks its model what it can do: checkpoints may have come.
const LOOK: Duration = Duration::from_secs(2);
/// Seconds from which on an image takes long, unless those that the model is made for take half of that.
const LONG: f64 = 0.5;
/// Images that take long and wait.
const LONG_QUEUE: usize = 2;
/// Time without an image that takes long after which the model for them is given up.
const IDLE: Duration = Duration::from_secs(60);

/// A model in threads of its own.
#[derive(Debug)]
pub(crate) struct Worker {
    id: String,
    facts: Arc<RwLock<ModelFacts>>,
    short: Lane,
    /// For images that take long, if the model can translate two at a time.
    long: Option<Lane>,
    counters: Arc<Counters>,
    deadline: Duration,
}

/// A queue, and what is known of the thread behind it.
#[derive(Debug)]
struct Lane {
    jobs: Sender<Job>,
    /// One for the request that is worked on, the others for those that wait.
    slots: Arc<Semaphore>,
    places: usize,
    /// Microseconds that a translation takes, smoothed.
    micros: Arc<AtomicU64>,
}

impl Lane {
    fn new(queue: usize) -> (Self, Receiver<Job>) {
        let (jobs, receiver) = channel();
        let places = queue + 1;
        (Lane { jobs, slots: Arc::new(Semaphore::new(places)), places, micros: Arc::default() }, receiver)
    }

    /// Requests that are worked on or wait.
    fn waiting(&self) -> usize {
        self.places.saturating_sub(self.slots.available_permits())
    }
}

/// What a model has done.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Images that were made.
    pub(crate) made: AtomicU64,
    /// Translations that panicked.
    pub(crate) panics: AtomicU64,
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
    /// Starts the threads of a model.
    pub(crate) fn start<E: Engine>(mut engine: E, limits: &Limits) -> io::Result<Self> {
        let first = engine.facts();
        let (id, name) = (first.id.clone(), format!("model-{}", first.id));
        let facts = Arc::new(RwLock::new(first));
        let counters = Arc::new(Counters::default());
        let long = match engine.twin() {
            Some(twin) => {
                let (lane, queue) = Lane::new(LONG_QUEUE.min(limits.queue));
                let (counted, micros) = (counters.clone(), lane.micros.clone());
                thread::Builder::new()
                    .name(format!("{name}-long"))
                    .spawn(move || work_long(&twin, &queue, &counted, &micros))?;
                Some(lane)
            }
            None => None,
        };
        let (short, queue) = Lane::new(limits.queue);
        let (shared, counted, micros) = (facts.clone(), counters.clone(), short.micros.clone());
        thread::Builder::new().name(name).spawn(move || work(engine, &queue, &shared, &counted, &micros))?;
        Ok(Worker { id, facts, short, long, counters, deadline: limits.deadline })
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

    /// Seconds until half of those that wait where an image of this size would have had their turn.
    pub(crate) fn patience(&self, size: (u32, u32)) -> u64 {
        let lane = self.lane(size);
        let each = Duration::from_micros(lane.micros.load(Ordering::Relaxed)).as_secs_f64();
        (each * lane.waiting() as f64 / 2.0).ceil().clamp(1.0, 30.0) as u64
    }

    /// Requests that are worked on or wait.
    pub(crate) fn waiting(&self) -> usize {
        self.short.waiting() + self.long.as_ref().map_or(0, Lane::waiting)
    }

    /// Where images of this size wait.
    fn lane(&self, (width, height): (u32, u32)) -> &Lane {
        let facts = self.facts.read().unwrap_or_else(PoisonError::into_inner);
        let expected = facts.seconds * f64::from(width) * f64::from(height) / (facts.side * facts.side).max(1) as f64;
        match &self.long {
            Some(long) if expected > LONG.max(2.0 * facts.seconds) => long,
            _ => &self.short,
        }
    }

    /// Queues work; `None` if the queue is full.
    pub(crate) fn queue(&self, work: Work) -> Option<Ticket> {
        let lane = self.lane(work.size);
        let slot = lane.slots.clone().try_acquire_owned().ok()?;
        let work = Arc::new(Mutex::new(Some(work)));
        let (sender, answer) = oneshot::channel();
        let job = Job { work: work.clone(), until: Instant::now() + self.deadline, answer: sender };
        // A thread that has ended answers by dropping the other side.
        let _ = lane.jobs.send(job);
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
fn work(
    mut engine: impl Engine,
    queue: &Receiver<Job>,
    facts: &RwLock<ModelFacts>,
    counters: &Counters,
    micros: &AtomicU64,
) {
    let mut looked = Instant::now();
    loop {
        match queue.recv_timeout(LOOK) {
            Ok(job) => serve(&mut engine, job, counters, micros),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if looked.elapsed() >= LOOK {
            if let Ok(newer) = catch_unwind(AssertUnwindSafe(|| engine.facts())) {
                *facts.write().unwrap_or_else(PoisonError::into_inner) = newer;
            }
            looked = Instant::now();
        }
    }
}

/// Works on images that take long, with a model that is there as long as such images come, until nobody can ask any more.
fn work_long<E: Engine>(
    twin: &(dyn Fn() -> Result<E, Refusal> + Sync),
    queue: &Receiver<Job>,
    counters: &Counters,
    micros: &AtomicU64,
) {
    while let Ok(first) = queue.recv() {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(rayon::current_num_threads())
            .thread_name(|i| format!("long-{i}"))
            .start_handler(|_| give_way())
            .build();
        let pool = pool.map_err(|error| Refusal::Failed(error.to_string()));
        let opened = pool.and_then(|pool| Ok((pool.install(twin)?, pool)));
        let (mut engine, pool) = match opened {
            Ok(opened) => opened,
            Err(refusal) => {
                let _ = first.answer.send(Err(NotMade::Refused(refusal)));
                continue;
            }
        };
        let mut next = Ok(first);
        while let Ok(job) = next {
            pool.install(|| serve(&mut engine, job, counters, micros));
            next = queue.recv_timeout(IDLE);
        }
    }
}

/// Lets other threads have the processor first. Where priorities are those of whole programs, all threads get the same.
fn give_way() {
    #[cfg(target_os = "linux")]
    // Without it, images that take long and others share the processor.
    let _ = rustix::process::setpriority_process(None, 19);
}

fn serve(engine: &mut impl Engine, Job { work, until, answer }: Job, counters: &Counters, micros: &AtomicU64) {
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
            let (before, now) = (micros.load(Ordering::Relaxed), begun.elapsed().as_micros() as u64);
            micros.store(if before == 0 { now } else { (3 * before + now) / 4 }, Ordering::Relaxed);
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
