//! What is found in a state dict.

use gan_weights::StateDict;

use super::Network;

/// A network that a state dict holds.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Identified {
    /// What its keys begin with, without the dot; empty for a network that the whole state dict is of.
    pub prefix: String,
    /// What it is.
    pub network: Network,
    /// Its tensors, under the names that the network has here.
    pub state: StateDict,
    /// Layers that were matched by their order and shapes: their paths in the file (behind the prefix), and here.
    pub mapping: Vec<(String, String)>,
    /// What was done to the tensors, and what had to be assumed.
    pub notes: Vec<String>,
}
