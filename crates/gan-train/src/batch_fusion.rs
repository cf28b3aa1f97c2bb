//! Two batches that pass through one network with the same weights.
//!
//! As one batch they take half as many operators, each with twice the work. On a device a layer of one small image leaves many of
//! the multiprocessors idle; on the CPU weights are read and packed once for both. In exchange, what the network keeps for the backward
//! pass is alive for both at a time.

use candle_core::Tensor;
use gan_layers::NormKind;
use gan_nets::{DiscriminatorConfig, GeneratorConfig};

/// Pixels of a batch, all its images together, up to which generators take two as one on the CPU. CycleGAN's step at batch 1
/// then takes 0.9 of the time at 64x64 and 0.94 at 256x256, where it needs 0.3 GiB more.
const GENERATOR_ON_CPU: usize = 256 * 256;

/// Likewise for discriminators: there is nothing to gain.
const DISCRIMINATOR_ON_CPU: usize = 0;

/// When a network takes two batches as one.
#[derive(Debug, Clone, Copy)]
pub struct BatchFusion {
    /// Images are computed each for itself: which others are in the batch makes no difference.
    apart: bool,
    /// Pixels of a batch up to which it pays on the CPU. On a device it always does.
    on_cpu: usize,
}

impl BatchFusion {
    /// For a generator.
    pub fn of_generator(config: &GeneratorConfig) -> Self {
        // What dropout drops depends on an image's place in the batch.
        BatchFusion { apart: config.norm != NormKind::Batch && !config.dropout, on_cpu: GENERATOR_ON_CPU }
    }

    /// For a discriminator.
    pub fn of_discriminator(config: &DiscriminatorConfig) -> Self {
        BatchFusion { apart: config.norm != NormKind::Batch, on_cpu: DISCRIMINATOR_ON_CPU }
    }

    /// Whether to pass these batches `[N, C, H, W]` as one, to the same result.
    pub fn can_concat(self, x: &Tensor, y: &Tensor) -> bool {
        let &[n, _, h, w] = x.dims() else { return false };
        let pays = x.device().is_cuda() || n * h * w <= self.on_cpu;
        self.apart && pays && x.dims() == y.dims() && x.dtype() == y.dtype()
    }

    /// Wherever it is possible, or never.
    #[cfg(test)]
    pub(crate) fn forced(self, join: bool) -> Self {
        BatchFusion { apart: self.apart && join, on_cpu: usize::MAX }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use candle_core::{DType, Device};

    fn images(n: usize, side: usize, dtype: DType) -> Tensor {
        Tensor::zeros((n, 3, side, side), dtype, &Device::Cpu).unwrap()
    }

    #[test]
    fn only_where_images_are_computed_each_for_itself() {
        let x = images(1, 8, DType::F32);
        let generator = |norm, dropout| {
            BatchFusion::of_generator(&GeneratorConfig { norm, dropout, ..GeneratorConfig::default() })
                .can_concat(&x, &x)
        };
        assert!(generator(NormKind::Instance, false) && generator(NormKind::None, false));
        assert!(!generator(NormKind::Batch, false) && !generator(NormKind::Instance, true));
        let discriminator = |norm| {
            let config = DiscriminatorConfig { norm, ..DiscriminatorConfig::default() };
            BatchFusion::of_discriminator(&config).forced(true).can_concat(&x, &x)
        };
        assert!(discriminator(NormKind::Instance) && !discriminator(NormKind::Batch));
    }

    #[test]
    fn only_what_is_alike_and_small_on_the_cpu() {
        let fusion = BatchFusion::of_generator(&GeneratorConfig::default());
        let x = images(1, 128, DType::F32);
        assert!(fusion.can_concat(&x, &x));
        for y in [images(1, 64, DType::F32), images(2, 128, DType::F32), images(1, 128, DType::F64)] {
            assert!(!fusion.can_concat(&x, &y), "{y:?}");
        }
        for large in [images(1, 320, DType::F32), images(5, 128, DType::F32)] {
            assert!(!fusion.can_concat(&large, &large));
        }
    }
}
