//! The pages' HTML.

use std::fmt::Write;

use super::curve::{Curve, Curves};
use super::{Content, Preview, Status};

const STYLE: &str = "
:root { color-scheme: light dark; --line: #2563eb; --soft: #8884; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 1200px; padding: 1rem; }
h1 { font-size: 1.4rem; margin: 0 0 .25rem; } h2 { font-size: 1.05rem; margin: 1.75rem 0 .5rem; }
p { margin: .25rem 0; } nav a, nav strong { margin-right: .75rem; }
.curves { display: grid; grid-template-columns: repeat(auto-fill, minmax(260px, 1fr)); gap: .75rem; margin: 1rem 0; }
.curves figure { border: 1px solid var(--soft); border-radius: 6px; margin: 0; padding: .5rem; }
.curves svg { display: block; width: 100%; height: 90px; }
.curves figcaption { display: flex; justify-content: space-between; font-size: .85rem; }
.row { display: flex; flex-wrap: wrap; gap: .5rem; margin-bottom: .5rem; }
.row figure { margin: 0; flex: 0 1 256px; min-width: 96px; }
.row img { width: 100%; height: auto; display: block; border-radius: 3px; }
.row figcaption { font-size: .8rem; opacity: .75; }";

/// The file name of page `number`, counted from 1.
fn file_name(number: usize) -> String {
    if number == 1 { "index.html".to_owned() } else { format!("page-{number}.html") }
}

/// The number of an older page by its file name.
pub(super) fn number(name: &str) -> Option<usize> {
    name.strip_prefix("page-")?.strip_suffix(".html")?.parse().ok()
}

/// Every page: name and content. The first shows curves and the newest previews.
pub(super) fn pages(content: &Content, curves: &Curves, status: &Status, per_page: usize) -> Vec<(String, String)> {
    let newest_first: Vec<&Preview> = content.previews.iter().rev().collect();
    let chunks: Vec<&[&Preview]> =
        if newest_first.is_empty() { vec![&[]] } else { newest_first.chunks(per_page.max(1)).collect() };
    let title = if content.title.is_empty() { "training" } else { &content.title };
    let count = chunks.len();
    chunks
        .iter()
        .enumerate()
        .map(|(i, previews)| {
            let page = i + 1;
            let mut html = String::new();
            // Only a running first page reloads itself.
            let refresh = if page == 1 && status.finished.is_none() {
                "<meta http-equiv=\"refresh\" content=\"30\">\n"
            } else {
                ""
            };
            html += &format!(
                "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
                 <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n{refresh}\
                 <title>{} · step {}</title>\n<style>{STYLE}\n</style>\n</head>\n<body>\n<h1>{}</h1>\n",
                escape(title),
                status.step,
                escape(title)
            );
            if page == 1 {
                html += &format!("<p>{}</p>\n", escape(&summary(status)));
                html += &charts(curves);
            }
            html += &navigation(page, count);
            for preview in *previews {
                html += &section(preview);
            }
            if previews.is_empty() {
                html += "<p>No previews yet.</p>\n";
            }
            html += "</body>\n</html>\n";
            (file_name(page), html)
        })
        .collect()
}

fn summary(status: &Status) -> String {
    let mut parts = vec![format!("epoch {}", status.epoch)];
    parts.push(match status.total_steps {
        0 => format!("step {}", status.step),
        total => format!("step {} of {total}", status.step),
    });
    parts.extend(status.lr.map(|lr| format!("learning rate {}", short(lr))));
    parts.extend(status.images_per_s.map(|rate| format!("{rate:.1} images/s")));
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

fn navigation(page: usize, count: usize) -> String {
    if count < 2 {
        return String::new();
    }
    let link = |i: usize| {
        if i == page { format!("<strong>{i}</strong>") } else { format!("<a href=\"{}\">{i}</a>", file_name(i)) }
    };
    format!("<nav>Previews, newest first: {}</nav>\n", (1..=count).map(link).collect::<String>())
}

fn section(preview: &Preview) -> String {
    let mut html = format!("<section>\n<h2>Epoch {}, step {}</h2>\n", preview.epoch, preview.step);
    for row in &preview.rows {
        html += "<div class=\"row\">\n";
        for image in row {
            let label = escape(&image.label);
            let _ = writeln!(
                html,
                "<figure><a href=\"images/{file}\"><img src=\"images/{file}\" width=\"{}\" height=\"{}\" loading=\"lazy\" \
                 alt=\"{label}, step {}\"></a><figcaption>{label}</figcaption></figure>",
                image.width,
                image.height,
                preview.step,
                file = escape(&image.file),
            );
        }
        html += "</div>\n";
    }
    html + "</section>\n"
}

fn charts(curves: &Curves) -> String {
    let figures: String = curves.iter().map(chart).collect();
    if figures.is_empty() { figures } else { format!("<div class=\"curves\">\n{figures}</div>\n") }
}

/// One curve as an inline SVG of 300 × 90 units.
fn chart(curve: &Curve) -> String {
    const WIDTH: f64 = 300.0;
    const HEIGHT: f64 = 90.0;
    let values = || curve.points.iter().map(|&(_, value)| value);
    let low = values().fold(f64::INFINITY, f64::min);
    let high = values().fold(f64::NEG_INFINITY, f64::max);
    let (Some(first), Some(last)) = (curve.points.first(), curve.points.last()) else { return String::new() };
    let x = |step: u64| match last.0.saturating_sub(first.0) {
        0 => WIDTH / 2.0,
        span => step.saturating_sub(first.0) as f64 / span as f64 * WIDTH,
    };
    // A flat curve runs through the middle.
    let y = |value: f64| {
        let height = if high > low { (value - low) / (high - low) } else { 0.5 };
        HEIGHT - 3.0 - height * (HEIGHT - 6.0)
    };
    let points: Vec<String> = curve.points.iter().map(|&(s, v)| format!("{:.1},{:.1}", x(s), y(v))).collect();
    let name = escape(&curve.name);
    format!(
        "<figure><figcaption><b>{name}</b><span>{}</span></figcaption>\
         <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{name} over steps {} to {}\">\
         <polyline fill=\"none\" stroke=\"var(--line)\" stroke-width=\"1.5\" vector-effect=\"non-scaling-stroke\" points=\"{}\"/></svg>\
         <figcaption><span>{} to {}</span><span>steps {}–{}</span></figcaption></figure>\n",
        short(curve.last),
        first.0,
        last.0,
        points.join(" "),
        short(low),
        short(high),
        first.0,
        last.0
    )
}

/// Four significant digits.
fn short(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 || (1e-3..1e4).contains(&magnitude) {
        let digits = if magnitude >= 100.0 {
            1
        } else if magnitude >= 1.0 {
            3
        } else {
            5
        };
        format!("{value:.digits$}")
    } else {
        format!("{value:.3e}")
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}
