//! A naive interpreter of the operators that are written, for tests: each by its definition in the standard, all values as F32.

use super::proto::{AttributeProto, DataType, GraphProto, NodeProto, TensorProto};
use crate::check::{Array, Values};
use candle_core::{DType, Device, Result, Tensor, bail};
use std::collections::HashMap;

/// The outputs of a graph for these inputs, in order.
pub(super) fn run(graph: &GraphProto, inputs: &[(String, Array)]) -> Result<Vec<Array>> {
    let mut values: HashMap<String, Tensor> = HashMap::new();
    for tensor in &graph.initializer {
        values.insert(tensor.name.clone().unwrap_or_default(), constant(tensor)?);
    }
    for (name, array) in inputs {
        let data = match &array.values {
            Values::F32(values) => values.clone(),
            Values::I32(values) => values.iter().map(|&v| v as f32).collect(),
            Values::U8(values) => values.iter().map(|&v| f32::from(v)).collect(),
        };
        values.insert(name.clone(), Tensor::from_vec(data, array.dims.clone(), &Device::Cpu)?);
    }
    for node in &graph.node {
        let of = |name: &String| match values.get(name) {
            Some(value) => Ok(Some(value.clone())),
            None if name.is_empty() => Ok(None),
            None => bail!("{:?} needs {name}, which is not there yet", node.name),
        };
        let inputs: Vec<Option<Tensor>> = node.input.iter().map(of).collect::<Result<_>>()?;
        let value = evaluate(node, &inputs)?;
        values.insert(node.output[0].clone(), value);
    }
    let outputs = graph.output.iter().map(|output| {
        let value = &values[output.name.as_deref().unwrap_or_default()];
        let data = value.flatten_all()?.to_vec1::<f32>()?;
        let levels = element(output) == DataType::Uint8 as i32;
        let values = if levels { Values::U8(data.iter().map(|&v| v as u8).collect()) } else { Values::F32(data) };
        Ok(Array { dims: value.dims().to_vec(), values })
    });
    outputs.collect()
}

fn element(info: &super::proto::ValueInfoProto) -> i32 {
    info.r#type.as_ref().and_then(|t| t.tensor_type.as_ref()).and_then(|t| t.elem_type).unwrap_or(0)
}

fn constant(tensor: &TensorProto) -> Result<Tensor> {
    let raw = tensor.raw_data.as_deref().unwrap_or_default();
    let data: Vec<f32> = match DataType::try_from(tensor.data_type.unwrap_or(0)) {
        Ok(DataType::Float) => raw.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        Ok(DataType::Float16) => raw.chunks_exact(2).map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        Ok(DataType::Int32) => {
            raw.chunks_exact(4).map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]) as f32).collect()
        }
        // The greatest integer stands for the end: as F32 it is still beyond every size.
        Ok(DataType::Int64) => {
            raw.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap_or_default()) as f32).collect()
        }
        other => bail!("constants of {other:?}"),
    };
    let dims: Vec<usize> = tensor.dims.iter().map(|&n| n as usize).collect();
    Tensor::from_vec(data, dims, &Device::Cpu)
}

struct Attributes<'a>(&'a [AttributeProto]);

impl<'a> Attributes<'a> {
    fn find(&self, name: &str) -> Option<&'a AttributeProto> {
        self.0.iter().find(|attribute| attribute.name.as_deref() == Some(name))
    }

    fn int(&self, name: &str) -> Option<i64> {
        self.find(name)?.i
    }

    fn ints(&self, name: &str) -> Vec<usize> {
        self.find(name).map_or(Vec::new(), |attribute| attribute.ints.iter().map(|&n| n as usize).collect())
    }

    fn float(&self, name: &str) -> f64 {
        f64::from(self.find(name).and_then(|attribute| attribute.f).unwrap_or(f32::NAN))
    }

    fn string(&self, name: &str) -> &'a str {
        self.find(name).and_then(|attribute| std::str::from_utf8(attribute.s.as_deref()?).ok()).unwrap_or_default()
    }
}

fn evaluate(node: &NodeProto, inputs: &[Option<Tensor>]) -> Result<Tensor> {
    let with = Attributes(&node.attribute);
    let input = |i: usize| match inputs.get(i) {
        Some(Some(value)) => Ok(value.clone()),
        _ => bail!("{:?} has no input {i}", node.name),
    };
    let x = input(0)?;
    let channels = |t: &Tensor| t.reshape((1, t.elem_count(), 1, 1));
    match node.op_type.as_deref().unwrap_or_default() {
        "Conv" => {
            let (pads, strides) = (with.ints("pads"), with.ints("strides"));
            if pads.iter().any(|p| *p != pads[0]) {
                bail!("padding that differs");
            }
            let y = x.conv2d(&input(1)?, pads[0], strides[0], 1, with.int("group").unwrap_or(1) as usize)?;
            if inputs.len() > 2 { y.broadcast_add(&channels(&input(2)?)?) } else { Ok(y) }
        }
        "ConvTranspose" => {
            let (weight, groups) = (input(1)?, with.int("group").unwrap_or(1) as usize);
            let (pad, stride, more) = (with.ints("pads")[0], with.ints("strides")[0], with.ints("output_padding")[0]);
            let each = x.dim(1)? / groups;
            let parts = (0..groups).map(|group| {
                let (x, weight) =
                    (x.narrow(1, group * each, each)?.contiguous()?, weight.narrow(0, group * each, each)?);
                x.conv_transpose2d(&weight.contiguous()?, pad, more, stride, 1)
            });
            let y = Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 1)?;
            if inputs.len() > 2 { y.broadcast_add(&channels(&input(2)?)?) } else { Ok(y) }
        }
        "Pad" => {
            let pads: Vec<usize> = input(1)?.to_vec1::<f32>()?.iter().map(|&n| n as usize).collect();
            let rank = x.rank();
            (0..rank).try_fold(x, |x, dim| pad(&x, dim, (pads[dim], pads[dim + rank]), with.string("mode")))
        }
        "InstanceNormalization" => {
            let mean = x.mean_keepdim(3)?.mean_keepdim(2)?;
            let centred = x.broadcast_sub(&mean)?;
            let var = centred.sqr()?.mean_keepdim(3)?.mean_keepdim(2)?;
            let y = centred.broadcast_div(&(var + with.float("epsilon"))?.sqrt()?)?;
            y.broadcast_mul(&channels(&input(1)?)?)?.broadcast_add(&channels(&input(2)?)?)
        }
        "BatchNormalization" => {
            let [scale, shift, mean, var] = [1, 2, 3, 4].map(|i| channels(&input(i)?));
            let y = x.broadcast_sub(&mean?)?.broadcast_div(&(var? + with.float("epsilon"))?.sqrt()?)?;
            y.broadcast_mul(&scale?)?.broadcast_add(&shift?)
        }
        "Relu" => x.relu(),
        "LeakyRelu" => x.maximum(&(&x * with.float("alpha"))?),
        "Tanh" => x.tanh(),
        "Add" => x.broadcast_add(&input(1)?),
        "Sub" => x.broadcast_sub(&input(1)?),
        "Mul" => x.broadcast_mul(&input(1)?),
        "Div" => x.broadcast_div(&input(1)?),
        "Max" => (1..inputs.len()).try_fold(x, |x, i| x.broadcast_maximum(&input(i)?)),
        "Equal" => x.broadcast_eq(&input(1)?)?.to_dtype(DType::F32),
        "Not" => x.affine(-1.0, 1.0),
        "Greater" => x.broadcast_gt(&input(1)?)?.to_dtype(DType::F32),
        "Where" => {
            let (yes, no) = (input(1)?.broadcast_as(x.shape())?, input(2)?);
            x.ne(0f32)?.where_cond(&yes, &no)
        }
        "Pow" => x.broadcast_pow(&input(1)?),
        "Clip" => {
            let bound = |i: usize| input(i)?.to_scalar::<f32>();
            x.clamp(bound(1)?, bound(2)?)
        }
        "Concat" => {
            let all: Vec<Tensor> = (0..inputs.len()).map(input).collect::<Result<_>>()?;
            Tensor::cat(&all, with.int("axis").unwrap_or(0) as usize)
        }
        "Cast" => match with.int("to").and_then(|to| DataType::try_from(to as i32).ok()) {
            Some(DataType::Uint8) => x.floor(),
            Some(DataType::Float16) => x.to_dtype(DType::F16)?.to_dtype(DType::F32),
            Some(_) => Ok(x),
            None => bail!("a cast to nothing"),
        },
        "Transpose" => x.permute(with.ints("perm"))?.contiguous(),
        "Unsqueeze" => x.unsqueeze(input(1)?.to_vec1::<f32>()?[0] as usize),
        "Slice" => {
            let one = |i: usize| Ok::<f32, candle_core::Error>(input(i)?.to_vec1::<f32>()?[0]);
            let axis = one(3)? as usize;
            let n = x.dim(axis)? as f32;
            let place = |at: f32| if at < 0.0 { at + n } else { at.min(n) };
            let (start, end) = (place(one(1)?), place(one(2)?));
            x.narrow(axis, start as usize, (end - start) as usize)
        }
        "Resize" => {
            let scale = input(2)?.to_vec1::<f32>()?[2] as usize;
            let (_, _, h, w) = x.dims4()?;
            x.upsample_nearest2d(h * scale, w * scale)
        }
        "AveragePool" => {
            let (kernel, stride, pad) = (with.ints("kernel_shape")[0], with.ints("strides")[0], with.ints("pads")[0]);
            if with.int("count_include_pad") != Some(0) {
                bail!("an average that counts the padding");
            }
            let sums = |x: &Tensor| {
                let c = x.dim(1)?;
                let ones = Tensor::ones((c, 1, kernel, kernel), DType::F32, &Device::Cpu)?;
                x.conv2d(&ones, pad, stride, 1, c)
            };
            sums(&x)? / sums(&x.ones_like()?)?
        }
        other => bail!("no {other} here"),
    }
}

fn pad(x: &Tensor, dim: usize, (before, behind): (usize, usize), mode: &str) -> Result<Tensor> {
    if before + behind == 0 {
        return Ok(x.clone());
    }
    let n = x.dim(dim)? as i64;
    let source = |i: i64| match mode {
        "reflect" if i < 0 => -i,
        "reflect" if i >= n => 2 * (n - 1) - i,
        _ => i.clamp(0, n - 1),
    };
    if mode == "constant" || mode.is_empty() {
        return x.pad_with_zeros(dim, before, behind);
    }
    let places = (-(before as i64)..n + behind as i64).map(|i| source(i) as u32);
    x.index_select(&Tensor::from_iter(places, &Device::Cpu)?, dim)
}
