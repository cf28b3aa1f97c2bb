//! Where a network and the tensors that it is to be set from differ.

use std::fmt;

/// A tensor that keeps a network from being set, by its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misfit {
    /// The network has it, and it is not given.
    Missing(String),
    /// It is given, and the network has no place for it.
    LeftOver(String),
    /// Both have it, in two shapes.
    Shape {
        /// Its key.
        key: String,
        /// The shape that is given.
        given: Vec<usize>,
        /// That of the network.
        network: Vec<usize>,
    },
    /// A constant of the architecture is given with other values.
    Constant(String),
}

/// In words: `model.1.weight: not in the file`.
impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misfit::Missing(key) => write!(f, "{key}: not in the file"),
            Misfit::LeftOver(key) => write!(f, "{key}: not in the network"),
            Misfit::Shape { key, given, network } => {
                write!(f, "{key}: {given:?} in the file, {network:?} in the network")
            }
            Misfit::Constant(key) => write!(f, "{key}: another filter"),
        }
    }
}
