//! Differentiable augmentation with the random numbers of a case, under every policy that it has an output for.

use crate::case::{Case, on_device};
use crate::compare::{Report, What};
use candle_core::{DType, Result, Tensor, Var};
use gan_losses::AugmentPolicy;

/// The random numbers in the order of the draws.
const RANDOM: [&str; 7] = ["brightness", "saturation", "contrast", "shift_y", "shift_x", "centre_y", "centre_x"];

pub(crate) fn run(case: &Case, dtype: DType) -> Report {
    let run = || -> Result<Report> {
        let mut report = Report::new(dtype);
        let columns = RANDOM.map(|name| case.tensor(&format!("random.{name}")).to_dtype(DType::F64));
        let draws = on_device(&Tensor::stack(&columns.into_iter().collect::<Result<Vec<_>>>()?, 1)?);
        let cotangent = case.input("cotangent.0", dtype);
        let mut policies = 0;
        for (policy, want) in case.with_prefix("output.") {
            policies += 1;
            let x = Var::from_tensor(&case.input("input.0", dtype))?;
            let changes: AugmentPolicy = policy.parse().unwrap_or_else(|e| panic!("{}: {policy}: {e}", case.name));
            let y = changes.apply(x.as_tensor(), &draws, 0)?;
            report.tensor(What::Output, &format!("output.{policy}"), &y, want);
            let grads = (y * &cotangent)?.sum_all()?.backward()?;
            let name = format!("grad_input.{policy}");
            report.tensor(What::Gradient, &name, grads.get(x.as_tensor()).expect("gradient"), case.tensor(&name));
        }
        report.require("a policy at least", policies > 0);
        Ok(report)
    };
    run().unwrap_or_else(|e| panic!("{}: {e}", case.name))
}
