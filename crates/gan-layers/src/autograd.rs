//! Bringing plain results into candle's graph.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Storage, Tensor, bail};
use gan_kernels::pool::{Pool2d, avg_pool, avg_pool_backward};
use std::sync::{Arc, Mutex, PoisonError};

/// Makes `y`, computed from `x` by plain functions, a function of `x` in candle's graph: `backward` maps the gradient of
/// `y` to that of `x`. Without a tracked `x` this is `y` itself.
///
/// # Errors
/// With a tracked `x`: `y` lies on another device, or on the CPU is neither F32 nor F64. An error of `backward` comes
/// out of candle's backward pass.
pub fn custom_grad(
    x: &Tensor,
    y: Tensor,
    backward: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
) -> Result<Tensor> {
    // Who called may have kept `y`.
    computed(x, Handover::shared(y), backward)
}

/// As [`custom_grad`], of two tensors.
pub(crate) fn custom_grad2(
    x: &Tensor,
    u: &Tensor,
    y: Tensor,
    backward: impl Fn(&Tensor) -> Result<(Tensor, Tensor)> + Send + Sync + 'static,
) -> Result<Tensor> {
    x.apply_op2(u, Computed { y: Handover::shared(y), backward })
}

fn computed(
    x: &Tensor,
    y: Handover,
    backward: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
) -> Result<Tensor> {
    if x.track_op() { x.apply_op1(Computed { y, backward }) } else { y.take() }
}

/// The windows of [`avg_pool3s2`].
pub(crate) const PYRAMID: Pool2d = Pool2d { padding: 1, ..Pool2d::new(3, 2) };

/// `AvgPool2d(3, stride 2, padding 1)` that does not count the padding, `[N, C, H, W]` → `[N, C, ⌈H/2⌉, ⌈W/2⌉]`: the
/// pyramid of pix2pixHD's enhancers and discriminators.
///
/// # Errors
/// As [`gan_kernels::pool::avg_pool`].
pub fn avg_pool3s2(x: &Tensor) -> Result<Tensor> {
    let (_, _, h, w) = x.dims4()?;
    let y = avg_pool(&x.detach(), &PYRAMID)?;
    computed(x, Handover::fresh(y), move |dy| avg_pool_backward(dy, (h, w), &PYRAMID))
}

/// Replaces features `[N, C, H, W]` by their means over instances `[N, 1, H, W]`; differentiable.
///
/// # Errors
/// As [`gan_kernels::labels::instance_mean`].
pub fn instance_mean(x: &Tensor, inst: &Tensor) -> Result<Tensor> {
    let y = gan_kernels::labels::instance_mean(&x.detach(), inst)?;
    let inst = inst.clone();
    computed(x, Handover::fresh(y), move |dy| gan_kernels::labels::instance_mean(dy, &inst))
}

/// Both halves of a batch `[2N, …]`, each `[N, …]`; differentiable, at the cost of one pass over the gradient.
///
/// # Errors
/// An odd batch.
pub fn halves(x: &Tensor) -> Result<(Tensor, Tensor)> {
    let all = x.dim(0)?;
    if !all.is_multiple_of(2) {
        bail!("a batch of {all} has no halves")
    }
    let half = |from| x.detach().narrow(0, from, all / 2);
    // An operator of candle's has one result, so the first half is made a function of the second: its gradient is left here
    // before that of the second is asked for.
    let left: Arc<Mutex<Option<Tensor>>> = Arc::default();
    let taken = left.clone();
    let second = custom_grad(x, half(all / 2)?, move |dy| {
        let first = taken.lock().unwrap_or_else(PoisonError::into_inner).take();
        Tensor::cat(&[&first.map_or_else(|| dy.zeros_like(), Ok)?, dy], 0)
    })?;
    let first = custom_grad(&second, half(0)?, move |dy| {
        *left.lock().unwrap_or_else(PoisonError::into_inner) = Some(dy.clone());
        dy.zeros_like()
    })?;
    Ok((first, second))
}

/// A finished result on its way into an operator's output, which candle wants as a storage of its own.
pub(crate) struct Handover {
    y: Mutex<Option<Tensor>>,
    /// Nobody else holds the tensor's storage.
    #[cfg_attr(not(feature = "cuda"), expect(dead_code, reason = "candle's CPU storage is copied always"))]
    fresh: bool,
}

impl Handover {
    /// A result that was made just now and that nobody else holds: on the GPU its storage changes hands.
    pub(crate) fn fresh(y: Tensor) -> Self {
        Handover { y: Mutex::new(Some(y)), fresh: true }
    }

    /// A result that others may hold: it is copied.
    pub(crate) fn shared(y: Tensor) -> Self {
        Handover { y: Mutex::new(Some(y)), fresh: false }
    }

    fn take(&self) -> Result<Tensor> {
        match self.y.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(y) => Ok(y),
            None => bail!("an operator's result was asked for twice"),
        }
    }

    pub(crate) fn cpu(&self) -> Result<(CpuStorage, Shape)> {
        let y = self.take()?.contiguous()?;
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

    #[cfg(feature = "cuda")]
    pub(crate) fn cuda(&self) -> Result<(CudaStorage, Shape)> {
        let y = self.take()?;
        let shape = y.shape().clone();
        let own = self.fresh && y.is_contiguous() && y.layout().start_offset() == 0;
        let y = if own { y } else { y.force_contiguous()? };
        Ok((gan_kernels::storage::into_storage(y)?, shape))
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
    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        self.y.cuda()
    }
    fn bwd(&self, _: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        (self.backward)(&dy.detach().contiguous()?).map(Some)
    }
}

impl<F: Fn(&Tensor) -> Result<(Tensor, Tensor)>> CustomOp2 for Computed<F> {
    fn name(&self) -> &'static str {
        "computed of two"
    }
    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.y.cpu()
    }
    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        self.y.cuda()
    }
    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (x, u) = (self.backward)(&dy.detach().contiguous()?)?;
        Ok((Some(x), Some(u)))
    }
}
