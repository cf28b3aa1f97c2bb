//! Parameters of convolutions.

use crate::spec::math_mode::MathMode;
use candle_core::{Result, bail};

/// What lies outside the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PadMode {
    /// Zeros.
    #[default]
    Zero,
    /// The mirror image without the border pixel (needs `padding < size`).
    Reflect,
    /// The border pixel.
    Replicate,
}

/// Parameters of a convolution; the kernel's size comes from the weight `[C_out, C_in, kh, kw]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Conv2d {
    /// Step in both directions.
    pub stride: usize,
    /// Padding above and below, and left and right.
    pub padding: [usize; 2],
    /// What the padding holds; the padded tensor is never materialized.
    pub pad_mode: PadMode,
    /// Arithmetic on CUDA devices.
    pub math: MathMode,
}

/// Stride 1 without padding.
impl Default for Conv2d {
    fn default() -> Self {
        Conv2d { stride: 1, padding: [0; 2], pad_mode: PadMode::Zero, math: MathMode::default() }
    }
}

impl Conv2d {
    /// Output size for a kernel and an input size, each `(height, width)`.
    ///
    /// # Errors
    /// The stride is 0, the kernel or the input is empty, the kernel is larger than the padded input, or a reflection
    /// is as wide as the input.
    pub fn output_hw(&self, kernel: (usize, usize), input: (usize, usize)) -> Result<(usize, usize)> {
        if self.stride == 0 {
            bail!("conv2d: the stride must be at least 1")
        }
        let side = |k: usize, n: usize, padding: usize| -> Result<usize> {
            if k == 0 || n == 0 {
                bail!("conv2d: empty kernel {kernel:?} or input {input:?}")
            }
            if self.pad_mode == PadMode::Reflect && padding >= n {
                bail!("conv2d: a reflection of {padding} pixels needs a larger input than {input:?}")
            }
            match (n + 2 * padding).checked_sub(k) {
                Some(room) => Ok(room / self.stride + 1),
                None => bail!("conv2d: the kernel {kernel:?} does not fit {input:?} with padding {padding}"),
            }
        };
        let [up, left] = self.padding;
        Ok((side(kernel.0, input.0, up)?, side(kernel.1, input.1, left)?))
    }
}

/// Parameters of a transposed convolution (zero padding only); weight `[C_in, C_out, kh, kw]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConvTranspose2d {
    /// Step in both directions.
    pub stride: usize,
    /// Rows and columns cut from each side of the full result.
    pub padding: usize,
    /// Rows and columns added at the bottom and right.
    pub output_padding: usize,
    /// Arithmetic on CUDA devices.
    pub math: MathMode,
}

/// Stride 1 without padding.
impl Default for ConvTranspose2d {
    fn default() -> Self {
        ConvTranspose2d { stride: 1, padding: 0, output_padding: 0, math: MathMode::default() }
    }
}

impl ConvTranspose2d {
    /// Output size for a kernel and an input size, each `(height, width)`.
    ///
    /// # Errors
    /// The output padding is not below the stride, the kernel or the input is empty, or the padding leaves nothing of
    /// the output.
    pub fn output_hw(&self, kernel: (usize, usize), input: (usize, usize)) -> Result<(usize, usize)> {
        if self.stride == 0 || self.output_padding >= self.stride {
            bail!("conv_transpose2d: output padding {} must be below stride {}", self.output_padding, self.stride)
        }
        let side = |k: usize, n: usize| -> Result<usize> {
            if k == 0 || n == 0 {
                bail!("conv_transpose2d: empty kernel {kernel:?} or input {input:?}")
            }
            match ((n - 1) * self.stride + k + self.output_padding).checked_sub(2 * self.padding) {
                Some(out) if out > 0 => Ok(out),
                _ => bail!("conv_transpose2d: padding {} leaves nothing of {input:?}", self.padding),
            }
        };
        Ok((side(kernel.0, input.0)?, side(kernel.1, input.1)?))
    }
}
