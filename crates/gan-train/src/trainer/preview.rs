//! The images that previews show.

use crate::Result;
use gan_data::{Batch, Dataset};
use gan_rng::{Key, Purpose};

/// A few items spread over the dataset, always the same ones.
pub(super) fn preview_batch(dataset: &dyn Dataset, seed: u64) -> Result<Batch> {
    const ROWS: usize = 3;
    let key = Key::new(seed, Purpose::Augment).at(0);
    let n = dataset.len();
    let rows = ROWS.min(n);
    let items =
        (0..rows).map(|i| dataset.item(i * n / rows, key.at(i as u64))).collect::<gan_data::Result<Vec<_>>>()?;
    let same_size = items.iter().all(|item| {
        item.a.dims() == items[0].a.dims() && item.b.as_ref().map(|b| b.dims()) == items[0].b.as_ref().map(|b| b.dims())
    });
    let items = if same_size { items } else { items.into_iter().take(1).collect() };
    Ok(Batch::collate(items)?)
}
