//! What pix2pixHD's networks see of labels and instances.

use crate::Result;
use candle_core::{DType, Tensor};
use gan_data::Batch;
use gan_kernels::labels::instance_edges;
use gan_layers::{Input, OneHot};

/// The condition `[N, classes (+ 1), H, W]` of a batch.
#[derive(Debug, Clone)]
pub enum Condition {
    /// As planes.
    Planes(Tensor),
    /// As labels and the planes beside theirs: a generator's first convolution does without those of the labels.
    Labels(OneHot),
}

impl Condition {
    /// One-hot labels (or the picture itself if `classes` is 0), then the instance edges if the batch has instances.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor) if a label is not below `classes` (on the CPU), if the label or
    /// instance map is not `[N, 1, H, W]` of U8 or U32, or if they differ in size.
    pub fn new(batch: &Batch, classes: usize, dtype: DType) -> Result<Self> {
        let edges = batch.inst.as_ref().map(|inst| instance_edges(inst, dtype)).transpose()?;
        Ok(match (classes, edges) {
            (0, None) => Condition::Planes(batch.a.to_dtype(dtype)?),
            (0, Some(edges)) => Condition::Planes(Tensor::cat(&[&batch.a.to_dtype(dtype)?, &edges], 1)?),
            (_, edges) => Condition::Labels(OneHot::new(&batch.a, classes, edges.as_ref(), dtype)?),
        })
    }

    /// The same with other planes behind.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor) if `planes` differ from those that are there in images, height, width
    /// or element type.
    pub fn with(&self, planes: &Tensor) -> Result<Self> {
        Ok(match self {
            Condition::Planes(x) => Condition::Planes(Tensor::cat(&[x, planes], 1)?),
            Condition::Labels(x) => Condition::Labels(x.with(planes)?),
        })
    }

    /// All planes.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor) if the device fails or has no memory for the planes.
    pub fn planes(&self) -> Result<Tensor> {
        Ok(Input::from(self).planes()?)
    }
}

impl<'a> From<&'a Condition> for Input<'a> {
    fn from(condition: &'a Condition) -> Self {
        match condition {
            Condition::Planes(x) => x.into(),
            Condition::Labels(x) => x.into(),
        }
    }
}
