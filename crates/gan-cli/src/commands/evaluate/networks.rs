//! The networks of the metrics, from the weight files at hand.

use super::Args;
use super::metric::{Metric, Selection};
use candle_core::{DType, Device};
use gan_metrics::features::FeatureCache;
use gan_metrics::networks::{Digest, INCEPTION, InceptionV3, KnownFile, Lpips, OtherFiles, verify};
use gan_metrics::protocol::Protocol;
use std::path::{Path, PathBuf};

/// The networks that there are, with the hashes of their files.
pub(super) struct Networks {
    pub(super) inception: Option<(InceptionV3, Digest)>,
    pub(super) lpips: Option<Perceptual>,
    /// What the user should know.
    pub(super) notes: Vec<String>,
}

/// LPIPS over one trunk.
pub(super) struct Perceptual {
    pub(super) network: Lpips,
    pub(super) trunk: Digest,
    pub(super) heads: Digest,
}

impl Networks {
    /// Loads what the metrics need. Metrics whose files are not there are left out.
    pub(super) fn load(args: &Args, selection: &mut Selection, device: &Device) -> anyhow::Result<Self> {
        let folder = args.weights_dir.clone().unwrap_or_else(|| gan_data::data_dir().join("weights"));
        let mut files = Files { folder: &folder, allow: args.allow_other_weights, notes: Vec::new() };
        let mut networks = Networks { inception: None, lpips: None, notes: Vec::new() };
        if selection.any(Metric::is_of_sets) {
            match files.find([("inception", INCEPTION)])? {
                Ok([(path, digest)]) => {
                    networks.inception = Some((InceptionV3::load(&path, device, DType::F32)?, digest));
                }
                Err(reason) => selection.leave_out(Metric::is_of_sets, &reason),
            }
        }
        if selection.has(Metric::Lpips) {
            let net = args.lpips_net;
            let [trunk, heads] = net.fetch_names();
            match files.find([(trunk, net.trunk()), (heads, net.heads())])? {
                Ok([(trunk, trunk_digest), (heads, heads_digest)]) => {
                    let network = Lpips::load(net, &trunk, &heads, device, DType::F32)?;
                    networks.lpips = Some(Perceptual { network, trunk: trunk_digest, heads: heads_digest });
                }
                Err(reason) => selection.leave_out(|metric| metric == Metric::Lpips, &reason),
            }
        }
        networks.notes = files.notes;
        Ok(networks)
    }

    /// Where the features of images are kept between calls.
    pub(super) fn cache(&self, protocol: Protocol, device: &Device) -> FeatureCache {
        let kind = if device.is_cpu() { "cpu" } else { "cuda" };
        self.inception
            .as_ref()
            .map_or_else(FeatureCache::none, |(_, weights)| FeatureCache::open(protocol, weights, kind))
    }
}

struct Files<'a> {
    folder: &'a Path,
    allow: bool,
    notes: Vec<String>,
}

impl Files<'_> {
    /// The files of these names with their hashes, or why one is not there.
    fn find<const N: usize>(
        &mut self,
        wanted: [(&str, KnownFile); N],
    ) -> anyhow::Result<Result<[(PathBuf, Digest); N], String>> {
        let mut files = wanted.map(|(name, _)| (self.folder.join(format!("{name}.pth")), Digest([0; 32])));
        if let Some((path, _)) = files.iter().find(|(path, _)| !path.exists()) {
            return Ok(Err(format!(
                "there are no weights at {}; fetch them with `gan-cli fetch {}`, or name their folder with --weights-dir",
                path.display(),
                wanted.map(|(name, _)| name).join(" ")
            )));
        }
        let others = if self.allow { OtherFiles::Accept } else { OtherFiles::Refuse };
        for ((path, digest), (_, known)) in files.iter_mut().zip(wanted) {
            *digest = verify(path, &known, others)?;
            if !digest.to_string().starts_with(known.sha256) {
                let (path, name) = (path.display(), known.name);
                self.notes.push(format!(
                    "{path} is not the published {name}: figures computed with it compare with no others"
                ));
            }
        }
        Ok(Ok(files))
    }
}
