//! Losses and conditioning.

use crate::case::{Case, device};
use crate::compare::{Report, What};
use candle_core::{DType, Device, Result, Tensor, Var};
use gan_layers::{Builder, Missing, ParamStore};
use gan_losses::{GanMode, PerceptualLoss, Vgg19};

/// `n` numbers in [-1, 1): the upper 24 bits of SplitMix64.
pub(crate) fn splitmix64(seed: u64, n: usize) -> Vec<f32> {
    (1..=n as u64)
        .map(|i| {
            let mut z = i.wrapping_add(seed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^= z >> 31;
            (z >> 40) as f32 / (1u32 << 23) as f32 - 1.0
        })
        .collect()
}

/// VGG19 with weights that follow from a rule: parameter `i` is splitmix64(seed + i · 2^32) times √(6 / fan_in) or, for
/// a bias, 0.1.
fn vgg19(seed: u64, dtype: DType) -> Result<Vgg19> {
    let (store, vgg) = ParamStore::build(dtype, &device(), |b: &Builder<'_>| Vgg19::build(b.clone()))?;
    let mut weights = Vec::new();
    for (i, (name, t)) in store.state_dict("")?.into_iter().enumerate() {
        let scale = if t.rank() > 1 { (6.0 / (t.elem_count() / t.dim(0)?) as f64).sqrt() as f32 } else { 0.1 };
        let mut values = splitmix64(seed + ((i as u64) << 32), t.elem_count());
        values.iter_mut().for_each(|v| *v *= scale);
        weights.push((name, Tensor::from_vec(values, t.shape(), &Device::Cpu)?));
    }
    store.load("", &weights, Missing::Refuse)?;
    Ok(vgg)
}

pub(crate) fn perceptual(case: &Case, dtype: DType) -> Report {
    let run = || -> Result<Report> {
        assert_eq!(case.text("weights"), "splitmix64");
        let mut report = Report::new(dtype);
        report.allow_winograd();
        let vgg = vgg19(case.config["seed"].as_u64().expect("seed"), dtype)?;
        let x = Var::from_tensor(&case.input("input.0", dtype))?;
        for (i, y) in vgg.forward(&x.detach())?.iter().enumerate() {
            // Small cases keep the small outputs only.
            if let Some(want) = case.tensors.get(&format!("output.{i}")) {
                report.tensor(What::Output, &format!("output.{i}"), y, want);
            }
        }
        let loss = PerceptualLoss::new(vgg).loss(x.as_tensor(), &case.input("target", dtype))?;
        report.tensor(What::Loss, "loss", &loss, case.tensor("loss"));
        let grads = loss.backward()?;
        report.tensor(
            What::Gradient,
            "grad_input.0",
            grads.get(x.as_tensor()).expect("gradient"),
            case.tensor("grad_input.0"),
        );
        Ok(report)
    };
    run().unwrap_or_else(|e| panic!("{}: {e}", case.name))
}

pub(crate) fn conditioning(case: &Case, dtype: DType) -> Report {
    let run = || -> Result<Report> {
        let mut report = Report::new(dtype);
        let classes = case.config["label_nc"].as_u64().expect("label_nc") as usize;
        let (label, inst) = (case.input("label", DType::U8), case.input("inst", DType::U32));
        report.tensor(
            What::Output,
            "one_hot",
            &gan_kernels::labels::one_hot(&label, classes, dtype)?,
            case.tensor("one_hot"),
        );
        report.tensor(What::Output, "edges", &gan_kernels::labels::instance_edges(&inst, dtype)?, case.tensor("edges"));
        Ok(report)
    };
    run().unwrap_or_else(|e| panic!("{}: {e}", case.name))
}

pub(crate) fn gan_losses(case: &Case, dtype: DType) -> Report {
    let run = || -> Result<Report> {
        let mut report = Report::new(dtype);
        let score = case.input("score", dtype);
        for (name, mode) in [("lsgan", GanMode::Lsgan), ("vanilla", GanMode::Vanilla), ("wgangp", GanMode::Wgangp)] {
            for real in [true, false] {
                let key = format!("{name}.{}", if real { "real" } else { "fake" });
                report.tensor(What::Loss, &key, &mode.loss(&score, real)?, case.tensor(&key));
            }
        }
        Ok(report)
    };
    run().unwrap_or_else(|e| panic!("{}: {e}", case.name))
}
