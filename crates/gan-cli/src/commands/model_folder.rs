//! Folders that are named as models: runs, checkpoints, and what people take for them.

use std::path::{Path, PathBuf};

/// Whether a file of a checkpoint holds tensors of the training rather than a network.
pub(crate) fn is_training_state(stem: &str) -> bool {
    matches!(stem, "optimizer" | "pool")
}

/// Names in a list: `a, b and c`.
pub(crate) fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// What to name instead of a path that is neither a run nor a checkpoint.
pub(crate) fn instead(path: &Path) -> Option<String> {
    let shown = path.display();
    let inside = |names: &[String]| {
        let first = path.join(&names[0]);
        let some = &names[..names.len().min(6)];
        let all = if names.len() > some.len() { format!("{}, …", some.join(", ")) } else { listed(some) };
        (all, first.display().to_string())
    };
    if !path.exists() {
        let parent = path.parent().unwrap_or(Path::new(""));
        let found = checkpoints(parent);
        let (Some(run), Some(name), false) = (parent.parent(), path.file_name(), found.is_empty()) else {
            return Some(format!("{shown} does not exist; name a run, a checkpoint or a weight file"));
        };
        let (name, run) = (name.display(), run.display());
        return Some(format!("there is no checkpoint {name} in {run}; there {} {}", be(&found), listed(&found)));
    }
    let weights = names(path, |path| path.is_file() && has_extension(path, &["pth", "pt", "safetensors"]));
    if !weights.is_empty() {
        let (all, first) = inside(&weights);
        return Some(format!("{shown} is no run; it holds {all}: name one of them, for example --model {first}"));
    }
    if path.ends_with("checkpoints") && !checkpoints(path).is_empty() {
        let found = checkpoints(path);
        let (all, first) = inside(&found);
        return Some(format!(
            "{shown} is no run; it holds the checkpoints {all}: name its parent, or one of them: --model {first}"
        ));
    }
    let runs = names(path, |path| !checkpoints(&path.join("checkpoints")).is_empty());
    if !runs.is_empty() {
        let (all, first) = inside(&runs);
        return Some(format!(
            "{shown} is no run; it holds the runs {all}: name one of them, for example --model {first}"
        ));
    }
    None
}

fn be(names: &[String]) -> &'static str {
    if names.len() == 1 { "is" } else { "are" }
}

/// Steps of the checkpoints in a folder of checkpoints, ascending.
fn checkpoints(folder: &Path) -> Vec<String> {
    let mut steps = names(folder, |path| path.join("manifest.json").is_file());
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

    #[test]
    fn folders_say_what_they_hold() {
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
        let said = |name: &str| instead(&at(name)).unwrap_or_default();
        assert!(
            said("runs/one/checkpoints/999").contains("there are 5, 30 and 100"),
            "{}",
            said("runs/one/checkpoints/999")
        );
        assert!(said("python").contains("it holds latest_net_D_A.pth and latest_net_G_A.pth:"), "{}", said("python"));
        assert!(said("runs").contains("the runs one:"), "{}", said("runs"));
        assert!(said("runs/one/checkpoints").contains("checkpoints 5, 30 and 100"), "{}", said("runs/one/checkpoints"));
        assert!(said("nowhere/at/all").contains("does not exist"), "{}", said("nowhere/at/all"));
        assert_eq!(said("empty"), "");
    }
}
