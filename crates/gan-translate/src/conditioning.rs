//! What networks see of label and instance maps.

use candle_core::{DType, Result, Tensor};
use gan_data::Batch;
use gan_kernels::labels::instance_edges;
use gan_layers::{Input, OneHot};

/// The condition `[N, classes (+ 1), H, W]` of a batch.
#[derive(Debug, Clone)]
pub enum Condition {
    /// As a tensor.
    Planes(Tensor),
    /// As labels and the channels behind theirs: a generator's first convolution does without the one-hot tensor.
    Labels(OneHot),
}

impl Condition {
    /// One-hot labels (or the image itself if `classes` is 0), then the instance edges if the batch has instances.
    ///
    /// # Errors
    /// A label is not below `classes` (on the CPU), the label or instance map is not `[N, 1, H, W]` of U8 or U32, or they
    /// differ in size.
    pub fn new(batch: &Batch, classes: usize, dtype: DType) -> Result<Self> {
        let edges = batch.inst.as_ref().map(|inst| instance_edges(inst, dtype)).transpose()?;
        Ok(match (classes, edges) {
            (0, None) => Condition::Planes(batch.a.to_dtype(dtype)?),
            (0, Some(edges)) => Condition::Planes(Tensor::cat(&[&batch.a.to_dtype(dtype)?, &edges], 1)?),
            (_, edges) => Condition::Labels(OneHot::new(&batch.a, classes, edges.as_ref(), dtype)?),
        })
    }

    /// The same with other channels behind.
    ///
    /// # Errors
    /// `planes` differ from those that are there in images, height, width or element type.
    pub fn with(&self, planes: &Tensor) -> Result<Self> {
        Ok(match self {
            Condition::Planes(x) => Condition::Planes(Tensor::cat(&[x, planes], 1)?),
            Condition::Labels(x) => Condition::Labels(x.with(planes)?),
        })
    }

    /// All channels as one tensor.
    ///
    /// # Errors
    /// The device fails or has no memory for the one-hot tensor.
    pub fn planes(&self) -> Result<Tensor> {
        Input::from(self).planes()
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
