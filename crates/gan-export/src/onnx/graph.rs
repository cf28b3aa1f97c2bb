//! The graph of an ONNX file while it is written.

use super::proto::{
    AttributeProto, AttributeType, DataType, DimensionProto, NodeProto, TensorShapeProto, TensorTypeProto, TypeProto,
    ValueInfoProto,
};
use crate::Result;
use candle_core::{DType, Device, Tensor};
use std::collections::{HashMap, HashSet};

/// Element type of weights and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits. Inputs and outputs stay as they are.
    F16,
}

impl Precision {
    fn dtype(self) -> DType {
        match self {
            Precision::F32 => DType::F32,
            Precision::F16 => DType::F16,
        }
    }

    /// The element type as a file names it.
    pub(super) fn data_type(self) -> DataType {
        match self {
            Precision::F32 => DataType::Float,
            Precision::F16 => DataType::Float16,
        }
    }
}

/// A tensor of a graph.
#[derive(Debug, Clone)]
pub(crate) struct Initializer {
    pub(crate) name: String,
    pub(crate) tensor: Tensor,
    /// Its element type in the file.
    pub(crate) dtype: DType,
}

/// A side of an input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Dim {
    Known(usize),
    Named(String),
}

/// Nodes, tensors, inputs and outputs. A value has the name of the node that makes it.
#[derive(Debug, Clone)]
pub(crate) struct Graph {
    name: String,
    precision: Precision,
    nodes: Vec<NodeProto>,
    initializers: Vec<Initializer>,
    inputs: Vec<ValueInfoProto>,
    outputs: Vec<ValueInfoProto>,
    taken: HashSet<String>,
    /// Lists of integers that are there already.
    integers: HashMap<Vec<i64>, String>,
}

impl Graph {
    pub(crate) fn new(name: &str, precision: Precision) -> Self {
        Graph {
            name: name.to_owned(),
            precision,
            nodes: Vec::new(),
            initializers: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            taken: HashSet::new(),
            integers: HashMap::new(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn precision(&self) -> Precision {
        self.precision
    }

    pub(crate) fn nodes(&self) -> &[NodeProto] {
        &self.nodes
    }

    pub(crate) fn initializers(&self) -> &[Initializer] {
        &self.initializers
    }

    pub(crate) fn inputs(&self) -> &[ValueInfoProto] {
        &self.inputs
    }

    pub(crate) fn outputs(&self) -> &[ValueInfoProto] {
        &self.outputs
    }

    /// Appends a node and returns the value that it makes.
    pub(crate) fn node(&mut self, path: &str, kind: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        let name = self.unused(&format!("{path}/{kind}"));
        self.nodes.push(NodeProto {
            input: inputs.iter().map(ToString::to_string).collect(),
            output: vec![name.clone()],
            name: Some(name.clone()),
            op_type: Some(kind.to_owned()),
            attribute: attributes,
        });
        name
    }

    /// Makes a value of a node an output of the graph, under this name.
    pub(crate) fn output(&mut self, name: &str, value: &str, dtype: DataType, dims: Vec<Dim>, about: &str) {
        self.taken.insert(name.to_owned());
        let names = self.nodes.iter_mut().flat_map(|node| node.output.iter_mut().chain(&mut node.input));
        names.filter(|known| *known == value).for_each(|known| *known = name.to_owned());
        self.outputs.push(value_info(name, dtype, dims, about));
    }

    /// An input of the graph.
    pub(crate) fn input(&mut self, name: &str, dtype: DataType, dims: Vec<Dim>, about: &str) -> String {
        let name = self.unused(name);
        self.inputs.push(value_info(&name, dtype, dims, about));
        name
    }

    /// A weight, in the precision of the graph.
    pub(crate) fn weight(&mut self, name: &str, tensor: &Tensor) -> String {
        let dtype = self.precision.dtype();
        self.tensor(name, tensor.clone(), dtype)
    }

    /// A tensor that keeps its element type; one of this name is written once.
    pub(crate) fn constant(&mut self, name: &str, tensor: Tensor) -> String {
        let dtype = tensor.dtype();
        self.tensor(name, tensor, dtype)
    }

    fn tensor(&mut self, name: &str, tensor: Tensor, dtype: DType) -> String {
        if !self.initializers.iter().any(|known| known.name == name) {
            self.taken.insert(name.to_owned());
            self.initializers.push(Initializer { name: name.to_owned(), tensor, dtype });
        }
        name.to_owned()
    }

    /// A list of integers.
    pub(crate) fn integers(&mut self, name: &str, values: &[i64]) -> Result<String> {
        if let Some(known) = self.integers.get(values) {
            return Ok(known.clone());
        }
        let name = self.unused(name);
        let tensor = Tensor::from_slice(values, values.len(), &Device::Cpu)?;
        self.integers.insert(values.to_vec(), name.clone());
        Ok(self.constant(&name, tensor))
    }

    /// `value` in another element type.
    pub(crate) fn cast(&mut self, path: &str, value: &str, to: DataType) -> String {
        self.node(path, "Cast", &[value], vec![int("to", to as i64)])
    }

    /// A value in the precision of the graph as one of 32 bits.
    pub(crate) fn cast_from_precision(&mut self, path: &str, value: &str) -> String {
        match self.precision {
            Precision::F32 => value.to_owned(),
            Precision::F16 => self.cast(path, value, DataType::Float),
        }
    }

    /// The name, or the first of those like it that nothing has.
    fn unused(&mut self, name: &str) -> String {
        let mut free = name.to_owned();
        let mut number = 1;
        while !self.taken.insert(free.clone()) {
            number += 1;
            free = format!("{name}_{number}");
        }
        free
    }
}

fn value_info(name: &str, dtype: DataType, dims: Vec<Dim>, about: &str) -> ValueInfoProto {
    let dim = dims.into_iter().map(|dim| match dim {
        Dim::Known(n) => DimensionProto { dim_value: Some(n as i64), dim_param: None },
        Dim::Named(name) => DimensionProto { dim_value: None, dim_param: Some(name) },
    });
    let tensor =
        TensorTypeProto { elem_type: Some(dtype as i32), shape: Some(TensorShapeProto { dim: dim.collect() }) };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto { tensor_type: Some(tensor) }),
        doc_string: Some(about.to_owned()),
    }
}

/// An attribute that is an integer.
pub(crate) fn int(name: &str, value: i64) -> AttributeProto {
    let r#type = Some(AttributeType::Int as i32);
    AttributeProto { name: Some(name.to_owned()), i: Some(value), r#type, ..AttributeProto::default() }
}

/// An attribute that is a list of integers.
pub(crate) fn ints(name: &str, values: &[usize]) -> AttributeProto {
    let r#type = Some(AttributeType::Ints as i32);
    let ints = values.iter().map(|&value| value as i64).collect();
    AttributeProto { name: Some(name.to_owned()), ints, r#type, ..AttributeProto::default() }
}

/// An attribute that is a number.
pub(crate) fn float(name: &str, value: f64) -> AttributeProto {
    let r#type = Some(AttributeType::Float as i32);
    AttributeProto { name: Some(name.to_owned()), f: Some(value as f32), r#type, ..AttributeProto::default() }
}

/// An attribute that is a word.
pub(crate) fn string(name: &str, value: &str) -> AttributeProto {
    let (r#type, s) = (Some(AttributeType::String as i32), Some(value.as_bytes().to_vec()));
    AttributeProto { name: Some(name.to_owned()), s, r#type, ..AttributeProto::default() }
}
