//! `--html`: a page that shows inputs and results. It needs no server, and all links lead to places beside it.

use super::files::Translation;
use super::pattern::ModelFacts;
use super::report::Report;
use crate::exit::{Coded, USAGE};
use crate::html::escape;
use anyhow::bail;
use gan_data::{Filter, Image, write_image};
use gan_fs::Durability;
use gan_translate::FileJob;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Name of the page.
const FILE: &str = "index.html";

/// What tells the page from others.
const MARK: &str = "<meta name=\"generator\" content=\"gan-cli translate\">";

/// The folder of what the page shows beside the results. The file in it says that it holds no images of the user's.
const IMAGES: &str = "page-images";
const NO_INPUTS: &str = "gallery.json";

/// Longest side of images that are only shown.
const MOST: usize = 512;

/// Formats that browsers show.
const SHOWN: [&str; 6] = ["png", "jpg", "jpeg", "webp", "bmp", "gif"];

const STYLE: &str = "
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 1200px; padding: 1rem; }
h1 { font-size: 1.4rem; margin: 0 0 .25rem; } h2 { font-size: 1rem; margin: 1.5rem 0 .5rem; overflow-wrap: anywhere; }
.row { display: flex; flex-wrap: wrap; gap: .5rem; }
figure { margin: 0; max-width: min(100%, 384px); min-width: 96px; }
figure.wide { max-width: 100%; }
img { border-radius: 3px; display: block; height: auto; max-width: 100%; }
figcaption { font-size: .8rem; opacity: .75; }
ul { padding-left: 1.2rem; }";

/// A page in the making.
pub(super) struct Page {
    folder: PathBuf,
    rows: Mutex<Vec<Row>>,
}

/// One result.
struct Row {
    index: usize,
    figures: Vec<Figure>,
}

struct Figure {
    caption: &'static str,
    /// What is shown, and what a click leads to; within the folder.
    image: PathBuf,
    link: PathBuf,
}

impl Page {
    /// A page in the folder of the results.
    ///
    /// # Errors
    /// [`Coded`] where the folder has a page of another origin.
    pub(super) fn beside(folder: &Path) -> anyhow::Result<Self> {
        let file = folder.join(FILE);
        if file.exists()
            && !std::fs::read(&file).is_ok_and(|page| page.windows(MARK.len()).any(|part| part == MARK.as_bytes()))
        {
            let message = format!("{} was not written by this command, and stays; name another folder", file.display());
            bail!(Coded(USAGE, message));
        }
        Ok(Page { folder: folder.to_owned(), rows: Mutex::default() })
    }

    /// Puts a result on the page that has been written; `shown` is its input.
    pub(super) fn keep(
        &self,
        index: usize,
        job: &FileJob<'_>,
        result: &Image,
        shown: Option<&Image>,
        target: Option<&Image>,
    ) -> gan_data::Result<()> {
        let output = self.within(job.output);
        let mut figures = Vec::new();
        for (caption, image) in [("input", shown), ("target", target)] {
            let Some(image) = image else { continue };
            let path = self.small(&output, caption, image)?;
            figures.push(Figure { caption, link: path.clone(), image: path });
        }
        let image = if browsers_show(&output) { output.clone() } else { self.small(&output, "output", result)? };
        let caption = if shown.is_some() { "output" } else { "side by side" };
        let at = usize::from(shown.is_some());
        figures.insert(at, Figure { caption, image, link: output });
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).push(Row { index, figures });
        Ok(())
    }

    /// Puts a result on the page that was there already, with what an earlier page shows of it.
    pub(super) fn keep_earlier(&self, index: usize, job: &Translation) {
        let output = self.within(&job.output);
        let figure = |caption: &'static str, link: Option<&PathBuf>| {
            let image = small_name(&output, caption);
            let link = link.unwrap_or(&image).clone();
            self.folder.join(&image).is_file().then_some(Figure { caption, image, link })
        };
        let result = if browsers_show(&output) {
            Some(Figure { caption: "output", image: output.clone(), link: output.clone() })
        } else {
            figure("output", Some(&output))
        };
        let figures = [figure("input", None), result, figure("target", None)].into_iter().flatten().collect();
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).push(Row { index, figures });
    }

    fn within(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.folder).unwrap_or(path).to_owned()
    }

    /// Writes an image that is only shown.
    fn small(&self, output: &Path, what: &str, image: &Image) -> gan_data::Result<PathBuf> {
        let mark = self.folder.join(IMAGES).join(NO_INPUTS);
        if !mark.exists() {
            write(&mark, "{\"previews\":[]}\n")?;
        }
        let name = small_name(output, what);
        write_image(&self.folder.join(&name), &shrunk(image))?;
        Ok(name)
    }

    /// Writes the page.
    ///
    /// # Errors
    /// What the disk answers.
    pub(super) fn write(self, model: &ModelFacts, jobs: &[Translation], report: &Report) -> anyhow::Result<()> {
        let mut rows = self.rows.into_inner().unwrap_or_else(PoisonError::into_inner);
        rows.sort_by_key(|row| row.index);
        let title = escape(&model.name.to_string_lossy());
        let mut html = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n{MARK}\n<title>{title}</title>\n\
             <style>{STYLE}\n</style>\n</head>\n<body>\n<h1>{title}</h1>\n<p>{} of {} images</p>\n",
            rows.len(),
            jobs.len()
        );
        for row in &rows {
            let name = escape(&jobs[row.index].input.to_string_lossy());
            let page = jobs[row.index].page;
            let page = if page > 0 { format!(", page {}", page + 1) } else { String::new() };
            let _ = writeln!(html, "<h2>{name}{page}</h2>\n<div class=\"row\">");
            for Figure { caption, image, link } in &row.figures {
                let class = if row.figures.len() == 1 { " class=\"wide\"" } else { "" };
                let _ = writeln!(
                    html,
                    "<figure{class}><a href=\"{}\"><img src=\"{}\" loading=\"lazy\" alt=\"{caption} of {name}\"></a>\
                     <figcaption>{caption}</figcaption></figure>",
                    url(link),
                    url(image)
                );
            }
            html += "</div>\n";
        }
        let failures: String = report.failures().map(|failure| format!("<li>{}</li>\n", escape(failure))).collect();
        if !failures.is_empty() {
            let _ = write!(html, "<h2>Failed</h2>\n<ul>\n{failures}</ul>\n");
        }
        html += "</body>\n</html>\n";
        Ok(write(&self.folder.join(FILE), &html)?)
    }
}

fn write(path: &Path, text: &str) -> gan_data::Result<()> {
    let io = |action, path: &Path, source| gan_data::Error::Io { action, path: path.to_owned(), source };
    let folder = gan_fs::parent(path);
    std::fs::create_dir_all(folder).map_err(|source| io("create", folder, source))?;
    gan_fs::replace(path, Durability::Visible, |out| out.write_all(text.as_bytes()))
        .map_err(|error| io("write", path, error.source))
}

fn browsers_show(path: &Path) -> bool {
    path.extension().is_some_and(|extension| SHOWN.iter().any(|shown| extension.eq_ignore_ascii_case(shown)))
}

fn small_name(output: &Path, what: &str) -> PathBuf {
    let mut name = Path::new(IMAGES).join(output).into_os_string();
    name.push(format!(".{what}.png"));
    name.into()
}

/// At most [`MOST`] pixels long; of more than four channels the first.
fn shrunk(image: &Image) -> Image {
    let image = match image {
        Image::U8(raster) if raster.channels() > 4 => Image::U8(raster.channel(0)),
        Image::U16(raster) if raster.channels() > 4 => Image::U16(raster.channel(0)),
        image => image.clone(),
    };
    let (width, height) = image.size();
    let longest = width.max(height).max(MOST);
    let side = |side: usize| (side * MOST / longest).max(1);
    if longest == MOST { image } else { image.resize(side(width), side(height), Filter::Bicubic) }
}

/// A path as a relative link, byte by byte.
fn url(path: &Path) -> String {
    let part = |part: std::path::Component<'_>| -> String {
        let bytes = part.as_os_str().as_encoded_bytes();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        bytes
            .iter()
            .map(|&byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
            .collect()
    };
    path.components().map(part).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_data_in_pages() {
        assert_eq!(url(Path::new("a b/#1?<ü>.png")), "a%20b/%231%3F%3C%C3%BC%3E.png");
    }
}
