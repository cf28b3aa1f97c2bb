//! Operators of a network as nodes of ONNX.

use super::graph::{Graph, float, int, ints, string};
use super::padding::{PadForm, pad};
use crate::Result;
use candle_core::{DType, Device, Tensor, bail};
use gan_layers::{Act, Constant, Operator, OperatorGraph, OperatorNode, OperatorValue, Pool2d};

/// Slope of the leaky ReLUs.
const LEAKY_SLOPE: f64 = 0.2;

/// Writes all operators down; `input` is the value that the network is given. Returns the names of the values that are wanted.
pub(super) fn write(
    to: &mut Graph,
    from: &OperatorGraph,
    input: &str,
    form: PadForm,
    wanted: &[OperatorValue],
) -> Result<Vec<String>> {
    let mut values: Vec<String> = Vec::with_capacity(from.nodes().len());
    for node in from.nodes() {
        let inputs: Vec<&str> = node.inputs.iter().map(|value| values[value.index()].as_str()).collect();
        let value = match node.operator {
            Operator::Input => input.to_owned(),
            _ => of_node(to, node, &inputs, form)?,
        };
        values.push(value);
    }
    Ok(wanted.iter().map(|value| values[value.index()].clone()).collect())
}

fn of_node(
    to: &mut Graph,
    OperatorNode { path, operator, .. }: &OperatorNode,
    inputs: &[&str],
    form: PadForm,
) -> Result<String> {
    let x = inputs.first().copied().unwrap_or_default();
    Ok(match operator {
        Operator::Input => x.to_owned(),
        Operator::Conv { weight, bias, stride, padding: [rows, columns], groups } => {
            let attributes = vec![
                int("group", *groups as i64),
                ints("pads", &[*rows, *columns, *rows, *columns]),
                ints("strides", &[*stride; 2]),
            ];
            convolution(to, (path, "Conv"), x, (weight, bias.as_ref()), attributes)?
        }
        Operator::ConvTranspose { weight, bias, stride, padding, output_padding, groups } => {
            let attributes = vec![
                int("group", *groups as i64),
                ints("pads", &[*padding; 4]),
                ints("strides", &[*stride; 2]),
                ints("output_padding", &[*output_padding; 2]),
            ];
            convolution(to, (path, "ConvTranspose"), x, (weight, bias.as_ref()), attributes)?
        }
        Operator::Pad { mode, size } => pad(to, path, x, *mode, *size, form)?,
        Operator::InstanceNorm { channels, affine, eps } => {
            let (scale, shift) = match affine {
                Some((scale, shift)) => (named(to, scale), named(to, shift)),
                None => {
                    let ones = Tensor::ones(*channels, DType::F32, &Device::Cpu)?;
                    (
                        to.weight(&format!("ones_{channels}"), &ones),
                        to.weight(&format!("zeros_{channels}"), &ones.zeros_like()?),
                    )
                }
            };
            to.node(path, "InstanceNormalization", &[x, &scale, &shift], vec![float("epsilon", *eps)])
        }
        Operator::BatchNorm { affine, moments, eps } => {
            let [scale, shift, mean, var] =
                [&affine.0, &affine.1, &moments.0, &moments.1].map(|tensor| named(to, tensor));
            to.node(path, "BatchNormalization", &[x, &scale, &shift, &mean, &var], vec![float("epsilon", *eps)])
        }
        Operator::Activation(act) => match act {
            Act::Identity => x.to_owned(),
            Act::Relu => to.node(path, "Relu", &[x], Vec::new()),
            Act::LeakyRelu => to.node(path, "LeakyRelu", &[x], vec![float("alpha", LEAKY_SLOPE)]),
            Act::Tanh => to.node(path, "Tanh", &[x], Vec::new()),
        },
        Operator::Add => to.node(path, "Add", inputs, Vec::new()),
        Operator::Concat => to.node(path, "Concat", inputs, vec![int("axis", 1)]),
        Operator::AvgPool(windows) => {
            let attributes = [windows_of(windows), vec![int("count_include_pad", 0)]].concat();
            to.node(path, "AveragePool", &[x], attributes)
        }
        Operator::MaxPool(windows) => to.node(path, "MaxPool", &[x], windows_of(windows)),
        Operator::Upsample { factor } => {
            let scales = Tensor::new(&[1f32, 1., *factor as f32, *factor as f32], &Device::Cpu)?;
            let scales = to.constant(&format!("scales_{factor}"), scales);
            let attributes = vec![
                string("mode", "nearest"),
                string("coordinate_transformation_mode", "asymmetric"),
                string("nearest_mode", "floor"),
            ];
            to.node(path, "Resize", &[x, "", &scales], attributes)
        }
    })
}

fn named(to: &mut Graph, Constant { name, tensor }: &Constant) -> String {
    to.weight(name, tensor)
}

fn convolution(
    to: &mut Graph,
    (path, kind): (&str, &str),
    x: &str,
    (weight, bias): (&Constant, Option<&Constant>),
    attributes: Vec<super::proto::AttributeProto>,
) -> Result<String> {
    let (_, _, kh, kw) = weight.tensor.dims4()?;
    let weight = named(to, weight);
    let bias = bias.map(|bias| named(to, bias));
    let inputs: Vec<&str> = [x, &weight].into_iter().chain(bias.as_deref()).collect();
    Ok(to.node(path, kind, &inputs, [vec![ints("kernel_shape", &[kh, kw])], attributes].concat()))
}

fn windows_of(windows: &Pool2d) -> Vec<super::proto::AttributeProto> {
    let Pool2d { kernel, stride, padding, ceil_mode } = *windows;
    vec![
        ints("kernel_shape", &[kernel; 2]),
        ints("pads", &[padding; 4]),
        ints("strides", &[stride; 2]),
        int("ceil_mode", i64::from(ceil_mode)),
    ]
}

/// Height and width of every value for an input of this size.
///
/// # Errors
/// An operator does not take the size that reaches it.
pub(super) fn sizes(graph: &OperatorGraph, input: (usize, usize)) -> candle_core::Result<Vec<(usize, usize)>> {
    let mut sizes: Vec<(usize, usize)> = Vec::with_capacity(graph.nodes().len());
    for OperatorNode { path, operator, inputs } in graph.nodes() {
        let of: Vec<(usize, usize)> = inputs.iter().map(|value| sizes[value.index()]).collect();
        let (h, w) = of.first().copied().unwrap_or(input);
        let both = |side: &dyn Fn(usize) -> Option<usize>| match (side(h), side(w)) {
            (Some(h), Some(w)) if h > 0 && w > 0 => Ok((h, w)),
            _ => bail!("{path}: {h} x {w} pixels are too few"),
        };
        sizes.push(match operator {
            Operator::Conv { weight, stride, padding, .. } => {
                let (_, _, kh, kw) = weight.tensor.dims4()?;
                let side = |n: usize, k: usize, p: usize| Some((n + 2 * p).checked_sub(k)? / stride + 1);
                match (side(h, kh, padding[0]), side(w, kw, padding[1])) {
                    (Some(h), Some(w)) => (h, w),
                    _ => bail!("{path}: {h} x {w} pixels are too few"),
                }
            }
            Operator::ConvTranspose { weight, stride, padding, output_padding, .. } => {
                let kernel = weight.tensor.dim(2)?;
                both(&|n| ((n - 1) * stride + kernel + output_padding).checked_sub(2 * padding))?
            }
            Operator::Pad { mode, size } => {
                let mirrored = *mode == gan_layers::PadMode::Reflect;
                both(&|n| (!mirrored || n > *size).then_some(n + 2 * size))?
            }
            Operator::AvgPool(windows) | Operator::MaxPool(windows) => windows.output_hw((h, w))?,
            Operator::Upsample { factor } => (h * factor, w * factor),
            Operator::Add | Operator::Concat => match of.iter().find(|&&other| other != (h, w)) {
                Some(other) => bail!("{path}: {h} x {w} and {} x {} pixels do not join", other.0, other.1),
                None => (h, w),
            },
            Operator::Input | Operator::InstanceNorm { .. } | Operator::BatchNorm { .. } | Operator::Activation(_) => {
                (h, w)
            }
        });
    }
    Ok(sizes)
}
