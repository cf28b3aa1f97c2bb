//! `gan-cli evaluate`.

mod facts;
mod folders;
mod measure;
mod metric;
mod model;
mod networks;
mod part;
mod report;

use crate::commands::checkpoint::CheckpointArgs;
use crate::device::DeviceArgs;
use crate::exit::{Coded, Done, USAGE};
use crate::inputs::Inputs;
use crate::max_memory::MemoryArgs;
use crate::ranks;
use crate::shard::Shard;
use anyhow::Context;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use facts::Facts;
use gan_comm::{Communicator, Single};
use gan_fs::Durability;
use gan_metrics::networks::LpipsNet;
use gan_metrics::protocol::Protocol;
use measure::{Measure, Measured};
use metric::{Metric, Selection};
use networks::Networks;
use part::{Part, join};
use report::Report;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Measure translated images against real ones
///
/// Either two folders (--fake, --real), or a model (--model), which translates a held-out part of its run's dataset, or of --data.
///
/// l1, psnr, ssim, ms-ssim and lpips compare an image with its truth, which has the same name in the other folder. fid, kid and pr
/// (precision and recall) compare two sets, and need no pairs. Without --metrics everything is computed that the images and the weights
/// at hand allow, and what is left out is said.
///
/// Processes that mpirun or srun started together share the images. Calls with --shard share them without MPI.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder of translated images
    #[arg(long, requires = "real", conflicts_with = "model", required_unless_present_any = ["model", "join"])]
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
    /// Measure only part I of N of the images, for a call with --join: 1/4 to 4/4 can run at the same time, on any machines
    #[arg(long, value_name = "I/N", requires = "part", conflicts_with = "json")]
    shard: Option<Shard>,
    /// Where --shard writes what it measured
    #[arg(long, value_name = "FILE", requires = "shard")]
    part: Option<PathBuf>,
    /// Report on all parts of an evaluation, in any order: files that --shard wrote
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["fake", "model", "data", "metrics", "protocol", "lpips_net", "weights_dir", "allow_other_weights", "shard"])]
    join: Vec<PathBuf>,
    /// Seed of subsets and confidence intervals
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    memory: MemoryArgs,
    #[command(flatten)]
    device_config: DeviceArgs,
}

fn protocols() -> impl TypedValueParser<Value = Protocol> {
    PossibleValuesParser::new(Protocol::ALL.map(Protocol::name)).try_map(|name| name.parse::<Protocol>())
}

fn lpips_nets() -> impl TypedValueParser<Value = LpipsNet> {
    let find = |name: String| LpipsNet::ALL.into_iter().find(|net| net.name() == name).ok_or("no such network");
    PossibleValuesParser::new(LpipsNet::ALL.map(LpipsNet::name)).try_map(find)
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    let mut inputs = Inputs::default();
    [&args.fake, &args.real, &args.data].into_iter().flatten().for_each(|folder| inputs.folder(folder));
    args.model.iter().for_each(|model| inputs.model(model));
    args.join.iter().for_each(|part| inputs.file(part));
    inputs.refuse([&args.json, &args.part].into_iter().flatten().map(PathBuf::as_path))?;
    if args.model.is_none() {
        args.checkpoint.refuse()?;
    }
    if !args.join.is_empty() {
        let parts = args.join.iter().map(|path| Ok((path.display().to_string(), Part::read(path)?)));
        let (facts, measured) = join(parts.collect::<anyhow::Result<_>>()?)?;
        return report(&args, &facts, measured);
    }
    // Of several processes, each measures its part, and the first one reports.
    let ranks = if args.shard.is_none() { processes(&args.device_config.device)? } else { Arc::new(Single) };
    let part = measure(&args, Shard::of_call(args.shard))?;
    if let Some(path) = &args.part {
        write(path, &part.to_bytes()?)?;
        let (fakes, reals) = (part.measured.fake.images, part.measured.real.images);
        note!("part {} is in {}: {fakes} translated images, {reals} real ones", part.shard, path.display());
        return Ok(Done::Complete);
    }
    match gather(&*ranks, part)? {
        Some((facts, measured)) => report(&args, &facts, measured),
        None => Ok(Done::Complete),
    }
}

/// The processes that were started together.
fn processes(device: &str) -> anyhow::Result<Arc<dyn Communicator>> {
    ranks::join(device).map_err(|error| {
        let message = format!("{error}; or measure parts with --shard and --part, and report on them with --join");
        Coded(USAGE, message).into()
    })
}

/// Measures the images of a part.
fn measure(args: &Args, shard: Shard) -> anyhow::Result<Part> {
    let mut selection = Selection::of(&args.metrics);
    let device = args.device_config.open()?;
    let networks = Networks::load(args, &mut selection, &device.device)?;
    let cache = networks.cache(args.protocol, &device.device);
    let measure = Measure::new(&networks, &device.device, (args.protocol, &cache), selection, shard);
    let measured = match (&args.model, &args.fake, &args.real) {
        (Some(run), ..) => model::measure(args, run, &device, measure)?,
        (None, Some(fake), Some(real)) => folders::measure(fake, real, measure)?,
        _ => unreachable!("clap requires --model, or --fake and --real"),
    };
    Ok(Part { shard, facts: Facts::of(args, &networks, &measured), measured })
}

/// What all processes measured, on the first one.
fn gather(ranks: &dyn Communicator, own: Part) -> anyhow::Result<Option<(Facts, Measured)>> {
    if ranks.size() == 1 {
        return Ok(Some((own.facts, own.measured)));
    }
    let mut sent = vec![Vec::new(); ranks.size()];
    sent[0] = own.to_bytes()?;
    let came = ranks.all_to_all(sent)?;
    if ranks.rank() > 0 {
        return Ok(None);
    }
    let parts = came.iter().enumerate().map(|(rank, bytes)| Ok((format!("rank {rank}"), Part::of_bytes(bytes)?)));
    join(parts.collect::<anyhow::Result<_>>()?).map(Some)
}

/// Prints and writes what was measured.
fn report(args: &Args, facts: &Facts, measured: Measured) -> anyhow::Result<Done> {
    let report = Report::of(args.seed, facts, measured)?;
    report.print();
    if let Some(path) = &args.json {
        write(path, (serde_json::to_string_pretty(&report.json())? + "\n").as_bytes())?;
    }
    report.failure().map_or(Ok(Done::Complete), Err)
}

/// Writes a file, which appears whole or not at all.
fn write(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let folder = gan_fs::parent(path);
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    gan_fs::replace(path, Durability::Visible, |out| out.write_all(content))?;
    Ok(())
}
