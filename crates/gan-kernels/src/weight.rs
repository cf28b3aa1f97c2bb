//! A weight tensor with its packed forms.
use candle_core::Tensor;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the updates of a group of parameters; packed forms of older versions are stale.
#[derive(Debug, Clone, Default)]
pub struct Version(Arc<AtomicU64>);

impl Version {
    /// The current version.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// To be called after every change of the parameters.
    pub fn bump(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// A convolution weight as the kernels take it: the tensor, the version of its values, and (private) the packed forms
/// that the kernels keep between calls as long as the version stays.
#[derive(Debug, Clone)]
pub struct Weight {
    tensor: Tensor,
    version: Version,
}

impl Weight {
    /// A weight that changes with `version`. The tensor may be a contiguous view into a larger one.
    pub fn new(tensor: Tensor, version: Version) -> Self {
        Weight { tensor, version }
    }

    /// A weight that never changes.
    pub fn constant(tensor: Tensor) -> Self {
        Weight::new(tensor, Version::default())
    }

    /// The tensor.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// The version of the values.
    pub fn version(&self) -> &Version {
        &self.version
    }
}
