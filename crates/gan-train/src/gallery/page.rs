//! The page: HTML, style and script in one file, with its data.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::curve::Curves;
use super::epochs::Epochs;
use super::html::escape;
use super::{Preview, Status};

const TEMPLATE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str =
    concat!(include_str!("page/charts.js"), include_str!("page/images.js"), include_str!("page/main.js"));

/// What the page shows of a run. The script reads it as JSON.
#[derive(Debug, Serialize)]
pub(super) struct RunView<'a> {
    pub(super) name: &'a str,
    pub(super) summary: String,
    pub(super) step: u64,
    /// 0 if it is not known.
    pub(super) total: u64,
    pub(super) finished: bool,
    /// Newer data can come to lie beside the page.
    pub(super) live: bool,
    pub(super) curves: &'a Curves,
    pub(super) epochs: &'a Epochs,
    pub(super) previews: &'a [Preview],
    /// Images that are part of the page, by file name, as `data:` URLs.
    pub(super) images: BTreeMap<String, String>,
    /// Names and values: method, command, device, …
    pub(super) facts: &'a [(String, String)],
    /// `config.toml`.
    pub(super) settings: &'a str,
}

/// The data as JSON that may stand in a script element.
pub(super) fn data(runs: &[RunView]) -> serde_json::Result<String> {
    Ok(in_script(&serde_json::to_string(runs)?))
}

/// How the script begins that hands newer data to an open page, and how it ends.
const UPDATE: [&str; 2] = ["window.galleryData(", ");"];

/// The script that hands newer data to an open page.
pub(super) fn update(data: &str) -> String {
    let [begin, end] = UPDATE;
    format!("{begin}{data}{end}\n")
}

/// The data in such a script.
pub(super) fn data_in(update: &str) -> Option<&str> {
    let [begin, end] = UPDATE;
    update.trim_end().strip_prefix(begin)?.strip_suffix(end)
}

/// The page about these runs, with [`data`] of them.
pub(super) fn page(title: &str, runs: &[RunView], data: &str) -> String {
    let [run, ..] = runs else { return String::new() };
    let summary = if runs.len() == 1 { run.summary.clone() } else { format!("{} runs", runs.len()) };
    let newest = run.previews.last().map(|preview| static_rows(run, preview)).unwrap_or_default();
    render(title, &summary, &newest, data)
}

/// The page with this data; `newest` is HTML for browsers that run no script.
pub(super) fn render(title: &str, summary: &str, newest: &str, data: &str) -> String {
    let (title, summary) = (escape(title), escape(summary));
    // In one pass: what is put in may hold anything.
    let mut html = String::with_capacity(TEMPLATE.len() + STYLE.len() + SCRIPT.len() + data.len());
    for part in TEMPLATE.split("{{") {
        let Some((name, rest)) = part.split_once("}}") else {
            html += part;
            continue;
        };
        html += match name {
            "title" => &title,
            "summary" => &summary,
            "style" => STYLE,
            "script" => SCRIPT,
            "static" => newest,
            "data" => data,
            _ => "",
        };
        html += rest;
    }
    html
}

/// JSON that may stand in a script element.
pub(super) fn in_script(json: &str) -> String {
    json.replace('<', "\\u003c")
}

/// Previews for browsers that run no script.
fn static_rows(run: &RunView, preview: &Preview) -> String {
    let mut html = format!("<p>Epoch {}, step {}</p>\n", preview.epoch, preview.step);
    let first_held_out = preview.rows.len() - preview.held_out.len().min(preview.rows.len());
    for (i, row) in preview.rows.iter().enumerate() {
        if let Some(name) = i.checked_sub(first_held_out).and_then(|i| preview.held_out.get(i)) {
            let _ = writeln!(html, "<p>Held out: {}</p>", escape(name));
        }
        let _ = writeln!(html, "<div class=\"row\" style=\"--columns: {0}; --narrow: {0}\">", row.len());
        for image in row {
            let (label, file) = (escape(&image.label), escape(&image.file));
            let source = run.images.get(&image.file).cloned().unwrap_or_else(|| format!("images/{file}"));
            let _ = writeln!(
                html,
                "<figure><img src=\"{source}\" width=\"{}\" height=\"{}\" alt=\"{label} of image {}, step {}\"><figcaption>{label}</figcaption></figure>",
                image.width,
                image.height,
                i + 1,
                preview.step,
            );
        }
        html += "</div>\n";
    }
    html
}

/// The line below the title.
pub(super) fn summary(status: &Status) -> String {
    let mut parts = vec![format!("epoch {}", status.epoch)];
    parts.push(match status.total_steps {
        0 => format!("step {}", status.step),
        total => format!("step {} of {total}", status.step),
    });
    parts.extend(status.lr.map(|lr| format!("learning rate {lr:.3e}")));
    parts.extend(status.images_per_s.filter(|&rate| rate > 0.0).map(|rate| match rate < 1.0 {
        true => format!("{:.1} s an image", 1.0 / rate),
        false => format!("{rate:.1} images/s"),
    }));
    if status.rewinds > 0 {
        parts.push(format!("rewinds: {}", status.rewinds));
    }
    match (&status.finished, status.eta_s) {
        (Some(reason), _) => parts.push(reason.clone()),
        (None, Some(eta)) => parts.push(format!("about {} left", duration(eta))),
        (None, None) => {}
    }
    parts.join(" · ")
}

fn duration(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round() as u64;
    match (minutes / 60, minutes % 60) {
        (0, 0) => "a minute".to_owned(),
        (0, m) => format!("{m} min"),
        (h, m) => format!("{h} h {m} min"),
    }
}
