//! What translates: a run, a checkpoint, or a bare weight file.

use super::files::Plan;
use super::paths::Paths;
use super::{Args, Direction, FormatArg};
use crate::commands::trained::open_trained;
use crate::exit::{Coded, USAGE};
use crate::wording::worded;
use anyhow::bail;
use clap::ValueEnum;
use gan_data::LabelsAs;
use gan_translate::{DeviceConfig, Error, InputKind, Model, Options, TrainedModel, WeightOptions};
use std::path::Path;

const NO_ENCODER: &str = "--encode is for models with an instance feature encoder, which this is not";

/// What the label maps of a bare pix2pixHD generator are.
#[derive(clap::Args)]
pub(super) struct LabelArgs {
    /// Number of labels of a bare pix2pixHD generator; 0: its input is an image. Without it all input channels but the
    /// edges are labels
    #[arg(long, value_name = "N")]
    label_nc: Option<usize>,
    /// The generator sees no edges of instance maps
    #[arg(long)]
    no_instance: bool,
    /// What label and instance maps hold; without it, what those of the training held
    #[arg(long, value_enum)]
    labels_as: Option<LabelsArg>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LabelsArg {
    /// Ids: grey levels, or indices of a palette
    Ids,
    /// Colours whose red, green and blue are the id, each
    Rgb,
}

impl LabelArgs {
    pub(super) fn labels_as(&self) -> Option<LabelsAs> {
        self.labels_as.map(|labels| match labels {
            LabelsArg::Ids => LabelsAs::Ids,
            LabelsArg::Rgb => LabelsAs::Rgb,
        })
    }
}

/// Opens the model, and tells the step of its checkpoint; says what there is to know of it.
pub(super) fn open(args: &Args, paths: &Paths, device: DeviceConfig) -> anyhow::Result<(Model, Option<u64>)> {
    let chosen = args.checkpoint.of(&paths.model)?;
    let (trained, direction) = if paths.of_weights() {
        (of_weights(args, paths)?, None)
    } else {
        (of_run(args, &chosen)?, (args.direction == Direction::B2a).then_some(gan_translate::Direction::B2a))
    };
    let options = Options { direction, limit: args.limit.memory.of(&device)?, ..args.options(device) };
    let model = Model::load(&trained, options).map_err(worded)?;
    trained.notes().iter().for_each(|note| note!("{note}"));
    if !trained.mapping().is_empty() {
        note!(
            "`gan-cli summary --model {}` shows which layer is which; --assume KEY=VALUE corrects what is assumed",
            paths.model.display()
        );
    }
    if paths.of_weights() {
        if args.direction == Direction::B2a {
            note!("a weight file holds one generator: --direction changes nothing");
        }
        if args.dropout.is_some() && !model.generator().dropout {
            note!("this generator has no dropout: --dropout changes nothing");
        }
    }
    Ok((model, trained.step()))
}

/// `model` is the run, or the checkpoint of it that was chosen.
fn of_run(args: &Args, model: &Path) -> anyhow::Result<TrainedModel> {
    args.weights.refuse_for_runs()?;
    if args.labels.label_nc.is_some() || args.labels.no_instance {
        bail!(Coded(USAGE, "--label-nc and --no-instance are for bare weight files: a run knows its labels".into()));
    }
    let trained = open_trained(model, args.checkpoint.weights())?;
    let config = trained.config();
    if args.direction == Direction::B2a
        && let [only] = &config.generators[..]
    {
        let side = if only.direction == gan_translate::Direction::B2a { "B to A" } else { "A to B" };
        bail!(Coded(
            USAGE,
            format!(
                "--direction b2a is for models of CycleGAN, which know both ways: this {} model has one generator, trained from {side}; leave --direction out",
                config.method
            )
        ));
    }
    if args.encode.is_some() && config.encoder.is_none() {
        bail!(Coded(USAGE, NO_ENCODER.into()));
    }
    Ok(trained)
}

fn of_weights(args: &Args, paths: &Paths) -> anyhow::Result<TrainedModel> {
    if args.encode.is_some() {
        bail!(Coded(USAGE, "--encode needs a run: a bare weight file has no encoder beside the generator".into()));
    }
    let instances = if args.labels.no_instance { Some(false) } else { args.inst.is_some().then_some(true) };
    let options = WeightOptions {
        label_nc: args.labels.label_nc,
        instances,
        dropout: args.dropout.is_some(),
        ..args.weights.options()?
    };
    TrainedModel::open_weights(&paths.model, &options).map_err(worded)
}

/// Refuses what would fail for every file alike, and returns what the user should know.
pub(super) fn check(args: &Args, model: &Model, plan: &Plan) -> anyhow::Result<Vec<&'static str>> {
    let (mut notes, files) = (Vec::new(), plan.jobs.len());
    if args.side_by_side && model.output_channels() > 4 {
        let channels = model.output_channels();
        bail!(Coded(
            USAGE,
            format!("--side-by-side shows images, and this model makes {channels} channels; leave it out")
        ));
    }
    let format = args.format.unwrap_or(FormatArg::Png).extension(Path::new(""));
    for job in &plan.jobs {
        let piped = job.output == Path::new("-");
        let output = if piped { Path::new("standard output").with_extension(&format) } else { job.output.clone() };
        model.check_writable(&output).map_err(worded)?;
    }
    if args.batch > 1 && !model.batches() {
        notes.push("what this model makes of an image depends on the others of a batch: --batch changes nothing");
    }
    if args.labels.labels_as.is_some()
        && !model.config().instances
        && !matches!(model.config().input, InputKind::Labels { .. })
    {
        notes.push("this model takes no label maps: --labels-as changes nothing");
    }
    match &args.inst {
        None if model.config().instances => return Err(worded(Error::NeedsInstances)),
        Some(_) if !model.config().instances => {
            notes.push("this model takes no instance maps: --inst changes nothing");
        }
        Some(path) if files > 1 && !path.is_dir() => bail!(Coded(
            USAGE,
            format!("{} is one instance map for {files} label maps; name the folder that holds theirs", path.display())
        )),
        _ => {}
    }
    if args.alpha.is_some() && model.takes_alpha() {
        notes.push("this model takes alpha as a channel: --alpha changes nothing");
    }
    Ok(notes)
}
