//! `gan-cli convert`.

use crate::commands::checkpoint::CheckpointArgs;
use crate::commands::model_folder::{is_training_state, listed};
use crate::commands::trained::{open_trained, open_trained_with};
use crate::exit::{BAD_MODEL, Coded, Done, USAGE};
use crate::inputs::Inputs;
use anyhow::bail;
use gan_nets::identify;
use gan_translate::{TrainedModel, WeightSet, is_weight_file};
use gan_weights::{StateDict, fold_parametrizations, normalize_keys, pth, read_any, read_entry, safetensors};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Convert weights between PyTorch's .pth and .safetensors
///
/// Keys, element types and every bit stay as they are, so that converting there and back gives the same tensors; equal
/// tensors give equal files. A .pth is written as a plain state dict that `torch.load(weights_only=True)` takes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// .pth (zip or legacy), .safetensors, or a run or checkpoint folder
    #[arg(value_name = "IN")]
    from: PathBuf,
    /// File to write: .pth (or .pt) or .safetensors
    #[arg(value_name = "OUT")]
    to: PathBuf,
    #[command(flatten)]
    checkpoint: CheckpointArgs,
    /// Which network of a run or checkpoint: g, d, e, g_a, g_b, d_a or d_b
    #[arg(long)]
    network: Option<String>,
    /// Which network of a file that holds several: `netG`, or `models.generator` for a dict in a dict, or what the keys of
    /// the network begin with
    #[arg(long, value_name = "NAME")]
    entry: Option<String>,
    /// Write a network as the references name it: without `module.` of DataParallel, `_orig_mod.` of torch.compile, other
    /// prefixes, and the running statistics of old instance norms; spectral and weight norm become plain weights, and layers
    /// of other names are matched by their order and shapes
    #[arg(long)]
    clean: bool,
    /// Print what was written as JSON
    #[arg(long)]
    json: bool,
}

/// What a file is to be, told by its extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Pth,
    Safetensors,
}

impl Target {
    fn of(path: &Path) -> anyhow::Result<Self> {
        match path.extension().and_then(|e| e.to_str()) {
            Some("pth" | "pt") => Ok(Target::Pth),
            Some("safetensors") => Ok(Target::Safetensors),
            _ => bail!(Coded(2, format!("{}: name a file that ends in .pth or .safetensors", path.display()))),
        }
    }
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    let target = Target::of(&args.to)?;
    let mut inputs = Inputs::default();
    inputs.model(&args.from);
    inputs.refuse([&*args.to])?;
    if args.to.is_dir() {
        bail!(Coded(USAGE, format!("{} is a folder; name a file", args.to.display())));
    }
    let model = args.checkpoint.of(&args.from)?;
    let (mut state, mut notes) = if is_weight_file(&args.from) { from_file(&args)? } else { from_run(&args, &model)? };
    let mut cleaned = state.clone();
    let mut changes = normalize_keys(&mut cleaned);
    changes.extend(fold_parametrizations(&mut cleaned));
    // What the file is, is worth knowing, but files of unknown networks are converted as well.
    let found = identify(&cleaned, None).unwrap_or_default();
    if found.is_empty() {
        notes.insert(0, format!("{} tensors of a network that this program does not know", tensors(&state)));
    }
    for (at, network) in found.iter().enumerate() {
        let under = if network.prefix.is_empty() { String::new() } else { format!("{}: ", network.prefix) };
        notes.insert(at, format!("{under}{}", network.network));
    }
    if let [only] = &found[..] {
        let left_out = tensors(&cleaned) - tensors(&only.state).min(tensors(&cleaned));
        changes.extend(only.notes.iter().cloned());
        if !only.prefix.is_empty() {
            changes.push(format!("prefix \"{}.\" removed, {left_out} tensors without it left out", only.prefix));
        }
        cleaned = only.state.clone();
    }
    // Every bit is carried over, and what no network can be built from is said.
    notes.extend(state.require_finite().err().map(|error| error.to_string()));
    if args.clean {
        state = cleaned;
        notes.extend(changes);
    }
    match target {
        Target::Pth => pth::write(&args.to, &state)?,
        Target::Safetensors => safetensors::write(&args.to, &state)?,
    }
    if args.json {
        let networks: Vec<_> = found.iter().map(|network| network.network.to_string()).collect();
        out!("{}", json!({ "file": args.to, "tensors": tensors(&state), "networks": networks, "notes": notes }));
        return Ok(Done::Complete);
    }
    for note in notes {
        note!("{note}");
    }
    note!("{} tensors in {}", tensors(&state), args.to.display());
    Ok(Done::Complete)
}

/// Tensors of whatever element type.
fn tensors(state: &StateDict) -> usize {
    state.len() + state.others().len()
}

fn from_file(args: &Args) -> anyhow::Result<(StateDict, Vec<String>)> {
    if args.network.is_some() {
        bail!(Coded(
            2,
            "--network is for runs and checkpoints; a state dict of a .pth file is named by --entry".into()
        ));
    }
    let loaded = match &args.entry {
        Some(entry) => read_entry(&args.from, entry)?,
        None => read_any(&args.from)?,
    };
    Ok((loaded.state, loaded.notes))
}

/// `model` is the run, or the checkpoint of it that was chosen.
fn from_run(args: &Args, model: &Path) -> anyhow::Result<(StateDict, Vec<String>)> {
    if args.entry.is_some() {
        bail!(Coded(2, "--entry is for .pth files; a network of a run is named by --network".into()));
    }
    // What is wrong with the folder is said where it is opened for good.
    let networks = TrainedModel::open(model).map(|trained| trained.network_names()).unwrap_or_default();
    let from = model.display();
    let Some(name) = args.network.as_deref() else {
        open_trained(model, args.checkpoint.weights())?;
        let generator = networks.iter().find(|network| network.starts_with('g'));
        let (all, example) = (listed(&networks), generator.or(networks.first()).map_or("g", String::as_str));
        bail!(Coded(USAGE, format!("{from} holds {all}: name one with --network, for example --network {example}")));
    };
    if is_training_state(name) {
        bail!(Coded(BAD_MODEL, format!("{name} is no network, but the training's own state")));
    }
    if !networks.is_empty() && !networks.iter().any(|network| network == name) {
        let files: Vec<_> = networks.iter().map(|network| format!("{network}.safetensors")).collect();
        let (all, files) = (listed(&networks), listed(&files));
        bail!(Coded(
            BAD_MODEL,
            format!("{from} has no network {name}, only {all} (in {files}): name one of these with --network")
        ));
    }
    let trained = open_trained_with(model, &[name], args.checkpoint.weights())?;
    let method = &trained.config().method;
    let averaged = trained.weights() == WeightSet::Ema && trained.config().network_names().any(|known| known == name);
    let average = if averaged { ", averaged weights" } else { "" };
    let note = match trained.step() {
        Some(step) => format!("network {name}{average} after {step} steps of {method}"),
        None => format!("network {name}{average} of {method}"),
    };
    Ok((trained.network(name)?, vec![note]))
}
