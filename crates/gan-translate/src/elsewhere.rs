//! What lies at a path that is no model: what people take for one.

use gan_weights::checkpoint::{CHECKPOINTS, MANIFEST};
use std::fmt;
use std::path::{Path, PathBuf};

/// What there is instead of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Elsewhere {
    /// Nothing: the path does not exist.
    Nothing,
    /// A run that has other checkpoints than the one of this name.
    OtherCheckpoints {
        /// The run.
        run: PathBuf,
        /// Name of the checkpoint.
        name: String,
        /// Names of those that there are, ascending by step.
        found: Vec<String>,
    },
    /// A folder of weight files.
    WeightFiles(Vec<String>),
    /// The folder of checkpoints of a run; their names, ascending by step.
    Checkpoints(Vec<String>),
    /// A folder of runs.
    Runs(Vec<String>),
}

impl Elsewhere {
    /// Looks around a path that is neither a run nor a checkpoint. `None` if nothing there is known.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        if !path.exists() {
            let parent = path.parent().unwrap_or(Path::new(""));
            let found = checkpoints(parent);
            return Some(match (parent.parent(), path.file_name()) {
                (Some(run), Some(name)) if !found.is_empty() => {
                    Self::OtherCheckpoints { run: run.to_owned(), name: name.to_string_lossy().into_owned(), found }
                }
                _ => Self::Nothing,
            });
        }
        let weights = names(path, |path| path.is_file() && has_extension(path, &["pth", "pt", "safetensors"]));
        if !weights.is_empty() {
            return Some(Self::WeightFiles(weights));
        }
        let steps = checkpoints(path);
        if path.ends_with(CHECKPOINTS) && !steps.is_empty() {
            return Some(Self::Checkpoints(steps));
        }
        let runs = names(path, |path| !checkpoints(&path.join(CHECKPOINTS)).is_empty());
        (!runs.is_empty()).then_some(Self::Runs(runs))
    }
}

impl fmt::Display for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("it does not exist"),
            Self::OtherCheckpoints { run, found, .. } => {
                write!(f, "the checkpoints of {} are {}", run.display(), found.join(", "))
            }
            Self::WeightFiles(names) => write!(f, "it holds the weight files {}", names.join(", ")),
            Self::Checkpoints(names) => write!(f, "it holds the checkpoints {}", names.join(", ")),
            Self::Runs(names) => write!(f, "it holds the runs {}", names.join(", ")),
        }
    }
}

/// Names of the checkpoints in a folder of checkpoints, ascending by step.
fn checkpoints(folder: &Path) -> Vec<String> {
    let mut steps = names(folder, |path| path.join(MANIFEST).is_file());
    steps.sort_by_key(|name| (name.parse::<u64>().unwrap_or(u64::MAX), name.clone()));
    steps
}

/// Names in a folder of what is wanted, sorted; none if it cannot be read. Hidden ones are left out.
fn names(folder: &Path, wanted: impl Fn(&Path) -> bool) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| wanted(path)).collect();
    let mut names: Vec<String> =
        paths.iter().filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    names
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension().is_some_and(|extension| extensions.iter().any(|e| extension.eq_ignore_ascii_case(e)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn folders_tell_what_they_hold() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for step in ["30", "5", "100"] {
            fs::create_dir_all(at("runs/one/checkpoints").join(step)).unwrap();
            fs::write(at("runs/one/checkpoints").join(step).join("manifest.json"), "{}").unwrap();
        }
        fs::create_dir_all(at("python")).unwrap();
        fs::create_dir_all(at("empty")).unwrap();
        for name in ["latest_net_G_A.pth", "latest_net_D_A.pth", ".hidden.pth", "opt.txt"] {
            fs::write(at("python").join(name), "").unwrap();
        }
        let found = owned(&["5", "30", "100"]);
        let other = Elsewhere::OtherCheckpoints { run: at("runs/one"), name: "999".into(), found: found.clone() };
        for (name, expected) in [
            ("runs/one/checkpoints/999", Some(other)),
            ("python", Some(Elsewhere::WeightFiles(owned(&["latest_net_D_A.pth", "latest_net_G_A.pth"])))),
            ("runs", Some(Elsewhere::Runs(owned(&["one"])))),
            ("runs/one/checkpoints", Some(Elsewhere::Checkpoints(found))),
            ("nowhere/at/all", Some(Elsewhere::Nothing)),
            ("empty", None),
        ] {
            assert_eq!(Elsewhere::of(&at(name)), expected, "{name}");
        }
    }
}
