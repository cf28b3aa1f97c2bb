//! What a command reads, and the rule that it never writes onto that.

use crate::exit::{Coded, USAGE};
use anyhow::bail;
use gan_fs::{FileId, resolve};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Refuses a `--sheet` whose name is not that of an image.
///
/// # Errors
/// [`Coded`] with the code of wrong usage.
pub(crate) fn require_image(sheet: &Path) -> anyhow::Result<()> {
    let extension = sheet.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    if extension.is_some_and(|extension| ["png", "jpg", "jpeg", "webp"].contains(&&*extension)) {
        return Ok(());
    }
    bail!(Coded(USAGE, format!("--sheet {}: name a file that ends in .png, .jpg or .webp", sheet.display())))
}

/// Files and folders that a command reads. Every command that has inputs and outputs collects the former here and asks
/// about the latter before it computes anything.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    files: HashMap<FileId, PathBuf>,
    /// Folders of which everything is input: without links, and as the user wrote them.
    folders: Vec<(PathBuf, PathBuf)>,
}

impl Inputs {
    /// A file that is read. One that does not exist is reported where it is read.
    pub(crate) fn file(&mut self, path: &Path) {
        if let Ok(id) = FileId::of(path) {
            self.files.entry(id).or_insert_with(|| path.to_owned());
        }
    }

    /// A folder that is read: a file written anywhere in it would change the input.
    pub(crate) fn folder(&mut self, path: &Path) {
        if path.is_dir() {
            self.folders.push((resolve(path), path.to_owned()));
        }
    }

    /// A weight file, a checkpoint, or a run. Of a run only the checkpoints are read: results may go into its folder.
    pub(crate) fn model(&mut self, path: &Path) {
        let checkpoints = path.join("checkpoints");
        if checkpoints.is_dir() {
            self.folder(&checkpoints);
        } else if path.is_dir() {
            self.folder(path);
        } else {
            self.file(path);
        }
    }

    /// Refuses outputs that lead to an input, by whatever path or link. They need not exist yet.
    ///
    /// # Errors
    /// [`Coded`] with the code of wrong usage, naming the output and the input.
    pub(crate) fn refuse<'a>(&self, outputs: impl IntoIterator<Item = &'a Path>) -> anyhow::Result<()> {
        let mut parents: HashMap<&Path, PathBuf> = HashMap::new();
        for output in outputs {
            if let Some(input) = FileId::of(output).ok().and_then(|id| self.files.get(&id)) {
                let (output, input) = (output.display(), input.display());
                bail!(Coded(
                    USAGE,
                    format!("the output {output} is the input {input}, which would be lost; name another output")
                ));
            }
            if self.folders.is_empty() {
                continue;
            }
            // Links are followed only where there are any: asking the system about every part of every path takes long.
            let place = if output.is_symlink() {
                resolve(output)
            } else {
                let parent = output.parent().unwrap_or(Path::new(""));
                let parent = parents.entry(parent).or_insert_with(|| resolve(parent));
                parent.join(output.file_name().unwrap_or(OsStr::new("..")))
            };
            if let Some((_, folder)) = self.folders.iter().find(|(folder, _)| place.starts_with(folder)) {
                let (output, folder) = (output.display(), folder.display());
                bail!(Coded(
                    USAGE,
                    format!("the output {output} would lie in {folder}, which is read; name a place outside of it")
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;

    #[track_caller]
    fn refused(inputs: &Inputs, output: &Path) -> String {
        let error = inputs.refuse([output]).unwrap_err();
        assert_eq!(crate::exit::code_of(&error), USAGE);
        error.to_string()
    }

    #[test]
    fn every_name_of_an_input_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("sub")).unwrap();
        fs::write(at("a.png"), "a").unwrap();
        fs::write(at("b.png"), "b").unwrap();
        fs::hard_link(at("a.png"), at("hard.png")).unwrap();
        let mut inputs = Inputs::default();
        inputs.file(&at("a.png"));
        inputs.file(&at("missing.png"));
        let said = refused(&inputs, &at("sub/../a.png"));
        assert!(said.contains("sub/../a.png") && said.contains("is the input"), "{said}");
        if cfg!(unix) {
            refused(&inputs, &at("hard.png"));
        }
        inputs.refuse([&*at("b.png"), &*at("new.png"), &*at("sub/a.png"), &*at("missing.png")]).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_also_to_what_does_not_exist_yet() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("photos")).unwrap();
        fs::create_dir_all(at("run/checkpoints/5")).unwrap();
        fs::write(at("photos/a.png"), "a").unwrap();
        symlink("photos", at("link")).unwrap();
        symlink("photos/a.png", at("to-a.png")).unwrap();
        symlink("run/checkpoints/5", at("into")).unwrap();
        let mut inputs = Inputs::default();
        inputs.file(&at("photos/a.png"));
        inputs.model(&at("run"));
        refused(&inputs, &at("link/a.png"));
        refused(&inputs, &at("to-a.png"));
        let said = refused(&inputs, &at("into/g.pth"));
        assert!(said.contains("run/checkpoints"), "{said}");
        refused(&inputs, &at("run/checkpoints/9/deep/g.pth"));
        inputs.refuse([&*at("link/b.png"), &*at("run/g.pth"), &*at("run/out/x.png")]).unwrap();
    }
}
