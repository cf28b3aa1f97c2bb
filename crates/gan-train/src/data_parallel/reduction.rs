//! The gradients of a pass, reduced in buckets while the backward pass goes on.
//!
//! All ranks send the same buckets in the same order, between the same other messages: that of a [`Plan`] which the first rank has made when it
//! made such a pass before. A bucket is sent when as much was done to its gradients as then. If more is done to them afterwards, on any rank, all
//! send it once more at the end of the round. So a pass that goes another way than the last one costs time, and is never added up wrongly.

use super::plan::{Plan, Planned, Record};
use crate::Result;
use crate::method::MethodState;
use candle_core::Tensor;
use gan_comm::{Communicator, Error, Exchange, OrderedSum};
use gan_kernels::elementwise;
use gan_layers::Gradients;
use std::ops::Range;
use std::sync::Arc;

/// The gradients of all optimizers, cut into buckets.
pub(super) struct Reduction {
    ranks: Arc<dyn Communicator>,
    gradients: Vec<Gradients>,
    buckets: Vec<Bucket>,
    round: Round,
}

/// Neighboring parameters of one optimizer.
struct Bucket {
    optimizer: usize,
    params: Range<usize>,
    sum: OrderedSum,
    /// The sum over this rank's micro-batches so far, where it is reduced once.
    own: Option<Tensor>,
    coming: Option<Exchange>,
    /// What was done to the gradients before the round,
    before: u64,
    /// and in it, when they were sent.
    sent: Option<u64>,
}

/// What is known of the micro-batches that are computed at a time.
#[derive(Default)]
pub(super) struct Round {
    /// Factor of this rank's gradients.
    pub(super) weight: f64,
    /// Whether this rank has a micro-batch that counts.
    pub(super) counts: bool,
    /// The first ranks, whose gradients are added; none if the round is not reduced.
    pub(super) count: usize,
    /// What is sent before the end, if such a pass was made before.
    pub(super) plan: Option<Arc<Plan>>,
    /// How much of the plan was done.
    done: usize,
    /// What a plan is made from.
    record: Record,
    failed: Option<Error>,
}

impl Round {
    pub(super) fn new(weight: f64, counts: bool, count: usize, plan: Option<Arc<Plan>>) -> Self {
        Round { weight, counts, count, plan, ..Round::default() }
    }
}

/// What becomes of the plan of a round.
pub(super) enum Learned {
    /// It stays as it is.
    Nothing,
    /// It was not followed.
    Unlike,
    /// There was none.
    New(Plan),
}

/// What a rank says of a bucket at the end of a round: its optimizer makes no update,
const IDLE: u8 = 0;
/// the gradients were sent,
const SENT: u8 = 1;
/// they are still to be sent, or have changed since.
const WANTING: u8 = 2;

impl Reduction {
    /// In buckets of about so many bytes.
    pub(super) fn new(state: MethodState<'_>, ranks: Arc<dyn Communicator>, bytes: usize) -> Self {
        let (mut gradients, mut buckets) = (Vec::new(), Vec::new());
        for (optimizer, (_, of, _)) in state.optimizers.into_iter().enumerate() {
            let own = of.store().gradients();
            let len = bytes / of.store().dtype().size_in_bytes();
            let bucket = |params| Bucket {
                optimizer,
                params,
                sum: OrderedSum::default(),
                own: None,
                coming: None,
                before: 0,
                sent: None,
            };
            buckets.extend(cut(own.params(), len).into_iter().map(bucket));
            gradients.push(own);
        }
        Reduction { ranks, gradients, buckets, round: Round::default() }
    }

    /// The number of parameters of each bucket, and which optimizer's they are.
    pub(super) fn layout(&self) -> Vec<[u64; 2]> {
        self.buckets.iter().map(|bucket| [bucket.optimizer as u64, bucket.params.len() as u64]).collect()
    }

    pub(super) fn begin(&mut self, round: Round) {
        for bucket in &mut self.buckets {
            bucket.before = self.gradients[bucket.optimizer].changes(bucket.params.clone());
            bucket.sent = None;
        }
        self.round = round;
    }

    /// How much was done to the gradients of each bucket in this round.
    fn changes(&self, bucket: usize) -> u64 {
        let Bucket { optimizer, params, before, .. } = &self.buckets[bucket];
        self.gradients[*optimizer].changes(params.clone()) - before
    }

    fn all_changes(&self) -> Vec<u64> {
        (0..self.buckets.len()).map(|bucket| self.changes(bucket)).collect()
    }

    /// After a layer of the backward pass: sends what is complete.
    pub(super) fn after_layer(&mut self) {
        if self.round.plan.is_none() {
            let changes = self.all_changes();
            return self.round.record.after_layer(&changes);
        }
        self.ranks.progress();
        let complete = |own: &Self, planned| match planned {
            Planned::Bucket { bucket, changes } => own.changes(bucket) >= changes,
            Planned::Message => false,
        };
        self.go_on_while(complete);
    }

    /// Before another message that all ranks send: sends all that is to be sent before it.
    pub(super) fn before_message(&mut self) -> Result<(), Error> {
        if self.round.plan.is_none() {
            let changes = self.all_changes();
            self.round.record.before_message(&changes);
        }
        self.go_on_while(|_, planned| matches!(planned, Planned::Bucket { .. }));
        self.round.done += 1;
        self.round.failed.take().map_or(Ok(()), Err)
    }

    /// Sends the buckets that come next in the plan.
    fn go_on_while(&mut self, wanted: impl Fn(&Self, Planned) -> bool) {
        while self.round.failed.is_none()
            && let Some(plan) = &self.round.plan
            && let Some(&planned) = plan.0.get(self.round.done)
            && wanted(self, planned)
        {
            self.round.done += 1;
            if let Planned::Bucket { bucket, .. } = planned {
                self.round.failed = self.send(bucket).err();
            }
        }
    }

    /// The sum over this rank's micro-batches that is to be sent.
    fn own(&self, bucket: usize) -> candle_core::Result<Tensor> {
        let Bucket { optimizer, params, own, .. } = &self.buckets[bucket];
        let lent = || {
            let lent = self.gradients[*optimizer].lend(params.clone())?;
            if self.round.weight == 1.0 { Ok(lent) } else { lent * self.round.weight }
        };
        match own {
            Some(own) if self.round.counts => own + lent()?,
            Some(own) => Ok(own.clone()),
            // Of a rank without a micro-batch, nobody takes it.
            None => lent(),
        }
    }

    fn send(&mut self, bucket: usize) -> Result<(), Error> {
        self.buckets[bucket].sent = Some(self.changes(bucket));
        let own = self.own(bucket)?;
        self.buckets[bucket].sum.add(&*self.ranks, &own, self.round.count)
    }

    /// Ends a round, in which the optimizers that are `due` have got complete gradients. These are added up, and forgotten.
    ///
    /// # Errors
    /// [`Error::Unexpected`] where other optimizers are due on another rank; those of the messages.
    pub(super) fn end_round(&mut self, due: &[bool]) -> Result<Learned> {
        let due: Vec<bool> = self.buckets.iter().map(|bucket| due[bucket.optimizer]).collect();
        if self.round.count == 0 {
            for bucket in (0..due.len()).filter(|&bucket| due[bucket]) {
                self.buckets[bucket].own = Some(self.own(bucket)?);
                self.forget(bucket);
            }
            return Ok(Learned::Nothing);
        }
        self.go_on_while(|_, _| true);
        if let Some(failed) = self.round.failed.take() {
            return Err(failed.into());
        }
        let told = self.tell(&due)?;
        let mut learned = Learned::Nothing;
        for (bucket, due) in due.iter().enumerate() {
            let again = *due && told.iter().any(|rank| rank[bucket] == WANTING);
            if self.buckets[bucket].sent.is_some() && (again || !due) {
                self.buckets[bucket].sum.take_back()?;
                learned = Learned::Unlike;
            }
            if again {
                self.send(bucket)?;
            }
        }
        for bucket in (0..due.len()).filter(|&bucket| due[bucket]) {
            self.buckets[bucket].sum.settle()?;
            self.forget(bucket);
        }
        if self.round.plan.is_some() {
            return Ok(learned);
        }
        // Where ranks go different ways, all take that of the first.
        let changes: Vec<Option<u64>> =
            (0..due.len()).map(|bucket| due[bucket].then(|| self.changes(bucket))).collect();
        let own = std::mem::take(&mut self.round.record).plan(&changes);
        Ok(Learned::New(Plan::of_bytes(&self.ranks.broadcast(0, own.to_bytes())?, changes.len())?))
    }

    /// What each rank says of each bucket.
    fn tell(&self, due: &[bool]) -> Result<Vec<Vec<u8>>, Error> {
        let state = |(bucket, due): (usize, &bool)| match self.buckets[bucket].sent {
            _ if !due => IDLE,
            Some(changes) if changes == self.changes(bucket) => SENT,
            _ => WANTING,
        };
        let own: Vec<u8> = due.iter().enumerate().map(state).collect();
        let told = self.ranks.all_gather(own)?;
        let idle = |state: &u8| *state == IDLE;
        for (rank, theirs) in told.iter().enumerate() {
            if theirs.len() != due.len() || theirs.iter().zip(due).any(|(state, due)| idle(state) == *due) {
                return Err(Error::Unexpected { rank, what: "gradients of other networks than this rank".into() });
            }
        }
        Ok(told)
    }

    fn forget(&self, bucket: usize) {
        let Bucket { optimizer, params, .. } = &self.buckets[bucket];
        self.gradients[*optimizer].forget(params.clone());
    }

    /// Begins to bring the sums times `scale` to all ranks, of the optimizers that are `due`. Returns for each bucket whether this rank's slice of
    /// it is known to be finite.
    ///
    /// # Errors
    /// As [`OrderedSum::gather`].
    pub(super) fn gather(&mut self, due: &[bool], scale: f64) -> Result<Vec<bool>> {
        let mut finite = vec![false; self.buckets.len()];
        for (bucket, finite) in self.buckets.iter_mut().zip(&mut finite).filter(|(bucket, _)| due[bucket.optimizer]) {
            let scaled = |own: Tensor| {
                // A device looks when it updates.
                if !own.device().is_cpu() {
                    return own * scale;
                }
                *finite = elementwise::scale(&own, scale)?;
                Ok(own)
            };
            bucket.coming = Some(bucket.sum.gather(&*self.ranks, scaled)?);
        }
        Ok(finite)
    }

    /// Waits for what [`Reduction::gather`] began, and sets the gradients. `finite` says of each bucket whether every rank's slice of it is known
    /// to be finite.
    ///
    /// # Errors
    /// As [`Exchange::finish`].
    pub(super) fn finish(&mut self, finite: &[bool]) -> Result<()> {
        for (bucket, &finite) in self.buckets.iter_mut().zip(finite) {
            let Some(coming) = bucket.coming.take() else { continue };
            let (gradients, params, sum) = (&self.gradients[bucket.optimizer], bucket.params.clone(), coming.finish()?);
            match finite {
                true => gradients.set_finite(params, &sum)?,
                false => gradients.set(params, &sum)?,
            }
        }
        Ok(())
    }
}

/// Parameters that lie behind one another, from the last one on, in parts that have at least `len` numbers each: the gradients of the last
/// layers are complete first.
fn cut(params: impl DoubleEndedIterator<Item = Range<usize>> + ExactSizeIterator, len: usize) -> Vec<Range<usize>> {
    let (mut parts, mut end, mut have) = (Vec::new(), params.len(), 0);
    for (i, at) in params.enumerate().rev() {
        have += at.len();
        if have >= len || i == 0 {
            parts.push(i..end);
            (end, have) = (i, 0);
        }
    }
    parts
}
