//! The compiler's folder: what the wheels hold, laid out as an installed toolkit is.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use zip::ZipArchive;

/// Where a wheel keeps the toolkit's files.
const INSIDE: &str = "nvidia/cu13";

/// Unpacks the toolkit's part of a wheel into `tree`, which then has `bin`, `include`, `lib` and `nvvm`; its licence goes
/// to `licences/NAME`.
///
/// The file's hash is known, so its contents are trusted as far as it goes; names that lead out of `tree` are refused all
/// the same.
///
/// # Errors
/// When the wheel holds nothing of the toolkit, and when a file cannot be written.
pub(super) fn unpack(wheel: &Path, name: &str, tree: &Path) -> Result<()> {
    let shown = wheel.display();
    let file = File::open(wheel).with_context(|| format!("cannot open {shown}"))?;
    let mut zip = ZipArchive::new(BufReader::new(file)).with_context(|| format!("{shown} is no wheel"))?;
    let mut files = 0;
    for i in 0..zip.len() {
        let mut entry = zip.by_index(i).with_context(|| format!("{shown} is damaged"))?;
        if entry.is_dir() {
            continue;
        }
        let Some(place) = place(&entry.name()?, name) else { continue };
        let target = tree.join(&place);
        write(&mut entry, &target).with_context(|| format!("cannot write {}", target.display()))?;
        if is_program(&place) {
            make_executable(&target)?;
        }
        files += usize::from(!place.starts_with("licences"));
    }
    if files == 0 {
        bail!("{shown} holds nothing below {INSIDE}");
    }
    Ok(())
}

/// Where a file of the wheel `name` goes; `None` for what is not wanted.
fn place(path: &str, name: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    if !path.components().all(|part| matches!(part, Component::Normal(_))) {
        return None;
    }
    if let Ok(below) = path.strip_prefix(INSIDE) {
        let python = below.extension().is_some_and(|extension| extension == "py");
        return (!python && below.components().count() > 1).then(|| below.to_path_buf());
    }
    let licence = path.file_name()?.to_str()?.to_ascii_lowercase().starts_with("license");
    licence.then(|| Path::new("licences").join(name).with_extension("txt"))
}

fn write(from: &mut impl io::Read, to: &Path) -> io::Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    io::copy(from, &mut File::create(to)?).map(drop)
}

/// Programs are in `bin` and in `nvvm/bin`; the modes in a wheel do not say.
fn is_program(place: &Path) -> bool {
    let text = |path: &Path| path.extension().is_some();
    (place.starts_with("bin") || place.starts_with("nvvm/bin")) && !text(place)
}

/// Lets everybody execute the file.
pub(super) fn make_executable(path: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("cannot make {} executable", path.display()))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;

    use super::*;

    fn wheel(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.whl");
        let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
        for (name, text) in files {
            zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
        (dir, path)
    }

    #[test]
    fn a_wheel_becomes_a_toolkit() {
        let (dir, path) = wheel(&[
            ("nvidia/cu13/bin/nvcc", "program"),
            ("nvidia/cu13/bin/nvcc.profile", "text"),
            ("nvidia/cu13/include/crt/a.h", "header"),
            ("nvidia/cu13/__init__.py", ""),
            ("nvidia/__init__.py", ""),
            ("nvidia_cuda_nvcc-1.dist-info/licenses/License.txt", "terms"),
            ("nvidia_cuda_nvcc-1.dist-info/RECORD", ""),
        ]);
        let tree = dir.path().join("tree");
        unpack(&path, "nvidia-cuda-nvcc", &tree).unwrap();
        assert_eq!(fs::read_to_string(tree.join("include/crt/a.h")).unwrap(), "header");
        assert_eq!(fs::read_to_string(tree.join("licences/nvidia-cuda-nvcc.txt")).unwrap(), "terms");
        let mut there: Vec<_> = fs::read_dir(&tree).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        there.sort();
        assert_eq!(there, ["bin", "include", "licences"]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |name: &str| fs::metadata(tree.join(name)).unwrap().permissions().mode() & 0o111;
            assert_eq!((mode("bin/nvcc"), mode("bin/nvcc.profile")), (0o111, 0));
        }
    }

    #[test]
    fn nothing_leads_out_of_the_folder() {
        assert_eq!(place("nvidia/cu13/../../../bin/sh", "x"), None);
        assert_eq!(place("/nvidia/cu13/bin/nvcc", "x"), None);
    }

    #[test]
    fn a_wheel_of_something_else_is_refused() {
        let (dir, path) = wheel(&[("other/a.py", "")]);
        let error = unpack(&path, "x", &dir.path().join("tree")).unwrap_err().to_string();
        assert!(error.contains("holds nothing below nvidia/cu13"), "{error}");
    }
}
