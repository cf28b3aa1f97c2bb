//! The networks of the metrics, from the weight files at hand.

use super::Args;
use super::metric::{Metric, Selection};
use candle_core::{DType, Device};
use gan_metrics::features::FeatureCache;
use gan_metrics::networks::{Digest, INCEPTION, InceptionV3, KnownFile, Lpips, LpipsNet, OtherFiles, verify};
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
        let inception = match selection.any(Metric::is_of_sets) {
            true => match files.find(&[("inception", INCEPTION)])?.as_deref() {
                Ok([(path, digest)]) => Some((InceptionV3::load(path, device, DType::F32)?, *digest)),
                found => {
                    selection.leave_out(Metric::is_of_sets, &missing(found.err()));
                    None
                }
            },
            false => None,
        };
        let net = args.lpips_net;
        let wanted = [(trunk_name(net), net.trunk()), (heads_name(net), net.heads())];
        let lpips = match selection.has(Metric::Lpips) {
            true => match files.find(&wanted)?.as_deref() {
                Ok([(trunk, trunk_digest), (heads, heads_digest)]) => Some(Perceptual {
                    network: Lpips::load(net, trunk, heads, device, DType::F32)?,
                    trunk: *trunk_digest,
                    heads: *heads_digest,
                }),
                found => {
                    selection.leave_out(|metric| metric == Metric::Lpips, &missing(found.err()));
                    None
                }
            },
            false => None,
        };
        Ok(Networks { inception, lpips, notes: files.notes })
    }

    /// Where the features of images are kept between calls.
    pub(super) fn cache(&self, protocol: Protocol, device: &Device) -> FeatureCache {
        let kind = if device.is_cpu() { "cpu" } else { "cuda" };
        self.inception.as_ref().map_or_else(FeatureCache::none, |(_, weights)| FeatureCache::open(protocol, weights, kind))
    }
}

fn missing(reason: Option<&String>) -> String {
    reason.cloned().unwrap_or_default()
}

/// Names under which `cargo xtask fetch-data` knows the files.
fn trunk_name(net: LpipsNet) -> &'static str {
    match net {
        LpipsNet::Alex => "alexnet",
        LpipsNet::Vgg => "vgg16",
        LpipsNet::Squeeze => "squeezenet1_1",
    }
}

fn heads_name(net: LpipsNet) -> &'static str {
    match net {
        LpipsNet::Alex => "lpips_alex",
        LpipsNet::Vgg => "lpips_vgg",
        LpipsNet::Squeeze => "lpips_squeeze",
    }
}

struct Files<'a> {
    folder: &'a Path,
    allow: bool,
    notes: Vec<String>,
}

impl Files<'_> {
    /// The files of these names with their hashes, or why one is not there.
    fn find(&mut self, wanted: &[(&str, KnownFile)]) -> anyhow::Result<Result<Vec<(PathBuf, Digest)>, String>> {
        let path = |name: &str| self.folder.join(format!("{name}.pth"));
        if let Some((name, _)) = wanted.iter().find(|(name, _)| !path(name).exists()) {
            let names: Vec<&str> = wanted.iter().map(|(name, _)| *name).collect();
            return Ok(Err(format!(
                "there are no weights at {}; fetch them with `cargo xtask fetch-data {}`, or name their folder with --weights-dir",
                path(name).display(),
                names.join(" ")
            )));
        }
        let others = if self.allow { OtherFiles::Accept } else { OtherFiles::Refuse };
        let mut found = Vec::new();
        for (name, known) in wanted {
            let path = self.folder.join(format!("{name}.pth"));
            let digest = verify(&path, known, others)?;
            if !digest.to_string().starts_with(known.sha256) {
                self.notes.push(format!(
                    "{} is not the published {}: figures computed with it compare with no others",
                    path.display(),
                    known.name
                ));
            }
            found.push((path, digest));
        }
        Ok(Ok(found))
    }
}
