//! The loader: same batches whatever the workers, resumable, bounded, and gone when dropped.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use candle_core::{Device, Tensor};
use gan_data::{Batch, DataConfig, Dataset, Description, Error, Item, Loader, LoaderConfig, Result};
use gan_rng::Key;

/// Items made of their index and of what their key gives.
#[derive(Default)]
struct Numbers {
    made: AtomicUsize,
    poisoned: Option<usize>,
    slow: bool,
}

impl Dataset for Numbers {
    fn len(&self) -> usize {
        23
    }

    fn item(&self, index: usize, key: Key) -> Result<Item> {
        self.made.fetch_add(1, Ordering::SeqCst);
        assert!(self.poisoned != Some(index), "item {index} is poisoned");
        if self.slow {
            // Early items take longest, so that workers finish out of order.
            std::thread::sleep(Duration::from_millis(23 - index as u64));
        }
        let values = vec![index as f32, key.stream().uniform() as f32];
        let a = Tensor::from_vec(values, (1, 1, 2), &Device::Cpu)?;
        Ok(Item { a, b: None, inst: None, name: index.to_string() })
    }

    fn describe(&self) -> Description {
        Description { items: 23, ..Default::default() }
    }
}

fn loader(dataset: Numbers, config: LoaderConfig) -> Loader {
    Loader::new(Arc::new(dataset), config).unwrap()
}

fn values(batches: impl Iterator<Item = Result<Batch>>) -> Vec<Vec<f32>> {
    batches.map(|batch| batch.unwrap().a.flatten_all().unwrap().to_vec1().unwrap()).collect()
}

#[test]
fn batches_do_not_depend_on_workers_or_prefetch() {
    let base = LoaderConfig { batch_size: 4, seed: 3, workers: 0, ..Default::default() };
    let expected = values(loader(Numbers::default(), base.clone()).epoch(5, 0));
    assert_eq!(expected.len(), 6);
    assert_eq!(expected[5].len(), 3 * 2, "the last batch is smaller");
    for (workers, prefetch) in [(1, 1), (3, 2), (8, 64)] {
        let config = LoaderConfig { workers, prefetch, ..base.clone() };
        let slow = Numbers { slow: true, ..Default::default() };
        assert_eq!(values(loader(slow, config).epoch(5, 0)), expected);
    }
}

#[test]
fn an_epoch_resumes_where_it_stopped() {
    let config = LoaderConfig { batch_size: 2, workers: 2, ..Default::default() };
    let loader = loader(Numbers::default(), config);
    let whole = values(loader.epoch(1, 0));
    assert_eq!(values(loader.epoch(1, 7)), whole[7..]);
    assert_eq!(values(loader.epoch(1, 99)).len(), 0);
}

/// Each batch is read by one of the processes that share an epoch, whatever the workers.
#[test]
fn strides_share_an_epoch() {
    for (workers, prefetch) in [(0, 1), (1, 1), (3, 2)] {
        let config = LoaderConfig { batch_size: 2, workers, prefetch, ..Default::default() };
        let loader = loader(Numbers::default(), config);
        let whole = values(loader.epoch(1, 2));
        for stride in 1..5 {
            for rank in 0..stride {
                let part = loader.every(stride, 1, 2 + rank);
                assert_eq!(part.len(), (whole.len() - rank).div_ceil(stride));
                let expected: Vec<_> = whole.iter().skip(rank).step_by(stride).cloned().collect();
                assert_eq!(values(part), expected, "{rank} of {stride}, {workers} workers");
            }
        }
    }
}

#[test]
fn every_epoch_is_another_permutation() {
    let loader = loader(Numbers::default(), LoaderConfig::default());
    let order = |epoch| loader.epoch(epoch, 0).map(|b| b.unwrap().names[0].parse().unwrap()).collect::<Vec<usize>>();
    let (first, second) = (order(0), order(1));
    assert_ne!(first, second);
    for mut order in [first, second] {
        order.sort_unstable();
        assert_eq!(order, (0..23).collect::<Vec<_>>());
    }
}

#[test]
fn augmentation_goes_by_item_not_by_position() {
    let by_item = |shuffle| {
        let config = LoaderConfig { shuffle, ..Default::default() };
        let mut all = values(loader(Numbers::default(), config).epoch(2, 0));
        all.sort_by(|a, b| a[0].total_cmp(&b[0]));
        all
    };
    assert_eq!(by_item(true), by_item(false));
}

#[test]
fn preparation_is_bounded_and_stops_on_drop() {
    let dataset = Arc::new(Numbers::default());
    let config = LoaderConfig { workers: 4, prefetch: 5, ..Default::default() };
    let loader = Loader::new(Arc::clone(&dataset) as Arc<dyn Dataset>, config).unwrap();
    let mut batches = loader.epoch(0, 0);
    batches.next().unwrap().unwrap();
    std::thread::sleep(Duration::from_millis(60));
    let made = dataset.made.load(Ordering::SeqCst);
    assert!((1..=6).contains(&made), "{made}");
    drop(batches);
    let stopped = dataset.made.load(Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(30));
    assert_eq!(dataset.made.load(Ordering::SeqCst), stopped);
    drop(loader);
    assert_eq!(Arc::strong_count(&dataset), 1, "no thread keeps the dataset");
}

#[test]
fn a_panicking_item_is_an_error_and_not_a_hang() {
    for workers in [0, 2] {
        let config = LoaderConfig { shuffle: false, workers, ..Default::default() };
        let poisoned = Numbers { poisoned: Some(4), ..Default::default() };
        let results: Vec<_> = loader(poisoned, config).epoch(0, 0).collect();
        assert_eq!(results.len(), 23);
        for (index, result) in results.into_iter().enumerate() {
            assert_eq!(result.is_err(), index == 4);
            if let Err(error) = result {
                assert!(matches!(error, Error::Panicked(ref text) if text.contains("poisoned")), "{error}");
            }
        }
    }
}

#[test]
fn the_configuration_says_how_many_batches_are_prepared() {
    let prefetch = |workers, prefetch| DataConfig { workers, prefetch, ..Default::default() }.loader(1).prefetch;
    assert_eq!([prefetch(0, None), prefetch(3, None), prefetch(3, Some(1))], [2, 6, 1]);
}

#[test]
fn waiting_is_measured() {
    let config = LoaderConfig { workers: 1, ..Default::default() };
    let loader = loader(Numbers { slow: true, ..Default::default() }, config);
    loader.epoch(0, 0).for_each(drop);
    assert!(loader.waited() > Duration::from_millis(50), "{:?}", loader.waited());
}

#[test]
fn unusable_settings_are_refused() {
    let refused = |config| Loader::new(Arc::new(Numbers::default()), config).is_err();
    assert!(refused(LoaderConfig { batch_size: 0, ..Default::default() }));
}

/// No items at all.
struct Nothing;

impl Dataset for Nothing {
    fn len(&self) -> usize {
        0
    }

    fn item(&self, index: usize, _: Key) -> Result<Item> {
        panic!("there is no item {index}")
    }

    fn describe(&self) -> Description {
        Description::default()
    }
}

#[test]
fn an_empty_dataset_is_refused() {
    let error = Loader::new(Arc::new(Nothing), LoaderConfig::default()).unwrap_err();
    assert!(error.to_string().contains("the dataset is empty"), "{error}");
}

#[test]
fn the_last_batch_may_be_smaller() {
    let config = LoaderConfig { batch_size: 4, ..Default::default() };
    let batches = values(loader(Numbers::default(), config).epoch(0, 0));
    // Two numbers an item.
    assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [8, 8, 8, 8, 8, 6]);
}
