//! `gan-cli serve`.

use crate::commands::listen::ListenArgs;
use crate::device::{DeviceArgs, PrecisionArgs};
use crate::exit::{BAD_MODEL, Coded, Done, USAGE};
use crate::max_memory::size;
use crate::wording::worded;
use gan_translate::{DeviceConfig, MemoryLimit, Options};
use gan_web::{Engine, EngineOptions, Error, Limits, ModelEngine, translate_app};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Try trained models in the browser, and translate over HTTP
///
/// The page takes an image (dropped, pasted, chosen or photographed) or a drawing, and shows the result as soon as it is there. Programs
/// send images to POST /v1/translate. Models are loaded once, and each translates one image at a time. Nothing leaves this machine, and
/// nothing is kept.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Runs, checkpoints, folders with a model, or weight files
    #[arg(value_name = "MODEL", required_unless_present = "model", conflicts_with = "model")]
    models: Vec<PathBuf>,
    /// The same
    #[arg(long, num_args = 1.., value_name = "MODEL")]
    model: Vec<PathBuf>,
    #[command(flatten)]
    listen: ListenArgs,
    /// Use running statistics in batch norms (PyTorch's eval()); the default is the image's own
    #[arg(long)]
    eval: bool,
    /// Memory that a translation may take, such as 1GiB. An image that needs more is computed in bands of rows if that suffices, and refused otherwise. The
    /// default is what the machine, its container or the GPU has to spare
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_memory: Option<u64>,
    #[command(flatten)]
    device_config: DeviceArgs,
    #[command(flatten)]
    precision: PrecisionArgs,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    let paths = if args.models.is_empty() { &args.model } else { &args.models };
    let device = args.device_config.open()?;
    args.precision.check(&device)?;
    // The port first: loading a model takes a while.
    let server = args.listen.bind()?;
    let limits = Limits::default();
    let mut engines = Vec::new();
    let mut taken = HashSet::new();
    for path in paths {
        let options = Options {
            eval: args.eval,
            precision: args.precision.activations(),
            math: args.precision.math(),
            limit: limit(&device, args.max_memory)?,
            // A graph is captured while no other thread uses the device.
            no_cuda_graphs: paths.len() > 1,
            device: device.clone(),
            ..Options::default()
        };
        let engine = open(path, options, &limits, &mut taken)?;
        engines.push(engine);
    }
    let what = if engines.len() == 1 { "try the model" } else { "try the models" };
    args.listen.serve(server, translate_app(engines, &limits)?, what)
}

/// Opens a model under a name of its own, and says how fast it is.
fn open(path: &Path, options: Options, limits: &Limits, taken: &mut HashSet<String>) -> anyhow::Result<ModelEngine> {
    let options = EngineOptions { options, translation: limits.translation };
    let mut engine = ModelEngine::open(path, options).map_err(refused)?;
    let name = engine.id().to_owned();
    let mut others = (2..).map(|n: usize| format!("{name}-{n}"));
    while taken.contains(engine.id()) {
        others.next().iter().for_each(|other| engine.rename(other));
    }
    taken.insert(engine.id().to_owned());
    engine.notes().iter().for_each(|text| note!("{text}"));
    let facts = engine.facts();
    let step = facts.step.map(|step| format!(", step {step}")).unwrap_or_default();
    let side = facts.side;
    note!("{}: {}{step}; an image of {side}x{side} takes about {}", facts.id, path.display(), time(facts.seconds));
    Ok(engine)
}

/// Why a model cannot be served.
fn refused(error: Error) -> anyhow::Error {
    match error {
        Error::Translate(gan_translate::Error::NoStyles { features, model }) => {
            let (features, model) = (features.display(), model.display());
            let remedy = format!("find them with `gan-cli encode-features --model {model}`");
            Coded(BAD_MODEL, format!("{features}: there are no styles to draw from yet; {remedy}")).into()
        }
        Error::Translate(error) => worded(error),
        Error::Channels { path, channels } => {
            let what = format!("{} makes {channels} channels, and a page shows images of up to four", path.display());
            Coded(USAGE, format!("{what}; `gan-cli translate` writes others")).into()
        }
        other => other.into(),
    }
}

/// What one translation may take; files are not used.
fn limit(device: &DeviceConfig, most: Option<u64>) -> anyhow::Result<Option<MemoryLimit>> {
    if !device.device.is_cpu() {
        return Ok(MemoryLimit::of_device(&device.device, most, None)?);
    }
    let limit = MemoryLimit::of_machine(most, None);
    Ok(limit.map(|limit| MemoryLimit { scratch_bytes: 0, ..limit }))
}

fn time(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.0} ms", (seconds * 1e3).max(1.0)) } else { format!("{seconds:.1} s") }
}
