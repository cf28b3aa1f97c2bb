//! Sequences of layers and how they are written down.

use crate::{Builder, Layer, Param};
use candle_core::{Result, Var, bail};
use std::sync::Arc;

/// A layer and its place in the state dict.
#[derive(Debug, Clone)]
pub struct Node {
    /// Path of the layer, for example `model.10.conv_block.1`.
    pub path: String,
    /// The layer.
    pub layer: Layer,
}

/// Layers applied one after the other. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sequence {
    nodes: Arc<Vec<Node>>,
    pub(crate) anchor: Option<Var>,
}

impl Sequence {
    /// The layers in order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Whether it was built over a [`ParamStore`](crate::ParamStore), whose parameters may change.
    pub fn is_trainable(&self) -> bool {
        self.anchor.is_some()
    }

    /// Keeps no [packed forms](gan_kernels::weight::Weight::keep_none) of its convolutions' weights: for networks that are used a few
    /// times in a long step.
    pub fn keep_no_packed(&self) {
        self.each_param(&mut |param| param.weight.keep_none());
    }

    /// Layers that cannot be trained.
    pub(crate) fn of(nodes: Vec<Node>) -> Self {
        Sequence { nodes: Arc::new(nodes), anchor: None }
    }

    /// Calls `f` with each parameter of each layer, in order.
    pub(crate) fn each_param(&self, f: &mut dyn FnMut(&Param)) {
        self.nodes().iter().for_each(|node| node.layer.kind().each_param(f));
    }

    /// Calls `f` with each parameter of each layer, in order.
    pub fn for_each_param(&self, f: &mut dyn FnMut(&Param)) {
        self.each_param(f);
    }

    /// The sequence with each layer that `map` answers for replaced, also within layers of layers.
    pub(crate) fn map_layers(&self, map: &dyn Fn(&Node) -> Result<Option<Layer>>) -> Result<Self> {
        let mapped = |node: &Node| {
            let layer = match map(node)? {
                Some(layer) => Some(layer),
                None => node.layer.kind().with_inner(&|inner| inner.map_layers(map))?,
            };
            Ok(Node { path: node.path.clone(), layer: layer.unwrap_or_else(|| node.layer.clone()) })
        };
        Ok(Sequence::of(self.nodes().iter().map(mapped).collect::<Result<_>>()?))
    }

    pub(crate) fn has_parameters(&self) -> bool {
        let mut any = false;
        self.each_param(&mut |_| any = true);
        any
    }

    /// The layers before position `at` of [`Sequence::nodes`] and those from there on. They share parameters with `self`; applied
    /// one after the other they compute the same. What ran as one kernel across the cut runs as two.
    ///
    /// # Errors
    /// `at` is more than the number of layers.
    pub fn split(&self, at: usize) -> Result<(Self, Self)> {
        let Some((front, back)) = self.nodes.split_at_checked(at) else {
            bail!("a sequence of {} layers cannot be split at {at}", self.nodes.len())
        };
        let part = |nodes: &[Node]| Sequence { nodes: Arc::new(nodes.to_vec()), anchor: self.anchor.clone() };
        Ok((part(front), part(back)))
    }

    /// The layers of sequences that were built as slices of one, again as one: what lies between them is not to be seen then,
    /// and is kept only as the backward walk needs it.
    #[must_use]
    pub fn chain(slices: &[Sequence]) -> Self {
        let nodes = slices.iter().flat_map(|slice| slice.nodes()).cloned().collect();
        Sequence { nodes: Arc::new(nodes), anchor: slices.iter().find_map(|slice| slice.anchor.clone()) }
    }
}

/// Writes a sequence down. Every call occupies the next index under the builder's path, as in PyTorch's `Sequential`.
/// Its methods that append a layer are in the file of the layer's kind.
pub struct SequenceBuilder<'a> {
    pub(crate) at: Builder<'a>,
    nodes: Vec<Node>,
    index: usize,
    /// The next layer's name, where it has one in place of an index.
    name: Option<&'static str>,
}

impl<'a> SequenceBuilder<'a> {
    /// Starts at index 0 of this path.
    pub fn new(at: Builder<'a>) -> Self {
        Self::starting_at(at, 0)
    }

    /// Starts at a later index: a slice of a longer `Sequential` that is tapped in between.
    pub fn starting_at(at: Builder<'a>, index: usize) -> Self {
        SequenceBuilder { at, nodes: Vec::new(), index, name: None }
    }

    /// The index that the next layer gets.
    pub fn next_index(&self) -> usize {
        self.index
    }

    /// The next layer has this name and takes no index, as an attribute of a PyTorch module.
    #[must_use]
    pub fn named(self, name: &'static str) -> Self {
        SequenceBuilder { name: Some(name), ..self }
    }

    /// Appends a layer whose parameters come from [`SequenceBuilder::here`].
    pub(crate) fn push(mut self, layer: Layer) -> Self {
        let path = self.here().path().to_string();
        if self.name.take().is_none() {
            self.index += 1;
        }
        self.push_at(path, layer)
    }

    /// Appends a layer that takes no index.
    pub(crate) fn push_at(mut self, path: String, layer: Layer) -> Self {
        self.nodes.push(Node { path, layer });
        self
    }

    /// Where the next layer's parameters are.
    pub(crate) fn here(&self) -> Builder<'a> {
        match self.name {
            Some(name) => self.at.pp(name),
            None => self.at.pp(self.index),
        }
    }

    /// The sequence.
    pub fn finish(self) -> Sequence {
        Sequence { nodes: Arc::new(self.nodes), anchor: self.at.anchor() }
    }
}
