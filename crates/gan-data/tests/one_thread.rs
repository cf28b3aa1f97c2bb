//! Loading where the thread that trains is also the only thread of rayon's pool.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use candle_core::{Device, Tensor};
use gan_data::{Dataset, Description, Item, Loader, LoaderConfig, Result};
use gan_rng::Key;
use rayon::prelude::*;

/// Makes its items in rayon's pool.
struct Pooled;

impl Dataset for Pooled {
    fn len(&self) -> usize {
        5
    }

    fn item(&self, index: usize, _: Key) -> Result<Item> {
        let values: Vec<f32> = (0..1000).into_par_iter().map(|i| (i + index) as f32).collect();
        let a = Tensor::from_vec(values, (1, 10, 100), &Device::Cpu)?;
        Ok(Item { a, b: None, inst: None, name: index.to_string() })
    }

    fn describe(&self) -> Description {
        Description { items: 5, ..Default::default() }
    }
}

#[test]
fn workers_do_not_wait_for_the_thread_that_waits_for_them() {
    rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build_global().unwrap();
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_secs(60));
        // A test that waits for ever would not fail.
        std::process::abort();
    });
    let config = LoaderConfig { workers: 3, shuffle: false, ..LoaderConfig::default() };
    let loader = Loader::new(Arc::new(Pooled), config).unwrap();
    let names: Vec<_> = loader.epoch(0, 0).map(|batch| batch.unwrap().names).collect();
    assert_eq!(names, [["0"], ["1"], ["2"], ["3"], ["4"]]);
}
