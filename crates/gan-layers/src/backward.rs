//! The backward walk.

use crate::Grad;
use crate::forward::{affine, forward, norm_spec, transpose_spec};
use crate::input::Start;
use crate::steps::Step;
use crate::tape::{ConvInput, Record, Tape};
use crate::{Ctx, NormLayer, NormMode, Param, Sequence, Weights};
use candle_core::{Result, Tensor, bail};
use gan_kernels::{self as k, Affine, ConvGrads, NormGrads, OneHotGrads};

/// Walks the steps back from `dy`, consuming the tape. Parameter gradients are added to their accumulators (if the
/// context trains); the input's gradient is returned if wanted.
pub(crate) fn backward(
    seq: &Sequence,
    tape: Tape,
    dy: Tensor,
    ctx: &Ctx,
    input_wanted: bool,
) -> Result<Option<Tensor>> {
    let steps = seq.steps();
    if steps.len() != tape.0.len() {
        bail!("the tape has {} records for {} steps", tape.0.len(), steps.len());
    }
    let train = ctx.weights == Weights::Train;
    // Nothing in front of the first parameter needs a gradient unless the input does.
    let first_wanted = if input_wanted {
        0
    } else if train {
        steps.iter().position(Step::has_parameters).unwrap_or(steps.len())
    } else {
        steps.len()
    };
    let mut dy = dy;
    let mut records = tape.0;
    while let Some(record) = records.pop() {
        let i = records.len();
        if i < first_wanted {
            break;
        }
        let step = &steps[i];
        let dx_wanted = input_wanted || i > first_wanted;
        let dx = match (step, record) {
            (Step::Conv { conv, spec, use_bias }, Record::Conv { x: ConvInput::Labels(x), .. }) => {
                let weight = if train { Some(accumulator(&conv.weight)?) } else { None };
                let bias = conv.bias.as_ref().filter(|_| *use_bias && train).map(accumulator).transpose()?;
                let grads = OneHotGrads { rest: dx_wanted, weight: weight.as_ref(), bias: bias.as_ref() };
                k::onehot_conv2d_backward(&dy, &x, &conv.weight.weight, spec, grads)?
            }
            (Step::Conv { conv, spec, use_bias }, Record::Conv { x, hw }) => {
                let x = conv_input(x, i, &steps, &records)?;
                let rooms = ConvRooms::new(&conv.weight, &conv.bias, *use_bias, x.as_ref())?;
                k::conv2d_backward(&dy, &conv.weight.weight, spec, rooms.grads(dx_wanted.then_some(hw)))?
            }
            (Step::ConvTranspose { conv, use_bias }, Record::Conv { x, hw }) => {
                let x = conv_input(x, i, &steps, &records)?;
                let rooms = ConvRooms::new(&conv.weight, &conv.bias, *use_bias, x.as_ref())?;
                let grads = rooms.grads(dx_wanted.then_some(hw));
                k::conv_transpose2d_backward(&dy, &conv.weight.weight, &transpose_spec(conv), grads)?
            }
            (Step::Norm { norm, act }, Record::Norm { x, moments, running }) => {
                let rooms = if train { affine_rooms(norm)? } else { None };
                let rooms = rooms.as_ref().map(|(weight, bias)| Affine { weight, bias });
                let grads = NormGrads { input: dx_wanted, affine: rooms };
                let spec = norm_spec(norm, *act);
                let affine = affine(norm);
                if running {
                    k::norm_with_backward(&x, &moments, &dy, &spec, affine, grads)?
                } else {
                    k::norm_backward(&x, &moments, &dy, &spec, affine, grads)?
                }
            }
            (Step::Act(act), Record::Act { y: Some(y) }) => Some(k::act_backward(&y, &dy, *act)?),
            (Step::Dropout { p, .. }, Record::Dropout { key }) => match key {
                Some(key) => Some(k::dropout(&dy, *p, key)?),
                None => Some(dy.clone()),
            },
            (Step::MaxPool2, Record::MaxPool2 { x }) => Some(k::max_pool2_backward(&x, &dy)?),
            (Step::Residual(inner) | Step::Skip(inner), record) => {
                let (tape, channels) = inner_tape(inner, record, ctx)?;
                let (direct, through) = match step {
                    Step::Residual(_) => (dy.clone(), dy.clone()),
                    _ => {
                        let rest = dy.dim(1)? - channels;
                        (k::narrow_channels(&dy, 0, channels)?, k::narrow_channels(&dy, channels, rest)?)
                    }
                };
                match backward(inner, tape, through, ctx, dx_wanted)? {
                    Some(dx) => {
                        k::add_assign(&dx, &direct)?;
                        Some(dx)
                    }
                    None => None,
                }
            }
            _ => bail!("the tape does not belong to this sequence"),
        };
        match dx {
            Some(dx) => dy = dx,
            None => break,
        }
    }
    Ok(input_wanted.then_some(dy))
}

/// The input of the convolution that is step `i`, from what it has kept or from the norm in front of it.
fn conv_input(kept: ConvInput, i: usize, steps: &[Step], records: &[Record]) -> Result<Option<Tensor>> {
    match (kept, steps[..i].last(), records.last()) {
        (ConvInput::Unwanted, ..) => Ok(None),
        (ConvInput::Kept(x), ..) => Ok(Some(x)),
        (ConvInput::Normalised, Some(Step::Norm { norm, act }), Some(Record::Norm { x, moments, .. })) => {
            Ok(Some(k::norm_with(x, moments, &norm_spec(norm, *act), affine(norm), None)?))
        }
        _ => bail!("the tape does not belong to this sequence"),
    }
}

/// The tape of a nested sequence, recomputed if it was not kept.
fn inner_tape(inner: &Sequence, record: Record, ctx: &Ctx) -> Result<(Tape, usize)> {
    match record {
        Record::Inner { tape, channels } => Ok((tape, channels)),
        Record::Recompute { x, channels } => {
            let mut tape = Tape::default();
            // The first pass has moved the running statistics already.
            let norm = match ctx.norm {
                NormMode::Batch { .. } => NormMode::Batch { update: false },
                NormMode::Running => NormMode::Running,
            };
            forward(inner, Start::Planes(x), &Ctx { norm, ..*ctx }, Some(&mut tape), None)?;
            Ok((tape, channels))
        }
        _ => bail!("the tape does not belong to this sequence"),
    }
}

/// What a convolution's backward pass adds to.
struct ConvRooms<'a> {
    /// The input, the gradient, and where it lies.
    weight: Option<(&'a Tensor, &'a Grad, Tensor)>,
    bias: Option<Tensor>,
}

impl<'a> ConvRooms<'a> {
    fn new(weight: &'a Param, bias: &Option<Param>, use_bias: bool, x: Option<&'a Tensor>) -> Result<Self> {
        // `x` was kept if and only if the weights are being trained.
        let room = |x| gathering(weight).and_then(|grad| Ok((x, grad, grad.room()?)));
        let weight = x.map(room).transpose()?;
        let bias = bias.as_ref().filter(|_| use_bias && weight.is_some()).map(accumulator).transpose()?;
        Ok(ConvRooms { weight, bias })
    }

    fn grads(&self, input: Option<(usize, usize)>) -> ConvGrads<'_> {
        let weight = self.weight.as_ref().map(|(x, grad, room)| grad.weight(x, room));
        ConvGrads { input, weight, bias: self.bias.as_ref() }
    }
}

fn affine_rooms(norm: &NormLayer) -> Result<Option<(Tensor, Tensor)>> {
    match norm {
        NormLayer::Instance => Ok(None),
        NormLayer::Batch(b) => Ok(Some((accumulator(&b.weight)?, accumulator(&b.bias)?))),
    }
}

fn accumulator(param: &Param) -> Result<Tensor> {
    gathering(param)?.accumulator()
}

fn gathering(param: &Param) -> Result<&Grad> {
    match &param.grad {
        Some(grad) => Ok(grad),
        None => bail!("this network was built for translation: it has no room for gradients"),
    }
}
