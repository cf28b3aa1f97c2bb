//! Losses of image-to-image translation.
//!
//! Every loss but [`patch_nce`], which has one value a patch, is a mean over all elements, computed with its gradient in one pass ([`gan_kernels`]) and returned as a
//! scalar tensor in candle's graph. Targets are constants: no gradient flows into them.

mod adversarial;
mod diff_augment;
mod error;
mod gradient_penalty;
mod matching;
mod patch_nce;
mod reconstruction;
mod vgg19;

pub use adversarial::GanMode;
pub use diff_augment::AugmentPolicy;
pub use error::Error;
pub use gradient_penalty::{r1, wgan_gp};
pub use matching::feature_matching;
pub use patch_nce::patch_nce;
pub use reconstruction::l1;
pub use vgg19::{PerceptualLoss, Vgg19};

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
