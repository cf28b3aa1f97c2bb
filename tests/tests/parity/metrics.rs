//! The networks that image metrics look through. Their weights follow from a rule (`tests/oracle/make_metric_networks.py`).

use crate::case::{Case, device, on_device};
use crate::compare::{Report, What};
use crate::others::splitmix64;
use candle_core::{DType, Device, Result, Tensor, Var};
use gan_kernels::weight::Weight;
use gan_layers::{Builder, Counter, Param, Role, Source};
use gan_metrics::networks::{InceptionV3, Lpips, LpipsNet};

/// Tensors filled from their keys.
struct Rule {
    seed: u64,
    dtype: DType,
}

impl Rule {
    fn builder(case: &Case, dtype: DType) -> Builder<'static> {
        assert_eq!(case.text("weights"), "splitmix64-fnv1a");
        Builder::new(Rule { seed: case.config["seed"].as_u64().expect("seed"), dtype })
    }

    fn tensor(&self, key: &str, shape: &[usize]) -> Result<Tensor> {
        let step = |h: u64, byte: u8| (h ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
        let hash = key.bytes().fold(0xCBF2_9CE4_8422_2325, step);
        let fan_in: usize = shape[1..].iter().product();
        let (start, scale) = match shape.len() {
            _ if key.starts_with("lin") => (0.5, 0.5),
            2.. => (0.0, (6.0 / fan_in as f64).sqrt() as f32),
            _ if key.ends_with("bn.weight") => (1.0, 0.25),
            _ if key.ends_with("running_var") => (1.0, 0.5),
            _ => (0.0, 0.1),
        };
        let mut values = splitmix64(hash.wrapping_add(self.seed), shape.iter().product());
        values.iter_mut().for_each(|u| *u = start + scale * *u);
        on_device(&Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(self.dtype)?).contiguous()
    }
}

impl Source for Rule {
    fn param(&self, path: &str, shape: &[usize], _: Role) -> Result<Param> {
        Ok(Param { weight: Weight::constant(self.tensor(path, shape)?), grad: None })
    }
    fn buffer(&self, path: &str, shape: &[usize], _: f64) -> Result<Tensor> {
        self.tensor(path, shape)
    }
    fn counter(&self, _: &str) -> Result<Counter> {
        Ok(Counter::default())
    }
    fn anchor(&self) -> Option<Var> {
        None
    }
}

/// Features, maps and logits of whatever the case has: network inputs, or images in one of the packages' protocols.
pub(crate) fn inception(case: &Case, dtype: DType) -> Report {
    let run = || -> Result<Report> {
        let mut report = Report::new(dtype);
        let net = InceptionV3::build(Rule::builder(case, dtype))?;
        let mut compared = 0;
        for (name, protocol) in PROTOCOLS {
            let has = |what: &str| case.tensors.contains_key(&format!("{what}.{name}"));
            let results = ["features", "tap64", "tap192", "tap768", "logits", "logits_unbiased"];
            if !results.iter().any(|what| has(what)) {
                continue;
            }
            let mut rows: Vec<Vec<Tensor>> = vec![Vec::new(); results.len()];
            for i in 0.. {
                let Some(x) = case.tensors.get(&format!("{}.{i}", if *name == "input" { "input" } else { "picture" }))
                else {
                    break;
                };
                let x = on_device(&protocol(x)?.to_dtype(dtype)?);
                let done = |e: gan_metrics::Error| candle_core::Error::Msg(e.to_string());
                let [tap64, tap192, tap768, features] = net.taps(&x).map_err(done)?;
                if i == 0 {
                    // With taps the network runs in parts.
                    let whole = net.features(&x).map_err(done)?;
                    report.tensor(What::Feature, "features and the last tap", &whole, &features);
                }
                let (logits, unbiased) =
                    (net.logits(&features).map_err(done)?, net.logits_unbiased(&features).map_err(done)?);
                for (rows, row) in rows.iter_mut().zip([features, tap64, tap192, tap768, logits, unbiased]) {
                    rows.push(row);
                }
            }
            for (what, rows) in results.iter().zip(&rows).filter(|(what, _)| has(what)) {
                let name = format!("{what}.{name}");
                report.tensor(What::Feature, &name, &Tensor::cat(rows, 0)?, case.tensor(&name));
                compared += 1;
            }
        }
        report.require("nothing to compare", compared > 0);
        Ok(report)
    };
    run().unwrap_or_else(|e| panic!("{}: {e}", case.name))
}

type Protocol = fn(&Tensor) -> Result<Tensor>;

/// How the network's input is made, by the name that results have in a case.
const PROTOCOLS: &[(&str, Protocol)] = &[
    ("input", |x| Ok(x.clone())),
    ("pytorch_fid", |image| resize(image, half_pixel, |x| x)?.affine(2.0 / 255.0, -1.0)),
    ("torch_fidelity", |image| resize(image, tensorflow, |x| x)?.affine(1.0 / 128.0, -1.0)),
    // Pillow's values are float32.
    ("clean_fid", |image| {
        resize(image, bicubic, |x| f64::from(x as f32))?.clamp(0.0, 255.0)?.affine(1.0 / 128.0, -1.0)
    }),
];

/// What output pixel `i` of 299 is made of along an axis of `n` pixels: positions and weights.
type Taps = fn(i: usize, n: usize) -> Vec<(usize, f64)>;

fn between(at: f64, n: usize) -> Vec<(usize, f64)> {
    let (low, part) = (at as usize, at.fract());
    vec![(low, 1.0 - part), ((low + 1).min(n - 1), part)]
}

/// PyTorch's bilinear interpolation without antialiasing.
fn half_pixel(i: usize, n: usize) -> Vec<(usize, f64)> {
    between(((i as f64 + 0.5) * n as f64 / InceptionV3::SIDE as f64 - 0.5).max(0.0), n)
}

/// TensorFlow 1's, whose scale is a float32.
fn tensorflow(i: usize, n: usize) -> Vec<(usize, f64)> {
    between(i as f64 * f64::from((n as f64 / InceptionV3::SIDE as f64) as f32), n)
}

/// Pillow's bicubic interpolation, with antialiasing.
fn bicubic(i: usize, n: usize) -> Vec<(usize, f64)> {
    let scale = n as f64 / InceptionV3::SIDE as f64;
    let wide = scale.max(1.0);
    let centre = (i as f64 + 0.5) * scale;
    let (from, to) = ((centre - 2.0 * wide + 0.5).max(0.0) as usize, ((centre + 2.0 * wide + 0.5) as usize).min(n));
    let weight = |at: usize| {
        let x = ((at as f64 - centre + 0.5) / wide).abs();
        match x {
            x if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            x if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
            _ => 0.0,
        }
    };
    let total: f64 = (from..to).map(weight).sum();
    (from..to).map(|at| (at, weight(at) / total)).collect()
}

/// An image `[H, W, 3]` as `[1, 3, 299, 299]`: across, then down, with the results of both `stored`.
fn resize(image: &Tensor, taps: Taps, stored: fn(f64) -> f64) -> Result<Tensor> {
    let (h, w, _) = image.dims3()?;
    let side = InceptionV3::SIDE;
    let planes = image.to_dtype(DType::F64)?.permute((2, 0, 1))?.contiguous()?.to_vec3::<f64>()?;
    let mut out = Vec::with_capacity(3 * side * side);
    let (across, down): (Vec<_>, Vec<_>) = (0..side).map(|i| (taps(i, w), taps(i, h))).unzip();
    for plane in &planes {
        let sum = |row: &[f64], taps: &[(usize, f64)]| stored(taps.iter().map(|&(at, part)| row[at] * part).sum());
        let rows: Vec<Vec<f64>> = plane.iter().map(|row| across.iter().map(|taps| sum(row, taps)).collect()).collect();
        for taps in &down {
            for x in 0..side {
                out.push(stored(taps.iter().map(|&(y, part)| rows[y][x] * part).sum()));
            }
        }
    }
    Tensor::from_vec(out, (1, 3, side, side), &Device::Cpu)
}

/// Distances of pairs of images, and what each tap contributes.
pub(crate) fn lpips(case: &Case, dtype: DType) -> Report {
    let run = || -> Result<Report> {
        assert_eq!(case.text("version"), "0.1");
        let mut report = Report::new(dtype);
        let image = |i: usize| -> Result<Tensor> {
            let x = case.tensor(&format!("picture.{i}")).to_dtype(DType::F64)?.affine(1.0 / 127.5, -1.0)?;
            Ok(on_device(&x.permute((0, 3, 1, 2))?.contiguous()?.to_dtype(dtype)?))
        };
        let (a, b) = (image(0)?, image(1)?);
        let mut compared = 0;
        for net in LpipsNet::ALL {
            let (distance, layers) = (format!("{}.distance", net.name()), format!("{}.layers", net.name()));
            if !case.tensors.contains_key(&distance) && !case.tensors.contains_key(&layers) {
                continue;
            }
            let lpips = Lpips::build(net, Rule::builder(case, dtype), Rule::builder(case, dtype), &device())?;
            let done = |e: gan_metrics::Error| candle_core::Error::Msg(e.to_string());
            let have = lpips.layers(&a, &b).map_err(done)?;
            let totals = lpips.distance(&a, &b).map_err(done)?;
            let flat: Vec<f64> = have.concat();
            let have = Tensor::from_vec(flat, (have.len(), have[0].len()), &Device::Cpu)?;
            for (name, have) in [(layers, have), (distance, Tensor::new(totals, &Device::Cpu)?)] {
                if let Some(want) = case.tensors.get(&name) {
                    report.tensor(What::Feature, &name, &have, want);
                    compared += 1;
                }
            }
        }
        report.require("nothing to compare", compared > 0);
        Ok(report)
    };
    run().unwrap_or_else(|e| panic!("{}: {e}", case.name))
}
