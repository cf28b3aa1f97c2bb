//! Which files are translated, and where the results go. Everything that can be refused about paths is refused here,
//! before a model is opened.

use super::FormatArg;
use super::names::{self, Source};
use crate::exit::{BAD_DATA, Coded, USAGE};
use crate::inputs::Inputs;
use anyhow::bail;
use gan_data::{Exclude, WriteFormat, list_images, pages_note};
use gan_fs::{FileId, is_same, resolve};
use gan_translate::is_planes;
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What the command line says about files.
pub(super) struct Request<'a> {
    pub(super) inputs: &'a [PathBuf],
    pub(super) output: &'a Path,
    /// Beside the inputs, what is read: the model.
    pub(super) model: &'a Path,
    pub(super) inst: Option<&'a Path>,
    pub(super) encode: Option<&'a Path>,
    /// Results are written into a folder that holds other images.
    pub(super) merge: bool,
    /// What is there already stays.
    pub(super) skip_existing: bool,
    /// Results need a format with alpha.
    pub(super) alpha: bool,
    /// Format of results in a folder.
    pub(super) format: Option<FormatArg>,
}

/// A file to translate.
pub(super) struct Translation {
    pub(super) input: PathBuf,
    /// Its path within the folder that was given, without extension.
    pub(super) stem: PathBuf,
    pub(super) output: PathBuf,
}

/// All files of a call.
pub(super) struct Plan {
    pub(super) jobs: Vec<Translation>,
    /// Whether one file was named, and not a folder.
    pub(super) single: bool,
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
        let to_file = to_file(request)?;
        let mut notes = Vec::new();
        let mut sources = Vec::new();
        for input in inputs {
            if is_folder(input) {
                if !to_file && is_same(input, output) {
                    let input = input.display();
                    let message = format!(
                        "{input} is both input and output: results would be lost among the inputs; name another folder with --output"
                    );
                    bail!(Coded(USAGE, message));
                }
                let listing = list_images(input, &Exclude::outputs([output]))?;
                if listing.files.is_empty() {
                    let left_out = listing.left_out.note().map_or(String::new(), |note| format!(" ({note})"));
                    bail!(Coded(BAD_DATA, format!("there are no images in {}{left_out}", input.display())));
                }
                notes.extend(listing.notes(input));
                sources.extend(listing.files.into_iter().map(|file| Source::within(input, file)));
            } else {
                sources.push(Source::alone(input));
            }
        }
        notes.extend(pages_note(inputs.iter().filter(|input| input.is_file()).map(PathBuf::as_path)));
        let sources = without_repetitions(sources);
        let jobs = if to_file {
            let output = output.to_owned();
            sources.into_iter().map(|s| Translation { input: s.input, stem: s.stem, output: output.clone() }).collect()
        } else {
            if request.alpha && request.format == Some(FormatArg::Jpg) {
                let message = "--alpha keep needs a format with alpha: JPEG has none; use --format png, webp or tiff";
                bail!(Coded(USAGE, message.into()));
            }
            let (names, note) =
                names::unique(&sources, &|input| request.format.unwrap_or(FormatArg::Png).extension(input));
            notes.extend(note);
            let place = |(source, name): (Source, PathBuf)| Translation {
                input: source.input,
                stem: source.stem,
                output: output.join(name),
            };
            sources.into_iter().zip(names).map(place).collect()
        };
        let plan = Plan { jobs, single: inputs.len() == 1 && !is_folder(&inputs[0]), notes };
        plan.refuse_inputs(request)?;
        if !to_file {
            plan.refuse_neighbours(request)?;
            plan.refuse_mixing(request)?;
        }
        Ok(plan)
    }

    /// No result takes the place of something that is read.
    fn refuse_inputs(&self, request: &Request<'_>) -> anyhow::Result<()> {
        let mut inputs = Inputs::default();
        for job in &self.jobs {
            // A folder of planes is one image.
            if job.input.is_dir() { inputs.folder(&job.input) } else { inputs.file(&job.input) }
        }
        inputs.model(request.model);
        for path in [request.inst, request.encode].into_iter().flatten() {
            if path.is_dir() { inputs.folder(path) } else { inputs.file(path) }
        }
        inputs.refuse(self.jobs.iter().map(|job| &*job.output))
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
    if output == Path::new("-") {
        return refuse(
            "--output -: images are not written to standard output; name a file or a folder (./- for this name)".into(),
        );
    }
    let ends_in_separator =
        output.as_os_str().as_encoded_bytes().last().is_some_and(|&b| std::path::is_separator(b.into()));
    let folder = output.is_dir() || ends_in_separator;
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
    if request.format.is_some() {
        return refuse(format!("{shown} is one file, whose extension picks the format: leave --format out"));
    }
    match format {
        WriteFormat::Writable { alpha: false } if request.alpha => refuse(format!(
            "{shown}: this format has no alpha channel; name a .png, .webp or .tiff, or leave --alpha keep out"
        )),
        WriteFormat::Writable { .. } => Ok(true),
        _ => refuse(format!(
            "{shown}: this format cannot be written; name a file that ends in {}, or a folder ({shown}/ if it is to be called that)",
            WriteFormat::WRITABLE
        )),
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
