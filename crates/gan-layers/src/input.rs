//! What a network is given.

use candle_core::{Device, Result, Tensor, Var};
use gan_kernels::onehot::OneHot;

/// The input of a [`Sequence`](crate::Sequence) or a network of them: anything that `.into()` makes one of, which is `&Tensor`
/// `[N, C, H, W]` (or `&Var`) and [`&OneHot`](OneHot).
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// Planes.
    Planes(&'a Tensor),
    /// One-hot label planes that are not made if the first layer is a convolution that does without.
    Labels(&'a OneHot),
}

impl Input<'_> {
    /// Where it lies.
    pub fn device(&self) -> &Device {
        match self {
            Input::Planes(x) => x.device(),
            Input::Labels(x) => x.labels().device(),
        }
    }

    /// The planes, made if need be.
    ///
    /// # Errors
    /// CUDA's.
    pub fn planes(&self) -> Result<Tensor> {
        match self {
            Input::Planes(x) => Ok((*x).clone()),
            Input::Labels(x) => x.planes(),
        }
    }
}

impl<'a> From<&'a Tensor> for Input<'a> {
    fn from(x: &'a Tensor) -> Self {
        Input::Planes(x)
    }
}

impl<'a> From<&'a Var> for Input<'a> {
    fn from(x: &'a Var) -> Self {
        Input::Planes(x)
    }
}

impl<'a> From<&'a OneHot> for Input<'a> {
    fn from(x: &'a OneHot) -> Self {
        Input::Labels(x)
    }
}

/// What the walk over a sequence begins with.
pub(crate) enum Start {
    /// A tensor as the layers take it.
    Planes(Tensor),
    /// Labels: the first step is a convolution that serves them.
    Labels(OneHot),
}
