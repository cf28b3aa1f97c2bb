//! A network as an ONNX file.
//!
//! The layers of a network say themselves what operators they are ([`OperatorGraph`](gan_layers::OperatorGraph)); here these become nodes of the standard operator
//! set. Everything in the file is standard, and sizes may stay open.

mod file;
mod graph;
#[cfg(test)]
mod interpreter;
mod lab;
mod metadata;
mod operators;
mod padding;
mod preprocessing;
mod proto;
#[cfg(test)]
mod tests;

use crate::subject::{Built, Subject};
use crate::{Error, Result};
use gan_layers::Ctx;
use graph::{Dim, Graph};
use preprocessing::Sides;
use proto::DataType;

pub use graph::Precision;
pub use padding::PadForm;

pub(crate) use preprocessing::Inputs;

/// Version of the standard operators that are written.
pub const OPSET: i64 = 17;

/// How a network is written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OnnxOptions {
    /// Height and width of the input; without it, those of the training.
    pub size: Option<(usize, usize)>,
    /// Batch, height and width stay open; the size only proves that the network takes one.
    pub dynamic: bool,
    /// How borders that mirror or repeat are written.
    pub pad: PadForm,
    /// Element type of weights and values.
    pub precision: Precision,
    /// Images of 8 bits go in and come out, `[N, H, W, C]`; label and instance maps become planes inside.
    pub preprocessing: bool,
    /// Batch norms have their running statistics, not those of the image.
    pub running_statistics: bool,
    /// Under which terms the weights may be used, a line.
    pub licence: Option<String>,
}

impl OnnxOptions {
    /// The context of the network that the file stands for.
    pub(crate) fn ctx(&self) -> Ctx {
        if self.running_statistics { Ctx::eval() } else { Ctx::translate() }
    }
}

/// An ONNX file, to be [written](OnnxModel::write_to).
#[derive(Debug, Clone)]
pub struct OnnxModel {
    graph: Graph,
    about: String,
    metadata: Vec<(String, String)>,
}

impl OnnxModel {
    /// Writes a network down. Nothing is computed, and weights are not copied.
    ///
    /// # Errors
    /// [`Error::Size`] if the network does not take the size, [`Error::NoPreprocessing`], [`Error::Nets`] if the weights are not those of the
    /// network, [`Error::TooLarge`].
    pub fn new(subject: &Subject, options: &OnnxOptions) -> Result<Self> {
        let built = subject.build()?;
        let (operators, outputs) = built.operators(&options.ctx())?;
        let size = subject.size(options.size);
        let unfit = || Error::Size { size, network: subject.network.to_string(), wanted: subject.wanted_sides() };
        if !subject.takes(size) {
            return Err(unfit());
        }
        let sizes = operators::sizes(&operators, size).map_err(|_| unfit())?;
        let sides = Sides::of(options.dynamic, size, ["height".to_owned(), "width".to_owned()]);

        let mut graph = Graph::new(&subject.name, options.precision);
        let channels = operators.channels(operators.input());
        let prepared = match options.preprocessing {
            true => {
                let (model, generator) = subject.generator()?;
                Some(preprocessing::before(&mut graph, &Inputs::of(model, generator), &sides)?)
            }
            false => None,
        };
        let input = match &prepared {
            Some(prepared) => prepared.condition.clone(),
            None => {
                let about = "planes; of images, values in [-1, 1]";
                let input = graph.input("input", DataType::Float, sides.planes(channels), about);
                preprocessing::in_precision(&mut graph, "input", input)
            }
        };
        let values = operators::write(&mut graph, &operators, &input, options.pad, &outputs)?;
        for (i, (value, at)) in values.iter().zip(&outputs).enumerate() {
            let channels = operators.channels(*at);
            let sides = Sides::of(options.dynamic, sizes[at.index()], built.output_sides(i));
            if let Some(prepared) = &prepared {
                preprocessing::behind(&mut graph, value, channels, prepared, &sides)?;
                continue;
            }
            let value = graph.cast_from_precision("output", value);
            let (name, about) = built.output(i, values.len());
            graph.output(&name, &value, DataType::Float, sides.planes(channels), about);
        }
        let metadata = metadata::of(subject, options, size)?;
        let about = format!("{}, written by gan-cli {}", subject.network, env!("CARGO_PKG_VERSION"));
        let model = OnnxModel { graph, about, metadata };
        model.bytes()?;
        Ok(model)
    }

    /// What the file says of itself, by key.
    pub fn metadata(&self) -> &[(String, String)] {
        &self.metadata
    }

    /// Names of the inputs, in order.
    pub fn inputs(&self) -> Vec<&str> {
        self.graph.inputs().iter().filter_map(|input| input.name.as_deref()).collect()
    }

    /// Names of the outputs, in order.
    pub fn outputs(&self) -> Vec<&str> {
        self.graph.outputs().iter().filter_map(|output| output.name.as_deref()).collect()
    }

    /// Names of the operators that are used, each once, sorted.
    pub fn operators(&self) -> Vec<&str> {
        let mut kinds: Vec<&str> = self.graph.nodes().iter().filter_map(|node| node.op_type.as_deref()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }
}

impl Sides {
    /// The sides of a batch of one image, or open ones of these names.
    fn of(dynamic: bool, (height, width): (usize, usize), [rows, columns]: [String; 2]) -> Self {
        if dynamic {
            return Sides { batch: Dim::Named("batch".into()), height: Dim::Named(rows), width: Dim::Named(columns) };
        }
        Sides { batch: Dim::Known(1), height: Dim::Known(height), width: Dim::Known(width) }
    }
}

impl Built {
    /// Name and meaning of an output of `count`.
    fn output(&self, i: usize, count: usize) -> (String, &'static str) {
        match self {
            Built::Discriminator(..) if count > 1 => (format!("score_{i}"), "scores, finest scale first"),
            Built::Discriminator(..) => ("score".to_owned(), "scores"),
            Built::Generator(_) | Built::Encoder(..) => ("output".to_owned(), "values in [-1, 1]"),
        }
    }

    /// What the open sides of an output are called.
    fn output_sides(&self, i: usize) -> [String; 2] {
        let both = |of: &dyn Fn(&str) -> String| ["height", "width"].map(of);
        match self {
            Built::Discriminator(..) => both(&|side| format!("{side}_of_score_{i}")),
            // The smallest multiple of four that is not below the side.
            Built::Generator(generator) if generator.config().arch.is_resnet() => {
                both(&|side| format!("4*((({side} - 1)//4)) + 4"))
            }
            Built::Generator(_) | Built::Encoder(..) => both(&|side| side.to_owned()),
        }
    }
}
