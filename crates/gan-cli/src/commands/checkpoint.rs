//! `--checkpoint`.

use crate::exit::{Coded, USAGE};
use anyhow::bail;
use clap::ValueEnum;
use gan_translate::{HubConfig, ModelConfig, WeightSet, is_weight_file};
use gan_weights::checkpoint::{Choice, Disk, chosen, exists, is_checkpoint};
use std::path::{Path, PathBuf};

/// Which checkpoint of a run a command uses.
#[derive(clap::Args)]
pub(crate) struct CheckpointArgs {
    /// Which checkpoint of a run: `latest`, the newest that can be used; `best` by validation; or the one of a step
    #[arg(long, value_name = "latest|best|STEP", default_value_t)]
    checkpoint: Choice,
    /// Which weights of a run that was trained with train.ema: those of the last step, or their moving average; the average
    /// unless set
    #[arg(long, value_enum, value_name = "raw|ema")]
    weights: Option<WeightsArg>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WeightsArg {
    Raw,
    Ema,
}

impl CheckpointArgs {
    /// Refuses a choice where no run is named.
    pub(crate) fn refuse(&self) -> anyhow::Result<()> {
        for (given, option) in
            [(self.checkpoint != Choice::Latest, "--checkpoint"), (self.weights.is_some(), "--weights")]
        {
            if given {
                bail!(Coded(USAGE, format!("{option} is for runs: name one with --model, or leave it out")));
            }
        }
        Ok(())
    }

    /// Which weights are wanted.
    pub(crate) fn weights(&self) -> Option<WeightSet> {
        self.weights.map(|weights| match weights {
            WeightsArg::Raw => WeightSet::Raw,
            WeightsArg::Ema => WeightSet::Ema,
        })
    }

    /// What to open for the model that the user named.
    pub(crate) fn of(&self, model: &Path) -> anyhow::Result<PathBuf> {
        if self.weights.is_some() && is_weight_file(model) {
            let what = format!("--weights is for runs, and {} is one set of weights", model.display());
            bail!(Coded(USAGE, format!("{what}: leave it out, or name the run")));
        }
        if self.checkpoint == Choice::Latest {
            return Ok(model.to_owned());
        }
        if exists(&Disk, model) {
            return Ok(chosen(&Disk, model, self.checkpoint)?);
        }
        let described = || model.join(ModelConfig::FILE).is_file() || HubConfig::is_folder(model);
        if is_weight_file(model) || is_checkpoint(model) || described() {
            let what = format!("--checkpoint is for runs, and {} is one model", model.display());
            bail!(Coded(USAGE, format!("{what}: leave it out, or name the run")));
        }
        // What there is instead is said where it is opened.
        Ok(model.to_owned())
    }
}
