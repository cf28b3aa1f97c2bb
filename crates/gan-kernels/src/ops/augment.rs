//! Differentiable augmentation of what a discriminator sees (Zhao et al., 2020; semantics of mit-han-lab/data-efficient-gans), and the
//! probability that adapts to how well it knows the real images (Karras et al., 2020).
use crate::cpu::augment as kernel;
use crate::cpu::real::by_dtype;
use crate::dispatch::on_cuda;
use crate::ops::storage::{plain, slices, tensor, update};
pub use crate::spec::augment::{ADA_STATE, Ada, AugmentPass, DRAWS, Probability};
use crate::spec::dropout::MaskKey;
use candle_core::{DType, Device, Result, Tensor, bail};

/// Draws for `n` images of `h` x `w` pixels, F64 `[n, DRAWS]`. Brightness, saturation, contrast, translation and cutout are
/// each made with the given probability, for each image by itself; those that are not made have draws that change nothing. A
/// captured step finds another key at every launch, as for the masks of dropout.
///
/// # Errors
/// Images without pixels; a state of another shape or type.
pub fn draws(
    device: &Device,
    key: impl Into<MaskKey>,
    [n, h, w]: [usize; 3],
    probability: Probability<'_>,
) -> Result<Tensor> {
    if h * w == 0 {
        bail!("draws: images of {w}x{h} pixels")
    }
    if let Probability::Adaptive(state) = probability {
        check_state("draws", state)?;
    }
    let key = key.into();
    #[cfg(feature = "cuda")]
    if let Device::Cuda(device) = device {
        return crate::cuda::augment::draws(device, key, [n, h, w], probability);
    }
    let p = match probability {
        Probability::Fixed(p) => p,
        Probability::Adaptive(state) => state.get(0)?.to_scalar::<f64>()?,
    };
    Tensor::from_vec(kernel::draws(key.sequence(), [n, h, w], p), (n, DRAWS), device)
}

/// Images `[N, C, H, W]` after a pass under their draws F64 `[N, DRAWS]`. Values are not clamped.
///
/// # Errors
/// Shapes that do not go together, no pixels, or an unsupported element type.
pub fn augment(x: &Tensor, draws: &Tensor, pass: &AugmentPass) -> Result<Tensor> {
    run(x, draws, pass, false)
}

/// Backward of [`augment`]: the gradient of the images, of that of the result.
///
/// # Errors
/// As [`augment`].
pub fn augment_backward(dy: &Tensor, draws: &Tensor, pass: &AugmentPass) -> Result<Tensor> {
    run(dy, draws, pass, true)
}

fn run(x: &Tensor, draws: &Tensor, pass: &AugmentPass, backward: bool) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    if draws.dims() != [n, DRAWS] || draws.dtype() != DType::F64 {
        bail!("augment: draws {:?} {:?} for images {:?}", draws.dtype(), draws.dims(), x.dims())
    }
    if h * w == 0 || c <= pass.uncolored {
        bail!("augment: {} of the channels of {:?} keep their colours", pass.uncolored, x.dims())
    }
    on_cuda!(x, augment::augment(x, draws, pass, backward));
    let (x, draws) = (plain(x)?, plain(draws)?);
    by_dtype!(x, T => {
        slices!(T; xs = x);
        slices!(f64; ds = draws);
        tensor(kernel::augment::<T>(xs, ds, [c, h, w], pass, backward), x.shape())
    })
}

/// Takes note of a discriminator's scores of real images, score maps `[N, …]` of its scales, in a state F64 `[ADA_STATE]`, in
/// place. The mean over scales and maps of the signs of score − threshold says how surely the real images are known. After
/// every so many calls the probability moves towards where that is the target; it is never below 0.
///
/// # Errors
/// No scores, or an unsupported element type; a state of another shape or type.
pub fn observe(scores: &[&Tensor], state: &Tensor, ada: &Ada) -> Result<()> {
    check_state("observe", state)?;
    if scores.is_empty() || scores.iter().any(|score| score.elem_count() == 0) {
        bail!("observe: no scores")
    }
    for (i, score) in scores.iter().enumerate() {
        observe_one(score, state, ada, i + 1 == scores.len())?;
    }
    Ok(())
}

fn observe_one(scores: &Tensor, state: &Tensor, ada: &Ada, last: bool) -> Result<()> {
    let images = scores.dim(0)?;
    on_cuda!(scores, augment::observe(scores, images, state, ada, last));
    let scores = plain(scores)?;
    by_dtype!(scores, T => {
        slices!(T; values = scores);
        update(state, |state: &mut [f64]| {
            kernel::observe::<T>(values, images, state, ada, last);
            Ok(())
        })
    })
}

fn check_state(op: &str, state: &Tensor) -> Result<()> {
    if state.dims() != [ADA_STATE] || state.dtype() != DType::F64 {
        bail!("{op}: expected a state F64 [{ADA_STATE}], got {:?} {:?}", state.dtype(), state.dims())
    }
    Ok(())
}
