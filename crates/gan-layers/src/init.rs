//! Weight initialization: a keyed walk over the parameters.

use crate::Role;
use candle_core::{DType, Device, Result, Tensor};
use gan_rng::Key;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Distribution of the weights of convolutions and linear layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InitType {
    /// N(0, gain): the gain is the standard deviation.
    #[default]
    Normal,
    /// Xavier / Glorot normal with this gain.
    Xavier,
    /// Kaiming / He normal over the fan-in with gain √2 (the gain setting is ignored, as in the reference).
    Kaiming,
    /// Orthogonal rows (or columns) of the weight flattened to two dimensions, times the gain.
    Orthogonal,
}

/// Initial value of the biases of convolutions and linear layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BiasInit {
    /// Zero (pix2pix, CycleGAN).
    #[default]
    Zero,
    /// PyTorch's default, U(−b, b) with b = 1/√fan_in (pix2pixHD leaves it so).
    Uniform,
}

/// An initialization scheme. Batch-norm scales are N(1, gain) (0.02 for every type, as the references have it by
/// default), instance-norm scales 1, shifts 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Init {
    /// Distribution of the weights of convolutions and linear layers.
    pub init_type: InitType,
    /// Its gain, 0.02 by default.
    pub init_gain: f64,
    /// Biases.
    pub bias: BiasInit,
}

impl Default for Init {
    fn default() -> Self {
        Init { init_type: InitType::Normal, init_gain: 0.02, bias: BiasInit::Zero }
    }
}

impl Init {
    /// Draws a parameter. The values depend on the key alone.
    pub(crate) fn draw(&self, shape: &[usize], role: Role, key: Key, dtype: DType) -> Result<Tensor> {
        let n: usize = shape.iter().product();
        let values = match role {
            Role::NormBias => vec![0.0; n],
            Role::InstanceNormWeight => vec![1.0; n],
            Role::NormWeight => normals(key, n, 1.0, self.init_gain),
            Role::ConvBias { fan_in } => match self.bias {
                BiasInit::Zero => vec![0.0; n],
                BiasInit::Uniform => {
                    let b = 1.0 / (fan_in as f64).sqrt();
                    let mut s = key.stream();
                    (0..n).map(|_| s.range(-b, b) as f32).collect()
                }
            },
            Role::ConvWeight => {
                let taps: usize = shape[2..].iter().product();
                let (fan_in, fan_out) = ((shape[1] * taps) as f64, (shape[0] * taps) as f64);
                match self.init_type {
                    InitType::Normal => normals(key, n, 0.0, self.init_gain),
                    InitType::Xavier => normals(key, n, 0.0, self.init_gain * (2.0 / (fan_in + fan_out)).sqrt()),
                    InitType::Kaiming => normals(key, n, 0.0, (2.0 / fan_in).sqrt()),
                    InitType::Orthogonal => {
                        let mut w: Vec<f64> = normals(key, n, 0.0, 1.0).into_iter().map(f64::from).collect();
                        orthogonalise(&mut w, shape[0], n / shape[0]);
                        w.iter().map(|x| (x * self.init_gain) as f32).collect()
                    }
                }
            }
        };
        Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)
    }
}

/// `n` numbers of N(mean, std), filled in parallel.
fn normals(key: Key, n: usize, mean: f64, std: f64) -> Vec<f32> {
    const CHUNK: usize = 1 << 16;
    let mut out = vec![0f32; n];
    out.par_chunks_mut(CHUNK).enumerate().for_each(|(i, chunk)| {
        key.fill_normal((i * CHUNK / 4) as u64, chunk);
        chunk.iter_mut().for_each(|x| *x = mean as f32 + std as f32 * *x);
    });
    out
}

/// Makes the rows (or, if there are more rows than columns, the columns) of a random normal matrix orthonormal by
/// modified Gram–Schmidt, which leaves the result uniformly distributed.
fn orthogonalise(m: &mut [f64], rows: usize, cols: usize) {
    let transpose =
        |m: &[f64], r: usize, c: usize| -> Vec<f64> { (0..r * c).map(|i| m[(i % r) * c + i / r]).collect() };
    let wide = rows <= cols;
    let (r, c) = if wide { (rows, cols) } else { (cols, rows) };
    let mut a = if wide { m.to_vec() } else { transpose(m, rows, cols) };
    for i in 0..r {
        let (done, rest) = a.split_at_mut(i * c);
        let row = &mut rest[..c];
        for prev in done.chunks_exact(c) {
            let dot: f64 = prev.iter().zip(&*row).map(|(p, x)| p * x).sum();
            row.iter_mut().zip(prev).for_each(|(x, p)| *x -= dot * p);
        }
        let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt();
        row.iter_mut().for_each(|x| *x /= norm);
    }
    m.copy_from_slice(&if wide { a } else { transpose(&a, r, c) });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use gan_rng::Purpose;

    fn draw(init: Init, shape: &[usize], role: Role) -> Vec<f64> {
        let t = init.draw(shape, role, Key::new(3, Purpose::Test), DType::F64).unwrap();
        t.flatten_all().unwrap().to_vec1().unwrap()
    }
    fn std(v: &[f64]) -> f64 {
        (v.iter().map(|x| x * x).sum::<f64>() / v.len() as f64).sqrt()
    }

    #[test]
    fn deviations_follow_pytorchs_fans() {
        // A transposed weight 64 -> 32, k 3: fan-in 288, fan-out 576.
        let shape = [64, 32, 3, 3];
        let of =
            |init_type| std(&draw(Init { init_type, init_gain: 0.02, ..Init::default() }, &shape, Role::ConvWeight));
        assert!((of(InitType::Normal) / 0.02 - 1.0).abs() < 0.03);
        assert!((of(InitType::Xavier) / (0.02 * (2.0f64 / 864.0).sqrt()) - 1.0).abs() < 0.03);
        assert!((of(InitType::Kaiming) / (2.0f64 / 288.0).sqrt() - 1.0).abs() < 0.03);
    }

    #[test]
    fn orthogonal_rows_and_columns() {
        for shape in [[6, 2, 2, 2], [16, 2, 2, 2]] {
            let init = Init { init_type: InitType::Orthogonal, init_gain: 0.5, ..Init::default() };
            let w = draw(init, &shape, Role::ConvWeight);
            let (r, c) = (shape[0], w.len() / shape[0]);
            let (count, len) = if r <= c { (r, c) } else { (c, r) };
            let at = |i: usize, j: usize| if r <= c { w[i * c + j] } else { w[j * c + i] };
            for i in 0..count {
                for j in 0..count {
                    let dot: f64 = (0..len).map(|t| at(i, t) * at(j, t)).sum();
                    assert!((dot - if i == j { 0.25 } else { 0.0 }).abs() < 1e-6);
                }
            }
        }
    }

    #[test]
    fn biases_and_norms() {
        let hd = Init { bias: BiasInit::Uniform, ..Init::default() };
        let b = draw(hd, &[1000], Role::ConvBias { fan_in: 100 });
        assert!(b.iter().all(|x| x.abs() <= 0.1) && b.iter().any(|x| x.abs() > 0.09));
        assert!(draw(Init::default(), &[10], Role::ConvBias { fan_in: 100 }).iter().all(|&x| x == 0.0));
        let w = draw(Init::default(), &[10_000], Role::NormWeight);
        let mean = w.iter().sum::<f64>() / 10_000.0;
        assert!((mean - 1.0).abs() < 1e-3);
        assert!(draw(Init::default(), &[10], Role::InstanceNormWeight).iter().all(|&x| x == 1.0));
    }
}
