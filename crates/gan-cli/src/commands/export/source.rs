//! What is exported: a run, a checkpoint, a model folder or a bare weight file.

use crate::commands::checkpoint::CheckpointArgs;
use crate::commands::model_folder::{is_training_state, listed};
use crate::commands::trained::open_trained;
use crate::commands::weights::WeightArgs;
use crate::exit::{BAD_MODEL, Coded, USAGE};
use crate::wording::worded;
use anyhow::{Context, bail};
use gan_export::Subject;
use gan_translate::{TrainedModel, WeightFile, WeightOptions, is_weight_file};
use std::path::{Path, PathBuf};

/// Which model.
#[derive(clap::Args)]
pub(super) struct SourceArgs {
    /// Run, checkpoint or model folder, or a weight file (.pth, .safetensors)
    #[arg(value_name = "MODEL")]
    pub(super) model: PathBuf,
    #[command(flatten)]
    pub(super) checkpoint: CheckpointArgs,
    #[command(flatten)]
    weights: WeightArgs,
    /// Number of labels of a bare pix2pixHD generator; 0: its input is an image. Without it all input channels but the edges
    /// are labels
    #[arg(long, value_name = "N")]
    label_nc: Option<usize>,
    /// The generator sees no edges of instance maps
    #[arg(long)]
    no_instance: bool,
}

impl SourceArgs {
    fn options(&self) -> anyhow::Result<WeightOptions> {
        let instances = self.no_instance.then_some(false);
        Ok(WeightOptions { label_nc: self.label_nc, instances, ..self.weights.options()? })
    }

    fn refuse_for_runs(&self) -> anyhow::Result<()> {
        self.weights.refuse_for_runs()?;
        if self.label_nc.is_some() || self.no_instance {
            bail!(Coded(
                USAGE,
                "--label-nc and --no-instance are for bare weight files: a run knows its labels".into()
            ));
        }
        Ok(())
    }

    /// The model, whose generators translate.
    pub(super) fn open(&self) -> anyhow::Result<TrainedModel> {
        let chosen = self.checkpoint.of(&self.model)?;
        let trained = if is_weight_file(&self.model) {
            TrainedModel::open_weights(&self.model, &self.options()?).map_err(worded)?
        } else {
            self.refuse_for_runs()?;
            open_trained(&chosen, self.checkpoint.weights())?
        };
        trained.notes().iter().for_each(|note| note!("{note}"));
        Ok(trained)
    }

    /// A network by its name, any that the model has; without a name, its first generator.
    pub(super) fn network(&self, name: Option<&str>) -> anyhow::Result<Subject> {
        if is_weight_file(&self.model) {
            if name.is_some() {
                bail!(Coded(USAGE, "--network is for runs and checkpoints: a weight file is one network".into()));
            }
            self.checkpoint.of(&self.model)?;
            let options = self.options()?;
            let file = WeightFile::open(&self.model, &options).map_err(worded)?;
            file.state.require_finite().with_context(|| format!("cannot use {}", self.model.display()))?;
            file.notes.iter().for_each(|note| note!("{note}"));
            return Subject::of_file(&file, &options).map_err(super::said);
        }
        let trained = self.open()?;
        let networks = trained.network_names();
        if let Some(name) = name.filter(|name| is_training_state(name) || !networks.iter().any(|known| known == name)) {
            let shown = self.model.display();
            bail!(Coded(BAD_MODEL, format!("{shown} has no network {name}; it holds {}", listed(&networks))));
        }
        if name.is_none() && trained.config().generators.len() > 1 {
            let [first, second] = [0, 1].map(|i| &trained.config().generators[i].network);
            note!("note: this is {first}; --network {second} names the other direction");
        }
        Subject::of_model(&trained, name).map_err(super::said)
    }

    /// The folder of a run, unless it is a bare weight file.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.model.is_dir().then_some(&self.model)
    }
}
