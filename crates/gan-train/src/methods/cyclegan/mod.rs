//! CycleGAN (Zhu et al., 2017): two generators that undo each other, trained on unpaired images.

mod config;
mod step;

pub use config::{Config, LossConfig};
pub use step::CycleGan;

use crate::MethodSpec;

/// The entry of [`METHODS`](crate::METHODS).
pub const SPEC: MethodSpec = MethodSpec::new::<Config>(
    "cyclegan",
    "unpaired images: two generators, two discriminators, cycle and identity losses",
    &[
        "generator.arch=resnet",
        "generator.n_blocks=1",
        "ngf=4",
        "ndf=4",
        "load_size=36",
        "crop_size=32",
        "pool_size=3",
        "n_epochs=2",
        "n_epochs_decay=1",
    ],
);
