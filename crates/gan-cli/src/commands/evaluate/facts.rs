//! What an evaluation was made with. All parts of one have to agree in it.

use super::Args;
use super::measure::Measured;
use super::networks::Networks;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Facts {
    /// Version of the program.
    pub(super) version: String,
    pub(super) device: String,
    /// Where the translated and the real images come from.
    pub(super) sources: [String; 2],
    /// Step of the checkpoint that translates.
    pub(super) step: Option<u64>,
    /// How images become the input of the Inception network.
    pub(super) protocol: String,
    /// SHA-256 of its weight file, where there is one.
    pub(super) inception: Option<String>,
    pub(super) lpips: Option<LpipsFacts>,
}

/// The network of LPIPS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LpipsFacts {
    pub(super) net: String,
    /// SHA-256 of the weight files.
    pub(super) trunk: String,
    pub(super) heads: String,
}

impl Facts {
    pub(super) fn of(args: &Args, networks: &Networks, measured: &Measured) -> Self {
        let lpips = networks.lpips.as_ref().map(|lpips| LpipsFacts {
            net: args.lpips_net.name().to_owned(),
            trunk: lpips.trunk.to_string(),
            heads: lpips.heads.to_string(),
        });
        Facts {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            device: args.device_config.device.clone(),
            sources: [&measured.fake, &measured.real].map(|set| set.source.clone()),
            step: measured.step,
            protocol: args.protocol.name().to_owned(),
            inception: networks.inception.as_ref().map(|(_, digest)| digest.to_string()),
            lpips,
        }
    }

    /// In what the other one differs first, in words.
    pub(super) fn difference(&self, other: &Facts) -> Option<&'static str> {
        let differs = [
            (self.version != other.version, "version of the program"),
            (self.device != other.device, "device"),
            (self.sources != other.sources, "set of images"),
            (self.step != other.step, "checkpoint"),
            (self.protocol != other.protocol, "--protocol"),
            (self.inception != other.inception, "Inception network"),
            (self.lpips != other.lpips, "network of LPIPS"),
        ];
        differs.into_iter().find_map(|(differs, what)| differs.then_some(what))
    }
}
