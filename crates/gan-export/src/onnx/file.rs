//! Writing a file tensor by tensor: of the weights, no second copy is in memory.

use super::graph::{Graph, Initializer};
use super::proto::{
    DataType, GRAPH_INITIALIZER, GraphProto, IR_VERSION, MODEL_GRAPH, ModelProto, OperatorSetIdProto,
    StringStringEntryProto, TENSOR_RAW_DATA, TensorProto,
};
use super::{OPSET, OnnxModel};
use crate::{Error, Result};
use candle_core::{DType, Tensor};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use std::io::{self, Write};

/// The most bytes that a message of protocol buffers may have.
const MAX_BYTES: u64 = (1 << 31) - 1;

impl OnnxModel {
    /// Bytes of the file.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if it is larger than ONNX files can be.
    pub fn bytes(&self) -> Result<u64> {
        let graph = graph_len(&self.graph);
        let bytes = self.head().encoded_len() as u64 + nested_len(MODEL_GRAPH, graph);
        if bytes > MAX_BYTES { Err(Error::TooLarge { bytes }) } else { Ok(bytes) }
    }

    /// Writes the file's bytes.
    ///
    /// # Errors
    /// What `out` answers; [`io::ErrorKind::Other`] if a tensor cannot be converted.
    pub fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut head = self.head().encode_to_vec();
        encode_key(MODEL_GRAPH, WireType::LengthDelimited, &mut head);
        encode_varint(graph_len(&self.graph), &mut head);
        out.write_all(&head)?;
        out.write_all(&operators(&self.graph).encode_to_vec())?;
        for initializer in self.graph.initializers() {
            let head = tensor_head(initializer);
            let data = data_len(initializer);
            let mut bytes = Vec::new();
            encode_key(GRAPH_INITIALIZER, WireType::LengthDelimited, &mut bytes);
            encode_varint(tensor_len(initializer), &mut bytes);
            head.encode_raw(&mut bytes);
            encode_key(TENSOR_RAW_DATA, WireType::LengthDelimited, &mut bytes);
            encode_varint(data, &mut bytes);
            out.write_all(&bytes)?;
            let tensor = initializer.converted().map_err(io::Error::other)?;
            gan_weights::safetensors::write_elements(out, &tensor)?;
        }
        Ok(())
    }

    /// All but the graph.
    fn head(&self) -> ModelProto {
        let entry = |(key, value): &(String, String)| StringStringEntryProto {
            key: Some(key.clone()),
            value: Some(value.clone()),
        };
        ModelProto {
            ir_version: Some(IR_VERSION),
            producer_name: Some("gan-cli".to_owned()),
            producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            doc_string: Some(self.about.clone()),
            graph: None,
            opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(OPSET) }],
            metadata_props: self.metadata.iter().map(entry).collect(),
        }
    }
}

/// The graph without its tensors.
fn operators(graph: &Graph) -> GraphProto {
    GraphProto {
        node: graph.nodes().to_vec(),
        name: Some(graph.name().to_owned()),
        initializer: Vec::new(),
        input: graph.inputs().to_vec(),
        output: graph.outputs().to_vec(),
    }
}

fn tensor_head(initializer: &Initializer) -> TensorProto {
    TensorProto {
        dims: initializer.tensor.dims().iter().map(|&n| n as i64).collect(),
        data_type: Some(data_type(initializer.dtype) as i32),
        name: Some(initializer.name.clone()),
        raw_data: None,
    }
}

/// The element type of a tensor; there are no others in a graph.
fn data_type(dtype: DType) -> DataType {
    match dtype {
        DType::F32 => DataType::Float,
        DType::F16 => DataType::Float16,
        DType::I32 => DataType::Int32,
        DType::I64 => DataType::Int64,
        DType::U8 => DataType::Uint8,
        _ => DataType::Undefined,
    }
}

fn data_len(initializer: &Initializer) -> u64 {
    (initializer.tensor.elem_count() * initializer.dtype.size_in_bytes()) as u64
}

fn tensor_len(initializer: &Initializer) -> u64 {
    tensor_head(initializer).encoded_len() as u64 + nested_len(TENSOR_RAW_DATA, data_len(initializer))
}

fn graph_len(graph: &Graph) -> u64 {
    let tensors = graph.initializers().iter().map(|tensor| nested_len(GRAPH_INITIALIZER, tensor_len(tensor)));
    operators(graph).encoded_len() as u64 + tensors.sum::<u64>()
}

/// Bytes of a field of so many bytes, with its key and its length.
fn nested_len(field: u32, bytes: u64) -> u64 {
    (key_len(field) + encoded_len_varint(bytes)) as u64 + bytes
}

impl Initializer {
    /// The values in the element type of the file.
    fn converted(&self) -> candle_core::Result<Tensor> {
        if self.tensor.dtype() == self.dtype { Ok(self.tensor.clone()) } else { self.tensor.to_dtype(self.dtype) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::graph::Precision;
    use super::*;
    use candle_core::Device;

    #[test]
    fn a_file_written_piece_by_piece_is_one_message() {
        for precision in [Precision::F32, Precision::F16] {
            let mut graph = Graph::new("net", precision);
            let weight = Tensor::arange(0f32, 6., &Device::Cpu).unwrap().reshape((2, 3)).unwrap();
            let weight = graph.weight("layer.weight", &weight);
            let shape = graph.integers("shape", &[0, -1]).unwrap();
            graph.node("layer", "Reshape", &[&weight, &shape], Vec::new());
            let model = OnnxModel { graph, about: "about".into(), metadata: vec![("key".into(), "value".into())] };
            let mut bytes = Vec::new();
            model.write_to(&mut bytes).unwrap();
            assert_eq!(bytes.len() as u64, model.bytes().unwrap());
            let read = ModelProto::decode(&bytes[..]).unwrap();
            let tensors = &read.graph.as_ref().unwrap().initializer;
            assert_eq!((tensors[0].dims.clone(), tensors[1].dims.clone()), (vec![2, 3], vec![2]));
            let width = if precision == Precision::F32 { 4 } else { 2 };
            assert_eq!(tensors[0].raw_data.as_ref().unwrap().len(), 6 * width);
            assert_eq!(tensors[1].raw_data.as_ref().unwrap()[8..], (-1i64).to_le_bytes());
            assert_eq!(read.encode_to_vec().len(), bytes.len());
        }
    }

    #[test]
    fn what_no_file_can_hold_is_refused_before_it_is_written() {
        // A view of one value: no memory is taken.
        let weight = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap().broadcast_as((600, 1 << 20)).unwrap();
        for (precision, fits) in [(Precision::F32, false), (Precision::F16, true)] {
            let mut graph = Graph::new("net", precision);
            graph.weight("weight", &weight);
            let model = OnnxModel { graph, about: String::new(), metadata: Vec::new() };
            let bytes = model.bytes();
            assert_eq!(bytes.is_ok(), fits, "{bytes:?}");
            assert!(fits || bytes.unwrap_err().to_string().contains("2400 MiB"));
        }
    }
}
