//! A limit of memory, and what a translation takes within it.

use crate::available_memory::available;
use candle_core::Device;
use gan_kernels::device::free_memory;
use std::path::{Path, PathBuf};

/// Of the memory that is available and of the space that is free, the share that is left to others.
const RESERVE: u64 = 10;

/// What the translation of an image may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryLimit {
    /// Bytes of memory of the whole program, or of what it takes of a device's.
    pub memory: u64,
    /// Whether that is the memory of a device: the limit counts there, and nowhere else.
    pub of_device: bool,
    /// Where goes what this memory has no room for.
    pub scratch: ScratchSpace,
    /// Bytes that may go there.
    pub scratch_bytes: u64,
    /// Whether the limit was asked for. Then no image of many is read or written while another one is translated, and images of any number of
    /// pixels are read that fit into it.
    pub alone: bool,
}

/// Where results of layers go that the memory has no room for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScratchSpace {
    /// Files without names in a folder.
    Folder(PathBuf),
    /// The memory of the host.
    HostMemory,
}

impl std::fmt::Display for ScratchSpace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ScratchSpace::Folder(folder) => folder.display().fmt(f),
            ScratchSpace::HostMemory => f.write_str("the memory of the host"),
        }
    }
}

impl MemoryLimit {
    /// `memory` bytes, and files in `scratch` as far as there is room. Without `memory`, nine tenths of what the machine or its container has to
    /// spare; without `scratch`, the system's folder for temporary files. `None` if the system does not tell what there is.
    #[must_use]
    pub fn of_machine(memory: Option<u64>, scratch: Option<&Path>) -> Option<Self> {
        let scratch = scratch.map_or_else(std::env::temp_dir, Path::to_owned);
        let scratch_bytes = spare(free(&scratch));
        let alone = memory.is_some();
        let memory = memory.or_else(|| available().map(spare))?;
        Some(MemoryLimit { memory, of_device: false, scratch: ScratchSpace::Folder(scratch), scratch_bytes, alone })
    }

    /// `memory` bytes of a device, or nine tenths of what is free there, and nine tenths of the host's memory for what that has no room for, or files in `scratch`.
    /// `None` on the CPU, and if the driver does not tell what is free.
    ///
    /// # Errors
    /// CUDA's.
    pub fn of_device(
        device: &Device,
        memory: Option<u64>,
        scratch: Option<&Path>,
    ) -> candle_core::Result<Option<Self>> {
        let alone = memory.is_some();
        let Some(memory) = memory.or(free_memory(device)?.map(spare)).filter(|_| !device.is_cpu()) else {
            return Ok(None);
        };
        let (scratch, scratch_bytes) = match scratch {
            Some(folder) => (ScratchSpace::Folder(folder.to_owned()), spare(free(folder))),
            None => (ScratchSpace::HostMemory, available().map_or(0, spare)),
        };
        Ok(Some(MemoryLimit { memory, of_device: true, scratch, scratch_bytes, alone }))
    }
}

/// What of so many bytes is not left to others.
fn spare(bytes: u64) -> u64 {
    bytes - bytes / RESERVE
}

/// Bytes that files in a folder may have: none where they would be in memory.
#[cfg(unix)]
fn free(folder: &Path) -> u64 {
    #[cfg(target_os = "linux")]
    {
        const TMPFS: u64 = 0x0102_1994;
        const RAMFS: u64 = 0x8584_58f6;
        if rustix::fs::statfs(folder).is_ok_and(|system| matches!(system.f_type as u64, TMPFS | RAMFS)) {
            return 0;
        }
    }
    rustix::fs::statvfs(folder).map_or(0, |system| system.f_bavail.saturating_mul(system.f_frsize))
}

#[cfg(not(unix))]
fn free(_: &Path) -> u64 {
    u64::MAX
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
    /// Bytes that go to the [scratch space](MemoryLimit::scratch).
    pub scratch: u64,
    /// Bytes that are written to it and read from it.
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_tenth_is_left_to_others() {
        assert_eq!([spare(1000), spare(9), spare(0)], [900, 9, 0]);
        let folder = tempfile::tempdir().unwrap();
        let asked = MemoryLimit::of_machine(Some(5), Some(folder.path())).unwrap();
        assert_eq!((asked.memory, asked.of_device, asked.alone), (5, false, true));
        assert_eq!(asked.scratch, ScratchSpace::Folder(folder.path().to_owned()));
        assert!(asked.scratch_bytes <= spare(free(folder.path())) / 10 * 11);
        assert_eq!(asked.scratch_bytes > 0, free(folder.path()) > 0);
        // Without a limit, most of what there is; on a system that tells.
        if let Some(found) = MemoryLimit::of_machine(None, Some(folder.path())) {
            assert!(!found.alone && found.memory > 1 << 20);
        }
        assert_eq!(MemoryLimit::of_device(&Device::Cpu, Some(5), None).unwrap(), None);
    }
}
