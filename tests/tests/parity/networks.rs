//! Networks: outputs, gradients, batch-norm buffers.

use crate::case::{Case, device, number};
use crate::compare::{Report, What};
use candle_core::{DType, Result, Tensor, Var};
use gan_layers::{Builder, Ctx, Missing, NormKind, NormMode, ParamStore, Precision, Weights, instance_mean};
use gan_nets::{
    Arch, Discriminator, EncoderConfig, Generator, GeneratorConfig, MultiscaleConfig, Padding, PatchConfig, PixelConfig,
};
use serde_json::Value;

pub(crate) enum Network {
    Generator(Generator),
    Discriminator(Discriminator),
    Encoder(gan_layers::Sequence),
}

/// The norm of a generator.
fn norm_of(config: &Value) -> NormKind {
    norm(config, if config["arch"].as_str() == Some("unet") { NormKind::Batch } else { NormKind::Instance })
}

pub(crate) fn norm(config: &Value, default: NormKind) -> NormKind {
    match config["norm"].as_str() {
        Some("instance") => NormKind::Instance,
        Some("instance_affine") => NormKind::InstanceAffine,
        Some("batch") => NormKind::Batch,
        Some("none") => NormKind::None,
        _ => default,
    }
}

/// The generator of a case's JSON.
pub(crate) fn generator(c: &Value, input_nc: usize, output_nc: usize) -> GeneratorConfig {
    let arch = match c["arch"].as_str() {
        Some("resnet" | "cut_resnet") => Arch::Resnet,
        Some("unet") => Arch::Unet,
        Some("global") => Arch::Global,
        Some("local") => Arch::Local,
        other => panic!("unknown generator {other:?}"),
    };
    let padding = match c["padding"].as_str() {
        Some("replicate") => Padding::Replicate,
        Some("zero") => Padding::Zero,
        _ => Padding::Reflect,
    };
    GeneratorConfig {
        arch,
        input_nc,
        output_nc,
        ngf: number(c, "ngf", 64),
        norm: norm_of(c),
        dropout: c["dropout"].as_bool().unwrap_or(false),
        padding,
        down_padding: if c["down_padding"] == "reflect" { Padding::Reflect } else { Padding::Zero },
        unet_layout: serde_json::from_value(c["unet_layout"].clone()).unwrap_or_default(),
        antialias: c["antialias"].as_bool().unwrap_or(false),
        antialias_up: c["antialias_up"].as_bool().unwrap_or(false),
        n_blocks: number(c, "n_blocks", 9),
        num_downs: number(c, "num_downs", 8),
        n_downsample_global: number(c, "n_down_global", number(c, "n_down", 4)),
        n_blocks_global: number(c, "n_blocks_global", number(c, "n_blocks", 9)),
        n_local_enhancers: number(c, "n_local", 1),
        n_blocks_local: number(c, "n_blocks_local", 3),
        ..GeneratorConfig::default()
    }
}

pub(crate) fn build(case: &Case, at: Builder<'_>) -> Result<Network> {
    let c = &case.config;
    let input_nc = case.tensor("input.0").dim(1)?;
    let ndf = number(c, "ndf", 64);
    let n_layers = number(c, "n_layers", 3);
    Ok(match case.text("arch") {
        arch @ ("patch" | "cut_patch") => {
            let antialias = arch == "cut_patch";
            let config = PatchConfig { input_nc, ndf, n_layers, norm: norm(c, NormKind::Batch), antialias };
            Network::Discriminator(config.build(at)?)
        }
        "pixel" => {
            let config = PixelConfig { input_nc, ndf, norm: norm(c, NormKind::Batch) };
            Network::Discriminator(config.build(at)?)
        }
        "multiscale" => {
            let norm = norm(c, NormKind::Instance);
            let config =
                MultiscaleConfig { input_nc, ndf, n_layers, num_d: number(c, "num_d", 3), norm, feature_stages: true };
            Network::Discriminator(config.build(at)?)
        }
        "encoder" => {
            let config = EncoderConfig {
                input_nc,
                feat_num: case.tensor("output.0").dim(1)?,
                nef: number(c, "ngf", 16),
                n_downsample: number(c, "n_down", 4),
                norm: norm(c, NormKind::Instance),
            };
            Network::Encoder(config.build(at)?)
        }
        _ => Network::Generator(generator(c, input_nc, case.tensor("output.0").dim(1)?).build(at)?),
    })
}

fn forward(network: &Network, case: &Case, x: &Tensor, ctx: &Ctx) -> Result<Vec<Tensor>> {
    Ok(match network {
        Network::Generator(g) if case.text("arch") == "cut_resnet" => {
            let layers: Vec<usize> = serde_json::from_value(case.config["layers"].clone()).expect("layers");
            let (y, features) = g.forward_with_features(x, ctx, &layers)?;
            [y].into_iter().chain(features).collect()
        }
        Network::Generator(g) => vec![g.forward(x, ctx)?],
        Network::Encoder(e) => {
            let inst = case.input("extra.0", DType::U32);
            vec![instance_mean(&e.forward(x, ctx)?, &inst)?]
        }
        Network::Discriminator(d) if case.text("arch") == "multiscale" => {
            d.forward(x, ctx)?.into_iter().flatten().collect()
        }
        Network::Discriminator(d) => d.forward(x, ctx)?.into_iter().flat_map(|s| s.into_iter().last()).collect(),
    })
}

/// Runs a case with parameters, input and comparison in `dtype`; BF16 stands for F32 with activations in BF16.
pub(crate) fn run(case: &Case, dtype: DType) -> Report {
    try_run(case, dtype).unwrap_or_else(|e| panic!("{}: {e}", case.name))
}

fn try_run(case: &Case, dtype: DType) -> Result<Report> {
    let mut report = Report::new(dtype);
    report.allow_winograd();
    let (dtype, precision) = match dtype {
        DType::BF16 => (DType::F32, Precision::Bf16),
        dtype => (dtype, Precision::F32),
    };
    let (store, network) = ParamStore::build(dtype, &device(), |b| build(case, b.pp("net")))?;
    store.load("net.", &case.state_dict("param.", dtype), Missing::Refuse)?;
    let train = case.config["train"].as_bool().unwrap_or(true);
    let norm = if train { NormMode::Batch { update: true } } else { NormMode::Running };
    let ctx = Ctx { norm, weights: Weights::Train, precision, ..Ctx::translate() };
    if train && matches!(network, Network::Generator(_)) && norm_of(&case.config) == NormKind::Batch {
        report.allow_small_batches();
    }
    for checkpointing in [false, true] {
        // With checkpointing the same numbers must come out; the buffers have moved by then and are left out.
        store.zero_grad()?;
        let x = Var::from_tensor(&case.input("input.0", dtype))?;
        let outputs = forward(&network, case, x.as_tensor(), &Ctx { checkpointing, ..ctx })?;
        let wanted = case.with_prefix("output.").count();
        report.require(&format!("{} outputs instead of {wanted}", outputs.len()), outputs.len() == wanted);
        let mut total: Option<Tensor> = None;
        for (i, y) in outputs.iter().enumerate() {
            report.tensor(What::Output, &format!("output.{i}"), y, case.tensor(&format!("output.{i}")));
            let cotangent = case.input(&format!("cotangent.{i}"), dtype);
            let term = (y * cotangent)?.sum_all()?;
            total = Some(match total {
                Some(t) => (t + term)?,
                None => term,
            });
        }
        let grads = total.expect("an output").backward()?;
        let dx = grads.get(x.as_tensor()).expect("gradient of the input");
        report.tensor(What::Gradient, "grad_input.0", dx, case.tensor("grad_input.0"));
        let have = store.grad_dict("net.")?;
        for (name, want) in case.with_prefix("grad_param.") {
            let (_, g) = have.iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("no parameter {name}"));
            report.tensor(What::Gradient, &format!("grad_param.{name}"), g, want);
        }
        if !checkpointing {
            let state = store.state_dict("net.")?;
            for (name, want) in case.with_prefix("buffer_after.") {
                let (_, b) = state.iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("no buffer {name}"));
                report.tensor(What::Output, &format!("buffer_after.{name}"), b, want);
            }
        }
    }
    Ok(report)
}
