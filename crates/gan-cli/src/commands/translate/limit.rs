//! How much memory a translation may take, and what it would take.

use crate::exit::{Coded, USAGE};
use crate::max_memory::MemoryArgs;
use crate::wording::{bytes, worded};
use anyhow::bail;
use gan_translate::{Estimate, FileJob, Model};
use std::path::Path;

#[derive(clap::Args)]
pub(crate) struct LimitArgs {
    #[command(flatten)]
    pub(super) memory: MemoryArgs,
    /// Say what each image would take, and translate none; with --json, as JSON
    #[arg(long)]
    pub(super) plan: bool,
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
