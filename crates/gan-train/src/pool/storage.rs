//! The images of a pool, in memory of their own or stacked in one tensor.

use crate::Result;
use candle_core::Tensor;
use gan_kernels::image_pool::PoolAction;
use gan_layers::copy_of;

/// The images of a pool.
#[derive(Debug)]
pub(super) enum PoolStorage {
    /// Each `[1, C, H, W]`, with its own memory and no graph; of any sizes.
    PerImage(Vec<Tensor>),
    /// On a CUDA device, as long as all have one size: the first `len` images of `[size, C, H, W]`, which stay where they
    /// are, so that a captured step finds them, and which are exchanged in place.
    Stacked { store: Tensor, len: usize },
}

impl Default for PoolStorage {
    fn default() -> Self {
        PoolStorage::PerImage(Vec::new())
    }
}

impl PoolStorage {
    /// Holds images of a checkpoint, in a pool of `size`.
    pub(super) fn of(images: Vec<Tensor>, size: usize) -> Result<Self> {
        match images.first() {
            Some(first) if first.device().is_cuda() && images.iter().all(|image| alike(image, first)) => {
                let store = room(first, size)?;
                for (i, image) in images.iter().enumerate() {
                    store.slice_set(&image.contiguous()?, 0, i)?;
                }
                Ok(PoolStorage::Stacked { store, len: images.len() })
            }
            _ => Ok(PoolStorage::PerImage(images)),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            PoolStorage::PerImage(images) => images.len(),
            PoolStorage::Stacked { len, .. } => *len,
        }
    }

    /// Copies of the images.
    pub(super) fn images(&self) -> Result<Vec<Tensor>> {
        match self {
            PoolStorage::PerImage(images) => Ok(images.clone()),
            PoolStorage::Stacked { store, len } => (0..*len).map(|i| Ok(copy_of(&store.narrow(0, i, 1)?)?)).collect(),
        }
    }

    /// Makes sure that images like those of the batch can be held. False if images that lay together do so no more.
    pub(super) fn make_room_for(&mut self, batch: &Tensor, size: usize) -> Result<bool> {
        match self {
            PoolStorage::PerImage(images) if images.is_empty() && batch.device().is_cuda() => {
                *self = PoolStorage::Stacked { store: room(batch, size)?, len: 0 };
                Ok(true)
            }
            PoolStorage::Stacked { store, .. } if !alike(store, batch) => {
                *self = PoolStorage::PerImage(self.images()?);
                Ok(false)
            }
            _ => Ok(true),
        }
    }
}

/// Whether the images of two batches have the same size and type.
fn alike(a: &Tensor, b: &Tensor) -> bool {
    a.dims()[1..] == b.dims()[1..] && a.dtype() == b.dtype()
}

fn room(like: &Tensor, size: usize) -> Result<Tensor> {
    let mut dims = like.dims().to_vec();
    dims[0] = size;
    Ok(Tensor::zeros(dims, like.dtype(), like.device())?)
}

/// Exchanges images that are held apart.
pub(super) fn exchange(images: &mut Vec<Tensor>, batch: &Tensor, choices: &[PoolAction]) -> Result<Tensor> {
    let mut out = Vec::with_capacity(choices.len());
    for (i, choice) in choices.iter().enumerate() {
        // A copy: a view would keep the whole batch alive for as long as the image stays in the pool.
        let image = copy_of(&batch.narrow(0, i, 1)?)?;
        out.push(match *choice {
            PoolAction::Pass => image,
            PoolAction::Keep(_) => {
                images.push(image.clone());
                image
            }
            PoolAction::Swap(at) => std::mem::replace(&mut images[at as usize], image),
        });
    }
    Ok(if out.len() == 1 { out.remove(0) } else { Tensor::cat(&out, 0)? })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use candle_core::{DType, Device};

    #[test]
    fn images_of_another_kind_are_held_apart() {
        let zeros = |dims: [usize; 4], dtype| Tensor::zeros(&dims, dtype, &Device::Cpu).unwrap();
        for (dims, dtype) in [
            ([1, 1, 1, 2], DType::F64),
            ([1, 1, 2, 1], DType::F32),
            ([1, 2, 1, 2], DType::F32),
            ([1, 1, 1, 3], DType::F32),
        ] {
            let store = room(&zeros([4, 1, 1, 2], DType::F32), 3).unwrap();
            assert_eq!(store.dims(), [3, 1, 1, 2]);
            let images = Tensor::arange(0f32, 4., &Device::Cpu).unwrap().reshape((2, 1, 1, 2)).unwrap();
            store.slice_set(&images, 0, 0).unwrap();
            let mut storage = PoolStorage::Stacked { store, len: 2 };
            assert!(storage.make_room_for(&zeros([5, 1, 1, 2], DType::F32), 3).unwrap());
            assert!(matches!(storage, PoolStorage::Stacked { len: 2, .. }));
            assert!(!storage.make_room_for(&zeros(dims, dtype), 3).unwrap());
            let PoolStorage::PerImage(apart) = storage else { panic!("{dims:?} {dtype:?}") };
            let values: Vec<Vec<f32>> = apart.iter().map(|i| i.flatten_all().unwrap().to_vec1().unwrap()).collect();
            assert_eq!(values, [[0., 1.], [2., 3.]]);
        }
    }
}
