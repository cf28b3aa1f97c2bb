//! `gan-cli dataset inspect`.

use crate::commands::train::dataset_root;
use crate::exit::{BAD_DATA, Coded, Done};
use crate::progress::bar;
use anyhow::bail;
use gan_data::{DataConfig, Report, Severity};
use gan_train::config::{Layer, resolve};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder of the dataset, or the name of a fetched one
    data: PathBuf,
    /// How it is to be read: aligned, unaligned, labelled, single or colorization; guessed from the folders if left out
    #[arg(long)]
    mode: Option<String>,
    /// A key of the data table, for example `crop_size=512` or `label_nc=35`
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    let root = dataset_root(&args.data);
    let mode = args.mode.clone().unwrap_or_else(|| guess_mode(&root).into());
    let mut layers = vec![Layer::Setting(format!("mode={mode}"))];
    layers.extend(args.set.iter().cloned().map(Layer::Setting));
    let config = DataConfig { root, ..resolve(&DataConfig::default(), &layers)? };
    let bar = bar(0, "looking");
    let report = gan_data::inspect(&config, |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report);
    }
    if !report.is_usable() {
        let errors = report.count(Severity::Error);
        bail!(Coded(
            BAD_DATA,
            format!(
                "training could not start on {}: {errors} {}",
                report.root.display(),
                if errors == 1 { "problem" } else { "problems" }
            )
        ));
    }
    Ok(Done::Complete)
}

fn guess_mode(root: &Path) -> &'static str {
    let has = |name: &str| root.join(name).is_dir();
    if has("train_label") || has("test_label") {
        "labelled"
    } else if has("trainA") && has("trainB") {
        "unaligned"
    } else if has("train") || (has("A") && has("B")) {
        "aligned"
    } else {
        "single"
    }
}

fn print(report: &Report) {
    println!("{:?} dataset in {}, phase {}: {} items", report.mode, report.root.display(), report.phase, report.items);
    for folder in &report.folders {
        let sizes: Vec<_> =
            folder.sizes.iter().take(4).map(|s| format!("{}x{} ({})", s.width, s.height, s.pictures)).collect();
        let more = folder.sizes.len().saturating_sub(4);
        let more = if more > 0 { format!(" and {more} other sizes") } else { String::new() };
        let list = |map: Vec<String>| map.join(", ");
        let channels = list(folder.channels.iter().map(|(c, n)| format!("{c} channels ({n})")).collect());
        let depths = list(folder.depths.iter().map(|(d, n)| format!("{d} bit ({n})")).collect());
        println!("  {}: {} files in {}", folder.role, folder.files, folder.path.display());
        println!("    {}{more}; {channels}; {depths}", sizes.join(", "));
    }
    if let Some(labels) = &report.labels {
        let total: u64 = labels.pixels.values().sum();
        let share = |n: u64| 100.0 * n as f64 / total.max(1) as f64;
        let shares: Vec<_> = labels.pixels.iter().map(|(id, &n)| format!("{id}: {:.1} %", share(n))).collect();
        println!("  labels (label_nc {}): {}", labels.label_nc, shares.join(", "));
    }
    for note in &report.notes {
        println!("note: {note}");
    }
    for p in &report.problems {
        let severity = format!("{:?}", p.severity).to_lowercase();
        println!("{severity}: {}: {}; {}", p.path.display(), p.message, p.remedy);
    }
    if report.problems.is_empty() {
        println!("no problems");
    }
}
