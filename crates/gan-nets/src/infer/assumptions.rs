//! What a user says about a network that leaves no trace in its tensors.

use serde::Deserialize;

use super::{Identified, Network, expected};
use crate::{Error, GeneratorConfig, Padding, Result, UnetLayout, Upsample};

/// Properties of a generator that its tensors do not tell, or do not tell under the names that they have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Assumptions {
    /// Padding of the blocks of a ResNet.
    pub padding: Option<Padding>,
    /// Padding of halvings.
    pub down_padding: Option<Padding>,
    /// How it doubles the size.
    pub upsample: Option<Upsample>,
    /// Where a U-Net has activations and biases.
    pub unet_layout: Option<UnetLayout>,
    /// Whether a U-Net whose layers have other names joins `[skip, upsampled]`, as the reference does, instead of
    /// `[upsampled, skip]`.
    pub skip_first: Option<bool>,
}

impl Assumptions {
    /// Writes them into a configuration.
    fn apply(&self, config: &mut GeneratorConfig) {
        config.padding = self.padding.unwrap_or(config.padding);
        config.down_padding = self.down_padding.unwrap_or(config.down_padding);
        config.upsample = self.upsample.unwrap_or(config.upsample);
        config.unet_layout = self.unet_layout.unwrap_or(config.unet_layout);
    }

    /// The network as it is with these assumptions.
    ///
    /// # Errors
    /// [`Error::Assumed`] where the tensors contradict one, or where the architecture has no use for it.
    pub(super) fn of(&self, found: &Identified) -> Result<Network> {
        let network = &found.network;
        let Network::Generator(mut config) = network.clone() else {
            return if *self == Self::default() { Ok(network.clone()) } else { Err(self.refused(network)) };
        };
        self.apply(&mut config);
        let given = [
            ("padding", self.padding.is_some()),
            ("down_padding", self.down_padding.is_some()),
            ("upsample", self.upsample.is_some()),
            ("unet_layout", self.unet_layout.is_some()),
        ];
        let unused = config.unused_keys();
        let useless = given.iter().any(|(key, given)| *given && unused.iter().any(|unused| unused.key == *key))
            || self.skip_first.is_some() && (found.mapping.is_empty() || config.arch.is_resnet());
        let assumed = Network::Generator(config);
        if useless || assumed != *network && expected::check(&assumed, &found.state).is_err() {
            return Err(self.refused(network));
        }
        Ok(assumed)
    }

    fn refused(&self, network: &Network) -> Error {
        let said = [
            self.padding.map(|p| format!("padding = {}", p.name())),
            self.down_padding.map(|p| format!("down_padding = {}", p.name())),
            self.upsample.map(|u| format!("upsample = {}", u.name())),
            self.unet_layout.map(|layout| format!("unet_layout = {}", layout.name())),
            self.skip_first.map(|first| format!("skip_first = {first}")),
        ];
        let said: Vec<String> = said.into_iter().flatten().collect();
        Error::Assumed { said: said.join(", "), found: network.to_string() }
    }
}
