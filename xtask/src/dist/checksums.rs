//! SHA256SUMS: one line a file, as `sha256sum --check` reads it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use gan_fetch::digest;

/// The name of the list.
pub(super) const NAME: &str = "SHA256SUMS";

/// The sums of all files in `folder` but hidden ones and the list itself, in the order of their names. So packages for several targets
/// share one list.
pub(super) fn of_folder(folder: &Path) -> Result<String> {
    let failed = || format!("cannot read {}", folder.display());
    let mut lines = Vec::new();
    for entry in fs::read_dir(folder).with_context(failed)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_file() && name != NAME && !name.starts_with('.') {
            let sums = digest::of_file(&entry.path(), |_| ()).with_context(failed)?;
            lines.push((name, sums.sha256));
        }
    }
    lines.sort();
    Ok(lines.iter().map(|(name, sum)| format!("{sum}  {name}\n")).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The hash of "abc" is that of FIPS 180-2, appendix B.1.
    #[test]
    fn files_are_listed_in_order() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b", "a", NAME, ".a.part"] {
            fs::write(dir.path().join(name), "abc").unwrap();
        }
        fs::create_dir(dir.path().join("c")).unwrap();
        let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of_folder(dir.path()).unwrap(), format!("{sum}  a\n{sum}  b\n"));
    }
}
