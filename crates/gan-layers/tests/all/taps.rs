//! Taps and splits: true outputs of single layers, and gradients that add up as in one graph.
#![allow(clippy::unwrap_used, dead_code)]

use crate::network;

use candle_core::{DType, Device, Tensor};
use gan_layers::{
    Act, Builder, ConvSpec, Ctx, Init, NormKind, OneHot, PadMode, ParamStore, Sequence, SequenceBuilder, Weights,
};
use network::{
    assert_close, check_gradients, ctx, device, drawn, gradients, images, key, noise, numbers, score, weighted,
};

/// The layers of the test network: every neighborhood that runs as one kernel lies between two of them.
const LAYERS: usize = 9;

/// A scalar of the output and of the taps.
fn total(y: &Tensor, taps: &[Tensor]) -> Tensor {
    let parts = taps.iter().enumerate().map(|(i, tap)| weighted(tap, 50 + i as u64));
    parts.fold(score(y), |sum, part| (sum + part).unwrap())
}

/// Output, gradient of the input, gradients of the parameters.
fn walk(store: &ParamStore, loss: impl Fn(&Tensor) -> Tensor) -> [Vec<f64>; 2] {
    store.zero_grad().unwrap();
    let x = images(2, 1);
    let grads = loss(x.as_tensor()).backward().unwrap();
    [numbers(grads.get(x.as_tensor()).unwrap()), gradients(store)]
}

#[test]
fn a_tap_is_the_output_of_the_layers_before_it() {
    let (_, net) = drawn();
    assert_eq!(net.nodes().len(), LAYERS);
    let x = images(2, 1);
    for weights in [Weights::Train, Weights::Frozen] {
        let all: Vec<usize> = (0..LAYERS).collect();
        let (y, taps) = net.forward_with_taps(&x, &ctx(weights), &all).unwrap();
        assert_close(&numbers(&y), &numbers(&net.forward(&x, &ctx(weights)).unwrap()), 1e-12, "output");
        assert_eq!(taps.len(), LAYERS);
        for (i, tap) in taps.iter().enumerate() {
            let (front, back) = net.split(i + 1).unwrap();
            assert_eq!((front.nodes().len(), back.nodes().len()), (i + 1, LAYERS - i - 1));
            let want = front.forward(&x, &ctx(weights)).unwrap();
            assert_eq!(tap.dims(), want.dims(), "tap {i}");
            assert_close(&numbers(tap), &numbers(&want), 1e-12, &format!("tap {i}"));
        }
    }
}

#[test]
fn the_order_of_taps_is_the_callers_and_they_may_repeat() {
    let (_, net) = drawn();
    let x = images(2, 1);
    let dims = |taps: &[usize]| -> Vec<Vec<usize>> {
        let (_, tapped) = net.forward_with_taps(&x, &ctx(Weights::Frozen), taps).unwrap();
        tapped.iter().map(|t| t.dims().to_vec()).collect()
    };
    assert_eq!(dims(&[5, 0, 5]), [vec![2, 6, 6, 8], vec![2, 2, 8, 10], vec![2, 6, 6, 8]]);
    assert!(dims(&[]).is_empty());
    let (y, last) = net.forward_with_taps(&x, &ctx(Weights::Frozen), &[LAYERS - 1]).unwrap();
    assert_eq!(numbers(&y), numbers(&last[0]));
    let error = net.forward_with_taps(&x, &ctx(Weights::Frozen), &[LAYERS]).unwrap_err().to_string();
    assert!(error.contains("9 layers") && error.contains("no layer 9"), "{error}");
}

#[test]
fn without_taps_nothing_changes() {
    let (store, net) = drawn();
    let run = |tapped: bool| {
        walk(&store, |x| {
            let train = ctx(Weights::Train);
            let plain = || net.forward(x, &train).unwrap();
            score(&if tapped { net.forward_with_taps(x, &train, &[]).unwrap().0 } else { plain() })
        })
    };
    assert_eq!(run(true), run(false));
}

#[test]
fn gradients_are_those_of_the_unsplit_sequence() {
    let (store, net) = drawn();
    let sets: Vec<Vec<usize>> =
        (0..LAYERS).map(|tap| vec![tap]).chain([(0..LAYERS).collect(), vec![7, 1, 4]]).collect();
    for taps in &sets {
        for checkpointing in [false, true] {
            let train = Ctx { checkpointing, ..ctx(Weights::Train) };
            let have = walk(&store, |x| {
                let (y, tapped) = net.forward_with_taps(x, &train, taps).unwrap();
                total(&y, &tapped)
            });
            // The same scalar from graphs of their own, one for the output and one for each tap.
            let want = walk(&store, |x| {
                let alone = |&tap: &usize| net.split(tap + 1).unwrap().0.forward(x, &train).unwrap();
                total(&net.forward(x, &train).unwrap(), &taps.iter().map(alone).collect::<Vec<_>>())
            });
            for (have, want) in have.iter().zip(&want) {
                assert_close(have, want, 1e-11, &format!("taps {taps:?}"));
            }
        }
    }
}

#[test]
fn gradients_through_taps_alone_and_with_frozen_weights() {
    let (store, net) = drawn();
    let through = |weights| walk(&store, |x| weighted(&net.forward_with_taps(x, &ctx(weights), &[2]).unwrap().1[0], 3));
    let [dx, dw] = through(Weights::Train);
    let names: Vec<String> = store.grad_dict("").unwrap().into_iter().map(|(name, _)| name).collect();
    assert!(names[..4].iter().all(|name| name.starts_with("net.model.1.") || name.starts_with("net.model.2.")));
    // Pad, convolution of 2 to 3 channels, batch norm: what lies behind the tap has no part in it.
    let before = 3 * 2 * 9 + 3 + 3 + 3;
    assert!(dw[..before].iter().any(|g| *g != 0.0) && dw[before..].iter().all(|g| *g == 0.0));
    let [frozen, none] = through(Weights::Frozen);
    assert_close(&frozen, &dx, 1e-12, "input");
    assert!(none.iter().all(|g| *g == 0.0));
}

#[test]
fn what_lies_in_front_of_all_parameters_is_no_part_of_the_graph() {
    let (_, net) = drawn();
    let tracked = |x: &Tensor| -> Vec<bool> {
        let (_, taps) = net.forward_with_taps(x, &ctx(Weights::Train), &[0, 1]).unwrap();
        taps.iter().map(Tensor::track_op).collect()
    };
    assert_eq!(tracked(images(2, 1).as_tensor()), [true, true]);
    assert_eq!(tracked(&images(2, 1).detach()), [false, true]);
}

#[test]
fn gradients_are_those_of_central_differences() {
    let (store, net) = drawn();
    let taps: Vec<usize> = (0..LAYERS).collect();
    check_gradients(&store, &images(2, 1), |x, weights| {
        let (y, tapped) = net.forward_with_taps(x, &ctx(weights), &taps).unwrap();
        total(&y, &tapped)
    });
}

#[test]
fn what_is_split_is_chained_again() {
    let (store, net) = drawn();
    let whole = walk(&store, |x| score(&net.forward(x, &ctx(Weights::Train)).unwrap()));
    for at in 0..=LAYERS {
        let (front, back) = net.split(at).unwrap();
        assert!(front.is_trainable() && back.is_trainable());
        let chained = Sequence::chain(&[front.clone(), back.clone()]);
        assert_eq!(walk(&store, |x| score(&chained.forward(x, &ctx(Weights::Train)).unwrap())), whole);
        let apart = walk(&store, |x| {
            let middle = front.forward(x, &ctx(Weights::Train)).unwrap();
            score(&back.forward(&middle, &ctx(Weights::Train)).unwrap())
        });
        for (have, want) in apart.iter().zip(&whole) {
            assert_close(have, want, 1e-11, &format!("split at {at}"));
        }
    }
    let error = net.split(LAYERS + 1).unwrap_err().to_string();
    assert!(error.contains("9 layers cannot be split at 10"), "{error}");
}

/// An instance norm behind a convolution with a bias: untapped, the bias is left out.
fn dead_bias(at: &Builder<'_>) -> candle_core::Result<Sequence> {
    let conv = ConvSpec { in_nc: 2, out_nc: 3, kernel: 3, stride: 1, padding: 1, bias: true };
    Ok(SequenceBuilder::new(at.clone()).conv(conv)?.norm(NormKind::Instance, 3)?.act(Act::Relu).finish())
}

#[test]
fn a_tapped_convolution_has_its_bias() {
    let (store, net) = ParamStore::build(DType::F64, &device(), dead_bias).unwrap();
    let (weight, bias) = (noise(&[3, 2, 3, 3], 5), noise(&[3], 6));
    let state = vec![("0.weight".to_string(), weight.clone()), ("0.bias".to_string(), bias.clone())];
    store.load("", &state, gan_layers::Missing::Refuse).unwrap();
    let x = images(2, 1);
    let bias_gradient = |tapped: bool| {
        store.zero_grad().unwrap();
        let (y, taps) = net.forward_with_taps(&x, &ctx(Weights::Train), if tapped { &[0] } else { &[] }).unwrap();
        let loss = taps.iter().fold(weighted(&y, 7), |sum, tap| (sum + weighted(tap, 8)).unwrap());
        loss.backward().unwrap();
        (taps, numbers(&store.grad_dict("").unwrap()[1].1))
    };
    let (_, untapped) = bias_gradient(false);
    assert!(untapped.iter().all(|g| *g == 0.0));
    let (taps, have) = bias_gradient(true);
    let [x, weight, bias] = [&x.detach(), &weight, &bias].map(|t| t.to_device(&Device::Cpu).unwrap());
    let want = x.conv2d(&weight, 1, 1, 1, 1).unwrap().broadcast_add(&bias.reshape((1, 3, 1, 1)).unwrap()).unwrap();
    assert_close(&numbers(&taps[0]), &numbers(&want), 1e-12, "the tap");
    // Through the norm it is nothing, through the tap the sum of the tap's gradient.
    let cotangent = noise(&[2, 3, 6, 8], 8).sum((0, 2, 3)).unwrap();
    assert_close(&have, &numbers(&cotangent), 1e-11, "the bias's gradient");
}

#[test]
fn labels_pass_a_tapped_sequence() {
    let build = |at: &Builder<'_>| {
        let conv = ConvSpec { in_nc: 11, out_nc: 4, kernel: 3, stride: 1, padding: 0, bias: true };
        let s = SequenceBuilder::new(at.clone()).pad(PadMode::Reflect, 1).conv(conv)?;
        Ok(s.norm(NormKind::Instance, 4)?.act(Act::Relu).finish())
    };
    let (store, net) = ParamStore::build(DType::F64, &device(), build).unwrap();
    store.init(&Init::default(), key()).unwrap();
    let ids =
        Tensor::from_vec((0..96).map(|i| (i * i % 9) as u8).collect::<Vec<_>>(), (2, 1, 6, 8), &device()).unwrap();
    let labels = OneHot::new(&ids, 9, Some(&images(2, 1).detach()), DType::F64).unwrap();
    for taps in [&[1][..], &[0, 1, 3]] {
        let run = |planes: bool| {
            store.zero_grad().unwrap();
            let made = labels.planes().unwrap();
            let (y, tapped) = if planes {
                net.forward_with_taps(&made, &ctx(Weights::Train), taps).unwrap()
            } else {
                net.forward_with_taps(&labels, &ctx(Weights::Train), taps).unwrap()
            };
            let loss = tapped.iter().fold(weighted(&y, 1), |sum, tap| (sum + weighted(tap, 2)).unwrap());
            loss.backward().unwrap();
            let mut out = numbers(&y);
            out.extend(tapped.iter().flat_map(numbers));
            out.extend(gradients(&store));
            out
        };
        assert_close(&run(false), &run(true), 1e-10, "labels and planes");
    }
}
