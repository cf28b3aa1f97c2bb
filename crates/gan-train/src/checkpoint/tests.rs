//! Checkpoints under damage, faults and power cuts.

#![allow(clippy::unwrap_used)]

mod damage;
mod faults;
mod files;
mod power;
mod retain;

use std::path::Path;

use candle_core::{Device, Tensor};
use serde_json::json;

use super::Snapshot;
use crate::storage::Storage;
use crate::storage::volatile::VolatileStorage;

pub(super) const RUN: &str = "/runs/a";

pub(super) fn run() -> &'static Path {
    Path::new(RUN)
}

/// A file system with the run folder, which is durable: making it so is the run folder's business.
pub(super) fn empty_run() -> VolatileStorage {
    let storage = VolatileStorage::new();
    storage.create_dir_all(run()).unwrap();
    for dir in run().ancestors().skip(1) {
        storage.sync_dir(dir).unwrap();
    }
    storage
}

/// A small snapshot whose every value depends on the step.
pub(super) fn snapshot(step: u64) -> Snapshot {
    let x = step as f32;
    let tensor = |shape: &[usize], from: f32| {
        let n: usize = shape.iter().product();
        Tensor::from_vec((0..n).map(|i| from + i as f32 * 0.37).collect::<Vec<_>>(), shape, &Device::Cpu).unwrap()
    };
    Snapshot {
        step,
        method: "pix2pix".to_owned(),
        model: json!({"net_g": "unet_256", "load_size": 286, "init_gain": 0.02}),
        tensors: vec![
            (
                "generator".to_owned(),
                vec![
                    ("model.1.weight".to_owned(), tensor(&[2, 3, 2, 2], x)),
                    ("model.1.bias".to_owned(), tensor(&[2], -x)),
                    ("model.2.num_batches_tracked".to_owned(), Tensor::new(step as i64, &Device::Cpu).unwrap()),
                ],
            ),
            ("optimizer".to_owned(), vec![("generator".to_owned(), tensor(&[3, 5], x / 3.0))]),
            ("pool".to_owned(), Vec::new()),
        ],
        model_json: None,
        state: json!({"epoch": step / 10, "best": 0.1 + step as f64 / 3.0, "events_bytes": step * 100}),
    }
}

pub(super) fn assert_same(a: &Snapshot, b: &Snapshot) {
    assert_eq!(
        (a.step, &a.method, &a.model, &a.model_json, &a.state),
        (b.step, &b.method, &b.model, &b.model_json, &b.state)
    );
    let stems = |s: &Snapshot| s.tensors.iter().map(|(stem, _)| stem.clone()).collect::<Vec<_>>();
    assert_eq!(stems(a), stems(b));
    for ((stem, a), (_, b)) in a.tensors.iter().zip(&b.tensors) {
        assert_eq!(sorted_bits(a), sorted_bits(b), "{stem}");
    }
}

type Bits = (String, Vec<usize>, candle_core::DType, Vec<u64>);

fn sorted_bits(tensors: &[(String, Tensor)]) -> Vec<Bits> {
    let bits = |t: &Tensor| match t.dtype() {
        candle_core::DType::F32 => {
            t.flatten_all().unwrap().to_vec1::<f32>().unwrap().iter().map(|x| u64::from(x.to_bits())).collect()
        }
        candle_core::DType::F64 => {
            t.flatten_all().unwrap().to_vec1::<f64>().unwrap().iter().map(|x| x.to_bits()).collect()
        }
        candle_core::DType::I64 => {
            t.flatten_all().unwrap().to_vec1::<i64>().unwrap().iter().map(|&x| x as u64).collect()
        }
        candle_core::DType::U32 => {
            t.flatten_all().unwrap().to_vec1::<u32>().unwrap().iter().map(|&x| u64::from(x)).collect()
        }
        _ => t.flatten_all().unwrap().to_vec1::<u8>().unwrap().iter().map(|&x| u64::from(x)).collect::<Vec<_>>(),
    };
    let mut all: Vec<Bits> = tensors.iter().map(|(n, t)| (n.clone(), t.dims().to_vec(), t.dtype(), bits(t))).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}
