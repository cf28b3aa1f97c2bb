//! Image metrics (`tests/oracle/make_metrics.py`): of pairs, of sets, and the inputs of their network.

use crate::case::Case;
use crate::compare::{Report, What};
use candle_core::{DType, Device, Tensor};
use gan_data::Raster;
use gan_metrics::distribution::{Features, Kid, Subsets, fid, kid, kid_of, precision_recall};
use gan_metrics::image::{Pixels, mae, ms_ssim, mse, psnr, ssim, ssim_channels, ssim_luma};
use gan_metrics::protocol::Protocol;

/// The protocols by the names that results have in a case.
const PROTOCOLS: [(&str, Protocol); 3] =
    [("pytorch_fid", Protocol::Pytorch), ("torch_fidelity", Protocol::TorchFidelity), ("clean_fid", Protocol::Clean)];

fn scalar(value: f64) -> Tensor {
    Tensor::new(value, &Device::Cpu).expect("a number")
}

/// The image of a case.
fn raster(image: &Tensor) -> Raster<u8> {
    let (height, width, channels) = image.dims3().expect("[H, W, C]");
    let samples = image.flatten_all().and_then(|t| t.to_vec1::<u8>()).expect("8 bits");
    Raster::new(width, height, channels, samples)
}

/// The numbers of pairs.
pub(crate) fn pairs(case: &Case) -> Report {
    let mut report = Report::new(DType::F64);
    let picture = |i: usize, side: usize| case.tensors.get(&format!("picture.{i}.{side}")).map(raster);
    let mut compared = 0;
    for i in 0.. {
        let (Some(a), Some(b)) = (picture(i, 0), picture(i, 1)) else { break };
        let (a, b) = (Pixels::try_from(&a).expect("pixels"), Pixels::try_from(&b).expect("pixels"));
        let one = |value: gan_metrics::Result<f64>| value.map(scalar);
        let results = [
            ("mae", one(mae(&a, &b))),
            ("mse", one(mse(&a, &b))),
            ("psnr", one(psnr(&a, &b))),
            ("ssim", one(ssim(&a, &b))),
            ("ssim_channels", ssim_channels(&a, &b).map(|v| Tensor::new(v, &Device::Cpu).expect("numbers"))),
            ("ssim_luma", one(ssim_luma(&a, &b))),
            ("ms_ssim", one(ms_ssim(&a, &b))),
        ];
        for (what, have) in results {
            let Some(want) = case.tensors.get(&format!("{what}.{i}")) else { continue };
            report.tensor(What::PixelMetric, &format!("{what}.{i}"), &have.expect(what), want);
            compared += 1;
        }
    }
    report.require("nothing to compare", compared > 0);
    report
}

/// The numbers of sets.
pub(crate) fn sets(case: &Case) -> Report {
    let mut report = Report::new(DType::F64);
    let names: Vec<&str> = case.tensors.keys().filter_map(|key| key.strip_suffix(".x")).collect();
    report.require("nothing to compare", !names.is_empty());
    for name in names {
        let features = |side: &str| {
            let tensor = case.tensor(&format!("{name}.{side}"));
            let values = tensor.flatten_all().and_then(|t| t.to_vec1::<f32>()).expect("features");
            Features::new(tensor.dim(1).expect("[N, D]"), values).expect("features")
        };
        let (x, y) = (features("x"), features("y"));
        let mut compare = |what: String, have: Tensor| {
            let name = format!("{name}.{what}");
            if let Some(want) = case.tensors.get(&name) {
                report.tensor(What::SetMetric, &name, &have, want);
            }
        };
        let distance = fid(&x, &y).expect("FID");
        compare("fid.exact".into(), scalar(distance.value));
        compare("fid.mean_term".into(), scalar(distance.mean_term));
        compare("fid.trace_1".into(), scalar(distance.traces[0]));
        compare("fid.trace_2".into(), scalar(distance.traces[1]));
        compare("fid.trace_root".into(), scalar(distance.root_trace));
        let mut compare_kid = |package: &str, kid: &Kid| {
            compare(format!("kid.{package}.values"), Tensor::new(&*kid.values, &Device::Cpu).expect("numbers"));
            compare(format!("kid.{package}.mean"), scalar(kid.mean()));
            compare(format!("kid.{package}.std"), scalar(kid.std()));
        };
        for package in ["torch_fidelity", "clean_fid"] {
            let drawn = [
                case.tensors.get(&format!("{name}.kid.{package}.index_x")),
                case.tensors.get(&format!("{name}.kid.{package}.index_y")),
            ];
            let [Some(i), Some(j)] = drawn else { continue };
            compare_kid(
                package,
                &kid_of(&x, &y, &indices(i).into_iter().zip(indices(j)).map(|(i, j)| [i, j]).collect::<Vec<_>>())
                    .expect("KID"),
            );
            if package == "torch_fidelity" {
                // Drawn by ourselves as torch-fidelity draws.
                let (count, size) = i.dims2().expect("[subsets, size]");
                compare_kid(package, &kid(&x, &y, Subsets::TorchFidelity { count, size, seed: 2020 }).expect("KID"));
            }
        }
        let found = precision_recall(&x, &y, 3).expect("precision and recall");
        // torch-fidelity's are float32.
        for (what, have) in [("precision", found.precision()), ("recall", found.recall()), ("f_score", found.f_score())]
        {
            let want = case.tensor(&format!("{name}.prc.{what}")).to_scalar::<f64>().expect("a number");
            report.require(&format!("{name}.prc.{what}: {have} instead of {want}"), (have - want).abs() < 1e-6);
        }
        for package in ["pytorch_fid", "clean_fid", "torch_fidelity"] {
            let theirs = case.config["packages"][name][package].as_f64();
            let close = theirs.is_none_or(|theirs| (theirs - distance.value).abs() < 1e-6 * theirs);
            report.require(&format!("{name}: FID {} is not {package}'s {theirs:?}", distance.value), close);
        }
    }
    report
}

fn indices(t: &Tensor) -> Vec<Vec<usize>> {
    let rows = t.to_vec2::<i64>().expect("indices");
    rows.into_iter().map(|row| row.into_iter().map(|i| usize::try_from(i).expect("an index")).collect()).collect()
}

/// Every 23rd row and column of the network's input.
pub(crate) fn network_inputs(case: &Case, dtype: DType, report: &mut Report) {
    for (name, protocol) in PROTOCOLS {
        for (rest, want) in case.with_prefix(&format!("resized.{name}.")) {
            let input =
                protocol.network_input(&raster(case.tensor(&format!("picture.{rest}"))), dtype).expect("an input");
            let every: Vec<u32> = (0..299).step_by(23).collect();
            let every = Tensor::new(every, &Device::Cpu).expect("indices");
            let have = input.index_select(&every, 1).and_then(|t| t.index_select(&every, 2)).expect("a sample");
            report.tensor(What::Feature, &format!("resized.{name}.{rest}"), &have, want);
        }
    }
}
