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

/// The average is that of its definition, over all parameters, whichever are updated. Previews swap it in and out.
#[test]
fn an_average_follows_its_definition() {
    let (store, net) = drawn();
    let some = store.range(&["net.model.4."]);
    let mut optimizer = Optimizer::new(store, 0.5).unwrap();
    assert!(optimizer.averaged_state_dict("").unwrap().is_none() && !optimizer.restart_average().unwrap());
    optimizer.track_average(0.4).unwrap();
    let averages = |optimizer: &Optimizer| -> Vec<f64> {
        optimizer.averaged_state_dict("").unwrap().unwrap().iter().flat_map(|(_, t)| numbers(t)).collect()
    };
    let mut naive = weights(optimizer.store());
    assert_eq!(averages(&optimizer), naive);
    for t in 0..9 {
        if t == 6 {
            optimizer.select(some.clone()).unwrap();
        }
        backward(&net, &optimizer, 1.0);
        optimizer.update(1e-2).unwrap();
        let decay = 0.4f64.min(f64::from(1 + t) / f64::from(10 + t));
        let now = weights(optimizer.store());
        naive.iter_mut().zip(&now).for_each(|(a, w)| *a = decay * *a + (1.0 - decay) * w);
        let worst = averages(&optimizer).iter().zip(&naive).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-14, "after update {t}: {worst}");
    }
    let (raw, averaged) = (weights(optimizer.store()), averages(&optimizer));
    assert_ne!(raw, averaged);
    optimizer.swap_average().unwrap();
    assert_eq!((weights(optimizer.store()), averages(&optimizer)), (averaged.clone(), raw.clone()));
    optimizer.swap_average().unwrap();
    assert_eq!((weights(optimizer.store()), averages(&optimizer)), (raw.clone(), averaged.clone()));
    // What was saved comes back.
    let saved = optimizer.averaged_state_dict("net.").unwrap().unwrap();
    assert!(optimizer.restart_average().unwrap());
    assert_eq!((averages(&optimizer), optimizer.average().unwrap().updates()), (raw, 0));
    optimizer.load_average("net.", &saved, 9).unwrap();
    assert_eq!((averages(&optimizer), optimizer.average().unwrap().updates()), (averaged, 9));
}

#[test]
fn bad_updates_are_skipped_up_to_a_limit() {
    let (store, net) = drawn();
    let mut optimizer = Optimizer::new(store, 0.5).unwrap();
    optimizer.skip_non_finite(2).unwrap();
    optimizer.track_average(0.9).unwrap();
    let update = |optimizer: &mut Optimizer, scale: f64| {
        backward(&net, optimizer, scale);
        let before = weights(optimizer.store());
        optimizer.update(1e-3).and_then(|()| optimizer.check()).map(|()| weights(optimizer.store()) != before)
    };
    for (scale, moves) in [(f64::NAN, false), (1.0, true), (f64::INFINITY, false), (f64::NAN, false)] {
        assert_eq!(update(&mut optimizer, scale).unwrap(), moves);
    }
    let skipped = optimizer.skipped().unwrap();
    assert_eq!((skipped.run, skipped.longest, skipped.total, optimizer.updates()), (2, 2, 3, 4));
    let UpdateError::Skipped { parameter: Some(_), run: 3 } = update(&mut optimizer, f64::NAN).unwrap_err() else {
        panic!("three in a row are more than two")
    };
}

#[test]
fn frozen_parameters_keep_every_bit() {
    let (store, net) = drawn();
    let frozen = store.ranges(|name| name.starts_with("net.model.4.") || name.ends_with("bias"));
    assert!(frozen.len() > 1 && frozen.windows(2).all(|pair| pair[0].end < pair[1].start), "{frozen:?}");
    let is_frozen = |at: usize| frozen.iter().any(|range| range.contains(&at));
    let flat = |optimizer: &Optimizer| -> Vec<f64> {
        let state = optimizer.store().state_dict("").unwrap();
        let parameters = state.iter().filter(|(name, _)| name.ends_with("weight") || name.ends_with("bias"));
        parameters.flat_map(|(_, t)| numbers(t)).collect()
    };
    let mut optimizer = Optimizer::new(store, 0.5).unwrap();
    optimizer.freeze(frozen.clone());
    let before = flat(&optimizer);
    assert_eq!(before.len(), optimizer.store().len());
    for _ in 0..2 {
        backward(&net, &optimizer, 1.0);
        optimizer.update(1e-3).unwrap();
    }
    let (m, v) = optimizer.store().moments().unwrap();
    let moments: Vec<(f64, f64)> = numbers(&m).into_iter().zip(numbers(&v)).collect();
    let moved: Vec<bool> = before.iter().zip(flat(&optimizer)).map(|(a, b)| *a != b).collect();
    assert!((0..before.len()).all(|at| !is_frozen(at) || !moved[at] && moments[at] == (0.0, 0.0)));
    assert!((0..before.len()).filter(|&at| moved[at]).count() > before.len() / 4);
    // With a selection that is frozen as a whole, nothing moves, and what is not finite is found all the same.
    optimizer.select(frozen[0].clone()).unwrap();
    let before = flat(&optimizer);
    backward(&net, &optimizer, 1.0);
    optimizer.update(1e-3).unwrap();
    assert_eq!(flat(&optimizer), before);
    backward(&net, &optimizer, f64::INFINITY);
    assert!(optimizer.update(1e-3).and_then(|()| optimizer.check()).is_err());
}

#[test]
fn a_scaled_rate_is_another_rate() {
    let after = |lr: f64, scale: f64| {
        let (store, net) = drawn();
        let mut optimizer = Optimizer::new(store, 0.5).unwrap();
        optimizer.scale_lr(scale);
        backward(&net, &optimizer, 1.0);
        optimizer.update(lr).unwrap();
        weights(optimizer.store())
    };
    assert_eq!(after(1e-3, 0.25), after(0.25e-3, 1.0));
    assert_ne!(after(1e-3, 0.25), after(1e-3, 1.0));
}
