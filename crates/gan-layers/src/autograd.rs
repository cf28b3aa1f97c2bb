//! Bringing plain results into candle's graph.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Storage, Tensor, bail};
use std::sync::{Mutex, PoisonError};

/// Makes `y`, computed from `x` by plain functions, a function of `x` in candle's graph: `backward` maps the gradient of
/// `y` to that of `x`. Without a tracked `x` this is `y` itself.
pub fn with_backward(
    x: &Tensor,
    y: Tensor,
    backward: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
) -> Result<Tensor> {
    if !x.track_op() {
        return Ok(y);
    }
    x.apply_op1(Computed { y: Handover::new(y), backward })
}

/// `AvgPool2d(3, stride 2, padding 1)` that does not count the padding, `[N, C, H, W]` → `[N, C, ⌈H/2⌉, ⌈W/2⌉]`: the
/// pyramid of pix2pixHD's enhancers and discriminators.
pub fn avg_pool3s2(x: &Tensor) -> Result<Tensor> {
    let (_, _, h, w) = x.dims4()?;
    let y = gan_kernels::avg_pool3s2(&x.detach())?;
    with_backward(x, y, move |dy| gan_kernels::avg_pool3s2_backward(dy, (h, w)))
}

/// Replaces features `[N, C, H, W]` by their means over instances `[N, 1, H, W]`; differentiable.
pub fn instance_mean(x: &Tensor, inst: &Tensor) -> Result<Tensor> {
    let y = gan_kernels::instance_mean(&x.detach(), inst)?;
    let inst = inst.clone();
    with_backward(x, y, move |dy| gan_kernels::instance_mean(dy, &inst))
}

/// A finished result on its way into an operator's output, which candle wants as a storage of its own.
pub(crate) struct Handover {
    y: Mutex<Option<Tensor>>,
}

impl Handover {
    pub(crate) fn new(y: Tensor) -> Self {
        Handover { y: Mutex::new(Some(y)) }
    }

    pub(crate) fn cpu(&self) -> Result<(CpuStorage, Shape)> {
        let Some(y) = self.y.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            bail!("an operator's result was asked for twice")
        };
        let y = y.contiguous()?;
        let (storage, layout) = y.storage_and_layout();
        let Storage::Cpu(storage) = &*storage else { bail!("an operator's result lies elsewhere than its input") };
        let Some((from, to)) = layout.contiguous_offsets() else { bail!("an operator's result is not contiguous") };
        let storage = match storage {
            CpuStorage::F32(v) => CpuStorage::F32(v[from..to].to_vec()),
            CpuStorage::F64(v) => CpuStorage::F64(v[from..to].to_vec()),
            _ => bail!("operators are made for F32 and F64, not {:?}", y.dtype()),
        };
        Ok((storage, y.shape().clone()))
    }
}

struct Computed<F> {
    y: Handover,
    backward: F,
}

impl<F: Fn(&Tensor) -> Result<Tensor>> CustomOp1 for Computed<F> {
    fn name(&self) -> &'static str {
        "computed"
    }
    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.y.cpu()
    }
    fn bwd(&self, _: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        (self.backward)(&dy.detach().contiguous()?).map(Some)
    }
}
