//! What helps a command that runs out of memory, and how much one took.

use crate::args::Command;
use candle_core::Device;
use gan_translate::device::peak_memory;
use std::sync::OnceLock;

static REMEDY: OnceLock<&'static str> = OnceLock::new();

/// What the remedies of commands begin with that know the option.
const LOWER: &str = "give a lower --max-memory, or ";

/// Notes which command runs; the first call counts.
pub(crate) fn prepare(command: &Command) {
    let remedy = match command {
        Command::Train(_) | Command::Demo(_) => {
            "lower batch_size (train.accumulate makes up for it), load_size and crop_size, or give --set train.checkpointing=true"
        }
        Command::Translate(_) => {
            "give a lower --max-memory, or use smaller images, for example by --preprocess scale_width --load-size 512"
        }
        Command::Video(_) => {
            "give a lower --max-memory, or scale the video down, for example with `ffmpeg -i IN -vf scale=-2:480 OUT`"
        }
        Command::Bench(_) => "lower --size and --batch",
        Command::Serve(_) => "give a lower --max-memory, or send smaller images, or serve fewer models",
        Command::EncodeFeatures(_) | Command::Evaluate(_) => "give a lower --max-memory, or use smaller images",
        Command::Dataset(_) => "use smaller images",
        Command::Export(_) => "give a smaller --size",
        Command::Convert(_)
        | Command::Verify(_)
        | Command::Summary(_)
        | Command::Fetch(_)
        | Command::Presets(_)
        | Command::Watch(_)
        | Command::Config(_)
        | Command::Completions(_)
        | Command::Man(_) => return,
    };
    let _ = REMEDY.set(remedy);
}

/// What lets the running command do with less memory, as a clause.
pub(crate) fn remedy() -> Option<&'static str> {
    REMEDY.get().copied()
}

/// The same beside --max-memory, and whether the running command knows that option.
pub(crate) fn remedy_beside_limit() -> (&'static str, bool) {
    let remedy = remedy().unwrap_or("use smaller images");
    remedy.strip_prefix(LOWER).map_or((remedy, false), |rest| (rest, true))
}

/// The most memory taken so far, in MiB: on a device its own, else what this process had resident, where the system tells.
pub(crate) fn peak_mib(device: &Device) -> anyhow::Result<Option<u64>> {
    Ok(peak_memory(device)?.map(|bytes| bytes >> 20).or_else(peak_resident_mib))
}

/// The most memory that this process ever had resident, where the system tells (Linux).
fn peak_resident_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024)
}
