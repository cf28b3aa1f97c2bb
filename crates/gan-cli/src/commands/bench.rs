//! `gan-cli bench`: times whole training steps and translations.
//!
//! On a device, the host waits for it before and after every run, and memory is the most that the device held at a time
//! during the timed runs; on the CPU it is the most that the process ever had resident.

mod case;

use crate::device::DeviceArgs;
use crate::exit::{Coded, Done};
use crate::memory::peak_mib;
use case::Case;
use clap::builder::{PossibleValuesParser, RangedU64ValueParser};
use gan_translate::device::{device_name, reset_peak_memory};
use serde_json::json;
use std::io::BufRead;
use std::process::Command;
use std::time::Instant;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to time: a translation (infer-…) or a whole training step (step-…) with the networks of the papers. Unless named, all of them
    /// one after the other, each in a process of its own
    #[arg(long, value_parser = PossibleValuesParser::new(case::NAMES))]
    case: Option<String>,
    /// Height and width of the images; one number is both
    #[arg(long, num_args = 1..=2, value_names = ["H", "W"], default_values_t = [256, 256], value_parser = RangedU64ValueParser::<usize>::new().range(1..=16_384))]
    size: Vec<usize>,
    /// Images in a batch
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// Timed runs
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Warm-up runs, which are not timed. The default is 2, and 4 on CUDA devices, where the third run is captured
    #[arg(long)]
    warmup: Option<u32>,
    /// One setting of a training step over those of the case: for example `checkpointing=true`. Translations take
    /// `precision`, `tf32`, `deterministic` and `cuda_graphs`
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Wait for a line on standard input before every timed run and answer with its milliseconds, so that a script
    /// can take turns with another program (benches/compare.py)
    #[arg(long, requires = "case")]
    paced: bool,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device_config: DeviceArgs,
}

impl Args {
    /// Whether it times training steps.
    pub(crate) fn trains(&self) -> bool {
        self.case.as_ref().is_some_and(|case| case.starts_with("step-"))
    }
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    let Some(name) = &args.case else { return all() };
    let device_config = args.device_config.open()?;
    let device = device_config.device.clone();
    let size = (args.size[0], args.size[args.size.len() - 1]);
    let mut case = Case::new(name, size, usize::from(args.batch), &args.set, device_config)?;
    let mut once = || -> anyhow::Result<f64> {
        device.synchronize()?;
        let start = Instant::now();
        case.run()?;
        device.synchronize()?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    };
    for _ in 0..args.warmup.unwrap_or(if device.is_cuda() { 4 } else { 2 }) {
        once()?;
    }
    reset_peak_memory(&device)?;
    let mut times = Vec::new();
    let mut turns = std::io::stdin().lock().lines();
    if args.paced {
        out!("ready");
    }
    for _ in 0..args.runs {
        if args.paced && turns.next().transpose()?.is_none() {
            break;
        }
        let ms = once()?;
        if args.paced {
            out!("{ms:.3}");
        }
        times.push(ms);
    }
    times.sort_by(f64::total_cmp);
    let (Some(&min), Some(&max)) = (times.first(), times.last()) else { return Ok(Done::Complete) };
    let peak_mib = peak_mib(&device)?;
    let round = |ms: f64| (ms * 1e3).round() / 1e3;
    let report = json!({
        "case": name,
        "size": [size.0, size.1],
        "batch": args.batch,
        "device": device_name(&device),
        "settings": args.set,
        "variant": "gan-cli",
        "threads": rayon::current_num_threads(),
        "median_ms": round(median(&times)),
        "mean_ms": round(times.iter().sum::<f64>() / times.len() as f64),
        "min_ms": round(min),
        "max_ms": round(max),
        "runs": times.len(),
        "peak_mib": peak_mib,
        "gan_cli": env!("CARGO_PKG_VERSION"),
    });
    if args.json {
        out!("{report}");
    } else {
        let memory = peak_mib.map_or(String::new(), |mib| format!("; peak memory {mib} MiB"));
        out!(
            "{} {}x{} batch {}: median {:.1} ms (minimum {min:.1}, maximum {max:.1}) of {} run{}{memory}",
            name,
            size.0,
            size.1,
            args.batch,
            median(&times),
            times.len(),
            if times.len() == 1 { "" } else { "s" },
        );
    }
    Ok(Done::Complete)
}

/// Times each case by this command with its name. A process of its own, so that the memory of one is not that of those before it.
fn all() -> anyhow::Result<Done> {
    for name in case::NAMES {
        let status =
            Command::new(std::env::current_exe()?).args(std::env::args_os().skip(1)).args(["--case", name]).status()?;
        if !status.success() {
            let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
            return Err(Coded(code, format!("{name} was not timed")).into());
        }
    }
    Ok(Done::Complete)
}

/// The median of sorted values.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&[1.0, 2.0, 9.0]), 2.0);
        assert_eq!(median(&[1.0, 2.0, 4.0, 9.0]), 3.0);
    }
}
