//! What stands around the convolutions of a U-Net.

use gan_layers::Act;
use serde::{Deserialize, Serialize};

/// Where a U-Net has activations and biases. Reimplementations of pix2pix differ in it from the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnetLayout {
    /// pytorch-CycleGAN-and-pix2pix: activations in front of convolutions; convolutions have a bias exactly with instance norm.
    #[default]
    Reference,
    /// The same, and convolutions with no norm behind them (the first and the innermost) have a bias whatever the norm is.
    Biased,
    /// Activations behind convolution and norm, so that skips carry `LeakyReLU(x)` to a convolution that no ReLU precedes; the
    /// first and the innermost convolution have a bias.
    PostActivation,
    /// The same with a ReLU behind the innermost halving, where the others have a LeakyReLU.
    PostActivationRelu,
    /// [`UnetLayout::PostActivation`] whose last stage is nearest upsampling and a 4x4 convolution, as PyTorch-GAN has it. The two
    /// are one transposed convolution of 6x6 here.
    PostActivationResize,
}

impl UnetLayout {
    /// Every layout, with its name in a configuration.
    pub const ALL: [(&'static str, UnetLayout); 5] = [
        ("reference", UnetLayout::Reference),
        ("biased", UnetLayout::Biased),
        ("post_activation", UnetLayout::PostActivation),
        ("post_activation_relu", UnetLayout::PostActivationRelu),
        ("post_activation_resize", UnetLayout::PostActivationResize),
    ];

    /// The name in a configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, layout)| *layout == self).map_or("?", |(name, _)| name)
    }

    /// Whether activations stand behind convolutions and norms.
    pub(crate) fn activates_behind(self) -> bool {
        !matches!(self, UnetLayout::Reference | UnetLayout::Biased)
    }

    /// The activation behind the innermost halving, of layouts that have activations there.
    pub(crate) fn innermost(self) -> Act {
        if self == UnetLayout::PostActivationRelu { Act::Relu } else { Act::LeakyRelu }
    }

    /// Whether the last stage is an upsampling and a 4x4 convolution in one.
    pub(crate) fn resizes_last(self) -> bool {
        self == UnetLayout::PostActivationResize
    }
}
