//! Gradients that are taken while a backward pass goes on.
#![allow(clippy::unwrap_used)]

use crate::network;

use candle_core::Tensor;
use gan_layers::{Gradients, ParamStore, Sequence, Weights};
use network::{ctx, drawn, images, numbers, score};
use std::sync::{Arc, Mutex};

/// Adds gradients, as a pass over the images of this seed makes them.
fn backward(net: &Sequence, seed: u64) {
    score(&net.forward(&images(2, seed), &ctx(Weights::Train)).unwrap()).backward().unwrap();
}

fn gradients(store: &ParamStore) -> Vec<Vec<f64>> {
    store.grad_dict("").unwrap().iter().map(|(_, t)| numbers(t)).collect()
}

/// One parameter after the other.
fn lent(gradients: &Gradients) -> Vec<Tensor> {
    (0..gradients.params().len()).map(|param| gradients.lend(param..param + 1).unwrap()).collect()
}

/// What was lent stays as it was, and what is added afterwards is added to the same bits.
#[test]
fn what_is_added_later_does_not_change_what_was_lent() {
    let (store, net) = drawn();
    let all = store.gradients();
    store.zero_grad().unwrap();
    backward(&net, 1);
    let first = gradients(&store);
    backward(&net, 2);
    let both = gradients(&store);
    store.zero_grad().unwrap();
    backward(&net, 1);
    let lent = lent(&all);
    let of_lent = || lent.iter().map(numbers).collect::<Vec<_>>();
    assert_eq!(of_lent(), first);
    backward(&net, 2);
    assert_eq!((of_lent(), gradients(&store)), (first, both.clone()));
    // What was set is there in the same places.
    let count = all.params().len();
    let flat = all.lend(0..count).unwrap();
    all.forget(0..count);
    all.set(0..count, &flat).unwrap();
    assert_eq!(gradients(&store), both);
    assert!(all.set(0..1, &flat).is_err());
}

/// What is said to be finite is not read for the check; what is set without a word is.
#[test]
fn gradients_known_to_be_finite_are_not_read() {
    let (store, _) = drawn();
    let (all, count) = (store.gradients(), store.gradients().params().len());
    let flat = (Tensor::ones(store.len(), store.dtype(), store.device()).unwrap() * f64::NAN).unwrap();
    all.set_finite(0..count, &flat).unwrap();
    assert!(store.grads_finite().unwrap());
    all.set(0..count, &flat).unwrap();
    assert!(!store.grads_finite().unwrap());
    assert!(all.set_finite(0..1, &flat).is_err());
}

/// The hook finds each layer's gradients whole, those of the last layer first.
#[test]
fn a_hook_is_called_after_each_layer() {
    let (store, net) = drawn();
    let all = store.gradients();
    let before = all.changes(0..1);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (to, of_hook) = (seen.clone(), all.clone());
    all.watch(Some(Arc::new(move || to.lock().unwrap().push(lent(&of_hook)))));
    store.zero_grad().unwrap();
    backward(&net, 1);
    all.watch(None);
    backward(&net, 2);
    assert_eq!(all.changes(0..1) - before, 3, "a zeroing and two additions");
    let seen = seen.lock().unwrap();
    store.zero_grad().unwrap();
    backward(&net, 1);
    let whole = gradients(&store);
    assert_eq!(seen.last().unwrap().iter().map(numbers).collect::<Vec<_>>(), whole);
    // A gradient is zero, and then at once what it is in the end.
    let mut first = vec![usize::MAX; whole.len()];
    for (time, lent) in seen.iter().enumerate() {
        for (param, lent) in lent.iter().enumerate() {
            let values = numbers(lent);
            if values != whole[param] {
                assert!(values.iter().all(|&v| v == 0.0), "parameter {param} after {time} layers");
            } else if first[param] == usize::MAX {
                first[param] = time;
            }
        }
    }
    // A bias that a norm subtracts has none.
    let first: Vec<_> =
        first.iter().zip(&whole).filter(|(_, g)| g.iter().any(|&v| v != 0.0)).map(|(t, _)| *t).collect();
    assert!(first.is_sorted_by(|before, after| before >= after) && first.first() > first.last(), "{first:?}");
}
