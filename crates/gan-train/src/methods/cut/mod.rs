//! CUT and FastCUT (Park et al., 2020): one generator, trained on unpaired images by comparing patches of input and output.

mod config;
mod draws;
mod step;

pub use config::{Config, HeadConfig, LossConfig};
pub use draws::Draws;
pub use step::Cut;

use crate::MethodSpec;

/// The entry of [`METHODS`](crate::METHODS). FastCUT is a preset: other numbers of the same method.
pub const SPEC: MethodSpec = MethodSpec::new::<Config>(
    "cut",
    "unpaired images: one generator, one discriminator, patch-wise contrastive loss",
    &[
        "generator.arch=resnet",
        "generator.n_blocks=1",
        "ngf=4",
        "ndf=4",
        "netf_nc=8",
        "num_patches=16",
        "load_size=36",
        "crop_size=32",
        "n_epochs=2",
        "n_epochs_decay=1",
    ],
);
