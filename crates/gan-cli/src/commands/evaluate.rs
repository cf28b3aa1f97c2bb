//! `gan-cli evaluate`.

mod folders;
mod measure;
mod metric;
mod model;
mod networks;
mod report;

use crate::commands::checkpoint::CheckpointArgs;
use crate::device::DeviceArgs;
use crate::exit::Done;
use crate::inputs::Inputs;
use crate::max_memory::MemoryArgs;
use anyhow::Context;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use gan_fs::Durability;
use gan_metrics::networks::LpipsNet;
use gan_metrics::protocol::Protocol;
use measure::Measure;
use metric::{Metric, Selection};
use networks::Networks;
use report::Report;
use std::path::{Path, PathBuf};

/// Measure translated images against real ones
///
/// Either two folders (--fake, --real), or a model (--model), which translates a held-out part of its run's dataset, or of --data.
///
/// l1, psnr, ssim, ms-ssim and lpips compare an image with its truth, which has the same name in the other folder. fid, kid and pr
/// (precision and recall) compare two sets, and need no pairs. Without --metrics everything is computed that the images and the weights
/// at hand allow, and what is left out is said.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder of translated images
    #[arg(long, requires = "real", conflicts_with = "model", required_unless_present = "model")]
    fake: Option<PathBuf>,
    /// Folder of real images
    #[arg(long, requires = "fake", conflicts_with = "model")]
    real: Option<PathBuf>,
    /// Run, checkpoint, folder of a model or weight file, which translates the images of --split
    #[arg(long)]
    model: Option<PathBuf>,
    #[command(flatten)]
    checkpoint: CheckpointArgs,
    /// Dataset for --model: a folder, or the name of a fetched one; the default is the run's own, and what is no run needs one
    #[arg(long, requires = "model")]
    data: Option<PathBuf>,
    /// Part of the dataset for --model; where there is no test, val is taken
    #[arg(long, requires = "model", default_value = "test")]
    split: String,
    /// Use only the first N images of the split
    #[arg(long, requires = "model", value_name = "N")]
    limit: Option<usize>,
    /// What to compute, separated by commas
    #[arg(long, value_enum, value_delimiter = ',')]
    metrics: Vec<Metric>,
    /// How images become the input of the Inception network, for fid, kid and pr: as clean-fid, pytorch-fid or torch-fidelity do.
    /// Figures of different protocols do not compare
    #[arg(long, default_value = "clean", value_parser = protocols())]
    protocol: Protocol,
    /// The network of LPIPS; published figures use alex
    #[arg(long, default_value = "alex", value_parser = lpips_nets())]
    lpips_net: LpipsNet,
    /// Folder of the weight files; the default is where `gan-cli fetch` puts them
    #[arg(long)]
    weights_dir: Option<PathBuf>,
    /// Take weight files that are not the published ones. Their hashes are in the report, and the figures compare with no others
    #[arg(long)]
    allow_other_weights: bool,
    /// Write the report to a file as JSON, with the values of every image
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Seed of subsets and confidence intervals
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    memory: MemoryArgs,
    #[command(flatten)]
    place: DeviceArgs,
}

fn protocols() -> impl TypedValueParser<Value = Protocol> {
    PossibleValuesParser::new(Protocol::ALL.map(Protocol::name)).try_map(|name| name.parse::<Protocol>())
}

fn lpips_nets() -> impl TypedValueParser<Value = LpipsNet> {
    let find = |name: String| LpipsNet::ALL.into_iter().find(|net| net.name() == name).ok_or("no such network");
    PossibleValuesParser::new(LpipsNet::ALL.map(LpipsNet::name)).try_map(find)
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    if let Some(json) = &args.json {
        let mut inputs = Inputs::default();
        [&args.fake, &args.real, &args.data].into_iter().flatten().for_each(|folder| inputs.folder(folder));
        args.model.iter().for_each(|model| inputs.model(model));
        inputs.refuse([json.as_path()])?;
    }
    let mut selection = Selection::of(&args.metrics);
    if args.model.is_none() {
        args.checkpoint.refuse()?;
    }
    let device = args.place.open()?;
    let networks = Networks::load(&args, &mut selection, &device.device)?;
    let cache = networks.cache(args.protocol, &device.device);
    let measure = Measure::new(&networks, &device.device, (args.protocol, &cache), selection);
    let measured = match (&args.model, &args.fake, &args.real) {
        (Some(run), ..) => model::measure(&args, run, &device, measure)?,
        (None, Some(fake), Some(real)) => folders::measure(fake, real, measure)?,
        _ => unreachable!("clap requires --model, or --fake and --real"),
    };
    let report = Report::of(&args, &networks, measured)?;
    report.print();
    if let Some(path) = &args.json {
        write(path, &report.json())?;
    }
    report.failure().map_or(Ok(Done::Complete), Err)
}

/// Writes a file, which appears whole or not at all.
fn write(path: &Path, json: &serde_json::Value) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(json)? + "\n";
    let folder = gan_fs::parent(path);
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    gan_fs::replace(path, Durability::Visible, |out| out.write_all(text.as_bytes()))?;
    Ok(())
}
