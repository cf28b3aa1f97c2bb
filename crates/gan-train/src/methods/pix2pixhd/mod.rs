//! pix2pixHD (Wang et al., 2018): label maps to large photographs, coarse to fine.

mod checks;
mod config;
mod palette;
mod pretrain;
mod step;
pub mod styles;

pub use config::{Config, EnhancerConfig, FeatureConfig, LossConfig, Perceptual};
pub use step::Pix2PixHd;

use crate::MethodSpec;

/// The entry of [`METHODS`](crate::METHODS).
pub const SPEC: MethodSpec = MethodSpec::new::<Config>(
    "pix2pixhd",
    "label maps to photographs up to 2048x1024: enhancers, multi-scale discriminators, feature matching, VGG19",
    &[
        "generator.arch=local",
        "ngf=4",
        "ndf=4",
        "n_downsample_global=2",
        "n_blocks_global=1",
        "n_blocks_local=1",
        "num_d=2",
        "load_size=64",
        "crop_size=32",
        "perceptual=none",
        "instance_feat=true",
        "nef=4",
        "n_downsample_e=2",
        "n_epochs=2",
        "n_epochs_decay=1",
        "n_epochs_fix_global=1",
    ],
);
