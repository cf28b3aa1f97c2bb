//! What the command line names: the model, what is read, where results go.

use crate::exit::{BAD_DATA, Coded, USAGE};
use anyhow::bail;
use gan_data::DecodeLimits;
use gan_fs::resolve;
use gan_translate::is_weight_file;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The paths of a call: `MODEL IN… OUT`, or each by its option.
#[derive(clap::Args)]
pub(super) struct PathArgs {
    /// The model, images or folders of them, and where to write: short for --model, --input and --output
    #[arg(value_names = ["MODEL", "IN", "OUT"], num_args = 3.., conflicts_with_all = ["model", "input", "list", "output"])]
    paths: Vec<PathBuf>,
    /// Run folder, checkpoint folder, or weight file (.pth, .safetensors)
    #[arg(long, required_unless_present = "paths")]
    model: Option<PathBuf>,
    /// Images (for pix2pixHD: label maps) or folders of them; - is one image on standard input
    #[arg(long, required_unless_present_any = ["paths", "list"], num_args = 1..)]
    input: Vec<PathBuf>,
    /// A file that names inputs, one a line (or each ended by a NUL byte, as `find -print0` writes them); - is standard input
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// Where to write: a folder, or a file (png, jpg, webp, tiff, bmp, ppm, pgm, npy, planes) if the input is one file; - is standard
    /// output. Below an input folder, it is left out of the input
    #[arg(long, required_unless_present = "paths")]
    output: Option<PathBuf>,
}

/// The paths of a call.
pub(super) struct Paths {
    pub(super) model: PathBuf,
    pub(super) inputs: Vec<PathBuf>,
    pub(super) output: PathBuf,
}

impl PathArgs {
    /// The paths, those of the list included.
    ///
    /// # Errors
    /// [`Coded`]: the list cannot be read or names nothing.
    pub(super) fn resolve(&self) -> anyhow::Result<Paths> {
        if let [model, inputs @ .., output] = &self.paths[..] {
            return Ok(Paths { model: model.clone(), inputs: inputs.to_vec(), output: output.clone() });
        }
        let (Some(model), Some(output)) = (self.model.clone(), self.output.clone()) else {
            bail!(Coded(USAGE, "name a model, inputs and where to write".into()));
        };
        let mut inputs = self.input.clone();
        if let Some(list) = &self.list {
            inputs.extend(read_list(list)?);
        }
        Ok(Paths { model, inputs, output })
    }
}

impl PathArgs {
    pub(super) fn reads_list_from_standard_input(&self) -> bool {
        self.list.as_deref() == Some(Path::new("-"))
    }
}

impl Paths {
    /// What the model is called: its folder, or its file without the extension.
    pub(super) fn model_name(&self) -> OsString {
        let model = resolve(&self.model);
        let name = if self.of_weights() { model.file_stem() } else { model.file_name() };
        name.unwrap_or(OsStr::new("model")).to_owned()
    }

    /// Whether the model is a bare weight file.
    pub(super) fn of_weights(&self) -> bool {
        is_weight_file(&self.model)
    }
}

/// The image that standard input brings.
///
/// # Errors
/// [`Coded`]: it cannot be read, brings nothing, or more than an image may have.
pub(super) fn read_standard_input() -> anyhow::Result<Vec<u8>> {
    let most = DecodeLimits::default().max_bytes;
    let mut bytes = Vec::new();
    if let Err(error) = std::io::stdin().lock().take(most + 1).read_to_end(&mut bytes) {
        bail!(Coded(BAD_DATA, format!("cannot read an image from standard input: {error}")));
    }
    if bytes.is_empty() {
        bail!(Coded(BAD_DATA, "standard input is empty; send it one image".into()));
    }
    if bytes.len() as u64 > most {
        bail!(Coded(BAD_DATA, format!("standard input brings more than {} MiB; scale the image down", most >> 20)));
    }
    Ok(bytes)
}

fn read_list(list: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let standard_input = list == Path::new("-");
    let shown = if standard_input { "standard input".to_owned() } else { list.display().to_string() };
    let mut bytes = Vec::new();
    let read = if standard_input {
        std::io::stdin().lock().read_to_end(&mut bytes).map(drop)
    } else {
        std::fs::read(list).map(|read| bytes = read)
    };
    if let Err(error) = read {
        bail!(Coded(BAD_DATA, format!("cannot read the list {shown}: {error}")));
    }
    let names = split(&bytes);
    if names.is_empty() {
        bail!(Coded(BAD_DATA, format!("the list {shown} names no file; write one path a line")));
    }
    Ok(names)
}

/// The names of a list. Names are bytes: where a NUL byte occurs, it ends each of them, and line ends are part of names.
fn split(bytes: &[u8]) -> Vec<PathBuf> {
    let end = if bytes.contains(&0) { 0 } else { b'\n' };
    let names = bytes.split(|&byte| byte == end);
    let names = names.map(|name| if end == 0 { name } else { name.strip_suffix(b"\r").unwrap_or(name) });
    names.filter(|name| !name.is_empty()).map(path).collect()
}

#[cfg(unix)]
fn path(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::OsStr::from_bytes(bytes).into()
}

#[cfg(not(unix))]
fn path(bytes: &[u8]) -> PathBuf {
    String::from_utf8_lossy(bytes).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::split;
    use std::path::PathBuf;

    #[test]
    fn lists_are_lines_or_ended_by_nul() {
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(split(b"a b.png\r\n\nc.png"), paths(&["a b.png", "c.png"]));
        assert_eq!(split(b"a\nb.png\0c.png\0"), paths(&["a\nb.png", "c.png"]));
        assert_eq!(split(b"\n\n"), paths(&[]));
    }
}
