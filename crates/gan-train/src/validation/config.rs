//! The `[validation]` table.

use super::metric::{Compares, METRICS, Metric};
use gan_metrics::networks::{OtherFiles, WeightFiles};
use gan_range::{Range, documented};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

documented! {
    /// When the generator is validated, on which images, and what follows from it. Nothing of it changes what is learned.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct ValidationConfig {
        /// Epochs between validations; 0 = never.
        pub every: u64,
        /// The part of the dataset that is held out: `val`, `test`, …
        pub split: String,
        /// Names of metrics, as docs/validation.md lists them; none: those that suit the data.
        pub metrics: Vec<String>,
        /// The metric that decides which checkpoint is the best; empty: the first.
        pub best: String,
        /// Stop after so many validations without a better one; 0 = never.
        pub patience: u64,
        /// The folder of the weight files of `lpips` and `kid`; empty: where `gan-cli fetch` puts them.
        pub weights: PathBuf,
        /// Takes weight files that are not the published ones: figures then compare with no others.
        pub other_weights: bool,
        /// Use only this many images of each domain, in order of their names; 0 = as `data.max_dataset_size` says.
        pub limit: usize,
    }
}

impl Default for ValidationConfig {
    fn default() -> Self {
        ValidationConfig {
            every: 0,
            split: "val".into(),
            metrics: Vec::new(),
            best: String::new(),
            patience: 0,
            weights: PathBuf::new(),
            other_weights: false,
            limit: 0,
        }
    }
}

impl ValidationConfig {
    /// The ranges of the numeric keys.
    pub const RANGES: &'static [Range] = &[
        Range::whole("every", 0, 1_000_000_000),
        Range::whole("patience", 0, 1_000_000_000),
        Range::whole("limit", 0, 1_000_000_000_000),
    ];

    /// Where the weight files of metrics are.
    pub(super) fn weight_files(&self) -> WeightFiles {
        let mut files = WeightFiles::fetched();
        if !self.weights.as_os_str().is_empty() {
            files.folder.clone_from(&self.weights);
        }
        if self.other_weights {
            files.others = OtherFiles::Accept;
        }
        files
    }

    /// Whether anything is validated.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.every > 0
    }

    /// The metrics that are measured, where what is known allows these comparisons. Names that are unknown are left out.
    pub(super) fn measured(&self, possible: &[Compares]) -> Vec<&'static Metric> {
        if self.metrics.is_empty() {
            // Pairs tell more than cycles.
            let of = possible.first();
            return METRICS.iter().filter(|metric| metric.by_default && Some(&metric.compares) == of).collect();
        }
        self.metrics.iter().filter_map(|name| Metric::find(name)).collect()
    }

    /// The metric that decides: the one that is named, or the first of those that are measured.
    pub(super) fn deciding(&self, measured: &[&'static Metric]) -> Option<&'static Metric> {
        if self.best.is_empty() {
            return measured.first().copied();
        }
        measured.iter().find(|metric| metric.name == self.best).copied()
    }
}
