//! Penalties on the gradient of a discriminator by its input.
//!
//! Each takes that gradient, `[N, C, H, W]`, of the sum of all scores, and returns the penalty (a scalar, F64) and its derivative by the gradient.

use candle_core::{D, DType, Result, Tensor};

/// mean over images of (‖gradient + 1e-16‖ − 1)², the norm over all values of an image (WGAN-GP, Gulrajani et al., 2017). The small number is
/// added to every value, as the reference's `cal_gradient_penalty` does: without it the norm of zeros would have no derivative.
///
/// # Errors
/// The gradient is not four-dimensional or has no elements.
pub fn wgan_gp(gradient: &Tensor) -> Result<(Tensor, Tensor)> {
    let gradient = (gradient.detach() + 1e-16)?;
    let norm = squares(&gradient)?.sqrt()?;
    let excess = (&norm - 1.0)?;
    let slope = ((&excess / &norm)? * (2.0 / gradient.dim(0)? as f64))?.to_dtype(gradient.dtype())?;
    Ok((excess.sqr()?.mean_all()?, gradient.broadcast_mul(&slope)?))
}

/// ½ mean over images of ‖gradient‖² (R1, Mescheder et al., 2018).
///
/// # Errors
/// As [`wgan_gp`].
pub fn r1(gradient: &Tensor) -> Result<(Tensor, Tensor)> {
    let gradient = gradient.detach();
    let value = (squares(&gradient)?.mean_all()? * 0.5)?;
    Ok((value, (&gradient / gradient.dim(0)? as f64)?))
}

/// The sum of squares of each image, F64 `[N, 1, 1, 1]`. Rows are short enough to be summed in F32.
fn squares(gradient: &Tensor) -> Result<Tensor> {
    gradient.sqr()?.sum_keepdim(D::Minus1)?.to_dtype(DType::F64)?.sum_keepdim((1, 2))
}
