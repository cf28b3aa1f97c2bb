//! Several ranks against one process which accumulates, bit for bit.

#![allow(clippy::unwrap_used)]
use super::*;
use crate::accumulation::tests::{at, batches, build, lively};
use crate::method::{MethodState, Panels};
use crate::{METHODS, MethodSpec};
use candle_core::{DType, Tensor};
use gan_comm::Exchange;
use gan_comm::tensors::elements;
use gan_comm::threads::group;
use std::sync::atomic::{AtomicUsize, Ordering};

type Bits = Vec<(String, Vec<u8>)>;

/// Every bit that a step leaves: parameters, statistics, moments, pools, counts; and its losses.
fn bits(method: &mut dyn Method, losses: &Losses) -> Bits {
    let mut all: Vec<_> = losses.iter().map(|(name, value)| (name.to_string(), elements(value).unwrap())).collect();
    let state = method.state();
    for (name, optimizer, _) in state.optimizers {
        let (m, v) = optimizer.store().moments().unwrap();
        let tensors = optimizer.store().state_dict("").unwrap().into_iter();
        let moments = [("m".to_owned(), m), ("v".to_owned(), v)];
        all.extend(tensors.chain(moments).map(|(key, t)| (format!("{name} {key}"), elements(&t).unwrap())));
        all.push((format!("{name} updates"), optimizer.updates().to_le_bytes().to_vec()));
    }
    for (name, pool) in state.pools {
        all.extend(pool.save(name).unwrap().into_iter().map(|(key, t)| (key, elements(&t).unwrap())));
    }
    all
}

/// How several ranks reduce gradients.
#[derive(Clone, Copy)]
struct How {
    reduce: Reduce,
    /// Bytes.
    bucket: usize,
}

/// Many buckets, each of a few parameters.
const SMALL: How = How { reduce: Reduce::Ordered, bucket: 2000 };

/// Builds a method.
type Build<'a> = &'a (dyn Fn() -> Box<dyn Method> + Sync);

/// The bits after each step; a step is the sizes of its micro-batches.
fn run(
    spec: &MethodSpec,
    build: Build<'_>,
    steps: &[&[u64]],
    ranks: Option<(Arc<dyn Communicator>, How)>,
) -> Vec<Bits> {
    let mut method = build();
    let (mut seen, mut from) = (3, 0);
    let mut parallel =
        ranks.map(|(ranks, How { reduce, bucket })| DataParallel { bucket, ..DataParallel::new(ranks, reduce) });
    let mut step = |(update, sizes): (usize, &&[u64])| {
        let all = batches(spec, from, sizes, DType::F32);
        let cx = StepContext { update: update as u64, ..at(seen, 1e-3) };
        from += sizes.iter().sum::<u64>();
        seen += sizes.len() as u64;
        let losses = match &mut parallel {
            None => accumulated_step(&mut *method, &all, Ok, &cx),
            Some(parallel) => {
                let ranks = &parallel.ranks;
                let own: Vec<Batch> = all.iter().skip(ranks.rank()).step_by(ranks.size()).cloned().collect();
                let images: Vec<f64> = sizes.iter().map(|&n| n as f64).collect();
                parallel.step(&mut *method, &own, &images, Ok, &cx)
            }
        };
        bits(&mut *method, &losses.unwrap())
    };
    steps.iter().enumerate().map(&mut step).collect()
}

/// What each of so many ranks is left with.
fn on(spec: &MethodSpec, build: Build<'_>, steps: &[&[u64]], size: usize, how: How) -> Vec<Vec<Bits>> {
    each(size, |rank| run(spec, build, steps, Some((Arc::new(rank), how))))
}

/// What each of so many ranks returns.
fn each<T: Send>(size: usize, run: impl Fn(gan_comm::threads::Thread) -> T + Sync) -> Vec<T> {
    let run = &run;
    std::thread::scope(|scope| {
        let ranks: Vec<_> = group(size).into_iter().map(|rank| scope.spawn(move || run(rank))).collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

#[track_caller]
fn assert_same(what: &str, got: &[Bits], want: &[Bits]) {
    for (step, (got, want)) in got.iter().zip(want).enumerate() {
        for ((name, got), (_, want)) in got.iter().zip(want) {
            assert!(got == want, "{what}: {name} after step {step}");
        }
        assert_eq!(got.len(), want.len());
    }
}

/// Batch norms, dropout, pools that exchange, rounds that are not full, and penalties in every second step.
#[test]
fn ranks_leave_the_bits_of_one_process() {
    for spec in METHODS {
        let steps: [&[u64]; 5] = [&[1, 1, 1], &[2, 1], &[1], &[1, 1, 1, 1, 1], &[1, 1]];
        let settings = [&lively(spec)[..], &["r1_gamma=1", "r1_every=2"]].concat();
        let build: Build<'_> = &|| build(spec, &settings, DType::F32);
        let want = run(spec, build, &steps, None);
        for size in [2, 3] {
            for (rank, got) in on(spec, build, &steps, size, SMALL).iter().enumerate() {
                assert_same(&format!("{}, rank {rank} of {size}", spec.name), got, &want);
            }
        }
        // What is compared changes.
        assert!(want[0] != want[1] && want[1] != want[2], "{}", spec.name);
    }
}

/// Its micro-batches go different ways, and it does not say which: every second one has a penalty.
struct Fickle(Box<dyn Method>);

impl Method for Fickle {
    fn step(&mut self, batch: &Batch, cx: &StepContext) -> Result<Losses> {
        self.0.step(batch, &StepContext { update: cx.step, ..*cx })
    }

    fn passes(&self) -> Option<usize> {
        self.0.passes()
    }

    fn pass(&mut self, pass: usize, batch: &Batch, cx: &StepContext) -> Result<Losses> {
        self.0.pass(pass, batch, &StepContext { update: cx.step, ..*cx })
    }

    fn preview(&self, batch: &Batch) -> Result<Panels> {
        self.0.preview(batch)
    }

    fn state(&mut self) -> MethodState<'_> {
        self.0.state()
    }
}

/// Gradients that change after they were sent are sent once more, though only one rank knows of it.
#[test]
fn passes_that_differ_between_ranks_leave_the_bits_of_one_process() {
    for spec in METHODS {
        let settings = [&lively(spec)[..], &["r1_gamma=1", "r1_every=2"]].concat();
        let build: Build<'_> = &|| Box::new(Fickle(build(spec, &settings, DType::F32)));
        for steps in [[&[1, 1][..], &[1, 1, 1], &[1, 1]], [&[1, 1, 1], &[1, 1, 1], &[2, 1]]] {
            let want = run(spec, build, &steps, None);
            for reduce in [Reduce::Ordered, Reduce::Once] {
                let size = if reduce == Reduce::Once { 3 } else { 2 };
                for got in on(spec, build, &steps, size, How { reduce, ..SMALL }) {
                    assert_same(spec.name, &got, &want);
                }
            }
        }
    }
}

/// Counts the exchanges that were begun.
struct Counting(gan_comm::threads::Thread, Arc<AtomicUsize>);

impl Communicator for Counting {
    fn rank(&self) -> usize {
        self.0.rank()
    }

    fn size(&self) -> usize {
        self.0.size()
    }

    fn all_to_all(&self, parts: Vec<Vec<u8>>) -> gan_comm::Result<Vec<Vec<u8>>> {
        self.0.all_to_all(parts)
    }

    fn exchange(&self, parts: &[Tensor], coming: &[usize]) -> gan_comm::Result<Exchange> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.exchange(parts, coming)
    }
}

/// Notes how many exchanges were begun when a pass was over.
struct Noting(Box<dyn Method>, Arc<AtomicUsize>, Arc<Mutex<Vec<usize>>>);

impl Method for Noting {
    fn step(&mut self, batch: &Batch, cx: &StepContext) -> Result<Losses> {
        let losses = self.0.step(batch, cx);
        self.2.lock().unwrap().push(self.1.swap(0, Ordering::Relaxed));
        losses
    }

    fn passes(&self) -> Option<usize> {
        Some(1)
    }

    fn preview(&self, batch: &Batch) -> Result<Panels> {
        self.0.preview(batch)
    }

    fn state(&mut self) -> MethodState<'_> {
        self.0.state()
    }
}

/// From the second pass on, all buckets are sent within the backward pass but the one that is complete at its end.
#[test]
fn gradients_are_sent_while_the_backward_pass_goes_on() {
    let spec = crate::find(METHODS, "cyclegan").unwrap();
    for got in each(2, |ranks| {
        let (begun, noted) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let ranks = Counting(ranks, begun.clone());
        let build: Build<'_> =
            &|| Box::new(Noting(build(spec, &lively(spec), DType::F32), begun.clone(), noted.clone()));
        let steps: [&[u64]; 3] = [&[1, 1], &[1, 1], &[1, 1]];
        run(spec, build, &steps, Some((Arc::new(ranks), SMALL)));
        noted.lock().unwrap().clone()
    }) {
        // From the end of one pass to the end of the next: each bucket is sent and gathered. The first pass sends at its end, the second one within.
        let (buckets, within) = (got[2] / 2, got[1] - got[2]);
        assert!(got[0] == 0 && buckets > 4 && within + 1 >= buckets, "{got:?}");
    }
}

/// With at most one micro-batch a rank the bits are those of one process. With more, the ranks still agree on every bit.
#[test]
fn gradients_can_be_reduced_once_an_update() {
    let once = How { reduce: Reduce::Once, ..SMALL };
    for spec in METHODS {
        let build: Build<'_> = &|| build(spec, &lively(spec), DType::F32);
        let few: [&[u64]; 3] = [&[1, 2, 1], &[1], &[1, 1]];
        let want = run(spec, build, &few, None);
        for got in on(spec, build, &few, 3, once) {
            assert!(got == want, "{}", spec.name);
        }
        let many: [&[u64]; 2] = [&[1, 1, 1, 1, 1], &[1, 1, 1, 1, 1]];
        let (want, got) = (run(spec, build, &many, None), on(spec, build, &many, 2, once));
        assert!(got[0] == got[1], "{}", spec.name);
        // Wherever they are cut, and sent early or not.
        assert!(got == on(spec, build, &many, 2, How { bucket: 1 << 30, ..once }), "{}", spec.name);
        let (want, got) = (&want[0], &got[0][0]);
        for ((name, got), (_, want)) in got.iter().zip(want).filter(|((name, _), _)| name.ends_with(" m")) {
            let (got, want) = (values(got), values(want));
            let size = want.iter().fold(0f32, |size, v| size.max(v.abs()));
            let most = got.iter().zip(&want).fold(0f32, |most, (a, b)| most.max((a - b).abs()));
            assert!(size > 0.0 && most < 1e-3 * size, "{} {name}: {most} of {size}", spec.name);
        }
        assert!(got != want, "{}: five numbers are added in another order", spec.name);
    }
}

fn values(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
}

/// A rank that ends half-way ends the step of the others.
#[test]
fn a_rank_that_ends_is_noticed() {
    let spec = &METHODS[0];
    let all = batches(spec, 0, &[1, 1], DType::F32);
    let mut ranks = group(2);
    drop(ranks.pop());
    let ranks: Arc<dyn Communicator> = Arc::new(ranks.remove(0));
    let mut method = build(spec, &[], DType::F32);
    let mut parallel = DataParallel::new(ranks, Reduce::Ordered);
    let error = parallel.step(&mut *method, &all[..1], &[1.0, 1.0], Ok, &at(0, 1e-3)).unwrap_err();
    assert!(matches!(error, Error::Ranks(gan_comm::Error::Gone { rank: 1 })), "{error}");
}

/// Of a bucket with a bad number in the slice of one rank, all ranks know that it is not finite; the others are not read again.
#[test]
fn the_sum_says_which_buckets_are_finite() {
    let spec = crate::find(METHODS, "pix2pix").unwrap();
    for bad in [f64::NAN, f64::INFINITY] {
        let of_rank = |rank| {
            let rank: Arc<dyn Communicator> = Arc::new(rank);
            let mut method = build(spec, &[], DType::F32);
            let mut reduction = Reduction::new(method.state(), rank.clone(), 2000);
            let due: Vec<_> = method.state().optimizers.iter().map(|_| true).collect();
            for (_, optimizer, _) in method.state().optimizers {
                let gradients = optimizer.store().gradients();
                let ones = Tensor::ones(optimizer.store().len(), DType::F32, &Device::Cpu).unwrap();
                gradients.set(0..gradients.params().len(), &ones).unwrap();
            }
            reduction.begin(Round::new(1.0, true, 2, None));
            // The first of the first rank's slice, and the last of the second one's.
            let (_, optimizer, _) = method.state().optimizers.swap_remove(0);
            let gradients = optimizer.store().gradients();
            let (count, last) = (gradients.params().len(), optimizer.store().len() - 1);
            let flat = gradients.lend(0..count).unwrap();
            let number = Tensor::new(&[bad as f32], &Device::Cpu).unwrap();
            flat.slice_set(&number, 0, if rank.rank() == 0 { 0 } else { last }).unwrap();
            gradients.set(0..count, &flat).unwrap();
            reduction.end_round(&due).unwrap();
            let own = reduction.gather(&due, 0.5).unwrap();
            let report = Report::default();
            let finite = report.exchange(&mut *method, &*rank, &[], 1.0, &own).unwrap().1;
            reduction.finish(&finite).unwrap();
            let optimizers = method.state().optimizers;
            let checks: Vec<_> = optimizers.iter().map(|(_, of, _)| of.store().grads_finite().unwrap()).collect();
            let name = optimizers[0].1.store().first_non_finite_grad().unwrap();
            (own, finite, checks, name, reduction.layout())
        };
        let told = each(2, of_rank);
        let [(first, all, checks, name, layout), (second, of_other, ..)] = &told[..] else { unreachable!() };
        assert_eq!(all, of_other);
        // Buckets are counted from the last parameter on.
        let of_first = layout.iter().filter(|[optimizer, _]| *optimizer == 0).count();
        let bad = |buckets: &[bool]| (0..buckets.len()).filter(|&bucket| !buckets[bucket]).collect::<Vec<_>>();
        assert_eq!((bad(first), bad(second)), (vec![of_first - 1], vec![0]));
        assert_eq!(bad(all), [0, of_first - 1]);
        assert!(!checks[0] && checks[1..].iter().all(|&finite| finite), "{checks:?}");
        assert!(name.is_some() && told[1].3 == *name);
    }
}

/// The error of each of two ranks; `step` is one step of a rank.
fn errors(method: &str, step: impl Fn(&mut DataParallel, Box<dyn Method>, &[Batch]) -> Result<Losses> + Sync) {
    let spec = crate::find(METHODS, method).unwrap();
    let all = batches(spec, 0, &[1, 1], DType::F32);
    let results = each(2, |rank| {
        let rank: Arc<dyn Communicator> = Arc::new(rank);
        let own = &all[rank.rank()..][..1];
        let mut parallel = DataParallel::new(rank, Reduce::Ordered);
        step(&mut parallel, build(spec, &["r1_gamma=1", "r1_every=2"], DType::F32), own).map(drop)
    });
    for (rank, result) in results.into_iter().enumerate() {
        let other = 1 - rank;
        assert!(
            matches!(&result, Err(Error::Ranks(gan_comm::Error::Unexpected { rank, .. })) if *rank == other),
            "{result:?}"
        );
    }
}

/// Ranks that do not do the same are refused, and wait for nothing.
#[test]
fn steps_of_different_kinds_are_refused() {
    // One of them has a penalty.
    errors("pix2pix", |parallel, mut method, own| {
        let cx = StepContext { update: parallel.ranks.rank() as u64, ..at(0, 1e-3) };
        parallel.step(&mut *method, own, &[1.0, 1.0], Ok, &cx)
    });
    // One of them begins with the other network, and does not say so.
    errors("cut", |parallel, method, own| {
        let mut method = Swapped(method, parallel.ranks.rank());
        parallel.step(&mut method, own, &[1.0, 1.0], Ok, &at(0, 1e-3))
    });
}

/// A method of two passes in another order on the second rank.
struct Swapped(Box<dyn Method>, usize);

impl Method for Swapped {
    fn step(&mut self, batch: &Batch, cx: &StepContext) -> Result<Losses> {
        self.0.step(batch, cx)
    }

    fn passes(&self) -> Option<usize> {
        Some(2)
    }

    fn pass(&mut self, pass: usize, batch: &Batch, cx: &StepContext) -> Result<Losses> {
        self.0.pass((pass + self.1) % 2, batch, cx)
    }

    fn preview(&self, batch: &Batch) -> Result<Panels> {
        self.0.preview(batch)
    }

    fn state(&mut self) -> MethodState<'_> {
        self.0.state()
    }
}

#[test]
fn the_batch_of_the_first_rank_reaches_all() {
    let spec = crate::find(METHODS, "pix2pixhd").unwrap();
    let batch = &batches(spec, 0, &[2], DType::F32)[0];
    std::thread::scope(|scope| {
        for rank in group(3) {
            scope.spawn(move || {
                let came = of_first(&rank, (rank.rank() == 0).then_some(batch)).unwrap();
                assert_eq!(elements(&came.a).unwrap(), elements(&batch.a).unwrap());
                assert_eq!(came.a.dtype(), DType::U8);
                let parts = [(&came.b, &batch.b), (&came.inst, &batch.inst)];
                for (came, sent) in parts {
                    let (came, sent) = (came.as_ref().unwrap(), sent.as_ref().unwrap());
                    assert_eq!((came.dims(), elements(came).unwrap()), (sent.dims(), elements(sent).unwrap()));
                }
                assert_eq!(came.names, batch.names);
            });
        }
    });
}
