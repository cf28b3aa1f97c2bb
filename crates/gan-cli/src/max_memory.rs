//! `--max-memory` and `--scratch`: what the translation of an image may take.

use crate::exit::{Coded, USAGE};
use anyhow::bail;
use gan_translate::{DeviceConfig, MemoryLimit};
use std::path::PathBuf;

#[derive(clap::Args, Default)]
pub(crate) struct MemoryArgs {
    /// Memory that the program may take, such as 1GiB or 800MiB; with --device cuda, the GPU's. An image that needs more is computed in bands of rows,
    /// with the same result (on a GPU but for rounding), and may have any number of pixels. The default is what the machine, its container or the GPU has to spare
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_memory: Option<u64>,
    /// Folder for what memory has no room for. Its files have no names and vanish with the program; the default is the system's folder
    /// for temporary files, with --device cuda the memory of the host
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

/// A number of bytes: `1GiB`, `1.5G`, `800MiB`, `1000000`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1u64,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        _ => return Err("give a number and KiB, MiB, GiB or TiB, such as 1GiB".into()),
    };
    match number.parse::<f64>() {
        Ok(number) if number > 0.0 => Ok((number * factor as f64) as u64),
        _ => Err("give a number above 0 and KiB, MiB, GiB or TiB, such as 1GiB".into()),
    }
}

impl MemoryArgs {
    /// The limit of each image; `None` where none is known.
    pub(crate) fn of(&self, device: &DeviceConfig) -> anyhow::Result<Option<MemoryLimit>> {
        if let Some(scratch) = self.scratch.as_ref().filter(|scratch| !scratch.is_dir()) {
            bail!(Coded(USAGE, format!("{} is no folder: name one that exists with --scratch", scratch.display())));
        }
        let (memory, scratch) = (self.max_memory, self.scratch.as_deref());
        match device.device.is_cpu() {
            true => Ok(MemoryLimit::of_machine(memory, scratch)),
            false => Ok(MemoryLimit::of_device(&device.device, memory, scratch)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes() {
        let good = [("1GiB", 1 << 30), ("1.5g", 3 << 29), ("800 MiB", 800 << 20), ("4096", 4096), ("2T", 2 << 40)];
        for (text, bytes) in good {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "0", "GiB", "1GX", "-1", "1.2.3M", "1e9"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
