//! Several ranks against one process which accumulates, bit for bit.

#![allow(clippy::unwrap_used)]
use super::*;
use crate::accumulation::tests::{at, batches, build, lively};
use crate::{METHODS, MethodSpec};
use candle_core::DType;
use gan_comm::tensors::elements;
use gan_comm::threads::group;

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

/// The bits after each step; a step is the sizes of its micro-batches.
fn run(spec: &MethodSpec, steps: &[&[u64]], ranks: Option<(Arc<dyn Communicator>, Reduce)>) -> Vec<Bits> {
    let mut method = build(spec, &lively(spec), DType::F32);
    let (mut seen, mut from) = (3, 0);
    let mut step = |(update, sizes): (usize, &&[u64])| {
        let all = batches(spec, from, sizes, DType::F32);
        let cx = StepContext { update: update as u64, ..at(seen, 1e-3) };
        from += sizes.iter().sum::<u64>();
        seen += sizes.len() as u64;
        let losses = match &ranks {
            None => accumulated_step(&mut *method, &all, Ok, &cx),
            Some((ranks, reduce)) => {
                let own: Vec<Batch> = all.iter().skip(ranks.rank()).step_by(ranks.size()).cloned().collect();
                let images: Vec<f64> = sizes.iter().map(|&n| n as f64).collect();
                parallel_step(&mut *method, ranks, &own, &images, *reduce, Ok, &cx)
            }
        };
        bits(&mut *method, &losses.unwrap())
    };
    steps.iter().enumerate().map(&mut step).collect()
}

/// What each of so many ranks is left with.
fn on(spec: &MethodSpec, steps: &[&[u64]], size: usize, reduce: Reduce) -> Vec<Vec<Bits>> {
    std::thread::scope(|scope| {
        let rank = |rank| scope.spawn(move || run(spec, steps, Some((Arc::new(rank), reduce))));
        let ranks: Vec<_> = group(size).into_iter().map(rank).collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

/// Batch norms, dropout, pools that exchange, and rounds that are not full.
#[test]
fn ranks_leave_the_bits_of_one_process() {
    for spec in METHODS {
        let steps: [&[u64]; 4] = [&[1, 1, 1], &[2, 1], &[1], &[1, 1, 1, 1, 1]];
        let want = run(spec, &steps, None);
        for size in [2, 3] {
            for (rank, got) in on(spec, &steps, size, Reduce::Ordered).iter().enumerate() {
                for (step, (got, want)) in got.iter().zip(&want).enumerate() {
                    for ((name, got), (_, want)) in got.iter().zip(want) {
                        assert!(got == want, "{}: {name} of rank {rank} of {size} after step {step}", spec.name);
                    }
                    assert_eq!(got.len(), want.len());
                }
            }
        }
        // What is compared changes.
        assert!(want[0] != want[1] && want[1] != want[2], "{}", spec.name);
    }
}

/// With at most one micro-batch a rank the bits are those of one process. With more, the ranks still agree on every bit.
#[test]
fn gradients_can_be_reduced_once_an_update() {
    for spec in METHODS {
        let few: [&[u64]; 3] = [&[1, 2, 1], &[1], &[1, 1]];
        let want = run(spec, &few, None);
        for got in on(spec, &few, 3, Reduce::Once) {
            assert!(got == want, "{}", spec.name);
        }
        let many: [&[u64]; 1] = [&[1, 1, 1, 1, 1]];
        let (want, got) = (&run(spec, &many, None)[0], on(spec, &many, 2, Reduce::Once));
        assert!(got[0] == got[1], "{}", spec.name);
        let got = &got[0][0];
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
    let error =
        parallel_step(&mut *method, &ranks, &all[..1], &[1.0, 1.0], Reduce::Ordered, Ok, &at(0, 1e-3)).unwrap_err();
    assert!(matches!(error, Error::Ranks(gan_comm::Error::Gone { rank: 1 })), "{error}");
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
