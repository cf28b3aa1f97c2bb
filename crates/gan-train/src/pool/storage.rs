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
