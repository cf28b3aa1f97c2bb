//! `gan-cli man`.

use crate::args::Cli;
use crate::examples;
use crate::exit::{Coded, Done};
use anyhow::Context;
use clap::CommandFactory;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use gan_fs::Durability;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder to write the pages into, one a command; it is created if need be
    dir: PathBuf,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    let pages = pages()?;
    let refused = || format!("cannot create {}", args.dir.display());
    std::fs::create_dir_all(&args.dir).map_err(|error| Coded(1, format!("{}: {error}", refused())))?;
    for (name, page) in &pages {
        gan_fs::replace(&args.dir.join(name), Durability::Visible, |out| out.write_all(page))?;
    }
    out!("{} pages in {}; `man -l {}` shows the first", pages.len(), args.dir.display(), shown(&args.dir));
    Ok(Done::Complete)
}

fn shown(dir: &Path) -> String {
    crate::shell::quoted(&dir.join("gan-cli.1"))
}

/// Name of the file and contents of the page of the program and of each command.
fn pages() -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut cli = Cli::command().disable_help_subcommand(true);
    cli.build();
    let mut pages = Vec::new();
    add(&cli, "", None, &mut pages)?;
    Ok(pages)
}

/// Adds the page of a command, and those below it. `path` is its words without the program's name, `parent` the page above.
fn add(
    command: &clap::Command,
    path: &str,
    parent: Option<&str>,
    pages: &mut Vec<(String, Vec<u8>)>,
) -> anyhow::Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let page = page(command, path, parent).with_context(|| format!("the page {name}"))?;
    pages.push((format!("{name}.1"), page));
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let path = format!("{path} {}", sub.get_name());
        add(sub, path.trim(), Some(&name), pages)?;
    }
    Ok(())
}

fn page(command: &clap::Command, path: &str, parent: Option<&str>) -> std::io::Result<Vec<u8>> {
    let man = Man::new(command.clone()).source(format!("gan-cli {}", env!("CARGO_PKG_VERSION"))).manual("gan-cli");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(&mut page)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut more = Roff::new();
    if let Some(notes) = command.get_after_long_help().or_else(|| command.get_after_help()) {
        section(&mut more, "NOTES", notes.to_string().lines());
    }
    let examples = examples::of(path);
    if !examples.is_empty() {
        section(&mut more, "EXAMPLES", examples.iter().copied());
    }
    if let Some(parent) = parent {
        section(&mut more, "SEE ALSO", [format!("{parent}(1)").as_str()].into_iter());
    }
    more.to_writer(&mut page)?;
    Ok(page)
}

/// A section whose lines are kept as they are.
fn section<'a>(page: &mut Roff, title: &str, lines: impl Iterator<Item = &'a str>) {
    page.control("SH", [title]).control("nf", []);
    for line in lines {
        page.text([roman(line)]);
    }
    page.control("fi", []);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The text of a page without roff's escapes.
    fn plain(page: &[u8]) -> String {
        let text = String::from_utf8(page.to_vec()).unwrap();
        let text = text.replace("\\-", "-").replace("\\fB", "").replace("\\fI", "").replace("\\fR", "");
        text.replace("\\*(Aq", "'").replace("\\\\", "\\")
    }

    fn check(command: &clap::Command, path: &str, pages: &[(String, Vec<u8>)], seen: &mut usize) {
        let name = format!("gan-cli {path}").trim().replace(' ', "-");
        let (_, page) = pages.iter().find(|(file, _)| *file == format!("{name}.1")).unwrap();
        let page = plain(page);
        assert!(page.contains(&format!(".SH NAME\n{name} - ")), "{page}");
        for option in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            let Some(long) = option.get_long() else { continue };
            assert!(page.contains(&format!("--{long}")), "{name}: --{long}");
        }
        for example in examples::of(path) {
            assert!(page.contains(&format!("{example}\n")), "{name}: {example} is missing in:\n{page}");
        }
        *seen += 1;
        for sub in command.get_subcommands() {
            check(sub, format!("{path} {}", sub.get_name()).trim(), pages, seen);
        }
    }

    #[test]
    fn every_command_has_a_page_with_its_options_and_examples() {
        let pages = pages().unwrap();
        let mut seen = 0;
        check(&Cli::command(), "", &pages, &mut seen);
        assert_eq!(seen, pages.len());
        assert!(pages.iter().any(|(name, _)| name == "gan-cli-dataset-pairs.1"));
    }
}
