//! How a model is opened and how it translates.

use crate::alpha::Alpha;
use crate::device::DeviceConfig;
use crate::limit::MemoryLimit;
use crate::sizes::SizeOptions;
use crate::weight_file::WeightOptions;
use crate::{Error, Result};
use gan_data::{Direction, LabelsAs, Quantize};
use gan_layers::{Ctx, Dropout, MathMode, Precision};
use gan_nets::{CapturedGenerator, Generator};
use gan_rng::{Key, Purpose};

/// How a model is opened and how it translates. The default is what the references' test scripts do, without dropout, in F32 on
/// the CPU, with results in the size of their inputs.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where to compute.
    pub device: DeviceConfig,
    /// Which way, for models that know both; without one, the way of the first generator.
    pub direction: Option<Direction>,
    /// Running statistics and no dropout (PyTorch's `eval()`) instead of batch statistics.
    pub eval: bool,
    /// Drop activations by masks of this seed, if the generator was trained with dropout and `eval` is off.
    pub dropout: Option<u64>,
    /// Style to draw, for models with an encoder of instance features. Without one, the encoder looks at the image that
    /// lends its style where there is one, and style 0 is drawn where there is none.
    pub style: Option<u64>,
    /// Element type of activations.
    pub precision: Precision,
    /// What convolutions may trade for speed on a CUDA device.
    pub math: MathMode,
    /// Do not capture translations of one size as CUDA graphs. To be set where several threads use one device: none may
    /// while another one captures.
    pub no_cuda_graphs: bool,
    /// What the translation of one image may take; it counts on the CPU, or on a device if it is [one's](MemoryLimit::of_device). On the CPU the result is
    /// the same; on a device it is the same but for rounding. Without one, all of an image is computed at once.
    pub limit: Option<MemoryLimit>,
    /// On the CPU, compute bands by the operators that devices have, within the limit of a device: for tests without one.
    #[doc(hidden)]
    pub as_on_device: bool,
    /// What a bare weight file does not tell.
    pub weights: WeightOptions,
    /// What becomes of an alpha channel that the model does not take.
    pub alpha: Alpha,
    /// What label and instance maps hold; without it, what those of the training held.
    pub labels_as: Option<LabelsAs>,
    /// How values become levels of an image file.
    pub quantize: Quantize,
    /// Resizing and cropping of image files; without it, results have the size of their inputs.
    pub sizes: Option<SizeOptions>,
}

impl Options {
    /// The context of the forward passes.
    #[must_use]
    pub fn ctx(&self) -> Ctx {
        let Options { precision, math, .. } = *self;
        match self.dropout {
            _ if self.eval => Ctx { precision, math, ..Ctx::eval() },
            Some(seed) => {
                let dropout = Dropout::Keyed(Key::new(seed, Purpose::Dropout));
                Ctx { dropout, precision, math, ..Ctx::translate() }
            }
            None => Ctx { precision, math, ..Ctx::translate() },
        }
    }

    /// A loaded generator as it is to translate with this context.
    pub(crate) fn prepare(&self, generator: Generator, ctx: Ctx) -> CapturedGenerator {
        match self.no_cuda_graphs {
            true => CapturedGenerator::never(generator, ctx),
            false => CapturedGenerator::new(generator, ctx),
        }
    }
}

/// Refuses a precision that the device does not have.
///
/// # Errors
/// [`Error::NoBf16`] for BF16 on the CPU.
pub fn check_precision(precision: Precision, device: &DeviceConfig) -> Result<()> {
    if precision == Precision::Bf16 && device.device.is_cpu() { Err(Error::NoBf16) } else { Ok(()) }
}
