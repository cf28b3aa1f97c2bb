//! Weights that a layer computes from other tensors before each pass: spectral norm and weight norm of PyTorch.
//!
//! In evaluation they are constant, so that they are computed once, here.

use candle_core::{DType, Device, Result, Tensor};

use crate::StateDict;

/// How a weight is computed, by the tensors that stand for it.
#[derive(Debug, Clone, Copy)]
enum Parametrization {
    Spectral,
    /// A wrapper that many repositories copy: it goes a step of the power iteration before each pass, in evaluation, too.
    SpectralStep,
    Weight,
}

impl Parametrization {
    fn name(self) -> &'static str {
        match self {
            Self::Spectral | Self::SpectralStep => "spectral norm",
            Self::Weight => "weight norm",
        }
    }
}

/// The names behind a layer's path: of the tensor that begins the weight, of what else there has to be, and of what may be.
const FORMS: [(Parametrization, &str, &str, Option<&str>); 5] = [
    // `torch.nn.utils.spectral_norm`, of which old versions saved no `weight_v`.
    (Parametrization::Spectral, "weight_orig", "weight_u", Some("weight_v")),
    // `torch.nn.utils.parametrizations.spectral_norm`
    (
        Parametrization::Spectral,
        "parametrizations.weight.original",
        "parametrizations.weight.0._u",
        Some("parametrizations.weight.0._v"),
    ),
    // `SpectralNorm(layer)` of pytorch-spectral-normalization-gan.
    (Parametrization::SpectralStep, "weight_bar", "weight_u", Some("weight_v")),
    (Parametrization::Weight, "weight_v", "weight_g", None),
    (Parametrization::Weight, "parametrizations.weight.original1", "parametrizations.weight.original0", None),
];

/// Replaces the tensors of spectral norm and weight norm by the weight that PyTorch computes from them in evaluation, in
/// their place. Returns notes about what was done; what cannot be computed stays as it is.
pub fn fold_parametrizations(state: &mut StateDict) -> Vec<String> {
    let mut notes = Vec::new();
    for (kind, first, second, third) in FORMS {
        let layers: Vec<String> = state
            .names()
            .filter_map(|name| name.strip_suffix(first))
            .filter(|layer| layer.is_empty() || layer.ends_with('.'))
            .map(str::to_owned)
            .collect();
        let mut folded = 0;
        for layer in layers {
            let named = |suffix: &str| state.get(&format!("{layer}{suffix}"));
            let (Some(original), Some(other)) = (named(first), named(second)) else { continue };
            let weight = match kind {
                Parametrization::Spectral => spectral(original, other, third.and_then(named)),
                Parametrization::SpectralStep => spectral_step(original, other),
                Parametrization::Weight => weight_norm(original, other),
            };
            let Ok(weight) = weight else { continue };
            state.push(format!("{layer}{first}"), weight);
            let extra: Vec<String> = [Some(second), third].iter().flatten().map(|s| format!("{layer}{s}")).collect();
            state.retain(|name, _| !extra.iter().any(|extra| extra == name));
            let (from, to) = (format!("{layer}{first}"), format!("{layer}weight"));
            state.rename(|name| if name == from { to.clone() } else { name.to_owned() });
            folded += 1;
        }
        if folded > 0 {
            notes.push(format!("{} of {folded} layers folded into their weights", kind.name()));
        }
    }
    notes
}

/// The rows of a weight along dimension `dim`, as a matrix in F64.
fn matrix(weight: &Tensor, dim: usize) -> Result<Tensor> {
    weight.to_dtype(DType::F64)?.transpose(0, dim)?.flatten_from(1)?.contiguous()
}

/// `W / σ` with `σ = uᵀ W v` (Miyato et al., 2018), where `W` has a row for each output channel. `v` is
/// `Wᵀu / ‖Wᵀu‖` where it was not saved.
fn spectral(weight: &Tensor, u: &Tensor, v: Option<&Tensor>) -> Result<Tensor> {
    let u = u.to_dtype(DType::F64)?;
    let v = v.map(|v| v.to_dtype(DType::F64)).transpose()?;
    // Transposed convolutions have their output channels in dimension 1. Where both dimensions are equal, u and v are
    // singular vectors along one of them only: W v = σ u.
    let mut best: Option<(f64, f64)> = None;
    for dim in [0, 1] {
        if weight.dims().get(dim) != Some(&u.elem_count()) {
            continue;
        }
        let w = matrix(weight, dim)?;
        let v = match &v {
            Some(v) => v.clone(),
            None => {
                let v = w.t()?.matmul(&u.unsqueeze(1)?)?.squeeze(1)?;
                let norm = v.sqr()?.sum_all()?.sqrt()?;
                v.broadcast_div(&norm)?
            }
        };
        if v.elem_count() != w.dim(1)? {
            continue;
        }
        let wv = w.matmul(&v.unsqueeze(1)?)?.squeeze(1)?;
        let sigma = (&u * &wv)?.sum_all()?.to_scalar::<f64>()?;
        let rest = (wv - (&u * sigma)?)?.sqr()?.sum_all()?.to_scalar::<f64>()?;
        if best.is_none_or(|(least, _)| rest < least) {
            best = Some((rest, sigma));
        }
    }
    match best {
        Some((_, sigma)) if sigma != 0.0 && sigma.is_finite() => {
            (weight.to_dtype(DType::F64)? / sigma)?.to_dtype(weight.dtype())
        }
        _ => candle_core::bail!("no singular value of {:?} along {:?}", weight.shape(), u.shape()),
    }
}

/// `W / σ` behind a step of the power iteration from `u`. Rows are the first dimension of every weight.
fn spectral_step(weight: &Tensor, u: &Tensor) -> Result<Tensor> {
    let unit = |v: Tensor| -> Result<Tensor> { v.broadcast_div(&(v.sqr()?.sum_all()?.sqrt()? + 1e-12)?) };
    let w = matrix(weight, 0)?;
    let v = unit(w.t()?.matmul(&u.to_dtype(DType::F64)?.unsqueeze(1)?)?)?;
    let wv = w.matmul(&v)?;
    let sigma = (unit(wv.clone())? * wv)?.sum_all()?.to_scalar::<f64>()?;
    if sigma == 0.0 || !sigma.is_finite() {
        candle_core::bail!("no singular value of {:?}", weight.shape());
    }
    (weight.to_dtype(DType::F64)? / sigma)?.to_dtype(weight.dtype())
}

/// `g v / ‖v‖` (Salimans and Kingma, 2016), with a norm for each index of the one dimension in which `g` is not 1.
fn weight_norm(v: &Tensor, g: &Tensor) -> Result<Tensor> {
    if g.rank() != v.rank() || g.dims().iter().zip(v.dims()).any(|(&g, &v)| g != 1 && g != v) {
        candle_core::bail!("{:?} scales no {:?}", g.shape(), v.shape());
    }
    let wide = v.to_dtype(DType::F64)?;
    let mut squares = wide.sqr()?;
    for (dim, &size) in g.dims().iter().enumerate() {
        if size == 1 {
            squares = squares.sum_keepdim(dim)?;
        }
    }
    let scale = (g.to_dtype(DType::F64)? / squares.sqrt()?)?;
    wide.broadcast_mul(&scale)?.to_dtype(v.dtype())?.to_device(&Device::Cpu)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn tensor(values: &[f64], dims: &[usize]) -> Tensor {
        Tensor::from_slice(values, dims, &Device::Cpu).unwrap()
    }

    fn values(state: &StateDict, name: &str) -> Vec<f64> {
        state.get(name).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    }

    #[track_caller]
    fn close(a: &[f64], b: &[f64]) {
        assert!(a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12), "{a:?} {b:?}");
    }

    #[test]
    fn spectral_norms_become_weights_in_their_place() {
        // Singular values 3 and 1: the rows are orthogonal.
        let weight = tensor(&[0., 3., 1., 0.], &[2, 2, 1, 1]);
        let (u, v) = (tensor(&[1., 0.], &[2]), tensor(&[0., 1.], &[2]));
        for (first, second, third) in
            [("weight_orig", "weight_u", "weight_v"), (FORMS[1].1, FORMS[1].2, FORMS[1].3.unwrap())]
        {
            for with_v in [true, false] {
                let mut state = StateDict::new();
                state.push("a.bias", tensor(&[0.5], &[1]));
                state.push(format!("a.{first}"), weight.clone());
                state.push(format!("a.{second}"), u.clone());
                if with_v {
                    state.push(format!("a.{third}"), v.clone());
                }
                state.push("b.weight", tensor(&[7.], &[1]));
                let notes = fold_parametrizations(&mut state);
                assert_eq!(notes, ["spectral norm of 1 layers folded into their weights"]);
                assert!(state.names().eq(["a.bias", "a.weight", "b.weight"]));
                close(&values(&state, "a.weight"), &[0., 1., 1. / 3., 0.]);
            }
        }
    }

    #[test]
    fn transposed_convolutions_are_told_by_their_vectors() {
        // As rows of output channels, the second dimension, the matrix has the singular values 3 and 1: of u and v below, and
        // of (-0.8, 0.6) and (0, 1).
        let weight = [1.8, 2.4, -0.8, 0.6];
        let mut state = StateDict::new();
        state.push("up.weight_orig", tensor(&weight, &[2, 2, 1, 1]));
        state.push("up.weight_u", tensor(&[0.6, 0.8], &[2]));
        state.push("up.weight_v", tensor(&[1., 0.], &[2]));
        fold_parametrizations(&mut state);
        close(&values(&state, "up.weight"), &weight.map(|w| w / 3.));
        // Different sizes leave no choice.
        let mut state = StateDict::new();
        state.push("up.weight_orig", tensor(&[2., 0., 0., 0., 1., 0.], &[2, 3]));
        state.push("up.weight_u", tensor(&[1., 0., 0.], &[3]));
        state.push("up.weight_v", tensor(&[1., 0.], &[2]));
        fold_parametrizations(&mut state);
        close(&values(&state, "up.weight"), &[1., 0., 0., 0., 0.5, 0.]);
    }

    #[test]
    fn wrappers_go_a_step_of_the_power_iteration() {
        // Singular values 3 and 1; from u = (0.6, 0.8) the step leads to v = (0.8, 1.8) / |.|, Wv = (5.4, 0.8) / |v|.
        let mut state = StateDict::new();
        state.push("a.module.weight_bar", tensor(&[0., 3., 1., 0.], &[2, 2, 1, 1]));
        state.push("a.module.weight_u", tensor(&[0.6, 0.8], &[2]));
        state.push("a.module.weight_v", tensor(&[1., 0.], &[2]));
        fold_parametrizations(&mut state);
        let sigma = (5.4_f64.powi(2) + 0.8_f64.powi(2)).sqrt() / (0.8_f64.powi(2) + 1.8_f64.powi(2)).sqrt();
        assert!(state.names().eq(["a.module.weight"]));
        close(&values(&state, "a.module.weight"), &[0., 3. / sigma, 1. / sigma, 0.]);
    }

    #[test]
    fn weight_norms_scale_each_channel() {
        for (v, g) in [("weight_v", "weight_g"), (FORMS[3].1, FORMS[3].2)] {
            let mut state = StateDict::new();
            state.push(format!("a.{g}"), tensor(&[10., 2.], &[2, 1]));
            state.push(format!("a.{v}"), tensor(&[3., 4., 0., 1.], &[2, 2]));
            assert_eq!(fold_parametrizations(&mut state), ["weight norm of 1 layers folded into their weights"]);
            close(&values(&state, "a.weight"), &[6., 8., 0., 2.]);
            assert_eq!(state.len(), 1);
        }
    }

    #[test]
    fn what_cannot_be_computed_stays() {
        let mut state = StateDict::new();
        state.push("a.weight_orig", tensor(&[1., 2., 3., 4.], &[2, 2]));
        state.push("a.weight_u", tensor(&[1., 0., 0.], &[3]));
        state.push("b.weight_orig", tensor(&[1.], &[1, 1]));
        state.push("zero.weight_orig", tensor(&[0.], &[1, 1]));
        state.push("zero.weight_u", tensor(&[1.], &[1]));
        state.push("other_weight_orig", tensor(&[1.], &[1, 1]));
        state.push("other_weight_u", tensor(&[1.], &[1]));
        assert!(fold_parametrizations(&mut state).is_empty());
        assert_eq!(state.len(), 7);
    }
}
