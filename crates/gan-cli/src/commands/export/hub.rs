//! `gan-cli export hub`.

use super::folder::{Direction, name, refuse_existing};
use super::report;
use super::said;
use super::samples::Samples;
use super::source::SourceArgs;
use crate::exit::Done;
use crate::inputs::Inputs;
use gan_export::{Card, HubRequest, write_hub_folder};
use std::path::PathBuf;

/// Write a model folder as hubs have them
///
/// It holds config.json, model.safetensors with the keys of the reference, README.md (a card whose Python program runs), and two samples with
/// what the model makes of them. Commands take the folder as a model; `gan-cli verify` makes the samples again and compares.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// Folder to write; it must not exist
    #[arg(value_name = "DIR")]
    out: PathBuf,
    /// Direction, for models of CycleGAN: a folder holds one generator
    #[arg(long, value_enum)]
    direction: Option<Direction>,
    /// Input of a sample, in place of images of the run's dataset; may be given several times
    #[arg(long, value_name = "FILE")]
    sample: Vec<PathBuf>,
    /// Instance map of the sample, or the folder that holds them by name
    #[arg(long, requires = "sample")]
    inst: Option<PathBuf>,
    /// Name of the model on its card; the default is the folder's
    #[arg(long)]
    name: Option<String>,
    /// Identifier of the licence of the weights: mit, apache-2.0, cc-by-nc-4.0 …
    #[arg(long, value_name = "ID")]
    licence: Option<String>,
    /// Name of the dataset of the training; may be given several times
    #[arg(long, value_name = "NAME")]
    dataset: Vec<String>,
    /// What `evaluate --json` has measured; the default is report.json in the run, where there is one
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

pub(super) fn run(args: Args) -> anyhow::Result<Done> {
    let mut inputs = Inputs::default();
    inputs.model(&args.source.model);
    args.sample.iter().for_each(|file| inputs.file(file));
    inputs.refuse([&*args.out])?;
    refuse_existing(&args.out)?;
    let trained = args.source.open()?;
    let direction = args.direction.map(Into::into);
    let report = args.report.clone().or_else(|| {
        let found = args.source.folder()?.join(report::NAME);
        found.is_file().then_some(found)
    });
    let measured = report.as_deref().map(report::read).transpose()?;
    let Samples { samples, about } = Samples::of(&args.source, &trained, &args.sample, args.inst.as_deref())?;
    let card = Card {
        name: args.name.clone().unwrap_or_else(|| name(&args.out)),
        licence: args.licence.clone(),
        datasets: args.dataset.clone(),
        measured,
        program: format!("gan-cli {}", env!("CARGO_PKG_VERSION")),
    };
    write_hub_folder(&args.out, &HubRequest { trained: &trained, direction, samples: &samples, card }).map_err(said)?;
    note!("{about}");
    if args.licence.is_none() {
        note!("the card says that the licence is unknown: --licence ID states it");
    }
    let shown = args.out.display();
    out!(
        "{shown}: config.json, model.safetensors, README.md, {} samples; `gan-cli verify {shown}` makes them again",
        samples.len()
    );
    Ok(Done::Complete)
}
