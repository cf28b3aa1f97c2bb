//! The images that previews show.

use crate::events::HeldOut;
use crate::method::{Method, Panels};
use crate::{DeviceConfig, Result, to_device};
use candle_core::Tensor;
use gan_data::{Batch, Dataset, Item};
use gan_rng::{Key, Purpose};
use std::sync::Arc;

/// Items of the training set, and held-out ones.
const ROWS: usize = 3;

/// Pixels of a held-out image; of larger ones the middle is shown.
const MAX_PIXELS: usize = 1 << 20;

/// A few items of the training set as they are trained on, and a few held-out ones as whole images; always the same ones. What is
/// made of them changes nothing of the training, and no checkpoint knows of it.
pub(super) struct Previews {
    dataset: Arc<dyn Dataset>,
    seed: u64,
    batch: Option<Batch>,
    held_out: Option<Arc<dyn Dataset>>,
    /// One item each, on the CPU, once they have been read.
    items: Vec<Batch>,
    multiple: usize,
}

/// What a preview shows.
pub(super) struct Shown {
    pub(super) panels: Panels,
    pub(super) held_out: Vec<HeldOut>,
    /// Why there are no held-out images from now on.
    pub(super) warning: Option<String>,
}

impl Previews {
    /// Of `dataset`, in crops that `seed` draws, and of `held_out`. The sides of images have to be multiples of `multiple`.
    pub(super) fn of(
        dataset: Arc<dyn Dataset>,
        held_out: Option<Arc<dyn Dataset>>,
        multiple: usize,
        seed: u64,
    ) -> Self {
        Previews { dataset, seed, batch: None, held_out, items: Vec::new(), multiple: multiple.max(1) }
    }

    /// What the networks make of them now.
    pub(super) fn show(&mut self, method: &mut dyn Method, device_config: &DeviceConfig) -> Result<Shown> {
        let batch = match &self.batch {
            Some(batch) => batch,
            None => self.batch.insert(to_device(training_batch(&*self.dataset, self.seed)?, device_config)?),
        };
        let panels = averaged(method, |method| method.preview(batch))?;
        let (held_out, warning) = match averaged(method, |method| self.held_out(method, device_config)) {
            Ok(held_out) => (held_out, None),
            Err(error) => {
                self.held_out = None;
                (Vec::new(), Some(format!("no more previews of held-out images: {error}")))
            }
        };
        Ok(Shown { panels, held_out, warning })
    }

    fn held_out(&mut self, method: &dyn Method, device_config: &DeviceConfig) -> Result<Vec<HeldOut>> {
        let Some(dataset) = &self.held_out else { return Ok(Vec::new()) };
        if self.items.is_empty() {
            let key = Key::new(self.seed, Purpose::Augment).at(0);
            let items = spread(dataset.len()).map(|i| bounded(dataset.item(i, key.at(i as u64))?, self.multiple));
            let items = items.map(|item| Ok(Batch::collate(vec![item?])?));
            self.items = items.collect::<Result<_>>()?;
        }
        let shown = self.items.iter().map(|item| {
            let panels = method.preview(&to_device(item.clone(), device_config)?)?;
            Ok(HeldOut { name: item.names.join(", "), panels })
        });
        shown.collect()
    }
}

/// Numbers of a few items, spread over a dataset of `n`.
fn spread(n: usize) -> impl Iterator<Item = usize> {
    let rows = ROWS.min(n);
    (0..rows).map(move |i| i * n / rows)
}

/// A few items spread over the dataset.
fn training_batch(dataset: &dyn Dataset, seed: u64) -> Result<Batch> {
    let key = Key::new(seed, Purpose::Augment).at(0);
    let items = spread(dataset.len()).enumerate().map(|(row, i)| dataset.item(i, key.at(row as u64)));
    let items = items.collect::<gan_data::Result<Vec<_>>>()?;
    let same_size = items.iter().all(|item| {
        item.a.dims() == items[0].a.dims() && item.b.as_ref().map(|b| b.dims()) == items[0].b.as_ref().map(|b| b.dims())
    });
    let items = if same_size { items } else { items.into_iter().take(1).collect() };
    Ok(Batch::collate(items)?)
}

/// The item, or the middle of it if it is large.
fn bounded(item: Item, multiple: usize) -> Result<Item> {
    let part = |tensor: Tensor| middle(tensor, multiple);
    let Item { a, b, inst, name } = item;
    let (a, whole) = (part(a.clone())?, a);
    let name = if a.dims() == whole.dims() { name } else { format!("{name} (the middle)") };
    Ok(Item { a, b: b.map(part).transpose()?, inst: inst.map(part).transpose()?, name })
}

/// The middle of `[C, H, W]`, of at most [`MAX_PIXELS`], in sides that are multiples of `multiple`. One that is small enough stays.
fn middle(tensor: Tensor, multiple: usize) -> Result<Tensor> {
    let (_, h, w) = tensor.dims3()?;
    if h * w <= MAX_PIXELS {
        return Ok(tensor);
    }
    let share = (MAX_PIXELS as f64 / (h * w) as f64).sqrt();
    let side = |side: usize| ((side as f64 * share) as usize / multiple * multiple).clamp(multiple.min(side), side);
    let (height, width) = (side(h), side(w));
    Ok(tensor.narrow(1, (h - height) / 2, height)?.narrow(2, (w - width) / 2, width)?.contiguous()?)
}

/// Of the averages where they are tracked: what translation takes.
fn averaged<T>(method: &mut dyn Method, look: impl FnOnce(&dyn Method) -> Result<T>) -> Result<T> {
    let swap = |method: &mut dyn Method| {
        method.state().optimizers.into_iter().try_for_each(|(_, optimizer, _)| optimizer.swap_average())
    };
    swap(method)?;
    let seen = look(method);
    swap(method)?;
    seen
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use candle_core::{DType, Device};

    #[test]
    fn large_images_are_cut_to_their_middle() {
        let of = |h, w, multiple| {
            let tensor = Tensor::zeros((1, h, w), DType::U8, &Device::Cpu).unwrap();
            let (_, h, w) = middle(tensor, multiple).unwrap().dims3().unwrap();
            (h, w)
        };
        assert_eq!(of(1024, 1024, 4), (1024, 1024));
        assert_eq!(of(2048, 2048, 256), (1024, 1024));
        assert_eq!(of(1000, 3000, 4), (588, 1772));
        assert_eq!((spread(10).collect(), spread(2).collect()), (vec![0, 3, 6], vec![0, 1]));
    }
}
