//! Gradient penalties of discriminators: values and second derivatives.

use crate::case::{Case, device};
use crate::compare::{Report, What};
use crate::networks::{Network, build};
use candle_core::{DType, Result};
use gan_layers::{Ctx, Missing, ParamStore};
use gan_rng::{Key, Purpose};
use gan_train::{GradientPenalty, StepContext};

pub(crate) fn run(case: &Case, dtype: DType) -> Report {
    try_run(case, dtype).unwrap_or_else(|e| panic!("{}: {e}", case.name))
}

fn try_run(case: &Case, dtype: DType) -> Result<Report> {
    let mut report = Report::new(dtype);
    let (store, network) = ParamStore::build(dtype, &device(), |b| build(case, b.pp("net")))?;
    let Network::Discriminator(d) = network else { panic!("{}: not a discriminator", case.name) };
    store.load("net.", &case.state_dict("param.", dtype), Missing::Refuse)?;
    let buffers = store.state_dict("net.")?;
    // Between a tensor and itself lies nothing but the tensor.
    let x = case.input("input.0", dtype);
    let cx = StepContext { epoch: 1, step: 0, update: 0, lr: 2e-4, seed: 0 };
    let ctx = Ctx::train(Key::new(0, Purpose::Dropout));
    let none = GradientPenalty { lambda_gp: 0.0, r1_gamma: 0.0, r1_every: 1 };
    let wgan_gp = GradientPenalty { lambda_gp: 10.0, ..none };
    let r1 = GradientPenalty { r1_gamma: 10.0, ..none };
    for (name, penalty) in [("wgan_gp", wgan_gp), ("r1", r1)] {
        store.zero_grad()?;
        let losses = penalty.backward(&d, [&x, &x], ["wgan_gp", "r1"], &ctx, &cx);
        let losses = losses.unwrap_or_else(|e| panic!("{}: {e}", case.name));
        report.require("one loss, of its name", matches!(&losses[..], [(loss, _)] if *loss == name));
        report.tensor(What::Loss, name, &losses[0].1, case.tensor(name));
        for (key, have) in store.grad_dict("net.")? {
            let want = format!("{name}.grad.{key}");
            report.tensor(What::Gradient, &want, &have, case.tensor(&want));
        }
    }
    for ((key, before), (_, after)) in buffers.iter().zip(store.state_dict("net.")?) {
        let same =
            (before.to_dtype(DType::F64)? - after.to_dtype(DType::F64)?)?.abs()?.sum_all()?.to_scalar::<f64>()?;
        report.require(&format!("{key} does not move"), same == 0.0);
    }
    Ok(report)
}
