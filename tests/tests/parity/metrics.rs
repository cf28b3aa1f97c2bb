//! The networks that image metrics look through. Their weights follow from a rule (`tests/oracle/make_metric_networks.py`).

use crate::case::{Case, device, on_device};
use crate::compare::{Report, What};
use crate::others::splitmix64;
use candle_core::{DType, Device, Result, Tensor, Var};
use gan_data::Raster;
use gan_kernels::weight::Weight;
use gan_layers::{Builder, Counter, Param, Role, Source};
use gan_metrics::networks::{InceptionV3, Lpips, LpipsNet};
use gan_metrics::protocol::Protocol;

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

/// How network inputs are made, by the name that their results have in a case: images in a package's protocol, or inputs as they are.
const INPUTS: [(&str, Option<Protocol>); 4] = [
    ("input", None),
    ("clean_fid", Some(Protocol::Clean)),
    ("pytorch_fid", Some(Protocol::Pytorch)),
    ("torch_fidelity", Some(Protocol::TorchFidelity)),
];

const RESULTS: [&str; 6] = ["features", "tap64", "tap192", "tap768", "logits", "logits_unbiased"];

/// Features, maps and logits, as far as the case has them.
pub(crate) fn inception(case: &Case, dtype: DType) -> Report {
    let run = || -> Result<Report> {
        let mut report = Report::new(dtype);
        let net = InceptionV3::build(Rule::builder(case, dtype))?;
        let mut compared = 0;
        for (name, protocol) in INPUTS {
            let wanted = RESULTS.map(|what| case.tensors.get(&format!("{what}.{name}")));
            if wanted.iter().all(Option::is_none) {
                continue;
            }
            let mut rows: [Vec<Tensor>; 6] = Default::default();
            let source = if protocol.is_some() { "picture" } else { "input" };
            for i in 0.. {
                let Some(x) = case.tensors.get(&format!("{source}.{i}")) else { break };
                let x = match protocol {
                    Some(protocol) => network_input(protocol, x, dtype)?,
                    None => x.to_dtype(dtype)?,
                };
                let x = on_device(&x);
                let [tap64, tap192, tap768, features] = net.taps(&x).map_err(message)?;
                if i == 0 {
                    // With taps the network runs in parts.
                    let whole = net.features(&x).map_err(message)?;
                    report.tensor(What::Feature, "features and the last tap", &whole, &features);
                }
                let logits = net.logits(&features).map_err(message)?;
                let unbiased = net.logits_unbiased(&features).map_err(message)?;
                for (rows, row) in rows.iter_mut().zip([features, tap64, tap192, tap768, logits, unbiased]) {
                    rows.push(row);
                }
            }
            for ((what, wanted), rows) in RESULTS.iter().zip(wanted).zip(&rows) {
                if let Some(wanted) = wanted {
                    report.tensor(What::Feature, &format!("{what}.{name}"), &Tensor::cat(rows, 0)?, wanted);
                    compared += 1;
                }
            }
        }
        report.require("nothing to compare", compared > 0);
        Ok(report)
    };
    run().unwrap_or_else(|e| panic!("{}: {e}", case.name))
}

/// The network's input `[1, 3, 299, 299]` of an image `[H, W, 3]`.
fn network_input(protocol: Protocol, image: &Tensor, dtype: DType) -> Result<Tensor> {
    let (h, w, c) = image.dims3()?;
    let image = Raster::new(w, h, c, image.flatten_all()?.to_vec1::<u8>()?);
    protocol.network_input(&image, dtype).map_err(message)?.unsqueeze(0)
}

fn message(error: gan_metrics::Error) -> candle_core::Error {
    candle_core::Error::Msg(error.to_string())
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
            let have = lpips.layers(&a, &b).map_err(message)?;
            let totals = lpips.distance(&a, &b).map_err(message)?;
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
