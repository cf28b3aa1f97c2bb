//! `gan-cli dataset inspect`.

mod attempt;
mod page;
mod sheet;
mod text;
mod verdict;
mod wishes;

use crate::commands::data_folders::{FolderArgs, dataset_root, shown};
use crate::exit::{BAD_DATA, Coded, Done};
use crate::inputs::{Inputs, require_image};
use crate::progress::bar;
use anyhow::bail;
use attempt::Look;
use clap::builder::{PossibleValue, PossibleValuesParser};
use gan_data::{DataConfig, DataMode, Inspector, Report, Severity, recognise};
use gan_train::METHODS;
use gan_train::config::nearest;
use indicatif::ProgressBar;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use verdict::Verdict;
use wishes::Wishes;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder of the dataset, or the name of a fetched one; not needed where --a and --b, or --labels and --images, name its
    /// folders
    #[arg(required_unless_present_any = ["a", "labels"])]
    data: Option<PathBuf>,
    #[command(flatten)]
    folders: FolderArgs,
    /// Judge the dataset by what this method needs alone
    #[arg(long, value_parser = PossibleValuesParser::new(METHODS.iter().map(|m| PossibleValue::new(m.name).help(m.about))))]
    method: Option<String>,
    /// Layout: aligned, unaligned, labelled, single or colorization; guessed from the folders if left out
    #[arg(long, conflicts_with = "method")]
    mode: Option<String>,
    /// A key of the data table, for example `crop_size=512` or `label_nc=35`
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Write a page with the report and a contact sheet: items as they are read, input and target marked. One file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the contact sheet as an image (png, jpg, webp)
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,
    /// Most items on the contact sheet, spread over the dataset
    #[arg(long, value_name = "N", default_value_t = 12)]
    items: usize,
    /// A line for each file that has a problem
    #[arg(long, short)]
    verbose: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// What was found about a dataset.
struct Findings {
    /// The configuration that reads it.
    config: DataConfig,
    report: Report,
    verdicts: Vec<Verdict>,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    let root = args.data.as_deref().map(dataset_root).unwrap_or_default();
    if let Some(missing) = missing(&root) {
        bail!(Coded(BAD_DATA, missing));
    }
    let wishes = Wishes::new(root, &args.folders, &args.set, args.mode.as_deref())?;
    refuse_overwriting(&args, &wishes.data()?.named_places())?;
    let bar = bar(0, "inspecting");
    let findings = find(&args, &wishes, &bar);
    bar.finish_and_clear();
    let Findings { config, mut report, verdicts } = findings?;
    report.notes.extend(hint(&config));
    if args.json {
        out!("{}", text::json(&config, &report, &verdicts)?);
    } else {
        text::print(&config, &report, &verdicts, args.verbose);
    }
    if args.html.is_some() || args.sheet.is_some() {
        let sheet = sheet::of(as_trained(&config, &verdicts), &report, args.items);
        if let Some(file) = &args.sheet {
            sheet::write(file, &sheet)?;
            note!("contact sheet: {}", file.display());
        }
        if let Some(file) = &args.html {
            page::write(file, &config, &report, &verdicts, &sheet)?;
            note!("page: {}", file.display());
        }
    }
    if let (Some(method), [verdict]) = (&args.method, &verdicts[..])
        && let Some(reason) = &verdict.reason
    {
        bail!(Coded(BAD_DATA, format!("{method} cannot be trained on {}: {reason}", shown(&config))));
    }
    if !report.is_usable() {
        let problems = text::counted(report.count(Severity::Error), "problem");
        bail!(Coded(BAD_DATA, format!("{} cannot be used as it is: {problems}", shown(&config))));
    }
    Ok(Done::Complete)
}

/// Inspects, and judges by each method.
fn find(args: &Args, wishes: &Wishes, bar: &ProgressBar) -> anyhow::Result<Findings> {
    let mut inspector = Inspector::default();
    let mut look = |config: &DataConfig| {
        inspector.inspect(config, |done, all| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        })
    };
    let (config, report) = reading(wishes, &mut look)?;
    let mut verdicts = Vec::new();
    for method in METHODS.iter().filter(|method| args.method.as_deref().is_none_or(|name| name == method.name)) {
        let mut verdict = Verdict::of(method, wishes, &mut look)?;
        if config.mode == DataMode::Unaligned {
            verdict.doubt_pairs();
        }
        verdicts.push(verdict);
    }
    // What is judged by one method is shown as that reads it.
    if let (Some(_), [Verdict { best: Some(best), .. }]) = (&args.method, &verdicts[..]) {
        return Ok(Findings { config: best.data.clone(), report: best.report.clone(), verdicts });
    }
    // Images that lie in a folder without parts may be pairs all the same.
    let wide = |verdict: &Verdict| verdict.best.as_ref().is_some_and(|best| best.fits() && best.holds_wide_pairs());
    if wishes.mode.is_none() && config.mode == DataMode::Single && verdicts.iter().any(wide) {
        let config = DataConfig { mode: DataMode::Aligned, ..config };
        let report = look(&config);
        return Ok(Findings { config, report, verdicts });
    }
    Ok(Findings { config, report, verdicts })
}

/// The same reading with the sizes that the first method trains at that fits, if one does.
fn as_trained<'f>(config: &'f DataConfig, verdicts: &'f [Verdict]) -> &'f DataConfig {
    let fitting = verdicts.iter().filter_map(|verdict| verdict.best.as_ref()).filter(|best| best.fits());
    fitting.map(|best| &best.data).find(|data| data.mode == config.mode).unwrap_or(config)
}

/// The dataset as its folders say that it is read, or as `--mode` says.
fn reading(wishes: &Wishes, look: &mut Look<'_>) -> anyhow::Result<(DataConfig, Report)> {
    let set = wishes.data()?;
    let recognised = recognise(&set);
    let mut config = match wishes.mode {
        None => recognised,
        Some(mode) if mode == recognised.mode => recognised,
        Some(mode) => DataConfig { mode, ..set.clone() },
    };
    if wishes.sets("instances") {
        config.instances = set.instances;
    }
    if config.mode == DataMode::Colorization {
        (config.input_nc, config.output_nc) = (1, 2);
    }
    let report = look(&config);
    let Some((label_nc, dont_care)) = wishes.fitted_labels(&config, &report) else { return Ok((config, report)) };
    let config = DataConfig { label_nc, dont_care, ..config };
    let report = look(&config);
    Ok((config, report))
}

/// A sentence about a folder that is not there.
fn missing(root: &Path) -> Option<String> {
    let absent = std::fs::symlink_metadata(root).is_err_and(|error| error.kind() == ErrorKind::NotFound);
    if root.as_os_str().is_empty() || !absent {
        return None;
    }
    let parent = gan_fs::parent(root);
    let name = root.file_name().unwrap_or_default().to_string_lossy();
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir());
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    let near = names.iter().filter_map(|n| Some((nearest::distance(&name, n)?, n))).min().map(|(_, name)| name);
    let hint = match (near, &names[..]) {
        (Some(near), _) => format!("did you mean {}?", root.with_file_name(near).display()),
        (None, []) => "check the path".to_owned(),
        (None, names) => format!("the folders in {} are {}", parent.display(), text::listed(names)),
    };
    Some(format!("there is no {}; {hint}", root.display()))
}

/// What images without partners are good for.
fn hint(config: &DataConfig) -> Option<String> {
    (config.mode == DataMode::Single && config.root.is_dir()).then(|| {
        let root = crate::shell::quoted(&config.root);
        format!(
            "these images have no partners. `gan-cli dataset pairs {root} --kind edges --out DIR/train` makes pairs of photos for pix2pix; \
             `gan-cli translate` takes such images as its input"
        )
    })
}

/// Refuses to write onto what is read.
fn refuse_overwriting(args: &Args, places: &[PathBuf]) -> anyhow::Result<()> {
    let mut inputs = Inputs::default();
    for place in places {
        if place.is_dir() { inputs.folder(place) } else { inputs.file(place) }
    }
    inputs.refuse(args.html.iter().chain(&args.sheet).map(PathBuf::as_path))?;
    args.sheet.as_deref().map_or(Ok(()), require_image)?;
    page::refuse_foreign(args.html.as_deref())
}
