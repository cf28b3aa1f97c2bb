//! What happens to images in front of a network and behind it, as part of the graph.

use super::graph::{Dim, Graph, int};
use super::lab;
use super::proto::{AttributeProto, DataType};
use crate::Result;
use candle_core::{Device, Tensor};
use gan_translate::{InputKind, ModelConfig, OutputKind};

/// What a graph with preprocessing is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inputs {
    /// Channels of the image, unless it is a label map.
    pub(crate) image: Option<usize>,
    /// Planes of the one-hot labels; 0 without labels.
    pub(crate) classes: usize,
    /// The id of pixels without a label, and what it becomes.
    pub(crate) dont_care: Option<(u32, usize)>,
    /// Whether there is an instance map.
    pub(crate) instances: bool,
    /// Whether the network sees the lightness of the image and makes its colour.
    pub(crate) colour: bool,
    /// Channels of instance features; 0 without an encoder.
    pub(crate) features: usize,
}

impl Inputs {
    /// What the generator of a model is given.
    pub(crate) fn of(model: &ModelConfig, generator: &gan_translate::Generator) -> Self {
        let colour = model.output == OutputKind::Colour;
        let dont_care = match model.input {
            InputKind::Labels { label_nc, dont_care } => dont_care.map(|id| (id, label_nc)),
            InputKind::Image | InputKind::Lightness => None,
        };
        let classes = model.classes();
        let image = (classes == 0).then(|| if colour { 3 } else { model.input_nc(generator) });
        let features = model.encoder.as_ref().map_or(0, |encoder| encoder.config.feat_num);
        Inputs { image, classes, dont_care, instances: model.instances, colour, features }
    }
}

/// Sides of a batch of images.
#[derive(Debug, Clone)]
pub(crate) struct Sides {
    pub(crate) batch: Dim,
    pub(crate) height: Dim,
    pub(crate) width: Dim,
}

impl Sides {
    /// `[N, C, H, W]`.
    pub(crate) fn planes(&self, channels: usize) -> Vec<Dim> {
        vec![self.batch.clone(), Dim::Known(channels), self.height.clone(), self.width.clone()]
    }

    /// `[N, H, W, C]`.
    fn pixels(&self, channels: usize) -> Vec<Dim> {
        vec![self.batch.clone(), self.height.clone(), self.width.clone(), Dim::Known(channels)]
    }

    /// `[N, H, W]`.
    fn map(&self) -> Vec<Dim> {
        vec![self.batch.clone(), self.height.clone(), self.width.clone()]
    }
}

/// What the inputs of a graph become.
pub(super) struct Prepared {
    /// What the network is given, `[N, C, H, W]`.
    pub(super) condition: String,
    /// The lightness that the network's output is the colour of.
    lightness: Option<String>,
}

/// The inputs of a graph, made into what the network is given.
pub(super) fn before(to: &mut Graph, inputs: &Inputs, sides: &Sides) -> Result<Prepared> {
    let (mut parts, mut lightness) = (Vec::new(), None);
    if let Some(channels) = inputs.image {
        let about = format!("images of {channels} channels (3: RGB), levels 0 to 255");
        let image = to.input("image", DataType::Uint8, sides.pixels(channels), &about);
        let planes = to.node("image", "Transpose", &[&image], vec![perm(&[0, 3, 1, 2])]);
        let levels = to.cast("image", &planes, DataType::Float);
        let value = if inputs.colour {
            let value = lab::lightness(to, &levels)?;
            lightness = Some(value.clone());
            value
        } else {
            normalised(to, &levels)?
        };
        parts.push(in_precision(to, "image", value));
    }
    if inputs.classes > 0 {
        let about = format!("label ids below {}; other ids have no label", inputs.classes);
        let labels = to.input("labels", DataType::Int32, sides.map(), &about);
        parts.push(one_hot(to, &labels, inputs)?);
    }
    if inputs.instances {
        let instances = to.input("instances", DataType::Int32, sides.map(), "instance ids");
        parts.push(edges(to, &instances)?);
    }
    if inputs.features > 0 {
        let about = "features of each pixel's instance, in [-1, 1]";
        let features = to.input("features", DataType::Float, sides.planes(inputs.features), about);
        parts.push(in_precision(to, "features", features));
    }
    let condition = match &parts[..] {
        [one] => one.clone(),
        several => {
            let several: Vec<&str> = several.iter().map(String::as_str).collect();
            to.node("condition", "Concat", &several, vec![int("axis", 1)])
        }
    };
    Ok(Prepared { condition, lightness })
}

/// Levels as values in [-1, 1], by the arithmetic with which image files are read.
fn normalised(to: &mut Graph, levels: &str) -> Result<String> {
    const PATH: &str = "image";
    let (top, half) = (number(to, "255", 255.)?, number(to, "0.5", 0.5)?);
    let unit = to.node(PATH, "Div", &[levels, &top], Vec::new());
    let centred = to.node(PATH, "Sub", &[&unit, &half], Vec::new());
    Ok(to.node(PATH, "Div", &[&centred, &half], Vec::new()))
}

/// The planes of labels: 1 in that of a pixel's label.
fn one_hot(to: &mut Graph, labels: &str, inputs: &Inputs) -> Result<String> {
    const PATH: &str = "labels";
    let mut ids = unsqueezed(to, PATH, labels)?;
    if let Some((id, label)) = inputs.dont_care {
        let [id, label] = [("dont_care", id as i32), ("no_label", label as i32)]
            .map(|(name, value)| Tensor::new(value, &Device::Cpu).map(|value| to.constant(name, value)));
        let unlabelled = to.node(PATH, "Equal", &[&ids, &id?], Vec::new());
        ids = to.node(PATH, "Where", &[&unlabelled, &label?, &ids], Vec::new());
    }
    let classes = Tensor::from_iter(0..inputs.classes as i32, &Device::Cpu)?.reshape((1, inputs.classes, 1, 1))?;
    let classes = to.constant("classes", classes);
    let is = to.node(PATH, "Equal", &[&ids, &classes], Vec::new());
    let precision = to.precision().data_type();
    Ok(to.cast(PATH, &is, precision))
}

/// 1 where one of the four neighbours belongs to another instance.
fn edges(to: &mut Graph, instances: &str) -> Result<String> {
    const PATH: &str = "instances";
    let ids = unsqueezed(to, PATH, instances)?;
    let mut parts = Vec::new();
    for axis in [2usize, 3] {
        let at = to.integers("axis", &[axis as i64])?;
        let [zero, one, minus, end] = [("start", 0), ("start", 1), ("end", -1), ("end", i64::MAX)]
            .map(|(name, value)| to.integers(name, &[value]));
        let behind = to.node(PATH, "Slice", &[&ids, &one?, &end?, &at], Vec::new());
        let before = to.node(PATH, "Slice", &[&ids, &zero?, &minus?, &at], Vec::new());
        let same = to.node(PATH, "Equal", &[&behind, &before], Vec::new());
        let differs = to.node(PATH, "Not", &[&same], Vec::new());
        let differs = to.cast(PATH, &differs, DataType::Float);
        for side in [axis, axis + 4] {
            let mut pads = [0; 8];
            pads[side] = 1;
            let pads = to.integers("pads", &pads)?;
            parts.push(to.node(PATH, "Pad", &[&differs, &pads], Vec::new()));
        }
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let edges = to.node(PATH, "Max", &parts, Vec::new());
    Ok(in_precision(to, PATH, edges))
}

/// The output of a network as levels of pixels, by the arithmetic with which image files are written.
pub(super) fn behind(to: &mut Graph, value: &str, channels: usize, prepared: &Prepared, sides: &Sides) -> Result<()> {
    const PATH: &str = "levels";
    let value = to.cast_from_precision(PATH, value);
    let (top, half, none) = (number(to, "255", 255.)?, number(to, "0.5", 0.5)?, number(to, "0", 0.)?);
    let (unit, channels) = match &prepared.lightness {
        Some(lightness) => (lab::rgb(to, lightness, &value)?, 3),
        None => {
            let (one, two) = (number(to, "1", 1.)?, number(to, "2", 2.)?);
            let positive = to.node(PATH, "Add", &[&value, &one], Vec::new());
            (to.node(PATH, "Div", &[&positive, &two], Vec::new()), channels)
        }
    };
    let levels = to.node(PATH, "Mul", &[&unit, &top], Vec::new());
    let rounded = to.node(PATH, "Add", &[&levels, &half], Vec::new());
    let clipped = to.node(PATH, "Clip", &[&rounded, &none, &top], Vec::new());
    let levels = to.cast(PATH, &clipped, DataType::Uint8);
    let pixels = to.node(PATH, "Transpose", &[&levels], vec![perm(&[0, 2, 3, 1])]);
    let about = format!("images of {channels} channels (3: RGB), levels 0 to 255");
    to.output("output", &pixels, DataType::Uint8, sides.pixels(channels), &about);
    Ok(())
}

fn unsqueezed(to: &mut Graph, path: &str, map: &str) -> Result<String> {
    let axis = to.integers("axis", &[1])?;
    Ok(to.node(path, "Unsqueeze", &[map, &axis], Vec::new()))
}

fn perm(order: &[usize]) -> AttributeProto {
    super::graph::ints("perm", order)
}

/// A number of 32 bits.
pub(super) fn number(to: &mut Graph, name: &str, value: f32) -> Result<String> {
    let value = Tensor::new(value, &Device::Cpu)?;
    Ok(to.constant(&format!("number_{name}"), value))
}

/// A value of 32 bits in the precision of the graph.
pub(super) fn in_precision(to: &mut Graph, path: &str, value: String) -> String {
    match to.precision().data_type() {
        DataType::Float => value,
        other => to.cast(path, &value, other),
    }
}
