//! Graphs: what is launched again reads its inputs again. On the CPU these tests do nothing.
#![cfg(feature = "cuda")]
#![allow(clippy::unwrap_used)]
mod reference;
use candle_core::{DType, Device, Result, Tensor};
use gan_kernels::dropout::{MaskKey, dropout};
use gan_kernels::elementwise::{add_assign, all_finite, convert, zero};
use gan_kernels::graph::{Graph, GraphParams, warm_up, with_dropout_key};
use gan_kernels::image_pool::{PoolAction, exchange};
use gan_kernels::optim::{AdamInputs, AdamStep, Average, NonFiniteGuard, Skipped, adam_with};
use gan_rng::{Key, Purpose};
use reference::{device, flat, normal, values};
use std::sync::{Mutex, MutexGuard, PoisonError};

static ONE: Mutex<()> = Mutex::new(());

/// The device, which nobody else may use while a stream is captured; `None` on the CPU.
fn cuda() -> Option<(Device, MutexGuard<'static, ()>)> {
    let device = device();
    device.is_cuda().then(|| (device, ONE.lock().unwrap_or_else(PoisonError::into_inner)))
}

fn single(shape: (usize, usize, usize, usize), seed: u64) -> Tensor {
    normal(shape, seed).to_dtype(DType::F32).unwrap()
}

fn word(key: Key) -> u64 {
    let [low, high] = key.words();
    u64::from(low) | u64::from(high) << 32
}

/// Does the work once, then records it.
fn record(device: &Device, work: impl Fn() -> Result<()>) -> Graph {
    warm_up(device, &work).unwrap();
    Graph::capture::<_, candle_core::Error>(device, &work).unwrap().0
}

#[test]
fn masks_follow_the_key_in_memory() {
    let Some((device, _one)) = cuda() else { return };
    for bf16 in [false, true] {
        let x = single((2, 8, 5, 3), 1);
        let x = if bf16 { convert(&x, DType::BF16).unwrap() } else { x };
        let out = Tensor::zeros(x.shape(), DType::F32, &device).unwrap();
        let (step, live) = (Key::new(3, Purpose::Dropout).at(1), GraphParams::new(&device, 1).unwrap());
        let work = || {
            let y = dropout(&x, 0.4, MaskKey::named(step, "model.7"))?;
            out.slice_set(&convert(&y, DType::F32)?, 0, 0)
        };
        warm_up(&device, work).unwrap();
        let recorded = with_dropout_key(step, &live, || Graph::capture::<_, candle_core::Error>(&device, work));
        let (graph, ()) = recorded.unwrap();
        for number in [2, 9] {
            let key = Key::new(3, Purpose::Dropout).at(number);
            live.write(&[word(key)]).unwrap();
            graph.launch().unwrap();
            let expected = dropout(&x, 0.4, key.at_name("model.7")).unwrap();
            assert_eq!(values(&out), values(&convert(&expected, DType::F32).unwrap()), "{bf16}");
        }
        let other = with_dropout_key(step, &live, || {
            Graph::capture::<_, candle_core::Error>(&device, || dropout(&x, 0.4, step.at(0)).map(|_| ()))
        });
        assert!(other.is_err(), "a mask that would be the same at each launch");
    }
}

#[test]
fn images_are_exchanged_as_words_say() {
    let Some((device, _one)) = cuda() else { return };
    let store = Tensor::zeros((3, 2, 3, 5), DType::F32, &device).unwrap();
    let images = single((4, 2, 3, 5), 1);
    let (out, words) = (images.copy().unwrap(), GraphParams::new(&device, 12).unwrap());
    let graph = record(&device, || out.slice_set(&exchange(&images, &store, &words)?, 0, 0));
    let mut held = vec![vec![0.0; 30]; 3];
    let given: Vec<Vec<f64>> = values(&images).chunks(30).map(<[f64]>::to_vec).collect();
    let choices = [
        [PoolAction::Keep(0), PoolAction::Keep(1), PoolAction::Keep(2), PoolAction::Pass],
        // The last one gets what the first one has just stored.
        [PoolAction::Swap(2), PoolAction::Pass, PoolAction::Swap(0), PoolAction::Swap(2)],
    ];
    for choices in choices {
        words.write(&choices.map(PoolAction::word)).unwrap();
        graph.launch().unwrap();
        let mut expected = Vec::new();
        for (choice, image) in choices.iter().zip(&given) {
            let place = match *choice {
                PoolAction::Pass => None,
                PoolAction::Keep(at) | PoolAction::Swap(at) => Some(&mut held[at as usize]),
            };
            let before = place.map(|place| std::mem::replace(place, image.clone()));
            let swapped = matches!(choice, PoolAction::Swap(_)).then_some(before).flatten();
            expected.extend(swapped.unwrap_or_else(|| image.clone()));
        }
        assert_eq!(values(&out), expected);
        assert_eq!(values(&store), held.concat());
    }
    // More words than one launch carries.
    let many: Vec<u64> = (0..12).map(|i| (i as f64).to_bits()).collect();
    words.write(&many).unwrap();
    assert_eq!(values(words.tensor()), (0..12).map(f64::from).collect::<Vec<_>>());
    assert!(words.write(&[0; 13]).is_err());
    assert!(exchange(&images, &store, &GraphParams::new(&device, 3).unwrap()).is_err(), "too few choices");
}

#[test]
fn updates_follow_their_numbers() {
    let Some((device, _one)) = cuda() else { return };
    let n = 37;
    let grad = single((1, 1, 1, n), 2).reshape(n).unwrap();
    let [recorded, plain] = [(); 2].map(|()| Tensor::zeros((3, n), DType::F32, &device).unwrap());
    let [followed, other] = [(); 2].map(|()| Tensor::ones(n, DType::F32, &device).unwrap());
    let watch = NonFiniteGuard::skipping(&device).unwrap();
    let numbers = GraphParams::new(&device, 3).unwrap();
    let step = |lr: f64, step: u64| AdamStep { lr, beta1: 0.5, beta2: 0.999, eps: 1e-8, step };
    let average = |values, rest| Some(Average { values, rest });
    let update = || {
        let average = average(&followed, 0.9);
        let inputs = AdamInputs { average, factors: Some(numbers.tensor()), ..AdamInputs::default() };
        watch.captured_adam(&recorded, &flat(&grad), 5..n, &step(7.0, 99), &inputs)
    };
    let graph = Graph::capture::<_, candle_core::Error>(&device, update).unwrap().0;
    assert_eq!(values(&recorded), vec![0.0; 3 * n], "a recorded update is not made");
    for (number, lr, rest) in [(1, 1e-2, 0.5), (2, 3e-3, 0.1)] {
        let [size, root] = step(lr, number).factors();
        numbers.write(&[size, root, rest].map(f64::to_bits)).unwrap();
        graph.launch().unwrap();
        let inputs = AdamInputs { average: average(&other, rest), ..AdamInputs::default() };
        adam_with(&plain, &flat(&grad), 5..n, &step(lr, number), &inputs).unwrap();
        assert_eq!(values(&recorded), values(&plain));
        assert_eq!(values(&followed), values(&other));
    }
    // A bad gradient is left out by one launch, and the next one goes on.
    let (before, good) = (values(&recorded), grad.copy().unwrap());
    grad.slice_set(&Tensor::new(&[f32::NAN], &device).unwrap(), 0, 3).unwrap();
    graph.launch().unwrap();
    assert_eq!(values(&recorded), before);
    grad.slice_set(&good, 0, 0).unwrap();
    graph.launch().unwrap();
    assert_ne!(values(&recorded), before);
    assert_eq!(watch.skipped().unwrap(), Skipped { run: 0, longest: 1, total: 1 });
}

/// What cannot be recorded is an error, and everything works as before.
#[test]
fn what_cannot_be_recorded_is_refused() {
    let Some((device, _one)) = cuda() else { return };
    let x = single((1, 2, 3, 4), 1);
    let before = values(&x);
    let refused = |work: &dyn Fn() -> Result<()>| Graph::capture::<_, candle_core::Error>(&device, work).is_err();
    assert!(refused(&|| x.to_vec1::<f32>().map(|_| ())), "waiting");
    assert!(refused(&|| all_finite(&x).map(|_| ())), "waiting");
    assert!(refused(&|| Tensor::new(vec![9f32; 3000], &device).map(|_| ())), "an upload of what may be gone");
    let old = std::cell::Cell::new(Some(single((1, 1, 1, 9), 3)));
    let free = || {
        drop(old.take());
        Ok(())
    };
    assert!(refused(&free), "freeing what was there before");
    assert!(refused(&|| candle_core::bail!("no")), "an error");
    zero(&x).unwrap();
    add_assign(&x, &x.ones_like().unwrap()).unwrap();
    assert_eq!(values(&x), vec![1.0; before.len()]);
    assert!(Graph::capture::<_, candle_core::Error>(&Device::Cpu, || Ok(())).is_err());
}
