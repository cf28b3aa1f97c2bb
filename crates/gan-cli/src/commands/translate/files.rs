//! Which files are translated, and where the results go.

use crate::exit::{BAD_DATA, Coded};
use anyhow::bail;
use gan_data::{list_pictures, with_suffix};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A file to translate.
pub(super) struct Translation {
    pub(super) input: PathBuf,
    /// Its path within the folder that was given, without extension.
    pub(super) stem: PathBuf,
    pub(super) output: PathBuf,
}

/// Lists the files; a folder's structure is kept.
pub(super) fn jobs(inputs: &[PathBuf], output: &Path) -> anyhow::Result<Vec<Translation>> {
    let mut jobs: Vec<Translation> = Vec::new();
    for input in inputs {
        if input.is_dir() {
            let files = list_pictures(input)?;
            if files.is_empty() {
                bail!(Coded(BAD_DATA, format!("there are no pictures in {}", input.display())));
            }
            for file in files {
                let output = with_suffix(output, &file.stem, "png");
                jobs.push(Translation { input: file.path, stem: file.stem, output });
            }
        } else {
            let stem = input.file_stem().map(PathBuf::from).unwrap_or_default();
            let to_file = inputs.len() == 1 && output.extension().is_some() && !output.is_dir();
            let output = if to_file { output.to_path_buf() } else { with_suffix(output, &stem, "png") };
            jobs.push(Translation { input: input.clone(), stem, output });
        }
    }
    let mut seen = HashMap::new();
    for job in &jobs {
        if let Some(other) = seen.insert(&job.output, &job.input) {
            let (other, this, output) = (other.display(), job.input.display(), job.output.display());
            bail!(Coded(
                2,
                format!("{other} and {this} would both be written to {output}; translate them in two calls")
            ));
        }
    }
    Ok(jobs)
}
