//! A limit of memory, and what a translation takes within it.

use std::path::PathBuf;

/// What the translation of an image on the CPU may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryLimit {
    /// Bytes of memory of the whole program.
    pub memory: u64,
    /// The folder of files for what memory has no room for. They have no names.
    pub scratch: PathBuf,
    /// Bytes that these files may have.
    pub scratch_bytes: u64,
    /// Whether the limit was asked for. Then no image of many is read or written while another one is translated, and images of any number of
    /// pixels are read that fit into it.
    pub alone: bool,
}

/// How an image is translated within a [`MemoryLimit`], and what it takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// Width and height of what the network computes.
    pub size: (usize, usize),
    /// Whether all of it is computed at once, for which there is memory.
    pub whole: bool,
    /// Whether files are read and written row by row.
    pub rows: bool,
    /// Bytes of memory of the program at its peak.
    pub memory: u64,
    /// Bytes of memory of the program if all of it were computed at once.
    pub memory_of_whole: u64,
    /// Bytes of the network's parameters.
    pub parameters: u64,
    /// Bytes of weights in the form in which they are multiplied, at their most.
    pub packed: u64,
    /// Bytes of inputs that are decoded as a whole, because their formats are not read in rows.
    pub decoded: u64,
    /// Bytes of files.
    pub scratch: u64,
    /// Bytes that are written to and read from files.
    pub moved: u64,
    /// How often the rows are walked over.
    pub sweeps: usize,
    /// Layers whose results are kept in memory, in files, and not at all.
    pub places: [usize; 3],
    /// Multiply-adds.
    pub macs: u64,
    /// Multiply-adds if nothing were computed again.
    pub macs_of_whole: u64,
    /// Seconds, for the processors of this machine. A rough figure.
    pub seconds: f64,
}
