//! Convolution algorithms that are measured on this machine, in place of the rules of the crate's documentation.
//!
//! Off unless a program calls [`start`]: sums of different algorithms are rounded differently, and two measurements may choose differently. So what was
//! chosen is written down, a line for each shape, and computations that are given the same lines have the same bits. A shape is measured when it is
//! first met; that takes some twenty times as long as computing it, and room for its tensors once more.

use crate::dispatch::ConvAlgorithm;
use std::collections::HashMap;
use std::fmt;
use std::io::Write;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Whether packed weights outlive a call, which is part of what an algorithm costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Weights {
    /// They are packed for every call: training.
    Change,
    /// They are packed once: translation.
    Stay,
}

/// What was chosen so far, and where new choices go.
#[derive(Debug)]
pub(crate) struct Tuning {
    pub(crate) weights: Weights,
    chosen: Mutex<Chosen>,
}

struct Chosen {
    algorithms: HashMap<String, ConvAlgorithm>,
    new: Box<dyn Write + Send>,
}

impl fmt::Debug for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.algorithms).finish()
    }
}

static TUNING: OnceLock<Tuning> = OnceLock::new();

/// From now on every convolution of F32 on the CPU takes the algorithm that `known` names for its shape. One that is missing is measured, and its line written
/// to `new` at once, with a single call. Lines of `known` that name nothing are passed over. The first call counts, for the whole process.
///
/// `known` is what former processes have written, for example of a file that is opened to append.
pub fn start(known: &str, new: impl Write + Send + 'static, weights: Weights) {
    let _ = TUNING.set(Tuning::new(known, new, weights));
}

/// The choices of this process, if [`start`] was called.
pub(crate) fn current() -> Option<&'static Tuning> {
    TUNING.get()
}

const NAMES: [(&str, ConvAlgorithm); 3] =
    [("gemm", ConvAlgorithm::ImplicitGemm), ("stream", ConvAlgorithm::Im2col), ("winograd", ConvAlgorithm::Winograd)];

impl Tuning {
    fn new(known: &str, new: impl Write + Send + 'static, weights: Weights) -> Tuning {
        let mut algorithms = HashMap::new();
        for (shape, name) in known.lines().filter_map(|line| line.split_once(" = ")) {
            if let Some((_, algorithm)) = NAMES.iter().find(|(known, _)| *known == name) {
                // Of two processes that measured at a time the first one counts.
                algorithms.entry(shape.to_owned()).or_insert(*algorithm);
            }
        }
        Tuning { weights, chosen: Mutex::new(Chosen { algorithms, new: Box::new(new) }) }
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
        let Chosen { algorithms, new } = &mut *chosen;
        // Another thread may have been faster; its choice is in use.
        if let Some(algorithm) = algorithms.get(&shape) {
            return *algorithm;
        }
        if let Some((name, _)) = NAMES.iter().find(|(_, known)| *known == measured) {
            // What cannot be written is measured again by the next process.
            let _ = new.write_all(format!("{shape} = {name}\n").as_bytes());
        }
        algorithms.insert(shape, measured);
        measured
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn choices_are_made_once_and_written_down() {
        let lines = Lines::default();
        let tuning =
            Tuning::new("a = winograd\na = gemm\n# b = gemm\nc = fft\nd = wino", lines.clone(), Weights::Change);
        let choose = |shape: &str, measured| tuning.algorithm(shape.into(), || measured);
        assert_eq!(choose("a", ConvAlgorithm::Im2col), ConvAlgorithm::Winograd);
        for shape in ["b", "c", "d"] {
            assert_eq!(choose(shape, ConvAlgorithm::Im2col), ConvAlgorithm::Im2col);
            assert_eq!(choose(shape, ConvAlgorithm::ImplicitGemm), ConvAlgorithm::Im2col);
        }
        let written = lines.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        assert_eq!(String::from_utf8_lossy(&written), "b = stream\nc = stream\nd = stream\n");
    }
}
