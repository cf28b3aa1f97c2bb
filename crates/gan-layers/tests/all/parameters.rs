//! The parameter store: loading, refusing, skipping, initialization and the state dict.
#![allow(clippy::unwrap_used, dead_code)]

use crate::network;

use candle_core::{DType, Tensor};
use gan_kernels::optim::AdamStep;
use gan_layers::{Ctx, Init, Missing, ParamStore, Tensors, Weights};
use network::{ctx, device, drawn, gradients, images, key, layers, numbers, score};

fn contents(tensors: &Tensors) -> Vec<(String, Vec<usize>, Vec<f64>)> {
    tensors.iter().map(|(n, t)| (n.clone(), t.dims().to_vec(), numbers(t))).collect()
}

#[test]
fn a_state_dict_comes_back_as_it_was() {
    let (store, net) = drawn();
    // Statistics and counters that differ from fresh ones.
    for seed in [1, 2] {
        net.forward(&images(2, seed).detach(), &Ctx::frozen(key())).unwrap();
    }
    let state = store.state_dict("net.").unwrap();
    assert_eq!(state[0].0, "model.1.weight");
    let count = state.iter().find(|(n, _)| n.ends_with("num_batches_tracked")).unwrap();
    assert_eq!((count.1.dtype(), count.1.to_scalar::<i64>().unwrap()), (DType::I64, 2));

    let (other, copy) = ParamStore::build(DType::F64, &device(), |b| layers(&b.pp("net"))).unwrap();
    assert!(other.load("net.", &state, Missing::Refuse).unwrap().is_empty());
    assert_eq!(contents(&other.state_dict("net.").unwrap()), contents(&state));
    let x = images(2, 3).detach();
    for ctx in [Ctx::eval(), Ctx::translate()] {
        assert_eq!(numbers(&net.forward(&x, &ctx).unwrap()), numbers(&copy.forward(&x, &ctx).unwrap()));
    }
}

#[test]
fn a_state_dict_is_a_copy() {
    let (store, _) = drawn();
    let state = store.state_dict("net.").unwrap();
    let before = contents(&state);
    store.init(&Init::default(), key().at(1)).unwrap();
    assert_eq!(contents(&state), before);
    assert_ne!(contents(&store.state_dict("net.").unwrap()), before);
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_changes() {
    let (store, _) = drawn();
    let before = contents(&store.state_dict("net.").unwrap());
    let state: Tensors =
        store.state_dict("net.").unwrap().into_iter().map(|(n, t)| (n, t.zeros_like().unwrap())).collect();
    let last = state.len() - 1;
    let mut missing = state.clone();
    missing.remove(last);
    let mut reshaped = state.clone();
    reshaped[last].1 = Tensor::zeros(5, DType::F64, &device()).unwrap();
    let mut unknown = state.clone();
    unknown.push(("model.99.weight".into(), state[0].1.clone()));
    for (tensors, reason) in [
        (missing, "not in the file"),
        (reshaped, "[5] in the file, [2] in the network"),
        (unknown, "model.99.weight: not in the network"),
    ] {
        let error = store.load("net.", &tensors, Missing::Refuse).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert_eq!(contents(&store.state_dict("net.").unwrap()), before, "{reason}");
    }
}

#[test]
fn what_fits_is_taken_and_the_rest_reported() {
    let (store, _) = drawn();
    let before = store.state_dict("net.").unwrap();
    let one = |t: &Tensor| t.ones_like().unwrap();
    let offered: Tensors = vec![
        (before[0].0.clone(), one(&before[0].1)),
        (before[1].0.clone(), Tensor::zeros(17, DType::F64, &device()).unwrap()),
        ("model.99.weight".into(), one(&before[0].1)),
    ];
    let notes = store.load("net.", &offered, Missing::Skip).unwrap();
    let after = store.state_dict("net.").unwrap();
    assert!(numbers(&after[0].1).iter().all(|&v| v == 1.0));
    assert_eq!(contents(&after[1..].to_vec()), contents(&before[1..].to_vec()));
    assert!(notes.iter().any(|n| n.starts_with("model.99.weight")));
    assert!(notes.iter().any(|n| n.starts_with(&before[1].0) && n.contains("[17]")));
    // Everything but the taken one and the counters, which may always be missing.
    let counters = before.iter().filter(|(n, _)| n.ends_with("num_batches_tracked")).count();
    assert_eq!(notes.len(), before.len() - 1 - counters + 1);
}

#[test]
fn initial_weights_depend_on_their_names_alone() {
    let build = |names: &[&str]| {
        let nets = |b: &gan_layers::Builder<'_>| {
            names.iter().map(|n| layers(&b.pp(n))).collect::<candle_core::Result<Vec<_>>>()
        };
        let (store, _) = ParamStore::build(DType::F64, &device(), nets).unwrap();
        store.init(&Init::default(), key()).unwrap();
        store
    };
    let (ab, ba, b) = (build(&["a", "b"]), build(&["b", "a"]), build(&["b"]));
    let of = |store: &ParamStore, net: &str| contents(&store.state_dict(net).unwrap());
    assert_eq!(of(&ab, "b."), of(&ba, "b."));
    assert_eq!(of(&ab, "b."), of(&b, "b."));
    assert_ne!(of(&ab, "a."), of(&ab, "b."));
    let once = of(&ab, "a.");
    ab.init(&Init::default(), key()).unwrap();
    assert_eq!(of(&ab, "a."), once);
    ab.init_matching("a.", &Init::default(), key().at(1)).unwrap();
    assert_ne!(of(&ab, "a."), once);
    assert_eq!(of(&ab, "b."), of(&ba, "b."));
}

#[test]
fn names_are_unique() {
    let twice = |b: &gan_layers::Builder<'_>| Ok((layers(b)?, layers(b)?));
    let error = ParamStore::build(DType::F32, &device(), twice).unwrap_err().to_string();
    assert!(error.contains("two parameters are called model.1.weight"), "{error}");
}

#[test]
fn an_update_moves_its_range_only() {
    let (store, net) = drawn();
    score(&net.forward(&images(2, 1), &ctx(Weights::Train)).unwrap()).backward().unwrap();
    let before = store.state_dict("").unwrap();
    let range = store.range(&["net.model.4.conv_block."]);
    assert_eq!(range.len(), 2 * (3 * 3 * 9 + 3) + 6);
    store.adam(range, &AdamStep { lr: 0.01, beta1: 0.5, beta2: 0.999, eps: 1e-8, step: 1 }).unwrap();
    let gradient = store.grad_dict("").unwrap();
    for ((name, new), (_, old)) in store.state_dict("").unwrap().iter().zip(&before) {
        let (new, old) = (numbers(new), numbers(old));
        if !name.starts_with("net.model.4.conv_block.") {
            assert_eq!(new, old, "{name}");
        } else if let Some((_, g)) = gradient.iter().find(|(n, _)| n == name) {
            // The first step of Adam is the learning rate against the gradient's sign.
            for ((new, old), g) in new.iter().zip(old).zip(numbers(g)).filter(|(_, g)| g.abs() > 1e-4) {
                assert!((new - old + 0.01 * g.signum()).abs() < 1e-5, "{name}");
            }
        }
    }
}

#[test]
fn a_gradient_that_is_not_finite_is_found_and_named() {
    let (store, net) = drawn();
    assert!(store.grads_finite().unwrap());
    let loss = (score(&net.forward(&images(2, 1), &ctx(Weights::Train)).unwrap()) * f64::INFINITY).unwrap();
    loss.backward().unwrap();
    assert!(gradients(&store).iter().any(|g| !g.is_finite()));
    assert!(!store.grads_finite().unwrap());
    assert!(store.first_non_finite_grad().unwrap().unwrap().starts_with("net.model."));
}
