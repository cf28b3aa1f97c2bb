//! `--html`: the report and the contact sheet as one page that needs no other file.

use super::text;
use super::verdict::Verdict;
use crate::commands::data_folders::shown;
use crate::exit::{Coded, USAGE};
use crate::html::{escape, image_url};
use anyhow::bail;
use gan_data::{DataConfig, FolderReport, Report, Sheet, SheetItem};
use gan_fs::Durability;
use std::fmt::Write as _;
use std::path::Path;

/// What tells the page from others.
const MARK: &str = "<meta name=\"generator\" content=\"gan-cli dataset inspect\">";

const STYLE: &str = include_str!("page.css");

/// Copies a command when its button is pressed.
const SCRIPT: &str =
    "for (const button of document.querySelectorAll('button')) button.addEventListener('click', async () => {
  await navigator.clipboard.writeText(button.dataset.command);
  button.textContent = 'copied';
  setTimeout(() => button.textContent = 'copy', 1500);
});";

/// Refuses to replace a file that is not such a page.
///
/// # Errors
/// [`Coded`] naming it.
pub(super) fn refuse_foreign(file: Option<&Path>) -> anyhow::Result<()> {
    let Some(file) = file.filter(|file| file.exists()) else { return Ok(()) };
    let ours = std::fs::read(file).is_ok_and(|page| page.windows(MARK.len()).any(|part| part == MARK.as_bytes()));
    if !ours {
        let message =
            format!("{} was not written by this command, and stays; name another file with --html", file.display());
        bail!(Coded(USAGE, message));
    }
    Ok(())
}

/// Writes the page.
///
/// # Errors
/// What the disk answers.
pub(super) fn write(
    file: &Path,
    config: &DataConfig,
    report: &Report,
    verdicts: &[Verdict],
    sheet: &Sheet,
) -> anyhow::Result<()> {
    let html = page(config, report, verdicts, sheet)?;
    let io = |action, path: &Path, source| gan_data::Error::Io { action, path: path.to_owned(), source };
    let folder = gan_fs::parent(file);
    std::fs::create_dir_all(folder).map_err(|source| io("create", folder, source))?;
    gan_fs::replace(file, Durability::Visible, |out| out.write_all(html.as_bytes()))
        .map_err(|error| io("write", file, error.source))?;
    Ok(())
}

fn page(config: &DataConfig, report: &Report, verdicts: &[Verdict], sheet: &Sheet) -> anyhow::Result<String> {
    let title = escape(&shown(config));
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n{MARK}\n<title>{title}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n<p>{}; part {}: {}</p>\n",
        escape(&text::what(config, report)),
        escape(&report.phase),
        text::counted(report.items, "item")
    );
    if !report.other_parts.is_empty() {
        let parts = report.other_parts.iter().map(|(name, n)| format!("{name} ({})", text::counted(*n, "item")));
        let _ = writeln!(html, "<p class=\"faint\">other parts: {}</p>", escape(&parts.collect::<Vec<_>>().join(", ")));
    }
    html += "<h2>What can be trained on it</h2>\n<ul>\n";
    verdicts.iter().for_each(|verdict| html += &verdict_item(verdict));
    html += "</ul>\n<h2>Problems</h2>\n";
    html += &problems(report);
    html += "<h2>Folders</h2>\n<div class=\"folders\">\n";
    report.folders.iter().for_each(|folder| html += &folder_box(folder));
    html += "</div>\n<h2>As it is read</h2>\n";
    // The first line is the heading of the page.
    for line in sheet.title.iter().skip(1) {
        let _ = writeln!(html, "<p class=\"faint\">{}</p>", escape(line));
    }
    html += &legend(sheet);
    html += "<div class=\"items\">\n";
    for item in &sheet.items {
        html += &item_box(item)?;
    }
    let _ = write!(html, "</div>\n</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n");
    Ok(html)
}

fn verdict_item(verdict: &Verdict) -> String {
    let Verdict { method, best, reason, command } = verdict;
    let method = escape(method);
    let (Some(best), Some(command), None) = (best, command, reason) else {
        let reason = escape(reason.as_deref().unwrap_or_default());
        return format!("<li><span class=\"not\">✗ {method}</span>: {reason}</li>\n");
    };
    let note = best.reading.note.as_ref().map_or_else(String::new, |note| format!(" ({})", escape(note)));
    // Words stay whole where a line ends.
    let words: Vec<_> = command.split(' ').map(|word| format!("<span>{}</span>", escape(word))).collect();
    format!(
        "<li><span class=\"fits\">✓ {method}</span>: {}{note}\n<div class=\"command\"><code>{}</code><button type=\"button\" \
         data-command=\"{}\" aria-label=\"copy the command for {method}\">copy</button></div></li>\n",
        escape(&text::what(&best.data, &best.report)),
        words.join(" "),
        escape(command)
    )
}

fn problems(report: &Report) -> String {
    let mut html = "<ul>\n".to_owned();
    for note in &report.notes {
        let _ = writeln!(html, "<li><span class=\"note\">note</span>: {}</li>", escape(note));
    }
    for line in text::problems(&report.problems, false) {
        let (severity, rest) = line.split_once(": ").unwrap_or(("error", &line));
        let _ = writeln!(html, "<li><span class=\"{severity}\">{severity}</span>: {}</li>", escape(rest));
    }
    if report.problems.is_empty() {
        html += "<li>no problems</li>\n";
    }
    html + "</ul>\n"
}

fn folder_box(folder: &FolderReport) -> String {
    let lines = text::folder_lines(folder);
    let lines: String = lines.iter().map(|line| format!("<p>{}</p>", escape(line.trim()))).collect();
    format!("<div>{lines}</div>\n")
}

fn legend(sheet: &Sheet) -> String {
    let entry = |entry: &gan_data::Legend| {
        let [r, g, b] = entry.colour;
        format!("<span><i style=\"background:rgb({r},{g},{b})\"></i>{}</span>", escape(&entry.text))
    };
    let entries: String = sheet.legend.iter().map(entry).collect();
    if entries.is_empty() {
        entries
    } else {
        format!("<p class=\"legend\" aria-label=\"colours of labels\">{entries}</p>\n")
    }
}

fn item_box(item: &SheetItem) -> anyhow::Result<String> {
    let item = match item {
        Ok(item) => item,
        Err(reason) => return Ok(format!("<div class=\"item\"><p class=\"error\">{}</p></div>\n", escape(reason))),
    };
    let name = escape(&item.name);
    let mut html = format!("<div class=\"item\"><h3>{name}</h3><div class=\"parts\">");
    for (at, image) in item.images.iter().enumerate() {
        let (width, height) = image.pixels.size();
        let class = if image.ids { " class=\"ids\"" } else { "" };
        let _ = write!(
            html,
            "<figure class=\"part{}\"><figcaption>{}</figcaption><img{class} src=\"{}\" width=\"{width}\" height=\"{height}\" \
             alt=\"{} of {name}\"></figure>",
            at.min(2),
            image.caption,
            image_url(image.pixels.clone())?,
            image.caption
        );
    }
    Ok(html + "</div></div>\n")
}
