//! `gan-cli watch`.

use crate::commands::listen::ListenArgs;
use crate::exit::Done;
use crate::inputs::Inputs;
use anyhow::Context;
use gan_fs::Durability;
use gan_train::gallery::{LiveRuns, export};
use gan_train::storage::Disk;
use gan_web::watch_app;
use std::path::{Path, PathBuf};

/// Follow runs in the browser while they are trained, or write them into one file
///
/// The page is that of the run folder (gallery/index.html): curves, previews and settings. Of several runs it lays the curves over one
/// another. It shows what is new within a second or two, and does not disturb the training.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run folders
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Write the page with everything in it into a file, to keep or to send, and serve nothing
    #[arg(long, value_name = "FILE", conflicts_with_all = ["host", "port", "allow_host", "open", "log"])]
    export: Option<PathBuf>,
    #[command(flatten)]
    listen: ListenArgs,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    if let Some(file) = &args.export {
        return write(&args.runs, file);
    }
    let runs = LiveRuns::open(&args.runs)?;
    let server = args.listen.bind()?;
    let what = if args.runs.len() == 1 { "watch the run" } else { "watch the runs" };
    args.listen.serve(server, watch_app(runs)?, what)
}

/// Writes the page about the runs as one file.
fn write(runs: &[PathBuf], file: &Path) -> anyhow::Result<Done> {
    let mut inputs = Inputs::default();
    for run in runs {
        inputs.model(run);
        inputs.folder(&run.join("gallery"));
        ["config.toml", "run.json", "events.jsonl"].iter().for_each(|name| inputs.file(&run.join(name)));
    }
    inputs.refuse([file])?;
    let html = export(&Disk, runs)?;
    gan_fs::replace(file, Durability::Flushed, |out| out.write_all(html.as_bytes()))
        .with_context(|| format!("cannot write {}", file.display()))?;
    let count = if runs.len() == 1 { "1 run".to_owned() } else { format!("{} runs", runs.len()) };
    out!("{}: {count}, {:.1} MB", file.display(), html.len() as f64 / 1e6);
    Ok(Done::Complete)
}
