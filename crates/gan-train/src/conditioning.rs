//! What pix2pixHD's networks see of labels and instances.

use crate::Result;
use candle_core::{DType, Tensor};
use gan_data::Batch;
use gan_kernels::{instance_edges, one_hot};

/// Turns a batch into the condition `[N, classes (+ 1), H, W]`: one-hot labels (or the picture itself if `classes` is 0),
/// then the instance edges if the batch has instances.
pub fn condition(batch: &Batch, classes: usize, dtype: DType) -> Result<Tensor> {
    let labels = if classes == 0 { batch.a.to_dtype(dtype)? } else { one_hot(&batch.a, classes, dtype)? };
    match &batch.inst {
        Some(inst) => Ok(Tensor::cat(&[&labels, &instance_edges(inst, dtype)?], 1)?),
        None => Ok(labels),
    }
}
