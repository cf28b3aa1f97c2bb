//! Choices of algorithms that outlive the process: one JSON file for each GPU model and version of cuDNN.
use super::plan::Problem;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, io, process};

/// Where the file is, instead of the user's cache folder.
const PATH: &str = "GAN_CUDNN_PLANS";

/// An algorithm and its math type, as cuDNN numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Choice {
    pub(super) algorithm: u32,
    pub(super) math: u32,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct File {
    device: String,
    cudnn: usize,
    plans: BTreeMap<String, Choice>,
}

/// The choices for one GPU model and version of cuDNN. A file that cannot be read, is damaged, or belongs to another
/// device is as good as none; one that cannot be written costs the next process a search.
#[derive(Debug)]
pub(super) struct Saved {
    path: Option<PathBuf>,
    file: File,
}

impl Saved {
    pub(super) fn open(device: &str, cudnn: usize) -> Self {
        let path = match env::var_os(PATH) {
            Some(path) if path.is_empty() => None,
            Some(path) => Some(path.into()),
            None => cache_folder().map(|folder| folder.join(file_name(device, cudnn))),
        };
        Saved::at(path, device, cudnn)
    }

    fn at(path: Option<PathBuf>, device: &str, cudnn: usize) -> Self {
        let empty = File { device: device.to_string(), cudnn, plans: BTreeMap::new() };
        let file = path.as_deref().and_then(|path| read(path, device, cudnn)).unwrap_or(empty);
        Saved { path, file }
    }

    pub(super) fn get(&self, p: &Problem) -> Option<Choice> {
        self.file.plans.get(&p.to_string()).copied()
    }

    /// Notes a choice and writes the file.
    pub(super) fn set(&mut self, p: &Problem, choice: Choice) {
        self.file.plans.insert(p.to_string(), choice);
        let Some(path) = &self.path else { return };
        // What other processes found meanwhile is kept.
        if let Some(other) = read(path, &self.file.device, self.file.cudnn) {
            for (name, choice) in other.plans {
                self.file.plans.entry(name).or_insert(choice);
            }
        }
        // Not worth an error: without the file, the next process searches again.
        let _ = write(path, &self.file);
    }
}

fn read(path: &Path, device: &str, cudnn: usize) -> Option<File> {
    let file: File = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    (file.device == device && file.cudnn == cudnn).then_some(file)
}

/// Writes a file beside it and renames that.
fn write(path: &Path, file: &File) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // No other writer's name: processes and threads may share the file.
    static WRITES: AtomicUsize = AtomicUsize::new(0);
    let mut name = path.as_os_str().to_os_string();
    name.push(format!(".{}-{}.tmp", process::id(), WRITES.fetch_add(1, Ordering::Relaxed)));
    let temporary = PathBuf::from(name);
    fs::write(&temporary, serde_json::to_vec_pretty(file)?)?;
    fs::rename(&temporary, path).inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}

fn cache_folder() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let cache = if cfg!(windows) { set("LOCALAPPDATA") } else { None };
    cache
        .or_else(|| set("XDG_CACHE_HOME"))
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .map(|c| c.join("gan-cli"))
}

/// For example `cudnn-91900-nvidia-h200.json`.
fn file_name(device: &str, cudnn: usize) -> String {
    let name: String =
        device.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    format!("cudnn-{cudnn}-{name}.json")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::plan::{Arithmetic, Pass};
    use super::*;

    fn problem(n: usize) -> Problem {
        Problem {
            pass: Pass::Data,
            arithmetic: Arithmetic::Bf16,
            deterministic: false,
            n,
            ci: 3,
            co: 64,
            h: 256,
            w: 128,
            ho: 128,
            wo: 64,
            kh: 4,
            kw: 4,
            stride: [2, 2],
            padding: [1, 1],
        }
    }

    #[test]
    fn choices_come_back_and_those_of_others_are_kept() {
        let folder = env::temp_dir().join(format!("gan-plans-{}", process::id()));
        let path = folder.join("deep").join(file_name("NVIDIA H200", 91900));
        assert!(path.ends_with("cudnn-91900-nvidia-h200.json"));
        let open = || Saved::at(Some(path.clone()), "NVIDIA H200", 91900);
        let choice = |algorithm| Choice { algorithm, math: 1 };
        let (mut a, mut b) = (open(), open());
        a.set(&problem(1), choice(1));
        b.set(&problem(2), choice(2));
        b.set(&problem(2), choice(3));
        let c = open();
        assert_eq!((c.get(&problem(1)), c.get(&problem(2))), (Some(choice(1)), Some(choice(3))));
        assert!(c.get(&problem(3)).is_none());
        // Another device's choices are no use, a damaged file is as good as none and is replaced.
        assert!(Saved::at(Some(path.clone()), "NVIDIA H100", 91900).get(&problem(1)).is_none());
        fs::write(&path, "{\"device\":").unwrap();
        let mut d = open();
        assert!(d.get(&problem(1)).is_none());
        d.set(&problem(4), choice(5));
        assert_eq!(open().get(&problem(4)), Some(choice(5)));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn names_tell_problems_apart() {
        assert_eq!(problem(2).to_string(), "Data Bf16 n2 3x256x128 64x128x64 k4x4 s2 p1");
    }
}
