//! CUT's feature head, its loss, and the random choices of its steps.

use crate::case::{Case, device, number, on_device};
use crate::compare::{Report, What};
use candle_core::{DType, Result, Tensor, Var};
use gan_data::Batch;
use gan_kernels::patches::{gather, gather_backward};
use gan_layers::{Ctx, Missing, ParamStore, Weights, custom_grad};
use gan_nets::{NetF, PatchSampleConfig};
use gan_train::methods::cut::{Cut, Draws};
use gan_train::{Losses, Method, MethodState, Panels, StepContext};

/// The tensors `NAME.0`, `NAME.1`, ... of a case.
fn numbered<'a>(case: &'a Case, name: &'a str) -> impl Iterator<Item = &'a Tensor> {
    (0..).map_while(move |i| case.tensors.get(&format!("{name}.{i}")))
}

/// Positions as the operators take them.
fn positions(t: &Tensor) -> Tensor {
    on_device(&t.to_dtype(DType::U32).expect("positions"))
}

pub(crate) fn patch_sample(case: &Case, dtype: DType) -> Report {
    let run = || -> Result<Report> {
        let mut report = Report::new(dtype);
        report.allow_winograd();
        let widths = numbered(case, "input").map(|t| t.dim(1)).collect::<Result<_>>()?;
        let kind = if case.config["mlp"].as_bool() == Some(true) { NetF::MlpSample } else { NetF::Sample };
        let config = PatchSampleConfig { kind, widths, nc: number(&case.config, "nc", 256) };
        let (store, head) = ParamStore::build(dtype, &device(), |b| config.build(b.pp("f")))?;
        store.load("f.", &case.state_dict("param.", dtype), Missing::Refuse)?;
        let ctx = Ctx { weights: Weights::Train, ..Ctx::translate() };
        let mut maps = Vec::new();
        let mut rows = Vec::new();
        for (map, ids) in numbered(case, "input").zip(numbered(case, "ids")) {
            let map = Var::from_tensor(&on_device(&map.to_dtype(dtype)?))?;
            let (at, shape) = (positions(ids), map.shape().clone());
            let taken = gather(&map.detach(), &at)?;
            rows.push(custom_grad(map.as_tensor(), taken, move |dy| {
                let dx = Tensor::zeros(&shape, dy.dtype(), dy.device())?;
                gather_backward(dy, &at, &dx)?;
                Ok(dx)
            })?);
            maps.push(map);
        }
        let outputs = head.forward(&rows, &ctx)?;
        let wanted = numbered(case, "output").count();
        report.require(&format!("{} outputs instead of {wanted}", outputs.len()), outputs.len() == wanted);
        let mut total = Tensor::zeros((), dtype, &device())?;
        for (i, y) in outputs.iter().enumerate() {
            report.tensor(What::Output, &format!("output.{i}"), y, case.tensor(&format!("output.{i}")));
            total = (total + (y * case.input(&format!("cotangent.{i}"), dtype))?.sum_all()?)?;
        }
        let grads = total.backward()?;
        for (i, map) in maps.iter().enumerate() {
            let dx = grads.get(map.as_tensor()).expect("gradient of a map");
            report.tensor(What::Gradient, &format!("grad_input.{i}"), dx, case.tensor(&format!("grad_input.{i}")));
        }
        let have = store.grad_dict("f.")?;
        for (name, want) in case.with_prefix("grad_param.") {
            let (_, g) = have.iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("no parameter {name}"));
            report.tensor(What::Gradient, &format!("grad_param.{name}"), g, want);
        }
        Ok(report)
    };
    run().unwrap_or_else(|e| panic!("{}: {e}", case.name))
}

pub(crate) fn patch_nce(case: &Case, dtype: DType) -> Report {
    let run = || -> Result<Report> {
        let mut report = Report::new(dtype);
        report.allow_winograd();
        let temperature = case.config["temperature"].as_f64().expect("temperature");
        for (name, settings) in case.config["cases"].as_object().expect("cases") {
            let all = settings["all_negatives"].as_bool() == Some(true);
            let groups = if all { 1 } else { number(settings, "batch", 1) };
            let q = Var::from_tensor(&case.input(&format!("{name}.q"), dtype))?;
            let losses = gan_losses::patch_nce(&q, &case.input(&format!("{name}.k"), dtype), groups, temperature)?;
            let mean = losses.mean_all()?;
            let of = |what: &str| case.tensor(&format!("{name}.{what}"));
            report.tensor(What::Output, &format!("{name}.loss"), &losses, of("loss"));
            report.tensor(What::Loss, &format!("{name}.mean"), &mean, of("mean"));
            let grads = mean.backward()?;
            let dq = grads.get(q.as_tensor()).expect("gradient of the queries");
            report.tensor(What::Gradient, &format!("{name}.grad_q"), dq, of("grad_q"));
        }
        Ok(report)
    };
    run().unwrap_or_else(|e| panic!("{}: {e}", case.name))
}

/// CUT with the choices of a case.
pub(crate) struct Replayed {
    method: Cut,
    draws: Vec<Draws>,
}

impl Replayed {
    pub(crate) fn new(case: &Case, method: Cut) -> Self {
        let of_step = |step: usize| {
            let flip = case.tensors.get(&format!("batch.{step}.flip"))?;
            let flip = flip.to_dtype(DType::F64).and_then(|t| t.to_scalar::<f64>()).expect("flip") != 0.0;
            let ids = |domain: &str| {
                let name = format!("batch.{step}.ids_{domain}");
                numbered(case, &name).map(positions).collect()
            };
            Some(Draws { flip, a: ids("a"), b: ids("b") })
        };
        Replayed { method, draws: (0..).map_while(of_step).collect() }
    }
}

impl Method for Replayed {
    fn step(&mut self, batch: &Batch, cx: &StepContext) -> gan_train::Result<Losses> {
        self.method.step_with(batch, cx, &self.draws[cx.step as usize])
    }

    fn preview(&self, batch: &Batch) -> gan_train::Result<Panels> {
        self.method.preview(batch)
    }

    fn state(&mut self) -> MethodState<'_> {
        self.method.state()
    }
}
