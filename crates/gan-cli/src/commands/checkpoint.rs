//! `--checkpoint`.

use crate::exit::{Coded, USAGE};
use anyhow::bail;
use gan_translate::{ModelConfig, is_weight_file};
use gan_weights::checkpoint::{Choice, Disk, chosen, exists, is_checkpoint};
use std::path::{Path, PathBuf};

/// Which checkpoint of a run a command uses.
#[derive(clap::Args)]
pub(crate) struct CheckpointArgs {
    /// Which checkpoint of a run: `latest`, the newest that can be used; `best` by validation; or the one of a step
    #[arg(long, value_name = "latest|best|STEP", default_value_t)]
    checkpoint: Choice,
}

impl CheckpointArgs {
    /// Refuses a choice where no run is named.
    pub(crate) fn refuse(&self) -> anyhow::Result<()> {
        if self.checkpoint != Choice::Latest {
            bail!(Coded(USAGE, "--checkpoint is for runs: name one with --model, or leave it out".into()));
        }
        Ok(())
    }

    /// What to open for the model that the user named.
    pub(crate) fn of(&self, model: &Path) -> anyhow::Result<PathBuf> {
        if self.checkpoint == Choice::Latest {
            return Ok(model.to_owned());
        }
        if exists(&Disk, model) {
            return Ok(chosen(&Disk, model, self.checkpoint)?);
        }
        if is_weight_file(model) || is_checkpoint(model) || model.join(ModelConfig::FILE).is_file() {
            let what = format!("--checkpoint is for runs, and {} is one model", model.display());
            bail!(Coded(USAGE, format!("{what}: leave it out, or name the run")));
        }
        // What there is instead is said where it is opened.
        Ok(model.to_owned())
    }
}
