//! The model that translates frames.

use super::Args;
use super::input::Source;
use crate::commands::trained::open_trained;
use crate::exit::{BAD_DATA, Coded, USAGE};
use crate::wording::worded;
use anyhow::bail;
use clap::ValueEnum;
use gan_translate::{InputKind, Model, Options, TrainedModel, WeightOptions, is_weight_file};

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Direction {
    #[value(alias = "AtoB")]
    A2b,
    #[value(alias = "BtoA")]
    B2a,
}

/// Opens the device and the model; says what there is to know of it.
pub(super) fn open(args: &Args) -> anyhow::Result<Model> {
    let device = args.device_config.open()?;
    args.precision.check(&device)?;
    let chosen = args.checkpoint.of(&args.model)?;
    let trained = if is_weight_file(&args.model) {
        TrainedModel::open_weights(&args.model, &WeightOptions { ..args.weights.options()? }).map_err(worded)?
    } else {
        args.weights.refuse_for_runs()?;
        open_trained(&chosen, args.checkpoint.weights())?
    };
    let backwards = args.direction == Direction::B2a;
    if backwards && trained.config().generators.len() == 1 {
        let message = "--direction b2a is for models of CycleGAN, which know both ways: this one has one generator; leave --direction out";
        bail!(Coded(USAGE, message.into()));
    }
    let options = Options {
        direction: backwards.then_some(gan_translate::Direction::B2a),
        eval: args.eval,
        precision: args.precision.activations(),
        math: args.precision.math(),
        limit: args.memory.of(&device)?,
        device,
        ..Options::default()
    };
    let model = Model::load(&trained, options).map_err(worded)?;
    trained.notes().iter().for_each(|note| note!("{note}"));
    Ok(model)
}

/// Refuses what would fail for every frame.
pub(super) fn check(model: &Model, source: &Source) -> anyhow::Result<()> {
    let refuse = |code: u8, message: &str| Err(Coded(code, message.into()).into());
    if model.config().instances {
        return refuse(
            BAD_DATA,
            "this model takes an instance map with each image, which videos do not have: translate a folder of label maps with `gan-cli translate` and --inst",
        );
    }
    if matches!(model.config().input, InputKind::Labels { .. }) && source.folder().is_none() {
        return refuse(
            BAD_DATA,
            "this model takes label maps, whose ids no video keeps: name a folder of label maps as IN",
        );
    }
    if model.output_channels() > 4 {
        return refuse(USAGE, "this model makes more channels than colours: use `gan-cli translate` with --format npy");
    }
    Ok(())
}
