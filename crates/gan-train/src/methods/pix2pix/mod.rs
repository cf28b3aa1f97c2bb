//! pix2pix (Isola et al., 2017): a conditional GAN with an L1 term on aligned pairs.

mod config;
mod step;

pub use config::{Config, LossConfig};
pub use step::Pix2Pix;

use crate::MethodSpec;

/// The entry of [`METHODS`](crate::METHODS).
pub const SPEC: MethodSpec = MethodSpec::new::<Config>(
    "pix2pix",
    "aligned pairs: U-Net or ResNet generator, PatchGAN on (input, output), L1",
    &[
        "generator.arch=unet",
        "generator.num_downs=5",
        "ngf=4",
        "ndf=4",
        "load_size=36",
        "crop_size=32",
        "n_epochs=2",
        "n_epochs_decay=1",
    ],
);
