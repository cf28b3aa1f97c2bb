//! The forward walk.

use crate::input::Start;
use crate::steps::Step;
use crate::tape::{ConvInput, Record, Tape};
use crate::{Conv, Ctx, Dropout, NormLayer, NormMode, Param, Precision, Sequence, Weights};
use candle_core::{DType, Result, Tensor};
use gan_kernels::{self as k, Affine, Conv2d, ConvTranspose2d, Group, Moments, Norm, OneHot};

const EPS: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;

/// Runs the steps on `[N, C, H, W]`. With a tape, keeps what the backward walk needs. `residual` is added to the
/// result.
pub(crate) fn forward(
    seq: &Sequence,
    start: Start,
    ctx: &Ctx,
    mut tape: Option<&mut Tape>,
    residual: Option<&Tensor>,
) -> Result<Tensor> {
    let steps = seq.steps();
    let mut pending = residual;
    // Labels are the first step's alone, which returns planes.
    let (mut x, mut labels) = match start {
        Start::Planes(x) => (x, None),
        Start::Labels(labels) => (labels.labels().clone(), Some(labels)),
    };
    // Whether the step before has applied the activation that a step is.
    let mut applied = false;
    for (i, step) in steps.iter().enumerate() {
        let last = i + 1 == steps.len();
        let before = i.checked_sub(1).map(|i| &steps[i]);
        let act = match (step, steps.get(i + 1)) {
            (Step::Conv { .. } | Step::ConvTranspose { .. }, Some(Step::Act(act))) => *act,
            _ => k::Act::Identity,
        };
        let (y, record) = match step {
            Step::Conv { conv, spec, use_bias } => match labels.take() {
                Some(labels) => {
                    let y = onehot_conv(&labels, conv, bias(&conv.bias, *use_bias), spec, act, ctx)?;
                    let [.., h, w] = labels.dims();
                    (y, tape.is_some().then_some(Record::Conv { x: ConvInput::Labels(labels), hw: (h, w) }))
                }
                None => {
                    let y = k::conv2d_act(&x, &conv.weight.weight, bias(&conv.bias, *use_bias), spec, act)?;
                    (y, tape.is_some().then(|| conv_record(&x, ctx, before)).transpose()?)
                }
            },
            Step::ConvTranspose { conv, use_bias } => {
                let spec = transpose_spec(conv);
                let y = k::conv_transpose2d_act(&x, &conv.weight.weight, bias(&conv.bias, *use_bias), &spec, act)?;
                (y, tape.is_some().then(|| conv_record(&x, ctx, before)).transpose()?)
            }
            Step::Norm { norm, act } => {
                let residual = if last { pending.take() } else { None };
                let spec = norm_spec(norm, *act);
                let (y, moments, running) = normalise(&x, norm, &spec, ctx, residual)?;
                (y, tape.is_some().then(|| Record::Norm { x: x.clone(), moments, running }))
            }
            Step::Act(act) => {
                let y = if applied { x.clone() } else { k::act(&x, *act)? };
                let record = tape.is_some().then(|| Record::Act { y: Some(y.clone()) });
                (y, record)
            }
            Step::Dropout { p, path } => {
                let key = match ctx.dropout {
                    Dropout::Off => None,
                    Dropout::Keyed(key) => Some(k::MaskKey::named(key, path)),
                };
                let y = match key {
                    Some(key) => k::dropout(&x, *p, key)?,
                    None => x.clone(),
                };
                (y, tape.is_some().then_some(Record::Dropout { key }))
            }
            Step::MaxPool2 => (k::max_pool2(&x)?, tape.is_some().then(|| Record::MaxPool2 { x: x.clone() })),
            Step::Residual(inner) | Step::Skip(inner) => {
                let channels = x.dim(1)?;
                let add = matches!(step, Step::Residual(_)).then_some(&x);
                let recompute = ctx.checkpointing && add.is_some();
                let mut inner_tape = (tape.is_some() && !recompute).then(Tape::default);
                let y = forward(inner, Start::Planes(x.clone()), ctx, inner_tape.as_mut(), add)?;
                let y = if add.is_some() { y } else { k::cat_channels(&x, &y)? };
                let record = match inner_tape {
                    Some(tape) => Some(Record::Inner { tape, channels }),
                    None => tape.is_some().then(|| Record::Recompute { x: x.clone(), channels }),
                };
                (y, record)
            }
        };
        x = y;
        applied = act != k::Act::Identity;
        if let (Some(tape), Some(record)) = (tape.as_deref_mut(), record) {
            tape.0.push(record);
        }
    }
    if let Some(residual) = pending {
        x = k::add(&x, residual)?;
    }
    Ok(x)
}

fn onehot_conv(
    x: &OneHot,
    conv: &Conv,
    bias: Option<&Tensor>,
    spec: &Conv2d,
    act: k::Act,
    ctx: &Ctx,
) -> Result<Tensor> {
    let dtype = match ctx.precision {
        Precision::F32 => x.dtype(),
        Precision::Bf16 => DType::BF16,
    };
    let y = k::onehot_conv2d(x, &conv.weight.weight, bias, spec, dtype)?;
    if act == k::Act::Identity { Ok(y) } else { k::act(&y, act) }
}

fn bias(bias: &Option<Param>, used: bool) -> Option<&Tensor> {
    bias.as_ref().filter(|_| used).map(Param::tensor)
}

fn conv_record(x: &Tensor, ctx: &Ctx, before: Option<&Step>) -> Result<Record> {
    let (_, _, h, w) = x.dims4()?;
    let x = match (ctx.weights, before) {
        (Weights::Frozen, _) => ConvInput::Unwanted,
        (Weights::Train, Some(Step::Norm { .. })) => ConvInput::Normalised,
        (Weights::Train, _) => ConvInput::Kept(x.clone()),
    };
    Ok(Record::Conv { x, hw: (h, w) })
}

pub(crate) fn transpose_spec(conv: &crate::ConvTranspose) -> ConvTranspose2d {
    ConvTranspose2d { stride: conv.stride, padding: conv.padding, output_padding: conv.output_padding }
}

pub(crate) fn norm_spec(norm: &NormLayer, act: k::Act) -> Norm {
    let group = match norm {
        NormLayer::Instance => Group::Instance,
        NormLayer::Batch(_) => Group::Batch,
    };
    Norm { group, eps: EPS, act }
}

pub(crate) fn affine(norm: &NormLayer) -> Option<Affine<'_>> {
    match norm {
        NormLayer::Instance => None,
        NormLayer::Batch(b) => Some(Affine { weight: b.weight.tensor(), bias: b.bias.tensor() }),
    }
}

/// Returns the result, the statistics used, and whether these are constants.
fn normalise(
    x: &Tensor,
    norm: &NormLayer,
    spec: &Norm,
    ctx: &Ctx,
    residual: Option<&Tensor>,
) -> Result<(Tensor, Moments, bool)> {
    let affine = affine(norm);
    match (norm, ctx.norm) {
        (NormLayer::Batch(b), NormMode::Running) => {
            let y = k::norm_with(x, &b.running, spec, affine, residual)?;
            Ok((y, b.running.clone(), true))
        }
        (_, mode) => {
            let (y, moments) = k::norm(x, spec, affine, residual)?;
            if let (NormLayer::Batch(b), NormMode::Batch { update: true }) = (norm, mode) {
                let (n, _, h, w) = x.dims4()?;
                k::update_running(&moments, n * h * w, MOMENTUM, &b.running)?;
                b.batches.increment();
            }
            Ok((y, moments, false))
        }
    }
}
