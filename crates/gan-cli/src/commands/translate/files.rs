//! Which files are translated, and where the results go. Everything that can be refused about paths is refused here,
//! before a model is opened.

use super::names::{self, Source};
use super::pattern::{ModelFacts, Pattern};
use super::{FormatArg, PagesArg};
use crate::exit::{BAD_DATA, Coded, USAGE};
use crate::inputs::Inputs;
use anyhow::bail;
use gan_data::{DecodeOptions, Exclude, WriteFormat, list_images, pages_note, probe, tiff_pages};
use gan_fs::{FileId, is_same, resolve};
use gan_translate::is_planes;
use rayon::prelude::*;
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

const ALPHA_IN_JPEG: &str = "--alpha keep needs a format with alpha: JPEG has none; use --format png, webp or tiff";

/// What the command line says about files.
pub(super) struct Request<'a> {
    pub(super) inputs: &'a [PathBuf],
    pub(super) output: &'a Path,
    /// Beside the inputs, what is read: the model.
    pub(super) model: &'a Path,
    pub(super) inst: Option<&'a Path>,
    pub(super) encode: Option<&'a Path>,
    pub(super) target: Option<&'a Path>,
    /// Results are written into a folder that holds other images.
    pub(super) merge: bool,
    /// What is there already stays.
    pub(super) skip_existing: bool,
    /// Results need a format with alpha.
    pub(super) alpha: bool,
    /// Format of results in a folder, or on standard output.
    pub(super) format: Option<FormatArg>,
    /// How results in a folder are called.
    pub(super) name: Option<(&'a Pattern, &'a ModelFacts)>,
    /// Which pages of TIFF files.
    pub(super) pages: PagesArg,
    /// Beside the results, a page that shows them.
    pub(super) html: bool,
}

/// A file to translate.
pub(super) struct Translation {
    pub(super) input: PathBuf,
    /// Which page of it, counted from 0.
    pub(super) page: usize,
    /// Its path within the folder that was given, without extension.
    pub(super) stem: PathBuf,
    pub(super) output: PathBuf,
}

/// All files of a call.
pub(super) struct Plan {
    pub(super) jobs: Vec<Translation>,
    /// Whether one file was named, and not a folder.
    pub(super) single: bool,
    /// Whether the one input is what standard input brings.
    pub(super) piped: bool,
    pub(super) notes: Vec<String>,
}

impl Plan {
    /// Lists the files; a folder's structure is kept.
    ///
    /// # Errors
    /// [`Coded`]: wrong usage where results could take the place of an input or stand among other images, bad data where
    /// a folder has no images.
    pub(super) fn new(request: &Request<'_>) -> anyhow::Result<Self> {
        let Request { inputs, output, .. } = *request;
        let piped = inputs.iter().any(|input| input == Path::new("-"));
        if piped && inputs.len() > 1 {
            bail!(Coded(
                USAGE,
                "- is the one image on standard input; name it alone (./- for a file of this name)".into()
            ));
        }
        let to_file = to_file(request)?;
        let mut notes = Vec::new();
        let mut sources = Vec::new();
        for input in inputs {
            if piped {
                sources.push(Source::standard_input());
            } else if is_folder(input) {
                if !to_file && is_same(input, output) {
                    let input = input.display();
                    let message = format!(
                        "{input} is both input and output: results would be lost among the inputs; name another folder with --output"
                    );
                    bail!(Coded(USAGE, message));
                }
                let listing = list_images(input, &Exclude::outputs([output]))?;
                let left_out = listing.left_out.note();
                if listing.files.is_empty() {
                    let left_out = left_out.map_or(String::new(), |note| format!(" ({note})"));
                    bail!(Coded(BAD_DATA, format!("there are no images in {}{left_out}", input.display())));
                }
                notes.extend(left_out.map(|note| format!("{}: {note}", input.display())));
                sources.extend(listing.files.into_iter().map(|file| Source::within(input, file)));
            } else {
                sources.push(Source::alone(input));
            }
        }
        let sources = without_repetitions(sources);
        let (sources, note) = of_pages(sources, request.pages);
        notes.extend(note);
        if to_file && sources.len() > 1 {
            let (pages, output) = (sources.len(), output.display());
            bail!(Coded(
                USAGE,
                format!("{output} is one image, and the input has {pages} pages; name a folder, or one --page")
            ));
        }
        let names = if to_file { vec![output.to_owned()] } else { in_folder(request, &sources, &mut notes)? };
        let place = |(source, output): (Source, PathBuf)| {
            let Source { input, page, stem, .. } = source;
            Translation { input, page, stem, output }
        };
        let jobs = sources.into_iter().zip(names).map(place).collect();
        let single = inputs.len() == 1 && !is_folder(&inputs[0]);
        let plan = Plan { jobs, single, piped, notes };
        plan.refuse_inputs(request)?;
        if !to_file {
            plan.refuse_neighbours(request)?;
            plan.refuse_mixing(request)?;
        }
        Ok(plan)
    }

    /// Puts images of one size together, so that they can share a batch. What cannot be read comes first.
    pub(super) fn sort_by_size(&mut self) {
        let size = |job: &Translation| {
            let options = DecodeOptions { page: job.page, ..DecodeOptions::default() };
            probe(&job.input, &options).ok().map(|header| (header.width, header.height))
        };
        let mut sized: Vec<_> = std::mem::take(&mut self.jobs).into_par_iter().map(|job| (size(&job), job)).collect();
        sized.sort_by_key(|(size, _)| *size);
        self.jobs = sized.into_iter().map(|(_, job)| job).collect();
    }

    /// No result takes the place of something that is read.
    fn refuse_inputs(&self, request: &Request<'_>) -> anyhow::Result<()> {
        let mut inputs = Inputs::default();
        for job in self.jobs.iter().filter(|_| !self.piped) {
            // A folder of planes is one image.
            if job.input.is_dir() { inputs.folder(&job.input) } else { inputs.file(&job.input) }
        }
        inputs.model(request.model);
        for path in [request.inst, request.encode, request.target].into_iter().flatten() {
            if path.is_dir() { inputs.folder(path) } else { inputs.file(path) }
        }
        inputs.refuse(self.jobs.iter().map(|job| &*job.output).filter(|output| *output != Path::new("-")))
    }

    /// Beside an input, a file of the result's name is more likely another original than an earlier result.
    fn refuse_neighbours(&self, request: &Request<'_>) -> anyhow::Result<()> {
        if request.skip_existing {
            return Ok(());
        }
        for job in &self.jobs {
            let beside =
                job.output.parent().zip(job.input.parent()).is_some_and(|(a, b)| is_same(or_here(a), or_here(b)));
            if beside && job.output.exists() {
                let (input, output) = (job.input.display(), job.output.display());
                let message = format!("{output} exists already, beside the input {input}; name another output");
                bail!(Coded(USAGE, message));
            }
        }
        Ok(())
    }

    /// Results of several files never stand among images that are not theirs, unless asked for.
    fn refuse_mixing(&self, request: &Request<'_>) -> anyhow::Result<()> {
        if self.single || request.merge || request.skip_existing || !request.output.is_dir() {
            return Ok(());
        }
        let folders: Vec<&Path> = request.inputs.iter().filter(|i| is_folder(i)).map(PathBuf::as_path).collect();
        let results: HashSet<&Path> = self.jobs.iter().map(|job| &*job.output).collect();
        let inputs: HashSet<FileId> = self.jobs.iter().filter_map(|job| FileId::of(&job.input).ok()).collect();
        let mut others = list_images(request.output, &Exclude::outputs(folders))?.files;
        others.retain(|file| !results.contains(&*file.path));
        others.retain(|file| FileId::of(&file.path).is_ok_and(|id| !inputs.contains(&id)));
        let Some(first) = others.first() else { return Ok(()) };
        let (output, first) = (request.output.display(), first.path.display());
        let images = if others.len() == 1 { "an image".into() } else { format!("{} images", others.len()) };
        let and_more = if others.len() == 1 { "" } else { ", …" };
        bail!(Coded(
            USAGE,
            format!(
                "{output} holds {images} that this call does not write ({first}{and_more}): old and new results would be mixed; name another folder, or add --merge to write beside them"
            )
        ))
    }
}

/// Whether the result goes into one file that was named.
fn to_file(request: &Request<'_>) -> anyhow::Result<bool> {
    let Request { inputs, output, .. } = *request;
    let refuse = |message: String| Err(anyhow::Error::from(Coded(USAGE, message)));
    let shown = output.display();
    if request.html && output == Path::new("-") {
        return refuse("--html writes a page beside the results: name a folder as the output".into());
    }
    if output == Path::new("-") {
        if inputs.len() > 1 || is_folder(&inputs[0]) {
            return refuse("standard output (-) takes one image: name one input, or a folder as the output".into());
        }
        if request.name.is_some() {
            return refuse("standard output has no name: leave --name out".into());
        }
        return match request.format.unwrap_or(FormatArg::Png) {
            FormatArg::Planes => refuse("--format planes is a folder, which standard output cannot take".into()),
            FormatArg::Jpg if request.alpha => refuse(ALPHA_IN_JPEG.into()),
            _ => Ok(true),
        };
    }
    let ends_in_separator =
        output.as_os_str().as_encoded_bytes().last().is_some_and(|&b| std::path::is_separator(b.into()));
    let folder = is_folder(output) || ends_in_separator;
    let format = WriteFormat::of(output);
    let single = inputs.len() == 1 && !is_folder(&inputs[0]);
    if folder || single && output.extension().is_none() || !single && format == WriteFormat::NoImage {
        if output.exists() && !output.is_dir() {
            return refuse(format!("{shown} is {}; name a folder", kind(output)));
        }
        return Ok(false);
    }
    if !single {
        return refuse(format!(
            "{shown} is the name of one image, and there are several inputs; name a folder ({shown}/ if it is to be called that)"
        ));
    }
    let unused = [("--format", request.format.is_some()), ("--name", request.name.is_some()), ("--html", request.html)];
    if let Some((option, _)) = unused.into_iter().find(|(_, given)| *given) {
        return refuse(format!(
            "{shown} is one file, whose extension picks the format: leave {option} out, or name a folder ({shown}/)"
        ));
    }
    match format {
        WriteFormat::Writable { alpha: false, .. } if request.alpha => refuse(format!(
            "{shown}: this format has no alpha channel; name a .png, .webp or .tiff, or leave --alpha keep out"
        )),
        WriteFormat::Writable { .. } => Ok(true),
        _ => refuse(format!(
            "{shown}: this format cannot be written; name a file that ends in {}, or a folder ({shown}/ if it is to be called that)",
            WriteFormat::WRITABLE
        )),
    }
}

/// Where in the output folder the results go.
fn in_folder(request: &Request<'_>, sources: &[Source], notes: &mut Vec<String>) -> anyhow::Result<Vec<PathBuf>> {
    let extension = |input: &Path| request.format.unwrap_or(FormatArg::Png).extension(input);
    let (names, note) = match request.name {
        Some((pattern, _)) if pattern.picks_format() && request.format.is_some() => {
            bail!(Coded(
                USAGE,
                "the ending of --name picks the format: leave --format out, or end the name in {ext}".into()
            ))
        }
        Some((pattern, model)) => pattern.names(sources, model, &extension)?,
        None => names::unique(sources, &extension),
    };
    notes.extend(note);
    if request.alpha
        && let Some(name) =
            names.iter().find(|name| matches!(WriteFormat::of(name), WriteFormat::Writable { alpha: false, .. }))
    {
        if request.format == Some(FormatArg::Jpg) {
            bail!(Coded(USAGE, ALPHA_IN_JPEG.into()));
        }
        let name = name.display();
        // A format that is kept has alpha if its input can have it.
        if request.format != Some(FormatArg::Keep) {
            bail!(Coded(
                USAGE,
                format!("--alpha keep needs a format with alpha, and --name makes {name}; end it in .png")
            ));
        }
    }
    Ok(names.into_iter().map(|name| request.output.join(name)).collect())
}

/// A source for each page that was asked for. The second value is what the user should know.
fn of_pages(mut sources: Vec<Source>, pages: PagesArg) -> (Vec<Source>, Option<String>) {
    match pages {
        PagesArg::All => {
            let pages = |source: Source| match tiff_pages(&source.input) {
                1 => vec![source],
                count => source.pages(count),
            };
            (sources.into_iter().flat_map(pages).collect(), None)
        }
        PagesArg::One(page) => {
            sources.iter_mut().for_each(|source| source.page = page - 1);
            (sources, None)
        }
        PagesArg::First => {
            let files = sources.iter().filter(|source| source.input.is_file());
            let note = pages_note(files.map(|source| &*source.input)).map(|note| {
                let tiff = sources.iter().any(|source| tiff_pages(&source.input) > 1);
                if tiff { note + "; --page N or --page all takes other pages of a TIFF" } else { note }
            });
            (sources, note)
        }
    }
}

fn kind(path: &Path) -> &'static str {
    std::fs::metadata(path).map_or("no folder", |metadata| gan_fs::kind(metadata.file_type()))
}

/// Whether a path is a folder of images, and not a folder that is one image.
fn is_folder(path: &Path) -> bool {
    path.is_dir() && !is_planes(path)
}

/// The path of a parent: that of a bare name is empty.
fn or_here(parent: &Path) -> &Path {
    if parent.as_os_str().is_empty() { Path::new(".") } else { parent }
}

/// Takes a file that was named twice, or once itself and once by its folder, only once.
fn without_repetitions(mut sources: Vec<Source>) -> Vec<Source> {
    let mut parents: HashMap<PathBuf, PathBuf> = HashMap::new();
    let mut seen: HashSet<(PathBuf, Option<OsString>)> = HashSet::new();
    sources.retain(|source| {
        let parent = or_here(source.input.parent().unwrap_or(Path::new(""))).to_owned();
        let parent = parents.entry(parent).or_insert_with_key(|parent| resolve(parent)).clone();
        seen.insert((parent, source.input.file_name().map(OsString::from)))
    });
    sources
}
