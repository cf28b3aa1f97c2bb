//! Convolution algorithms that are measured on this machine, in place of the rules of the crate's documentation.
//!
//! Off unless a program calls [`start`]: sums of different algorithms are rounded differently, and two measurements may choose differently. So what was
//! chosen is written to a file, and computations that use the same file have the same bits. A shape is measured when it is first met; that takes several times as
//! long as computing it, and room for its tensors once more.

use crate::dispatch::ConvAlgorithm;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Whether packed weights outlive a call, which is part of what an algorithm costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Weights {
    /// They are packed for every call: training.
    Change,
    /// They are packed once: translation.
    Stay,
}

/// The choices of a file.
#[derive(Debug)]
pub(crate) struct Tuning {
    pub(crate) weights: Weights,
    chosen: Mutex<Chosen>,
}

#[derive(Debug)]
struct Chosen {
    algorithms: HashMap<String, ConvAlgorithm>,
    file: File,
}

static TUNING: OnceLock<Tuning> = OnceLock::new();

/// From now on every convolution of F32 on the CPU takes the algorithm that `file` names for its shape; one that is missing is measured and added. The
/// file is made if there is none. The first call counts, for the whole process.
///
/// # Errors
/// The file cannot be opened, read or written, or was not written by this function.
pub fn start(file: &Path, weights: Weights) -> io::Result<()> {
    let tuning = Tuning::open(file, weights)?;
    let _ = TUNING.set(tuning);
    Ok(())
}

/// The choices of this process, if [`start`] was called.
pub(crate) fn current() -> Option<&'static Tuning> {
    TUNING.get()
}

/// The first line of a file.
const HEAD: &str = "# Convolution algorithms measured by gan-kernels. Lines may be removed; they are measured again.";

const NAMES: [(&str, ConvAlgorithm); 3] =
    [("gemm", ConvAlgorithm::ImplicitGemm), ("stream", ConvAlgorithm::Im2col), ("winograd", ConvAlgorithm::Winograd)];

impl Tuning {
    fn open(path: &Path, weights: Weights) -> io::Result<Tuning> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        if text.is_empty() {
            writeln!(file, "{HEAD}")?;
        } else if !text.starts_with(HEAD) {
            return Err(io::Error::new(ErrorKind::InvalidData, "it holds something else than measured algorithms"));
        } else if !text.ends_with('\n') {
            // A process was killed while it wrote.
            writeln!(file)?;
        }
        let mut algorithms = HashMap::new();
        for (shape, name) in text.lines().filter_map(|line| line.split_once(" = ")) {
            if let Some((_, algorithm)) = NAMES.iter().find(|(known, _)| *known == name) {
                // Of two processes that measured at a time the first one counts.
                algorithms.entry(shape.to_owned()).or_insert(*algorithm);
            }
        }
        Ok(Tuning { weights, chosen: Mutex::new(Chosen { algorithms, file }) })
    }

    /// The algorithm for `shape`, measured by `measure` if it was never met.
    pub(crate) fn algorithm(&self, shape: String, measure: impl FnOnce() -> ConvAlgorithm) -> ConvAlgorithm {
        // The map is whole at every point where a panic could happen.
        let lock = || self.chosen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(algorithm) = lock().algorithms.get(&shape) {
            return *algorithm;
        }
        let measured = measure();
        let mut chosen = lock();
        let Chosen { algorithms, file } = &mut *chosen;
        if let Some((name, _)) = NAMES.iter().find(|(_, known)| *known == measured) {
            // One write, so that lines of several processes do not mix. What cannot be written is measured again next time.
            let _ = file.write_all(format!("{shape} = {name}\n").as_bytes());
        }
        // Another thread may have been faster; its choice is in use.
        *algorithms.entry(shape).or_insert(measured)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;

    #[test]
    fn choices_outlive_the_process() {
        let path = std::env::temp_dir().join(format!("gan-kernels-tuning-{}", std::process::id()));
        let choose = |tuning: &Tuning, shape: &str, measured| tuning.algorithm(shape.into(), || measured);
        let first = Tuning::open(&path, Weights::Change).unwrap();
        assert_eq!(choose(&first, "a", ConvAlgorithm::Winograd), ConvAlgorithm::Winograd);
        assert_eq!(choose(&first, "a", ConvAlgorithm::Im2col), ConvAlgorithm::Winograd);
        let beside = Tuning::open(&path, Weights::Change).unwrap();
        assert_eq!(choose(&first, "b", ConvAlgorithm::Im2col), ConvAlgorithm::Im2col);
        assert_eq!(choose(&beside, "b", ConvAlgorithm::ImplicitGemm), ConvAlgorithm::ImplicitGemm);
        drop((first, beside));
        // A line that was not finished, and one of a later version.
        let torn = fs::read_to_string(&path).unwrap() + "c = fft\nd = wino";
        fs::write(&path, torn).unwrap();
        let again = Tuning::open(&path, Weights::Change).unwrap();
        assert_eq!(choose(&again, "b", ConvAlgorithm::ImplicitGemm), ConvAlgorithm::Im2col);
        for shape in ["c", "d"] {
            assert_eq!(choose(&again, shape, ConvAlgorithm::ImplicitGemm), ConvAlgorithm::ImplicitGemm);
        }
        let last = Tuning::open(&path, Weights::Change).unwrap();
        assert_eq!(choose(&last, "d", ConvAlgorithm::Winograd), ConvAlgorithm::ImplicitGemm);
        fs::write(&path, "somebody's notes\n").unwrap();
        assert_eq!(Tuning::open(&path, Weights::Change).unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(fs::read_to_string(&path).unwrap(), "somebody's notes\n");
        fs::remove_file(&path).unwrap();
    }
}
