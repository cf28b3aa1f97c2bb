//! The contrastive loss against its definition, and its gradient against central differences.
#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor, Var};
use gan_losses::patch_nce;
use gan_rng::{Key, Purpose};

const WIDTH: usize = 5;

fn device() -> Device {
    gan_kernels::device::test_device().unwrap()
}

/// Rows of length 1.
fn rows(n: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut stream = Key::new(seed, Purpose::Test).stream();
    let row = |_| {
        let row: Vec<f64> = (0..WIDTH).map(|_| stream.normal()).collect();
        let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
        row.iter().map(|x| x / length).collect()
    };
    (0..n).map(row).collect()
}

fn tensor(rows: &[Vec<f64>]) -> Tensor {
    Tensor::from_vec(rows.concat(), (rows.len(), WIDTH), &device()).unwrap()
}

fn numbers(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// As the reference computes it: the own similarity first, then all of the group with the diagonal at -10.
fn definition(q: &[Vec<f64>], k: &[Vec<f64>], groups: usize, temperature: f64) -> Vec<f64> {
    let size = q.len() / groups;
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let loss = |i: usize| {
        let from = i / size * size;
        let others = (from..from + size).map(|j| if i == j { -10.0 } else { dot(&q[i], &k[j]) });
        let logits: Vec<f64> = [dot(&q[i], &k[i])].into_iter().chain(others).map(|s| s / temperature).collect();
        let largest = logits.iter().fold(f64::MIN, |a, b| a.max(*b));
        logits.iter().map(|l| (l - largest).exp()).sum::<f64>().ln() + largest - logits[0]
    };
    (0..q.len()).map(loss).collect()
}

const CASES: [(usize, usize, f64); 5] = [(1, 1, 0.07), (6, 1, 0.07), (6, 2, 0.07), (8, 4, 1.0), (12, 1, 30.0)];

#[test]
fn values_are_those_of_the_definition() {
    for (n, groups, temperature) in CASES {
        let (q, k) = (rows(n, 1), rows(n, 2));
        let want = definition(&q, &k, groups, temperature);
        for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 1e-4)] {
            let [q, k] = [&q, &k].map(|rows| tensor(rows).to_dtype(dtype).unwrap());
            let have = numbers(&patch_nce(&q, &k, groups, temperature).unwrap());
            assert_eq!(have.len(), n);
            for (have, want) in have.iter().zip(&want) {
                assert!((have - want).abs() <= tolerance * want.abs().max(1.0), "{n} {groups}: {have} and {want}");
            }
        }
    }
}

#[test]
fn gradients_are_those_of_central_differences() {
    for (n, groups, temperature) in CASES {
        let (q, k) = (rows(n, 1), rows(n, 2));
        let weights = Tensor::from_iter((0..n).map(|i| 1.0 + 0.3 * i as f64), &device()).unwrap();
        let loss = |q: &Tensor| {
            (patch_nce(q, &tensor(&k), groups, temperature).unwrap() * &weights).unwrap().sum_all().unwrap()
        };
        let var = Var::from_tensor(&tensor(&q)).unwrap();
        let grads = loss(var.as_tensor()).backward().unwrap();
        let have = numbers(grads.get(var.as_tensor()).unwrap());
        let h = 1e-6;
        for i in 0..n * WIDTH {
            let moved = |by: f64| {
                let mut q = q.clone();
                q[i / WIDTH][i % WIDTH] += by;
                numbers(&loss(&tensor(&q)))[0]
            };
            let want = (moved(h) - moved(-h)) / (2.0 * h);
            assert!((have[i] - want).abs() < 1e-6 * want.abs().max(1.0), "{n} {groups}: {} and {want}", have[i]);
        }
    }
}

#[test]
fn keys_are_constants() {
    let q = Var::from_tensor(&tensor(&rows(4, 1))).unwrap();
    let k = Var::from_tensor(&tensor(&rows(4, 2))).unwrap();
    let grads = patch_nce(&q, &k, 1, 0.07).unwrap().mean_all().unwrap().backward().unwrap();
    assert!(grads.get(q.as_tensor()).is_some() && grads.get(k.as_tensor()).is_none());
}

#[test]
fn what_does_not_go_together_is_refused() {
    let (q, k) = (tensor(&rows(6, 1)), tensor(&rows(6, 2)));
    for (q, k, groups) in
        [(&q, &k, 0), (&q, &k, 4), (&q, &k.narrow(0, 0, 3).unwrap(), 1), (&q, &k.to_dtype(DType::F32).unwrap(), 1)]
    {
        assert!(patch_nce(q, k, groups, 0.07).is_err());
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let [q, k] = [1, 2].map(|seed| tensor(&rows(300, seed)).to_dtype(DType::F32).unwrap());
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let q = Var::from_tensor(&q).unwrap();
            let loss = patch_nce(&q, &k, 2, 0.07).unwrap().mean_all().unwrap();
            let grads = loss.backward().unwrap();
            [numbers(&loss), numbers(grads.get(q.as_tensor()).unwrap())]
        })
    };
    assert_eq!(run(1), run(3));
}
