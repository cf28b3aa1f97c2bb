//! `gan-cli summary`.

mod tensors;

use crate::commands::checkpoint::CheckpointArgs;
use crate::commands::model_folder::listed;
use crate::commands::trained::open_trained;
use crate::commands::weights::WeightArgs;
use crate::exit::{BAD_MODEL, Coded, Done, USAGE};
use crate::wording::worded;
use anyhow::{Context, bail};
use clap::builder::RangedU64ValueParser;
use gan_layers::{Row, Summary};
use gan_nets::{Network, infer};
use gan_translate::{TrainedModel, WeightFile, is_weight_file};
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Weight file whose tensors are listed: names, shapes, element types and sizes
    #[arg(value_name = "FILE", required_unless_present = "model", conflicts_with_all = ["model", "network", "size", "arch", "keys", "assume"])]
    file: Option<PathBuf>,
    /// Run or checkpoint folder, or a weight file (.pth, .safetensors) of any network, whose layers are shown
    #[arg(long)]
    model: Option<PathBuf>,
    #[command(flatten)]
    checkpoint: CheckpointArgs,
    /// Which network of a run or checkpoint: g, d, e, g_a, g_b, d_a or d_b, or `all`; the default is its (first) generator
    #[arg(long)]
    network: Option<String>,
    /// Print layers, shapes and counts as one JSON object
    #[arg(long, conflicts_with = "file")]
    json: bool,
    /// Height and width of the input; one number is both
    #[arg(long, num_args = 1..=2, value_names = ["H", "W"], default_values_t = [256, 256], value_parser = RangedU64ValueParser::<usize>::new().range(1..=65_535))]
    size: Vec<usize>,
    #[command(flatten)]
    weights: WeightArgs,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    let Some(model) = &args.model else {
        if let Some(file) = &args.file {
            tensors::list(file, args.weights.entry.as_deref())?;
        }
        return Ok(Done::Complete);
    };
    let size = (args.size[0], args.size[args.size.len() - 1]);
    let networks = networks(&args, model)?;
    let mut tables = Vec::new();
    for (at, (name, network)) in networks.iter().enumerate() {
        // The network itself was checked when it was opened: only the size can be wrong.
        let summary = network.summary(size).map_err(|_| Coded(USAGE, unfit(network, size)))?;
        if args.json {
            tables.push(described(name, network, size, &summary));
            continue;
        }
        if networks.len() > 1 {
            out!("{}{name}:", if at == 0 { "" } else { "\n" });
        }
        print(network, size, &summary);
    }
    if args.json {
        out!("{}", json!({ "networks": tables }));
    }
    Ok(Done::Complete)
}

/// The networks that are shown, with their names; a weight file's is called `g`.
fn networks(args: &Args, model: &Path) -> anyhow::Result<Vec<(String, Network)>> {
    if !is_weight_file(model) {
        args.weights.refuse_for_runs()?;
        let trained = open_trained(&args.checkpoint.of(model)?, args.checkpoint.weights())?;
        let names = trained.network_names();
        return match args.network.as_deref() {
            Some("all") => {
                let each = |name: &String| Ok((name.clone(), of_run(&trained, &names, name)?));
                names.iter().map(each).collect()
            }
            Some(name) => Ok(vec![(name.to_owned(), of_run(&trained, &names, name)?)]),
            None => {
                note_others(&names);
                let generator = &trained.config().generators[0];
                Ok(vec![(generator.network.clone(), Network::Generator(generator.config.clone()))])
            }
        };
    }
    if args.network.is_some() {
        bail!(Coded(USAGE, "--network is for runs and checkpoints: a weight file is one network".into()));
    }
    let file = WeightFile::open(model, &args.weights.options()?).map_err(worded)?;
    file.state.require_finite().with_context(|| format!("cannot use {}", model.display()))?;
    file.notes.iter().skip(1).for_each(|note| note!("{note}"));
    if !args.json {
        tensors::mapping(&file.mapping);
    }
    Ok(vec![("g".to_owned(), file.network)])
}

/// What to say about a size that a network does not take.
fn unfit(network: &Network, (h, w): (usize, usize)) -> String {
    let sides = match network {
        Network::Generator(config) => config.demand().ok().and_then(|demand| demand.sides(1)),
        _ => None,
    };
    let wanted = sides.map_or("it takes larger ones".to_owned(), |sides| format!("it takes {sides}"));
    format!("--size {h} {w} does not suit this network ({network}): {wanted}")
}

/// A network of a checkpoint, told by its tensors.
fn of_run(trained: &TrainedModel, networks: &[String], name: &str) -> anyhow::Result<Network> {
    let shown = trained.path().display();
    if !networks.iter().any(|network| network == name) {
        bail!(Coded(BAD_MODEL, format!("{shown} has no network {name}; it holds {}", listed(networks))));
    }
    infer(&trained.network(name)?, None).with_context(|| format!("cannot tell what network {name} of {shown} is"))
}

/// Says which network is shown, where there are others of its kind.
fn note_others(networks: &[String]) {
    let generators: Vec<_> = networks.iter().filter(|name| name.starts_with("g_")).cloned().collect();
    if let [shown, others @ ..] = &generators[..]
        && !others.is_empty()
    {
        note!(
            "note: this is {shown}; show {} with --network {}, or all networks with --network all",
            listed(others),
            others[0]
        );
    }
}

fn described(name: &str, network: &Network, size: (usize, usize), summary: &Summary) -> serde_json::Value {
    let row = |row: &Row| {
        let (c, h, w) = row.output;
        json!({ "layer": row.path, "kind": row.kind, "output": [c, h, w], "parameters": row.params, "macs": row.macs })
    };
    json!({
        "name": name, "network": network.to_string(), "input": [network.input_nc(), size.0, size.1],
        "parameters": summary.params(), "macs": summary.macs(), "layers": summary.rows.iter().map(row).collect::<Vec<_>>(),
    })
}

fn print(network: &Network, size: (usize, usize), summary: &Summary) {
    out!("{network}; for {} x {} x {}", network.input_nc(), size.0, size.1);
    let width = summary.rows.iter().map(|r| r.path.len()).max().unwrap_or(0);
    out!("{:width$}  {:12}  {:>16}  {:>11}  {:>9}", "layer", "kind", "output", "parameters", "MMAC");
    for row in &summary.rows {
        let (c, h, w) = row.output;
        let shape = format!("{c} x {h} x {w}");
        let number = |n: f64, digits: usize| if n == 0.0 { String::new() } else { format!("{n:.digits$}") };
        out!(
            "{:width$}  {:12}  {shape:>16}  {:>11}  {:>9}",
            row.path,
            row.kind,
            number(row.params as f64, 0),
            number(row.macs as f64 / 1e6, 1)
        );
    }
    out!("{} parameters, {:.2} GMACs per image", summary.params(), summary.macs() as f64 / 1e9);
}
