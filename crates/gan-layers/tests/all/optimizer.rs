//! Adam on a store: counting, starting afresh, and refusing gradients that are not finite.
#![allow(clippy::unwrap_used, dead_code)]

use crate::network;

use gan_layers::{Optimizer, ParamStore, Sequence, UpdateError, Weights};
use network::{ctx, drawn, images, numbers, score};

fn weights(store: &ParamStore) -> Vec<f64> {
    store.state_dict("").unwrap().iter().flat_map(|(_, t)| numbers(t)).collect()
}

/// Gradients of a loss times `scale`.
fn backward(net: &Sequence, optimizer: &Optimizer, scale: f64) {
    optimizer.zero_grad().unwrap();
    let loss = (score(&net.forward(&images(2, 1), &ctx(Weights::Train)).unwrap()) * scale).unwrap();
    loss.backward().unwrap();
}

#[test]
fn a_gradient_that_is_not_finite_updates_nothing() {
    let (store, net) = drawn();
    let mut optimizer = Optimizer::new(store, 0.5).unwrap();
    backward(&net, &optimizer, 1.0);
    optimizer.update(1e-3).unwrap();
    optimizer.check().unwrap();
    let before = weights(optimizer.store());
    backward(&net, &optimizer, f64::INFINITY);
    // On a CUDA device only the check tells.
    let error = optimizer.update(1e-3).and_then(|()| optimizer.check()).unwrap_err();
    assert!(error.to_string().contains("net.model."), "{error}");
    let UpdateError::NonFinite { parameter: Some(name), updates: 1 } = error else { panic!("{error:?}") };
    assert!(name.starts_with("net.model."), "{name}");
    assert_eq!(weights(optimizer.store()), before);
}

#[test]
fn another_selection_starts_afresh() {
    let (store, net) = drawn();
    let all = 0..store.len();
    let some = store.range(&["net.model.4."]);
    let mut optimizer = Optimizer::new(store, 0.5).unwrap();
    assert_eq!((optimizer.updates(), optimizer.range()), (0, all.clone()));
    backward(&net, &optimizer, 1.0);
    optimizer.update(1e-3).unwrap();
    optimizer.select(all).unwrap();
    assert_eq!(optimizer.updates(), 1, "nothing changed");
    optimizer.select(some.clone()).unwrap();
    assert_eq!((optimizer.updates(), optimizer.range()), (0, some));
    let (m, v) = optimizer.store().moments().unwrap();
    assert!(numbers(&m).iter().chain(&numbers(&v)).all(|&x| x == 0.0));
}
