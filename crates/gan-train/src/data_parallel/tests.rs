//! Several ranks against one process which accumulates, bit for bit.

#![allow(clippy::unwrap_used)]
use super::*;
use crate::accumulation::tests::{at, batches, build, lively};
use crate::{METHODS, MethodSpec};
use candle_core::DType;
use gan_comm::tensors::elements;
use gan_comm::threads::group;

/// Every bit that a step leaves: parameters, statistics, moments, pools, counts; and its losses.
fn bits(method: &mut dyn Method, losses: &Losses) -> Vec<(String, Vec<u8>)> {
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
fn run(spec: &MethodSpec, steps: &[&[u64]], ranks: Option<Arc<dyn Communicator>>) -> Vec<Vec<(String, Vec<u8>)>> {
    let mut method = build(spec, &lively(spec), DType::F32);
    let (mut seen, mut from) = (3, 0);
    let mut step = |(update, sizes): (usize, &&[u64])| {
        let all = batches(spec, from, sizes, DType::F32);
        let cx = StepContext { update: update as u64, ..at(seen, 1e-3) };
        from += sizes.iter().sum::<u64>();
        seen += sizes.len() as u64;
        let losses = match &ranks {
            None => accumulated_step(&mut *method, &all, Ok, &cx),
            Some(ranks) => {
                let own: Vec<Batch> = all.iter().skip(ranks.rank()).step_by(ranks.size()).cloned().collect();
                let images: Vec<f64> = sizes.iter().map(|&n| n as f64).collect();
                parallel_step(&mut *method, ranks, &own, &images, Ok, &cx)
            }
        };
        bits(&mut *method, &losses.unwrap())
    };
    steps.iter().enumerate().map(&mut step).collect()
}

/// Batch norms, dropout, pools that exchange, and rounds that are not full.
#[test]
fn ranks_leave_the_bits_of_one_process() {
    for spec in METHODS {
        let steps: [&[u64]; 4] = [&[1, 1, 1], &[2, 1], &[1], &[1, 1, 1, 1, 1]];
        let want = run(spec, &steps, None);
        for size in [2, 3] {
            let got = std::thread::scope(|scope| {
                let rank = |rank| scope.spawn(move || run(spec, &steps, Some(Arc::new(rank))));
                let ranks: Vec<_> = group(size).into_iter().map(rank).collect();
                ranks.into_iter().map(|rank| rank.join().unwrap()).collect::<Vec<_>>()
            });
            for (rank, got) in got.iter().enumerate() {
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

/// A rank that ends half-way ends the step of the others.
#[test]
fn a_rank_that_ends_is_noticed() {
    let spec = &METHODS[0];
    let all = batches(spec, 0, &[1, 1], DType::F32);
    let mut ranks = group(2);
    drop(ranks.pop());
    let ranks: Arc<dyn Communicator> = Arc::new(ranks.remove(0));
    let mut method = build(spec, &[], DType::F32);
    let error = parallel_step(&mut *method, &ranks, &all[..1], &[1.0, 1.0], Ok, &at(0, 1e-3)).unwrap_err();
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
