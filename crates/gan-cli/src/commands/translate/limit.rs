//! How much memory a translation may take, and what it would take.

use crate::exit::{Coded, USAGE};
use crate::wording::{bytes, worded};
use anyhow::bail;
use gan_translate::{DeviceConfig, Estimate, FileJob, MemoryLimit, Model};
use std::path::{Path, PathBuf};

#[derive(clap::Args, Default)]
pub(crate) struct LimitArgs {
    /// Memory that the program may take on the CPU, such as 1GiB or 800MiB. An image that needs more is computed in bands of rows, with the same
    /// result, and may have any number of pixels. The default is what the machine or its container has to spare
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_memory: Option<u64>,
    /// Folder for what memory has no room for. Its files have no names and vanish with the program; the default is the system's folder
    /// for temporary files
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// Say what each image would take, and translate none; with --json, as JSON
    #[arg(long)]
    pub(super) plan: bool,
}

/// A number of bytes: `1GiB`, `1.5G`, `800MiB`, `1000000`.
fn size(text: &str) -> Result<u64, String> {
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

impl LimitArgs {
    /// The limit of each image; `None` where none is known, or the device has its own memory.
    pub(crate) fn of(&self, device: &DeviceConfig) -> anyhow::Result<Option<MemoryLimit>> {
        if !device.device.is_cpu() {
            if self.max_memory.is_some() || self.scratch.is_some() || self.plan {
                let message = "--max-memory, --scratch and --plan are for the CPU, whose memory they are about; leave them out, or give --device cpu";
                bail!(Coded(USAGE, message.into()));
            }
            return Ok(None);
        }
        if let Some(scratch) = self.scratch.as_ref().filter(|scratch| !scratch.is_dir()) {
            bail!(Coded(USAGE, format!("{} is no folder: name one that exists with --scratch", scratch.display())));
        }
        Ok(MemoryLimit::of_machine(self.max_memory, self.scratch.as_deref()))
    }
}

/// Prints what each image would take. With `rows`, results are written as they are, so that large images are read and written row by row.
///
/// # Errors
/// An image that cannot be read, or translated within the limit.
pub(super) fn plan(model: &Model, jobs: &[FileJob<'_>], rows: bool, as_json: bool) -> anyhow::Result<()> {
    let mut plans = Vec::new();
    for job in jobs {
        let estimate = model
            .estimate_files(&job.files, job.output, rows)
            .map_err(|error| worded(error).context(format!("cannot translate {}", job.files.input.display())))?;
        match estimate {
            Some(estimate) if as_json => plans.push(json(job.files.input, &estimate)),
            Some(estimate) => out!("{}", said(job.files.input, &estimate)),
            None => bail!(Coded(USAGE, "this system does not say how much memory there is: give --max-memory".into())),
        }
    }
    if as_json {
        out!("{:#}", serde_json::json!({ "plans": plans }));
    }
    Ok(())
}

fn json(input: &Path, e: &Estimate) -> serde_json::Value {
    let [memory, files, again] = e.places;
    serde_json::json!({
        "input": input.to_string_lossy(),
        "width": e.size.0,
        "height": e.size.1,
        "at_once": e.whole,
        "row_by_row": e.rows,
        "memory_bytes": e.memory,
        "memory_at_once_bytes": e.memory_of_whole,
        "parameters_bytes": e.parameters,
        "packed_weights_bytes": e.packed,
        "decoded_input_bytes": e.decoded,
        "scratch_bytes": e.scratch,
        "moved_bytes": e.moved,
        "sweeps": e.sweeps,
        "layers": { "in_memory": memory, "in_files": files, "computed_again": again },
        "multiply_adds": e.macs,
        "multiply_adds_at_once": e.macs_of_whole,
        "seconds": e.seconds,
    })
}

fn said(input: &Path, e: &Estimate) -> String {
    let mut text = format!("{}: {} x {} pixels", input.display(), e.size.0, e.size.1);
    let mut line = |name: &str, what: String| text += &format!("\n  {name:8} {what}");
    let weights = format!("weights {}, packed {}", bytes(e.parameters), bytes(e.packed));
    if e.whole {
        line("memory", format!("{}, all of the image at once; {weights}", bytes(e.memory)));
    } else {
        let [memory, files, again] = e.places;
        line("memory", format!("{} ({} all at once); {weights}", bytes(e.memory), bytes(e.memory_of_whole)));
        line("files", format!("{}, {} written and read", bytes(e.scratch), bytes(e.moved)));
        line(
            "sweeps",
            format!(
                "{}; results of {memory} layers in memory, of {files} in files, of {again} computed again",
                e.sweeps
            ),
        );
    }
    line(
        "image",
        match (e.rows, e.decoded) {
            (false, _) => "read and written as a whole".to_owned(),
            (true, 0) => "read and written row by row".to_owned(),
            (true, decoded) => {
                format!(
                    "decoded as a whole, {}: only PNG without interlacing and TIFF are read row by row",
                    bytes(decoded)
                )
            }
        },
    );
    let more = e.macs as f64 / e.macs_of_whole.max(1) as f64;
    line("work", format!("{:.2} T multiply-adds, {more:.2} times those of all at once", e.macs as f64 / 1e12));
    let time = match e.seconds {
        s if s < 100.0 => format!("{s:.1} s"),
        s if s < 6000.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    };
    line("time", format!("roughly {time}"));
    text
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
