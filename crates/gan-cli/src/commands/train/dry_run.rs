//! `train --dry-run`: what a run would be.

use crate::exit::Done;
use crate::memory::peak_mib;
use crate::progress::human;
use crate::start::Start;
use gan_train::config::Origins;
use gan_train::{Job, Probe, probe};
use serde_json::{Map, json};
use std::fmt::Write;

/// Steps that are made: the first one warms up.
const STEPS: u64 = 2;

/// Makes the steps, and prints what a run would be. Nothing is written.
pub(super) fn run(job: Job, start: &Start, origins: &Origins, as_json: bool) -> anyhow::Result<Done> {
    let (train, device_config) = (job.config.train().clone(), job.device_config.clone());
    let (method, run) = (job.method, job.run.clone());
    let values = job.config.to_table()?;
    let settings: Vec<_> = (method.docs)()?
        .into_iter()
        .filter_map(|info| {
            let (table, key) = info.key.split_once('.')?;
            let value = values.get(table)?.get(key)?.clone();
            // A table may have been set as a whole.
            let is_default = info.default.as_ref() == Some(&value.to_string());
            let of_table = origins.get(table).filter(|origin| origin.starts_with("setting ") && !is_default);
            let origin = origins.get(&info.key).or(of_table).cloned();
            Some((info.key, value, origin.unwrap_or_else(|| "default".to_owned())))
        })
        .collect();
    let probe = probe(job, STEPS)?;
    let seconds = probe.seconds.last().copied().unwrap_or(0.0);
    let total_seconds = seconds * probe.total_steps as f64;
    let peak = peak_mib(&device_config.device)?;
    // Those that stay, and the one that is written before the oldest goes.
    let kept = match train.keep {
        0 => None,
        keep => Some(keep as u64 + 1),
    };
    let disk = kept.map(|kept| kept.saturating_mul(probe.checkpoint_bytes));
    if as_json {
        let settings =
            settings.into_iter().map(|(key, value, origin)| (key, json!({ "value": value, "origin": origin })));
        out!(
            "{:#}",
            json!({
                "method": method.name,
                "settings": settings.collect::<Map<_, _>>(),
                "items": probe.items,
                "held_out": probe.held_out,
                "folders": start.folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>(),
                "batch": probe.batch,
                "parameters": probe.networks.iter().map(|(name, n)| (name.clone(), json!(n))).collect::<Map<_, _>>(),
                "steps_per_epoch": probe.steps_per_epoch,
                "steps": probe.total_steps,
                "probe_seconds": probe.seconds,
                "seconds_per_step": seconds,
                "total_seconds": total_seconds,
                "peak_mib": peak,
                "memory_estimate": probe.memory.map(|need| json!({
                    "needed_bytes": need.needed,
                    "with_checkpointing_bytes": need.checkpointed,
                    "available_bytes": need.available,
                })),
                "checkpoint_bytes": probe.checkpoint_bytes,
                "checkpoints_kept": kept,
                "disk_bytes": disk,
                "notes": probe.notes,
            })
        );
        return Ok(Done::Complete);
    }
    for note in &probe.notes {
        note!("note: {note}");
    }
    out!("{}", table(&settings));
    out!("{}", facts(&probe, start, &run));
    let memory = peak.map_or(String::new(), |mib| format!("; peak memory {mib} MiB"));
    out!("step:        {seconds:.3} s, the first {:.3} s{memory}", probe.seconds.first().copied().unwrap_or(0.0));
    if let Some(need) = &probe.memory {
        let with = match need.checkpointed < need.needed {
            true => format!(" ({} with train.checkpointing = true)", mib(need.checkpointed)),
            false => String::new(),
        };
        let at_hand = need.available.map_or(String::new(), |bytes| format!(", of {} at hand", mib(bytes)));
        out!("memory:      about {}{with}{at_hand}, by the shapes of the networks", mib(need.needed));
    }
    let per_epoch = human(seconds * probe.steps_per_epoch as f64);
    out!(
        "time:        {} for {} steps, {per_epoch} an epoch; without validation",
        human(total_seconds),
        probe.total_steps
    );
    let checkpoint = mib(probe.checkpoint_bytes);
    out!(
        "checkpoints: {}",
        match (kept, disk) {
            (Some(kept), Some(disk)) => format!("{checkpoint} each, at most {kept} at a time: {}", mib(disk)),
            _ => format!("{checkpoint} each; train.keep = 0 keeps all"),
        }
    );
    out!("nothing was written; without --dry-run this trains into {}", run.display());
    Ok(Done::Complete)
}

/// The settings, each with where it is from.
fn table(settings: &[(String, toml::Value, String)]) -> String {
    let lines: Vec<_> = settings.iter().map(|(key, value, origin)| (format!("{key} = {value}"), origin)).collect();
    let width = lines.iter().map(|(line, _)| line.chars().count()).filter(|width| *width <= 50).max().unwrap_or(0);
    let mut text = String::new();
    for (line, origin) in lines {
        let _ = writeln!(text, "{line:width$}  # {origin}");
    }
    text
}

fn facts(probe: &Probe, start: &Start, run: &std::path::Path) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        let _ = writeln!(text, "{:12} {value}", format!("{name}:"));
    };
    if let Some([input, target]) = &start.sides {
        row("data", format!("input: {input}, target: {target}"));
    }
    let held_out = probe.held_out.map_or(String::new(), |n| format!(", {n} held out for validation"));
    row("images", format!("{}{held_out}; a batch of inputs is {:?}", probe.items, probe.batch));
    let networks = probe.networks.iter().map(|(name, parameters)| format!("{name} {parameters}"));
    row("parameters", networks.collect::<Vec<_>>().join(", "));
    let taken = run.read_dir().is_ok_and(|mut entries| entries.next().is_some());
    if taken {
        row("run folder", format!("{} is not empty: training will refuse it", run.display()));
    }
    text.trim_end().to_owned()
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
