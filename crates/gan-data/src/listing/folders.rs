//! Which folders hold no images of a dataset: hidden ones, parts, training runs.

use std::ffi::OsStr;
use std::path::Path;

/// Names of the parts into which datasets are divided, in lower case.
const PARTS: [&str; 10] =
    ["train", "training", "val", "valid", "validation", "test", "testing", "eval", "evaluation", "holdout"];

/// What may follow the name of a part in the name of its folder, in lower case; a year may, too.
const SIDES: [&str; 13] =
    ["", "a", "b", "label", "labels", "img", "imgs", "image", "images", "inst", "photos", "set", "data"];

/// Whether a file or folder is hidden by its name.
pub(crate) fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// Whether a folder's name is that of a part of a dataset, or of one side of a part: `test`, `trainA`, `val_img`.
pub(crate) fn is_part(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_ascii_lowercase();
    PARTS.iter().any(|part| {
        name.strip_prefix(part).is_some_and(|rest| {
            let side = rest.trim_start_matches(['_', '-', ' ']);
            SIDES.contains(&side) || side.bytes().all(|b| b.is_ascii_digit())
        })
    })
}

/// Whether a folder is that of a training run.
pub(crate) fn is_run(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name);
    has("config.toml").is_file() && (has("checkpoints").is_dir() || has("run.json").is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_known_by_name() {
        for name in ["train", "TrainA", "val_img", "test_B", "Validation", "val2017", "training_set"] {
            assert!(is_part(OsStr::new(name)), "{name}");
        }
        for name in ["trained", "horse", "latest", "testcard"] {
            assert!(!is_part(OsStr::new(name)), "{name}");
        }
    }
}
