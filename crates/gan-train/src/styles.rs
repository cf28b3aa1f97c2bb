//! Styles of pix2pixHD: instance features that the trained encoder finds in the training set, clustered by label.
//!
//! ```text
//! RUN/features/clusters.safetensors   `label.<n>` [clusters, feat_num] for each label that has features
//! RUN/features/clusters.json          for people: which checkpoint, and for each label how many instances and clusters
//! ```
//!
//! At translation a style is a number: it draws one cluster for every instance.

mod clusters;

pub use clusters::{StyleClusters, label_of};

use crate::method::Place;
use crate::trained::is_checkpoint;
use crate::translation::NO_ENCODER;
use crate::{Error, Result, Trained};
use candle_core::Tensor;
use gan_data::Batch;
use std::path::{Path, PathBuf};

/// The trained encoder of instance features.
pub trait FeatureEncoder {
    /// Features `[N, feat_num, H, W]` of the pictures in `batch.b`, averaged over each instance in `batch.inst`.
    ///
    /// # Errors
    /// [`Error::Config`] if the batch has no `b` or no instance map, [`Error::Shape`] if they differ in size, and
    /// [`Error::Tensor`] if the encoder does not take that size.
    fn encode(&self, batch: &Batch) -> Result<Tensor>;

    /// Channels of the features.
    fn feat_num(&self) -> usize;

    /// Clusters a label is to have at most.
    fn n_clusters(&self) -> usize;
}

impl Trained {
    /// Loads the encoder of instance features.
    ///
    /// # Errors
    /// [`Error::Config`] if the model has none.
    pub fn encoder(&self, place: &Place) -> Result<Box<dyn FeatureEncoder>> {
        if self.model().encoder.is_none() {
            return Err(Error::Config { origin: self.path().display().to_string(), message: NO_ENCODER.into() });
        }
        let config = crate::config::read(self.config())?;
        Ok(Box::new(crate::methods::pix2pixhd::translate::Encoder::load(&config, self, place)?))
    }

    /// `RUN/features`. For a checkpoint folder outside of a run, `features` beside it.
    pub fn features_dir(&self) -> PathBuf {
        let path = self.path();
        if !is_checkpoint(path) {
            return path.join("features");
        }
        // A path such as `.` has no parent to see.
        let whole = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let beside = whole.parent().unwrap_or(Path::new("."));
        let run = if beside.ends_with("checkpoints") { beside.parent().unwrap_or(beside) } else { beside };
        run.join("features")
    }
}

/// What a translation without styles to draw from says.
pub(crate) fn no_styles(trained: &Trained) -> Error {
    Error::Config {
        origin: trained.features_dir().display().to_string(),
        message: format!(
            "there are no styles to draw from yet; find them with `gan-cli encode-features --model {}`, or lend the style of a picture with --encode",
            trained.path().display()
        ),
    }
}
