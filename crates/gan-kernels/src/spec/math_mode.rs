//! How convolutions may compute on CUDA devices.

/// What a convolution may trade for speed on a CUDA device, as cuDNN's math type and determinism. It has no effect on the
/// CPU, whose convolutions neither round factors nor depend on an algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct MathMode {
    /// Whether convolutions of F32 tensors may round factors to TF32's 10 bits of mantissa.
    pub tf32: bool,
    /// Whether only algorithms are used that give the same bits in every run on the same GPU model, instead of the fastest.
    pub deterministic: bool,
}
