//! Activation functions.

/// Slope of every leaky ReLU in these networks.
pub const LEAKY_SLOPE: f64 = 0.2;

/// An activation function. NaN stays NaN in all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Act {
    /// x
    #[default]
    Identity,
    /// max(x, 0)
    Relu,
    /// x for x > 0, else [`LEAKY_SLOPE`] · x
    LeakyRelu,
    /// tanh x
    Tanh,
}
