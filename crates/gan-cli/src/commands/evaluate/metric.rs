//! The metrics of the command line, and which of them are computed.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
pub(crate) enum Metric {
    /// Mean absolute error in levels of 0..255
    L1,
    /// Peak signal-to-noise ratio in dB
    Psnr,
    /// Structural similarity (11x11 Gaussian window)
    Ssim,
    /// Multi-scale structural similarity; sides of 161 pixels or more
    MsSsim,
    /// Learned perceptual distance; needs weights
    Lpips,
    /// Fréchet Inception Distance; needs weights, and thousands of images
    Fid,
    /// Kernel Inception Distance; needs weights, and fits small sets
    Kid,
    /// Precision and recall of the set; needs weights
    Pr,
}

impl Metric {
    /// Whether it compares an image with its truth.
    pub(super) fn is_paired(self) -> bool {
        !self.is_of_sets()
    }

    /// Whether it compares two sets by the features of the Inception network.
    pub(super) fn is_of_sets(self) -> bool {
        matches!(self, Metric::Fid | Metric::Kid | Metric::Pr)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Metric::L1 => "l1",
            Metric::Psnr => "psnr",
            Metric::Ssim => "ssim",
            Metric::MsSsim => "ms-ssim",
            Metric::Lpips => "lpips",
            Metric::Fid => "fid",
            Metric::Kid => "kid",
            Metric::Pr => "pr",
        }
    }
}

/// A metric that is not computed, and why.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct LeftOut {
    pub(super) metric: Metric,
    pub(super) reason: String,
}

/// The metrics that are computed. What was asked for by name and cannot be computed fails the command, after the others were
/// computed; what was not asked for is left out with a note.
#[derive(Debug, Default)]
pub(super) struct Selection {
    metrics: Vec<Metric>,
    /// Whether the user named the metrics.
    pub(super) named: bool,
    pub(super) left_out: Vec<LeftOut>,
}

impl Selection {
    pub(super) fn of(named: &[Metric]) -> Self {
        let mut metrics = if named.is_empty() { Metric::value_variants().to_vec() } else { named.to_vec() };
        metrics.sort();
        metrics.dedup();
        Selection { metrics, named: !named.is_empty(), left_out: Vec::new() }
    }

    /// What a part of an evaluation computed.
    pub(super) fn of_part(metrics: Vec<Metric>, named: bool, left_out: Vec<LeftOut>) -> Self {
        Selection { metrics, named, left_out }
    }

    pub(super) fn has(&self, metric: Metric) -> bool {
        self.metrics.contains(&metric)
    }

    pub(super) fn any(&self, of: fn(Metric) -> bool) -> bool {
        self.metrics.iter().any(|metric| of(*metric))
    }

    pub(super) fn metrics(&self) -> impl Iterator<Item = Metric> + '_ {
        self.metrics.iter().copied()
    }

    /// Leaves out all metrics of a sort.
    pub(super) fn leave_out(&mut self, which: impl Fn(Metric) -> bool, reason: &str) {
        let (out, kept) = std::mem::take(&mut self.metrics).into_iter().partition(|metric| which(*metric));
        self.metrics = kept;
        let left_out = |metric| LeftOut { metric, reason: reason.to_owned() };
        self.left_out.extend(Vec::into_iter(out).map(left_out));
    }
}
