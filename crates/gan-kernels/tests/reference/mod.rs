//! Naive references in F64 and the comparisons that the tests share.
#![allow(clippy::unwrap_used, dead_code)]
use candle_core::{DType, Device, Tensor};
use gan_kernels::conv::{Conv2d, ConvTranspose2d, PadMode};
use gan_rng::{Key, Purpose};

/// Where the operators under test run (`GAN_TEST_DEVICE`).
pub(crate) fn device() -> Device {
    gan_kernels::device::test_device().unwrap()
}

/// The gradient of all parameters, as Adam takes it.
#[allow(dead_code)]
pub(crate) fn flat(grad: &Tensor) -> [(usize, Tensor); 1] {
    [(0, grad.clone())]
}

/// Normally distributed F64 values that depend on `seed` alone, on the device under test.
pub(crate) fn normal(shape: impl Into<candle_core::Shape>, seed: u64) -> Tensor {
    let shape = shape.into();
    let mut stream = Key::new(seed, Purpose::Test).stream();
    let data: Vec<f64> = (0..shape.elem_count()).map(|_| stream.normal()).collect();
    Tensor::from_vec(data, shape, &device()).unwrap()
}

pub(crate) fn values(t: &Tensor) -> Vec<f64> {
    t.to_device(&Device::Cpu).unwrap().to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

pub(crate) fn f32(t: &Tensor) -> Tensor {
    t.to_dtype(DType::F32).unwrap()
}

pub(crate) fn dot(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.dims(), b.dims());
    values(a).iter().zip(values(b)).map(|(a, b)| a * b).sum()
}

/// Largest difference, relative to the largest reference value.
pub(crate) fn distance(a: &Tensor, reference: &Tensor) -> f64 {
    assert_eq!(a.dims(), reference.dims());
    let (a, r) = (values(a), values(reference));
    assert!(a.iter().all(|x| x.is_finite()), "not finite");
    let scale = r.iter().fold(1e-30f64, |m, x| m.max(x.abs()));
    a.iter().zip(&r).map(|(a, r)| (a - r).abs()).fold(0.0, f64::max) / scale
}

#[track_caller]
pub(crate) fn assert_close(a: &Tensor, reference: &Tensor, tolerance: f64, what: &str) {
    let d = distance(a, reference);
    assert!(d <= tolerance, "{what}: relative distance {d:e} above {tolerance:e}");
}

/// Directional derivative of `f` at `x` along `v` by central differences.
pub(crate) fn slope(x: &Tensor, v: &Tensor, h: f64, f: impl Fn(&Tensor) -> f64) -> f64 {
    let at = |h: f64| f(&(x + (v * h).unwrap()).unwrap());
    (at(h) - at(-h)) / (2.0 * h)
}

#[track_caller]
pub(crate) fn assert_slope(got: f64, expected: f64, tolerance: f64, what: &str) {
    let scale = expected.abs().max(1.0);
    assert!((got - expected).abs() <= tolerance * scale, "{what}: gradient says {got}, differences say {expected}");
}

fn source(mode: PadMode, i: i64, n: i64) -> Option<i64> {
    if i >= 0 && i < n {
        return Some(i);
    }
    match mode {
        PadMode::Zero => None,
        PadMode::Replicate => Some(if i < 0 { 0 } else { n - 1 }),
        PadMode::Reflect => Some(if i < 0 { -i } else { 2 * n - 2 - i }),
    }
}

/// Seven loops.
pub(crate) fn conv2d(x: &Tensor, w: &Tensor, bias: Option<&Tensor>, spec: &Conv2d) -> Tensor {
    let (n, ci, h, wd) = x.dims4().unwrap();
    let (co, _, kh, kw) = w.dims4().unwrap();
    let ([up, side], s) = (spec.padding, spec.stride);
    let (ho, wo) = ((h + 2 * up - kh) / s + 1, (wd + 2 * side - kw) / s + 1);
    let (xs, ws, bs) = (values(x), values(w), bias.map(values));
    let mut out = vec![0.0; n * co * ho * wo];
    for (i, o) in out.iter_mut().enumerate() {
        let (ox, oy, c, image) = (i % wo, i / wo % ho, i / wo / ho % co, i / wo / ho / co);
        *o = bs.as_ref().map_or(0.0, |b| b[c]);
        for k in 0..ci {
            for ky in 0..kh {
                for kx in 0..kw {
                    let y = source(spec.pad_mode, (oy * s + ky) as i64 - up as i64, h as i64);
                    let x = source(spec.pad_mode, (ox * s + kx) as i64 - side as i64, wd as i64);
                    if let (Some(y), Some(x)) = (y, x) {
                        *o += ws[((c * ci + k) * kh + ky) * kw + kx]
                            * xs[((image * ci + k) * h + y as usize) * wd + x as usize];
                    }
                }
            }
        }
    }
    Tensor::from_vec(out, (n, co, ho, wo), &Device::Cpu).unwrap()
}

/// Every input pixel stamps the kernel into the output.
pub(crate) fn conv_transpose2d(x: &Tensor, w: &Tensor, bias: Option<&Tensor>, spec: &ConvTranspose2d) -> Tensor {
    let (n, ci, h, wd) = x.dims4().unwrap();
    let (_, co, kh, kw) = w.dims4().unwrap();
    let (p, s) = (spec.padding, spec.stride);
    let ho = (h - 1) * s + kh + spec.output_padding - 2 * p;
    let wo = (wd - 1) * s + kw + spec.output_padding - 2 * p;
    let (xs, ws, bs) = (values(x), values(w), bias.map(values));
    let mut out = vec![0.0; n * co * ho * wo];
    for (i, o) in out.iter_mut().enumerate() {
        *o = bs.as_ref().map_or(0.0, |b| b[i / (ho * wo) % co]);
    }
    for (i, &v) in xs.iter().enumerate() {
        let (x, y, c, image) = (i % wd, i / wd % h, i / wd / h % ci, i / wd / h / ci);
        for k in 0..co {
            for ky in 0..kh {
                for kx in 0..kw {
                    let (oy, ox) = ((y * s + ky).wrapping_sub(p), (x * s + kx).wrapping_sub(p));
                    if oy < ho && ox < wo {
                        out[((image * co + k) * ho + oy) * wo + ox] += v * ws[((c * co + k) * kh + ky) * kw + kx];
                    }
                }
            }
        }
    }
    Tensor::from_vec(out, (n, co, ho, wo), &Device::Cpu).unwrap()
}
