//! What a segment promises: right gradients, one backward pass, no silently wrong gradient after an update.
#![allow(clippy::unwrap_used, dead_code)]

use crate::network;

use candle_core::Tensor;
use candle_nn::VarBuilder;
use gan_kernels::optim::AdamStep;
use gan_layers::{Builder, Ctx, NormMode, Weights, halves};
use network::{check_gradients, ctx, device, drawn, gradients, images, key, layers, numbers, score};

#[test]
fn gradients_are_those_of_central_differences() {
    let (store, net) = drawn();
    let x = images(2, 1);
    check_gradients(&store, &x, |x, weights| score(&net.forward(x, &ctx(weights)).unwrap()));
}

#[test]
fn gradients_accumulate_until_they_are_zeroed() {
    let (store, net) = drawn();
    let x = images(2, 1).detach();
    let walk = || {
        score(&net.forward(&x, &ctx(Weights::Train)).unwrap()).backward().unwrap();
    };
    walk();
    let once = gradients(&store);
    walk();
    assert!(gradients(&store).iter().zip(&once).all(|(twice, once)| (twice - 2.0 * once).abs() < 1e-12));
    store.zero_grad().unwrap();
    assert!(gradients(&store).iter().all(|&g| g == 0.0));
}

#[test]
fn a_segment_has_one_backward_pass() {
    let (store, net) = drawn();
    let loss = score(&net.forward(&images(2, 1), &ctx(Weights::Train)).unwrap());
    loss.backward().unwrap();
    let once = gradients(&store);
    let error = loss.backward().unwrap_err().to_string();
    assert!(error.contains("twice"), "{error}");
    assert_eq!(gradients(&store), once);
}

#[test]
fn an_update_between_forward_and_backward_is_an_error() {
    let (store, net) = drawn();
    for frozen in [Weights::Train, Weights::Frozen] {
        let loss = score(&net.forward(&images(2, 1), &ctx(frozen)).unwrap());
        let step = AdamStep { lr: 1e-3, beta1: 0.5, beta2: 0.999, eps: 1e-8, step: 1 };
        store.adam(0..store.len(), &step).unwrap();
        let error = loss.backward().unwrap_err().to_string();
        assert!(error.contains("updated between"), "{error}");
        assert!(gradients(&store).iter().all(|&g| g == 0.0));
    }
}

#[test]
fn frozen_weights_pass_gradients_on_and_keep_none() {
    let (store, net) = drawn();
    let x = images(2, 1);
    let through = |weights| {
        let grads = score(&net.forward(&x, &ctx(weights)).unwrap()).backward().unwrap();
        numbers(grads.get(x.as_tensor()).unwrap())
    };
    let frozen = through(Weights::Frozen);
    assert!(gradients(&store).iter().all(|&g| g == 0.0));
    assert_eq!(frozen, through(Weights::Train));
    assert!(gradients(&store).iter().any(|&g| g != 0.0));
}

#[test]
fn no_graph_without_a_use_for_it() {
    let (_, net) = drawn();
    let x = images(2, 1).detach();
    let tracked = |x: &Tensor, weights| net.forward(x, &ctx(weights)).unwrap().track_op();
    assert!(!tracked(&x, Weights::Frozen));
    assert!(tracked(&x, Weights::Train));
    assert!(tracked(images(2, 1).as_tensor(), Weights::Frozen));
}

#[test]
fn checkpointing_changes_nothing() {
    let (store, net) = drawn();
    let x = images(2, 1);
    let run = |checkpointing| {
        store.zero_grad().unwrap();
        let y = net.forward(&x, &Ctx { checkpointing, ..ctx(Weights::Train) }).unwrap();
        let grads = score(&y).backward().unwrap();
        (numbers(&y), numbers(grads.get(x.as_tensor()).unwrap()), gradients(&store))
    };
    assert_eq!(run(false), run(true));
}

#[test]
fn checkpointing_moves_the_running_statistics_once() {
    let moved = |checkpointing| {
        let (store, net) = drawn();
        let y = net.forward(&images(2, 1), &Ctx { checkpointing, ..Ctx::train(key()) }).unwrap();
        score(&y).backward().unwrap();
        let state = store.state_dict("").unwrap();
        state
            .into_iter()
            .filter(|(n, _)| n.contains("running_") || n.contains("tracked"))
            .map(|(n, t)| (n, numbers(&t)))
            .collect::<Vec<_>>()
    };
    let plain = moved(false);
    assert_eq!(plain, moved(true));
    assert!(plain.iter().filter(|(n, _)| n.ends_with("num_batches_tracked")).all(|(_, v)| *v == [1.0]));
    assert!(plain.iter().any(|(n, v)| n.ends_with("running_mean") && v.iter().any(|&m| m != 0.0)));
}

#[test]
fn running_statistics_are_constants_in_evaluation() {
    let (_, net) = drawn();
    let eval = Ctx { norm: NormMode::Running, ..Ctx::eval() };
    let both = images(2, 1).detach();
    let together = net.forward(&both, &eval).unwrap();
    let alone = net.forward(&both.narrow(0, 1, 1).unwrap(), &eval).unwrap();
    assert_eq!(numbers(&together.narrow(0, 1, 1).unwrap()), numbers(&alone));
}

#[test]
fn a_network_for_translation_cannot_be_trained() {
    let (store, net) = drawn();
    let tensors = store.state_dict("").unwrap().into_iter().collect();
    let vb = VarBuilder::from_tensors(tensors, candle_core::DType::F64, &device());
    let loaded = layers(&Builder::from(vb).pp("net")).unwrap();
    let x = images(2, 1).detach();
    let translate = ctx(Weights::Frozen);
    assert_eq!(numbers(&loaded.forward(&x, &translate).unwrap()), numbers(&net.forward(&x, &translate).unwrap()));
    let error = loaded.forward(&x, &ctx(Weights::Train)).unwrap_err().to_string();
    assert!(error.contains("cannot be trained"), "{error}");
}

#[test]
fn halves_of_a_batch_are_views_of_it_also_on_the_way_back() {
    let x = images(2, 1);
    let (first, second) = halves(x.as_tensor()).unwrap();
    let view = |t: &Tensor, i: usize| numbers(&t.narrow(0, i, 1).unwrap());
    assert_eq!((numbers(&first), numbers(&second)), (view(&x, 0), view(&x, 1)));
    // Whichever of them are used, in whatever order.
    let loss = |half: &Tensor, factor: f64| (half.sqr().unwrap().sum_all().unwrap() * factor).unwrap();
    let (one, other) = (loss(&first, 1.0), loss(&second, 3.0));
    let losses = [(one.clone(), [1.0, 0.0]), (other.clone(), [0.0, 3.0])];
    for (loss, factors) in
        losses.into_iter().chain([(&one + &other).unwrap(), (other + one).unwrap()].map(|l| (l, [1.0, 3.0])))
    {
        let grads = loss.backward().unwrap();
        for (i, factor) in factors.into_iter().enumerate() {
            let want: Vec<f64> = view(&x, i).into_iter().map(|x| 2.0 * factor * x).collect();
            let have = view(grads.get(x.as_tensor()).unwrap(), i);
            assert!(have.iter().zip(&want).all(|(have, want)| (have - want).abs() < 1e-12), "half {i}, {factors:?}");
        }
    }
    assert!(halves(&first).is_err());
    let (plain, _) = halves(&x.detach()).unwrap();
    assert!(!plain.track_op());
}
