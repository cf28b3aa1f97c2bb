//! The networks that image metrics look through. Their weights follow from a rule (`tests/oracle/make_metric_networks.py`).

use crate::case::{Case, device, on_device};
use crate::compare::{Report, What};
use crate::image_metrics::{PROTOCOLS, raster};
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
        let protocols = PROTOCOLS.map(|(name, protocol)| (name, Some(protocol)));
        for (name, protocol) in protocols.into_iter().chain([("input", None)]) {
            let has = |what: &str| case.tensors.contains_key(&format!("{what}.{name}"));
            let results = ["features", "tap64", "tap192", "tap768", "logits", "logits_unbiased"];
            if !results.iter().any(|what| has(what)) {
                continue;
            }
            let mut rows: Vec<Vec<Tensor>> = vec![Vec::new(); results.len()];
            for i in 0.. {
                let Some(x) =
                    case.tensors.get(&format!("{}.{i}", if protocol.is_none() { "input" } else { "picture" }))
                else {
                    break;
                };
                let done = |e: gan_metrics::Error| candle_core::Error::Msg(e.to_string());
                let x = match protocol {
                    Some(protocol) => protocol.network_input(&raster(x), dtype).map_err(done)?.unsqueeze(0)?,
                    None => x.to_dtype(dtype)?,
                };
                let x = on_device(&x);
                let features = net.features(&x).map_err(done)?;
                let [tap64, tap192, tap768, last] = net.taps(&x).map_err(done)?;
                // With a tap there the network runs in parts.
                report.tensor(What::Feature, "the last tap", &last, &features.to_dtype(DType::F64)?);
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
