//! Batches on their way to the networks.

use crate::Result;
use crate::method::Place;
use candle_core::{DType, Tensor};
use gan_data::Batch;
use gan_kernels::upload::Uploader;

/// Moves a batch to where the networks are. Label and instance maps stay integers.
///
/// # Errors
/// [`Error::Tensor`](crate::Error::Tensor) if the device fails or has no memory for the batch.
pub fn to_place(batch: Batch, place: &Place) -> Result<Batch> {
    let to = |tensors: &[&Tensor]| tensors.iter().map(|t| t.to_device(&place.device)).collect();
    moved(batch, place.dtype, to)
}

/// The same for one batch after the other, without waiting for the device.
pub(super) struct Feed {
    uploader: Uploader,
    dtype: DType,
}

impl Feed {
    pub(super) fn new(place: &Place) -> Result<Self> {
        Ok(Feed { uploader: Uploader::new(&place.device)?, dtype: place.dtype })
    }

    pub(super) fn take(&mut self, batch: Batch) -> Result<Batch> {
        moved(batch, self.dtype, |tensors| self.uploader.upload(tensors))
    }
}

/// `to` takes the tensors of the batch; pictures then become tensors of `dtype`.
fn moved(batch: Batch, dtype: DType, to: impl FnOnce(&[&Tensor]) -> candle_core::Result<Vec<Tensor>>) -> Result<Batch> {
    let Batch { a, b, inst, names } = batch;
    let present: Vec<&Tensor> = [Some(&a), b.as_ref(), inst.as_ref()].into_iter().flatten().collect();
    let mut there = to(&present)?
        .into_iter()
        .map(|t| if t.dtype() == DType::F32 { t.to_dtype(dtype) } else { Ok(t) })
        .collect::<candle_core::Result<Vec<_>>>()?
        .into_iter();
    let mut next = |part: &Option<Tensor>| if part.is_some() { there.next() } else { None };
    // The first part is always there.
    let a = next(&Some(a.clone())).unwrap_or(a);
    Ok(Batch { a, b: next(&b), inst: next(&inst), names })
}
