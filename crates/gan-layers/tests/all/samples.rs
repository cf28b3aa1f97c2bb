//! Features at single positions: the rows of taps, with the gradients that taps would have.
#![allow(clippy::unwrap_used, dead_code)]

use crate::network;

use candle_core::{DType, Tensor};
use gan_kernels::optim::AdamStep;
use gan_layers::{Ctx, ParamStore, Samples, Sequence, Weights};
use network::{assert_close, check_gradients, ctx, device, drawn, gradients, images, numbers, weighted};

fn positions(at: &[u32]) -> Tensor {
    Tensor::new(at, &device()).unwrap()
}

/// Layers 0 to 5 of the test network: padded 8x10 with two channels, 6x8 with three.
fn samples(layers: &[usize]) -> Vec<Samples> {
    let at = |layer: usize| positions(if layer == 0 { &[0, 79, 33] } else { &[5, 47, 20, 0] });
    layers.iter().map(|&layer| Samples { layer, positions: at(layer) }).collect()
}

/// What a tap shows at the positions, by candle's own operators.
fn rows(tap: &Tensor, positions: &Tensor) -> Tensor {
    let (n, c, h, w) = tap.dims4().unwrap();
    let rows = tap.reshape((n, c, h * w)).unwrap().contiguous().unwrap().index_select(positions, 2).unwrap();
    rows.transpose(1, 2).unwrap().reshape((n * positions.elem_count(), c)).unwrap()
}

fn total(rows: &[Tensor]) -> Tensor {
    let parts = rows.iter().enumerate().map(|(i, rows)| weighted(rows, 70 + i as u64));
    parts.reduce(|sum, part| (sum + part).unwrap()).unwrap()
}

fn walk(store: &ParamStore, tracked: bool, loss: impl Fn(&Tensor) -> Tensor) -> [Vec<f64>; 2] {
    store.zero_grad().unwrap();
    let x = images(2, 1);
    if !tracked {
        loss(&x.detach()).backward().unwrap();
        return [Vec::new(), gradients(store)];
    }
    let grads = loss(x.as_tensor()).backward().unwrap();
    [numbers(grads.get(x.as_tensor()).unwrap()), gradients(store)]
}

const SETS: [&[usize]; 6] = [&[0], &[1], &[2, 5], &[0, 1, 2, 3, 4, 5], &[1, 1, 4], &[0, 3]];

fn sampled(net: &Sequence, x: &Tensor, ctx: &Ctx, layers: &[usize]) -> Vec<Tensor> {
    net.forward_to_samples(x, ctx, &samples(layers)).unwrap()
}

#[test]
fn rows_and_gradients_are_those_of_taps() {
    let (store, net) = drawn();
    for layers in SETS {
        for (weights, checkpointing, tracked) in [
            (Weights::Train, false, true),
            (Weights::Train, true, true),
            (Weights::Train, false, false),
            (Weights::Frozen, false, true),
        ] {
            if layers == [0] && !tracked {
                continue; // there is nothing to backpropagate to
            }
            let ctx = Ctx { checkpointing, ..ctx(weights) };
            let have = walk(&store, tracked, |x| total(&sampled(&net, x, &ctx, layers)));
            let want = walk(&store, tracked, |x| {
                let (_, taps) = net.forward_with_taps(x, &ctx, layers).unwrap();
                total(&taps.iter().zip(samples(layers)).map(|(tap, s)| rows(tap, &s.positions)).collect::<Vec<_>>())
            });
            for (have, want) in have.iter().zip(&want) {
                assert_close(have, want, 1e-11, &format!("layers {layers:?} {weights:?}"));
            }
        }
        let x = images(2, 1).detach();
        let (_, taps) = net.forward_with_taps(&x, &ctx(Weights::Frozen), layers).unwrap();
        for ((have, tap), sample) in
            sampled(&net, &x, &ctx(Weights::Frozen), layers).iter().zip(&taps).zip(samples(layers))
        {
            assert!(!have.track_op());
            assert_close(&numbers(have), &numbers(&rows(tap, &sample.positions)), 1e-12, "rows");
        }
    }
}

#[test]
fn gradients_are_those_of_central_differences() {
    let (store, net) = drawn();
    check_gradients(&store, &images(2, 1), |x, weights| total(&sampled(&net, x, &ctx(weights), &[0, 1, 3, 5])));
}

#[test]
fn samples_keep_the_promises_of_segments() {
    let (store, net) = drawn();
    let run = || total(&sampled(&net, images(2, 1).as_tensor(), &ctx(Weights::Train), &[1, 4]));
    let loss = run();
    loss.backward().unwrap();
    assert!(loss.backward().unwrap_err().to_string().contains("twice"));
    let loss = run();
    let step = AdamStep { lr: 1e-3, beta1: 0.5, beta2: 0.999, eps: 1e-8, step: 1 };
    store.adam(0..store.len(), &step).unwrap();
    assert!(loss.backward().unwrap_err().to_string().contains("updated between"));
}

#[test]
fn what_cannot_be_sampled_is_refused() {
    let (_, net) = drawn();
    let x = images(2, 1).detach();
    let refused =
        |samples: &[Samples]| net.forward_to_samples(&x, &ctx(Weights::Frozen), samples).unwrap_err().to_string();
    assert!(refused(&[]).contains("one layer or more"));
    assert!(refused(&samples(&[4, 1])).contains("must ascend"));
    assert!(refused(&samples(&[9])).contains("no layer 9"));
    assert_eq!(x.dtype(), DType::F64);
}
