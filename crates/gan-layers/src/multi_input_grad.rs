//! One plain result of many tensors in candle's graph, whose operators have few inputs.

use crate::autograd::Handover;
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use std::sync::{Arc, Mutex, PoisonError};

/// Makes the scalar `y`, computed from `xs` by plain functions, a function of them in candle's graph: `backward` maps the
/// gradient of `y` to those of all `xs`, and is called once in a backward pass. Without a tracked one this is `y` itself.
///
/// The graph holds a chain: each link has one of the tensors and the link before as its inputs and hands the gradient of `y`
/// on. Only the last link is `y`; the others are zeros.
///
/// # Errors
/// As [`custom_grad`](crate::custom_grad). If `backward` returns too few gradients, candle's backward pass fails.
pub fn multi_input_grad(
    xs: &[Tensor],
    y: Tensor,
    backward: impl Fn(&Tensor) -> Result<Vec<Tensor>> + Send + Sync + 'static,
) -> Result<Tensor> {
    let tracked: Vec<usize> = (0..xs.len()).filter(|&i| xs[i].track_op()).collect();
    let Some(&last) = tracked.last() else { return Ok(y) };
    let gradients = Arc::new(Gradients { backward, found: Mutex::new(Vec::new()) });
    let nothing = y.zeros_like()?.detach();
    let mut link = nothing.clone();
    for i in tracked {
        let y = if i == last { Handover::shared(y.clone()) } else { Handover::fresh(nothing.copy()?) };
        link = xs[i].apply_op2(&link, Link { i, y, gradients: gradients.clone() })?;
    }
    Ok(link)
}

/// The gradients of all tensors, each taken by its link.
struct Gradients<F> {
    backward: F,
    found: Mutex<Vec<Option<Tensor>>>,
}

impl<F: Fn(&Tensor) -> Result<Vec<Tensor>>> Gradients<F> {
    fn take(&self, i: usize, dy: &Tensor) -> Result<Tensor> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        // The first link of this backward pass, or of another one.
        if found.get(i).is_none_or(Option::is_none) {
            *found = (self.backward)(dy)?.into_iter().map(Some).collect();
        }
        match found.get_mut(i).and_then(Option::take) {
            Some(gradient) => Ok(gradient),
            None => bail!("a gradient is missing"),
        }
    }
}

struct Link<F> {
    i: usize,
    y: Handover,
    gradients: Arc<Gradients<F>>,
}

impl<F: Fn(&Tensor) -> Result<Vec<Tensor>> + Send + Sync> CustomOp2 for Link<F> {
    fn name(&self) -> &'static str {
        "multi_input_grad"
    }
    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.y.cpu()
    }
    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        self.y.cuda()
    }
    fn bwd(&self, _: &Tensor, link: &Tensor, _: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dy = dy.detach();
        let gradient = self.gradients.take(self.i, &dy)?;
        Ok((Some(gradient), link.track_op().then_some(dy)))
    }
}
