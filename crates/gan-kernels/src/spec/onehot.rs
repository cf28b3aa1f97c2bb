//! One-hot labels that are not materialized.

use candle_core::{DType, Tensor};

/// Stands for the planes `[N, classes + rest, H, W]`: one for each class, 1 where a pixel has that label, then others.
#[derive(Debug, Clone)]
pub struct OneHot {
    pub(crate) labels: Tensor,
    pub(crate) classes: usize,
    pub(crate) dtype: DType,
    pub(crate) rest: Option<Tensor>,
}

impl OneHot {
    /// Number of images, of planes; height and width.
    pub fn dims(&self) -> [usize; 4] {
        let d = self.labels.dims();
        [d[0], self.classes + self.rest.as_ref().map_or(0, |r| r.dims()[1]), d[2], d[3]]
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Element type of the planes.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The label map.
    pub fn labels(&self) -> &Tensor {
        &self.labels
    }

    /// The planes behind those of the classes, with their graph.
    pub fn rest(&self) -> Option<&Tensor> {
        self.rest.as_ref()
    }
}
