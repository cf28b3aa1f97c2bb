//! The image pool: a history of generated images for the discriminator (Shrivastava et al., 2017).

mod shared;
mod storage;

use candle_core::{Device, Tensor};
use gan_kernels::graph::GraphParams;
use gan_kernels::image_pool::{PoolAction, exchange};
use gan_rng::Key;

use crate::error::not_captured;
use crate::{Error, Result};
pub(crate) use shared::SharedQuery;
use storage::PoolStorage;

/// Keeps up to `size` generated images and hands out a mix of new and old ones.
///
/// While it fills, images are stored and returned as they are. Once full, each image is either returned unchanged, or,
/// with probability one half, stored in place of a random older one, which is returned instead. A pool of size 0 does
/// nothing.
#[derive(Debug)]
pub struct ImagePool {
    size: usize,
    /// Channels of its images, where that is known.
    channels: Option<usize>,
    /// Which sub-sequence of the step's key decides.
    number: Option<u64>,
    storage: PoolStorage,
    /// Images of the last batch.
    last: usize,
    captured: Option<CapturedQuery>,
    /// The other ranks that ask at the same time.
    shared: Option<SharedQuery>,
}

/// A query that is, or is going to be, part of a captured step.
#[derive(Debug)]
struct CapturedQuery {
    /// The choices for the next launch.
    choices: GraphParams,
    /// Images of a batch.
    n: usize,
    /// The step's key; `None` once the capture is over.
    open: Option<Key>,
    /// The step asks the pool.
    used: bool,
}

impl ImagePool {
    /// An empty pool.
    pub fn new(size: usize) -> Self {
        ImagePool {
            size,
            channels: None,
            number: None,
            storage: PoolStorage::default(),
            last: 0,
            captured: None,
            shared: None,
        }
    }

    /// A pool beside others of the same step: it takes its decisions from sub-sequence `number` of the step's key.
    #[must_use]
    pub fn numbered(self, number: u64) -> Self {
        ImagePool { number: Some(number), ..self }
    }

    /// A pool of images of so many channels: others in a checkpoint are refused.
    #[must_use]
    pub fn of_channels(self, channels: usize) -> Self {
        ImagePool { channels: Some(channels), ..self }
    }

    /// Images held now.
    pub fn len(&self) -> usize {
        self.storage.len()
    }

    /// Whether it holds no image.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Exchanges a batch `[N, C, H, W]`; the result has its shape and no graph.
    ///
    /// The decision for image `i` is a function of `key`, the pool's number and `i`, so `key` must name the step.
    ///
    /// # Errors
    /// [`Error::Shape`] if it is not a batch, [`Error::Tensor`] if the images of one batch differ in size from older ones
    /// (with N = 1 sizes may change from step to step).
    pub fn query(&mut self, batch: &Tensor, key: Key) -> Result<Tensor> {
        let batch = batch.detach();
        if self.size == 0 {
            return Ok(batch);
        }
        if batch.rank() != 4 {
            return Err(Error::Shape {
                what: "images for the pool".to_owned(),
                got: format!("{:?}", batch.dims()),
                expected: "[N, C, H, W]",
            });
        }
        if self.captured.as_ref().is_some_and(|c| c.open.is_some()) {
            return self.query_captured(&batch, key);
        }
        let Some(shared) = self.shared.clone() else { return self.exchange(&batch, key) };
        // Each rank puts in the images of all, in their order, and takes what its own brought out.
        let mut own = None;
        for (rank, (images, key)) in shared.gather(&batch, key)?.into_iter().enumerate() {
            let out = self.exchange(&images, key)?;
            own = if rank == shared.rank() { Some(out) } else { own };
        }
        Ok(own.unwrap_or(batch))
    }

    /// Lets queries be those of several ranks, or of this one alone.
    pub(crate) fn share(&mut self, with: Option<SharedQuery>) {
        self.shared = with;
    }

    fn exchange(&mut self, batch: &Tensor, key: Key) -> Result<Tensor> {
        let n = batch.dim(0)?;
        if !self.storage.make_room_for(batch, self.size)? {
            self.captured = None;
        }
        self.last = n;
        let choices = self.choose(n, key);
        match &mut self.storage {
            PoolStorage::PerImage(images) => storage::exchange(images, batch, &choices),
            PoolStorage::Stacked { store, len } => {
                let words = GraphParams::new(batch.device(), n)?;
                words.write(&as_words(&choices))?;
                *len = filled(*len, &choices);
                Ok(exchange(batch, store, &words)?)
            }
        }
    }

    /// Decides what becomes of the next `n` images.
    fn choose(&self, n: usize, key: Key) -> Vec<PoolAction> {
        let key = self.number.map_or(key, |number| key.at(number));
        let mut len = self.len();
        let choice = |i: usize| {
            if len < self.size {
                len += 1;
                return PoolAction::Keep((len - 1) as u32);
            }
            let mut random = key.at(i as u64).stream();
            if random.bool() { PoolAction::Swap(random.below(len as u64) as u32) } else { PoolAction::Pass }
        };
        (0..n).map(choice).collect()
    }

    fn query_captured(&mut self, batch: &Tensor, key: Key) -> Result<Tensor> {
        let Some(captured) = &mut self.captured else { return Err(not_captured("no capture is under way")) };
        if captured.open != Some(key) {
            return Err(not_captured("a captured step asks its pools with the step's own key"));
        }
        if std::mem::replace(&mut captured.used, true) {
            return Err(not_captured("a captured step asks a pool at most once"));
        }
        match &self.storage {
            PoolStorage::Stacked { store, .. } if batch.dims()[0] == captured.n => {
                Ok(exchange(batch, store, &captured.choices)?)
            }
            _ => Err(not_captured("images that are captured come in one size, as many at a time as before")),
        }
    }

    /// From now on, a query is part of a step that is being captured: nothing is exchanged or counted yet.
    pub(crate) fn begin_capture(&mut self, device: &Device, key: Key) -> Result<()> {
        if self.size > 0 {
            let choices = GraphParams::new(device, self.last)?;
            self.captured = Some(CapturedQuery { choices, n: self.last, open: Some(key), used: false });
        }
        Ok(())
    }

    /// The capture is over.
    pub(crate) fn end_capture(&mut self) {
        if let Some(captured) = &mut self.captured {
            captured.open = None;
        }
    }

    /// Whether a captured query still finds the images where they were.
    pub(crate) fn can_launch(&self) -> bool {
        self.size == 0 || self.captured.is_some()
    }

    /// The captured step is launched next; its key is `key`.
    pub(crate) fn before_launch(&mut self, key: Key) -> Result<()> {
        let Some(captured) = self.captured.as_ref().filter(|c| c.used) else { return Ok(()) };
        let choices = self.choose(captured.n, key);
        captured.choices.write(&as_words(&choices))?;
        if let PoolStorage::Stacked { len, .. } = &mut self.storage {
            *len = filled(*len, &choices);
        }
        Ok(())
    }

    /// The images for a checkpoint, named `<name>.<index>`.
    ///
    /// # Errors
    /// [`Error::Tensor`] if they cannot be copied.
    pub fn save(&self, name: &str) -> Result<Vec<(String, Tensor)>> {
        let images = self.storage.images()?;
        Ok(images.into_iter().enumerate().map(|(i, image)| (format!("{name}.{i}"), image)).collect())
    }

    /// Checks that the images named `<name>.<index>` in a checkpoint can be this pool's: counted without a gap, each of the
    /// shape `[1, C, H, W]` and of one kind of number. Nothing is changed.
    ///
    /// # Errors
    /// The reason, in words.
    pub(crate) fn check(&self, name: &str, saved: &[(String, Tensor)]) -> std::result::Result<(), String> {
        let own = |key: &str| key.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        let count = saved.iter().filter(|(key, _)| own(key)).count();
        for i in 0..count {
            let key = format!("{name}.{i}");
            let Some((_, image)) = saved.iter().find(|(saved, _)| *saved == key) else {
                return Err(format!("it has {count} images of the pool {name}, but no {key}"));
            };
            let fits =
                |dims: &[usize]| matches!(dims, [1, c, h, w] if self.channels.is_none_or(|n| n == *c) && h * w > 0);
            if !fits(image.dims()) || !image.dtype().is_float() {
                return Err(format!("{key} is {:?} {:?}, no image of this pool", image.dims(), image.dtype()));
            }
        }
        Ok(())
    }

    /// Takes the images named `<name>.<index>` from a checkpoint, moving them to `device`. If the pool has
    /// become smaller, the surplus is dropped.
    ///
    /// # Errors
    /// [`Error::Shape`] for anything but `[1, C, H, W]`.
    pub fn restore(&mut self, name: &str, saved: &[(String, Tensor)], device: &Device) -> Result<()> {
        self.captured = None;
        self.storage = PoolStorage::default();
        let mut images = Vec::new();
        for i in 0..self.size {
            let key = format!("{name}.{i}");
            let Some((_, image)) = saved.iter().find(|(saved, _)| *saved == key) else { break };
            if !matches!(image.dims(), [1, _, _, _]) {
                return Err(Error::Shape {
                    what: format!("pooled image `{key}`"),
                    got: format!("{:?}", image.dims()),
                    expected: "[1, C, H, W]",
                });
            }
            images.push(image.to_device(device)?);
        }
        self.storage = PoolStorage::of(images, self.size)?;
        Ok(())
    }
}

/// Images held after these choices.
fn filled(len: usize, choices: &[PoolAction]) -> usize {
    len + choices.iter().filter(|choice| matches!(choice, PoolAction::Keep(_))).count()
}

fn as_words(choices: &[PoolAction]) -> Vec<u64> {
    choices.iter().map(|choice| choice.word()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use candle_core::{DType, Device, Var};
    use gan_rng::Purpose;

    use super::*;

    fn key(step: u64) -> Key {
        Key::new(3, Purpose::Pool).at(step)
    }

    /// Images whose single value is their number.
    fn batch(numbers: &[f32]) -> Tensor {
        Tensor::from_slice(numbers, (numbers.len(), 1, 1, 1), &Device::Cpu).unwrap()
    }

    fn numbers(images: &Tensor) -> Vec<f32> {
        images.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn fills_first_then_exchanges() {
        let mut pool = ImagePool::new(3);
        assert_eq!(numbers(&pool.query(&batch(&[1., 2.]), key(0)).unwrap()), [1., 2.]);
        assert_eq!(numbers(&pool.query(&batch(&[3.]), key(1)).unwrap()), [3.]);
        let (mut seen, mut swapped) = (vec![1f32, 2., 3.], 0);
        for step in 2..402u64 {
            let new = step as f32 * 10.0;
            let got = numbers(&pool.query(&batch(&[new]), key(step)).unwrap())[0];
            if got == new {
                assert!(!seen.contains(&got));
            } else {
                // What comes back was stored, and is stored no more.
                let at = seen.iter().position(|&x| x == got).unwrap();
                seen[at] = new;
                swapped += 1;
            }
            assert_eq!(pool.len(), 3);
        }
        assert!((160..240).contains(&swapped), "{swapped} of 400");
        let mut held: Vec<f32> = pool.storage.images().unwrap().iter().flat_map(numbers).collect();
        held.sort_by(f32::total_cmp);
        seen.sort_by(f32::total_cmp);
        assert_eq!(held, seen);
    }

    #[test]
    fn every_place_is_exchanged() {
        let mut pool = ImagePool::new(5);
        pool.query(&batch(&[0., 1., 2., 3., 4.]), key(0)).unwrap();
        let mut counts = [0; 5];
        for step in 1..2001u64 {
            let before: Vec<f32> = pool.storage.images().unwrap().iter().flat_map(numbers).collect();
            pool.query(&batch(&[step as f32 + 10.0]), key(step)).unwrap();
            let after: Vec<f32> = pool.storage.images().unwrap().iter().flat_map(numbers).collect();
            if let Some(at) = (0..5).find(|&i| before[i] != after[i]) {
                counts[at] += 1;
            }
        }
        assert!(counts.iter().all(|&count| (140..260).contains(&count)), "{counts:?}");
    }

    #[test]
    fn size_zero_returns_the_batch_without_its_graph() {
        let var = Var::from_tensor(&batch(&[1., 2.])).unwrap();
        let images = var.affine(2.0, 0.0).unwrap();
        let mut pool = ImagePool::new(0);
        let out = pool.query(&images, key(0)).unwrap();
        assert_eq!(numbers(&out), [2., 4.]);
        assert!(images.track_op() && !out.track_op() && pool.is_empty());
        let out = ImagePool::new(2).query(&images, key(0)).unwrap();
        assert!(!out.track_op());
    }

    #[test]
    fn resume_goes_on_alike() {
        for stop in [1u64, 3, 9] {
            let mut whole = ImagePool::new(4);
            let mut first = ImagePool::new(4);
            for step in 0..stop {
                let images = batch(&[step as f32, step as f32 + 0.5]);
                whole.query(&images, key(step)).unwrap();
                first.query(&images, key(step)).unwrap();
            }
            let saved = first.save("fake_a").unwrap();
            let mut second = ImagePool::new(4);
            second.restore("fake_a", &saved, &Device::Cpu).unwrap();
            for step in stop..stop + 20 {
                let images = batch(&[step as f32, step as f32 + 0.5]);
                let (a, b) = (whole.query(&images, key(step)).unwrap(), second.query(&images, key(step)).unwrap());
                assert_eq!(numbers(&a), numbers(&b));
            }
        }
    }

    #[test]
    fn restore_checks_what_it_gets() {
        let mut pool = ImagePool::new(3);
        let saved: Vec<_> = (0..5).map(|i| (format!("fake_b.{i}"), batch(&[i as f32]))).collect();
        pool.restore("fake_b", &saved, &Device::Cpu).unwrap();
        assert_eq!(pool.len(), 3);
        pool.restore("fake_a", &saved, &Device::Cpu).unwrap();
        assert!(pool.is_empty(), "the other pool's images are not taken");
        let error = pool.restore("x", &[("x.0".to_owned(), batch(&[1., 2.]))], &Device::Cpu).unwrap_err();
        assert!(error.to_string().contains("x.0"), "{error}");
        assert!(ImagePool::new(1).query(&batch(&[1.]).squeeze(0).unwrap(), key(0)).is_err());
    }

    /// What a device would do next is refused by the operators of the CPU, in their own words.
    #[test]
    fn a_captured_query_is_the_only_one_of_its_step() {
        let mut pool = ImagePool::new(2);
        pool.query(&batch(&[1., 2.]), key(0)).unwrap();
        let error = |result: Result<Tensor>| result.unwrap_err().to_string();
        for (numbers, of, reason) in [
            (&[3., 4.][..], key(2), "the step's own key"),
            (&[3.], key(1), "as many at a time as before"),
            (&[3., 4.], key(1), "CUDA"),
        ] {
            pool.storage = PoolStorage::Stacked { store: batch(&[1., 2.]), len: 2 };
            pool.begin_capture(&Device::Cpu, key(1)).unwrap();
            let said = error(pool.query(&batch(numbers), of));
            assert!(said.contains(reason), "{said}");
        }
        let said = error(pool.query(&batch(&[3., 4.]), key(1)));
        assert!(said.contains("at most once"), "{said}");
        pool.end_capture();
        assert!(pool.can_launch() && pool.before_launch(key(2)).is_err());
        // Images of another size end what was captured.
        let large = Tensor::zeros((1, 1, 2, 2), DType::F32, &Device::Cpu).unwrap();
        pool.query(&large, key(3)).unwrap();
        assert!(!pool.can_launch());
        let mut small = ImagePool::new(1);
        small.begin_capture(&Device::Cpu, key(1)).unwrap();
        assert!(small.can_launch() && ImagePool::new(0).can_launch() && !ImagePool::new(1).can_launch());
    }

    #[test]
    fn a_pool_fills_place_by_place() {
        let mut pool = ImagePool::new(3);
        assert_eq!(pool.choose(2, key(0)), [PoolAction::Keep(0), PoolAction::Keep(1)]);
        pool.query(&batch(&[1., 2.]), key(0)).unwrap();
        assert!(!pool.is_empty());
        assert_eq!(pool.choose(1, key(1)), [PoolAction::Keep(2)]);
    }

    #[test]
    fn what_a_checkpoint_holds_is_checked() {
        let pool = ImagePool::new(3).of_channels(1);
        let named = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), batch(&[1.]))).collect::<Vec<_>>();
        pool.check("x", &named(&["x.0", "x.1", "xy.0"])).unwrap();
        let error = pool.check("x", &named(&["x.0", "x.2"])).unwrap_err();
        assert_eq!(error, "it has 2 images of the pool x, but no x.1");
        let shaped = |dims: [usize; 4], dtype| [("x.0".to_owned(), Tensor::zeros(&dims, dtype, &Device::Cpu).unwrap())];
        ImagePool::new(3).check("x", &shaped([1, 2, 1, 1], DType::F32)).unwrap();
        for dims in [[2, 1, 1, 1], [1, 2, 1, 1], [1, 1, 0, 1], [1, 1, 1, 0]] {
            let error = pool.check("x", &shaped(dims, DType::F32)).unwrap_err();
            assert!(error.starts_with("x.0 is "), "{error}");
        }
        assert!(pool.check("x", &shaped([1; 4], DType::U8)).unwrap_err().contains("U8"));
    }

    #[test]
    fn pools_of_one_step_decide_each_for_itself() {
        let handed_out = |mut pool: ImagePool| {
            let one = |step| numbers(&pool.query(&batch(&[step as f32]), key(step)).unwrap())[0];
            (0..40).map(one).collect::<Vec<_>>()
        };
        let [alone, first, second] =
            [ImagePool::new(4), ImagePool::new(4).numbered(0), ImagePool::new(4).numbered(1)].map(handed_out);
        assert!(alone != first && alone != second && first != second);
    }

    #[test]
    fn sizes_may_change_between_steps() {
        let mut pool = ImagePool::new(1);
        for step in 0..20u64 {
            let side = 1 + step as usize % 3;
            let image = Tensor::zeros((1, 3, side, side), DType::F32, &Device::Cpu).unwrap();
            assert_eq!(pool.query(&image, key(step)).unwrap().rank(), 4);
        }
    }
}
