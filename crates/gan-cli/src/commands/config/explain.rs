//! `gan-cli config explain`.

use crate::exit::{Coded, Done, USAGE};
use crate::presets::PRESETS;
use anyhow::bail;
use clap::builder::{PossibleValue, PossibleValuesParser};
use gan_train::config::{KeyInfo, nearest};
use gan_train::{METHODS, MethodSpec};
use std::fmt::Write;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A key (`generator.ngf`), the end of one (`ngf`), or a table (`train`); without it, all
    key: Option<String>,
    /// Only the keys of this method
    #[arg(long, value_parser = PossibleValuesParser::new(METHODS.iter().map(|m| PossibleValue::new(m.name).help(m.about))))]
    method: Option<String>,
    /// Print docs/configuration.md: all keys of all methods
    #[arg(long, conflicts_with_all = ["key", "method"])]
    markdown: bool,
}

/// What is said of a key, and by which methods.
struct Entry {
    info: KeyInfo,
    /// The methods, each with its default.
    methods: Vec<(&'static str, Option<String>)>,
    /// Presets that set it to another value than the default of their method: method, name, value.
    presets: Vec<(&'static str, &'static str, String)>,
}

impl Entry {
    /// Table and key.
    fn parts(&self) -> (&str, &str) {
        self.info.key.split_once('.').unwrap_or(("", &self.info.key))
    }

    /// The defaults that there are, each with its methods; no methods if all have the same.
    fn defaults(&self) -> Vec<(&str, Vec<&str>)> {
        let mut found: Vec<(&str, Vec<&str>)> = Vec::new();
        for (method, default) in &self.methods {
            let default = default.as_deref().unwrap_or("none");
            match found.iter_mut().find(|(known, _)| *known == default) {
                Some((_, methods)) => methods.push(method),
                None => found.push((default, vec![method])),
            }
        }
        if let [(_, methods)] = &mut found[..] {
            methods.clear();
        }
        found
    }

    /// The methods that have it, if not all do.
    fn only(&self) -> Option<String> {
        let names: Vec<_> = self.methods.iter().map(|(name, _)| *name).collect();
        (names.len() < METHODS.len()).then(|| names.join(", "))
    }

    fn archs(&self) -> Option<String> {
        let table = self.parts().0;
        let archs: Vec<_> = self.info.archs.iter().map(|arch| format!("\"{arch}\"")).collect();
        (!archs.is_empty()).then(|| format!("{table}.arch = {}", archs.join(" or ")))
    }
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    if args.markdown {
        out!("{}", markdown()?.trim_end());
        return Ok(Done::Complete);
    }
    let method = args.method.as_deref().map(|name| gan_train::find(METHODS, name)).transpose()?;
    let all = entries(method.map_or(METHODS, std::slice::from_ref))?;
    let chosen = match &args.key {
        Some(key) => find(&all, key)?,
        None => all.iter().collect(),
    };
    let texts: Vec<_> = chosen.into_iter().map(|entry| text(entry, method.is_none())).collect();
    out!("{}", texts.join("\n\n"));
    Ok(Done::Complete)
}

/// The keys of all these methods, by table. One that methods explain in the same words is one entry.
fn entries(methods: &[MethodSpec]) -> anyhow::Result<Vec<Entry>> {
    let (mut found, mut tables): (Vec<Entry>, Vec<String>) = Default::default();
    for method in methods {
        for info in (method.docs)()? {
            let mut presets = Vec::new();
            for preset in PRESETS.iter().filter(|preset| preset.method == method.name) {
                let table = preset.table()?;
                let value = info.key.split_once('.').and_then(|(name, key)| table.get(name)?.get(key));
                let value = value.map(ToString::to_string).filter(|value| Some(value) != info.default.as_ref());
                presets.extend(value.map(|value| (method.name, preset.name, value)));
            }
            let of_method = (method.name, info.default.clone());
            match found.iter_mut().find(|entry| entry.info.key == info.key && entry.info.about == info.about) {
                Some(entry) => {
                    entry.methods.push(of_method);
                    entry.presets.extend(presets);
                }
                None => found.push(Entry { info, methods: vec![of_method], presets }),
            }
        }
    }
    for entry in &found {
        let table = entry.parts().0;
        if !tables.iter().any(|known| known == table) {
            tables.push(table.to_owned());
        }
    }
    found.sort_by_key(|entry| tables.iter().position(|table| table == entry.parts().0));
    Ok(found)
}

/// The entries that a user means.
fn find<'e>(all: &'e [Entry], wanted: &str) -> anyhow::Result<Vec<&'e Entry>> {
    let end = format!(".{wanted}");
    let tests: [&dyn Fn(&Entry) -> bool; 3] =
        [&|entry| entry.info.key == wanted, &|entry| entry.info.key.ends_with(&end), &|entry| {
            entry.parts().0 == wanted.trim_matches(['[', ']'])
        }];
    for test in tests {
        let found: Vec<_> = all.iter().filter(|entry| test(entry)).collect();
        if !found.is_empty() {
            return Ok(found);
        }
    }
    let leaf = wanted.rsplit('.').next().unwrap_or(wanted);
    let near = all.iter().filter_map(|entry| Some((nearest::distance(leaf, entry.parts().1)?, &entry.info.key))).min();
    let hint = match near {
        Some((_, key)) => format!("did you mean `{key}`?"),
        None => "`gan-cli config explain` lists all".to_owned(),
    };
    bail!(Coded(USAGE, format!("there is no key `{wanted}`; {hint}")))
}

/// An entry for a terminal.
fn text(entry: &Entry, all_methods: bool) -> String {
    let mut text = format!("{}\n  {}", entry.info.key, entry.info.about);
    let mut row = |name: &str, value: String| {
        let _ = write!(text, "\n  {name:8}  {value}");
    };
    let defaults = entry.defaults().into_iter().map(|(default, methods)| match methods[..] {
        [] => default.to_owned(),
        _ => format!("{default} ({})", methods.join(", ")),
    });
    row("default", defaults.collect::<Vec<_>>().join(", "));
    if let Some(takes) = entry.info.takes() {
        row("takes", takes);
    }
    if let Some(archs) = entry.archs() {
        row("used by", archs);
    }
    if let Some(only) = entry.only().filter(|_| all_methods) {
        row("methods", only);
    }
    if !entry.presets.is_empty() {
        let presets = entry.presets.iter().map(|(method, name, value)| format!("{method} {name}: {value}"));
        row("presets", presets.collect::<Vec<_>>().join(", "));
    }
    text
}

/// docs/configuration.md.
fn markdown() -> anyhow::Result<String> {
    let mut text = "# Configuration keys\n\n\
        Every key of every table, as `gan-cli config explain --markdown` prints it. `gan-cli config explain KEY` shows one, with the values of \
        presets; `--method` leaves out the keys of other methods. A file for `--config` has them in tables, a single one is set with \
        `--set KEY=VALUE`, where the end of a key is enough if it is unique.\n"
        .to_owned();
    let mut table = String::new();
    for entry in entries(METHODS)? {
        let (of, key) = entry.parts();
        if of != table {
            table = of.to_owned();
            let _ = write!(text, "\n## [{table}]\n\n| key | default | takes | about |\n|---|---|---|---|\n");
        }
        let defaults = entry.defaults().into_iter().map(|(default, methods)| match methods[..] {
            [] => format!("`{default}`"),
            _ => format!("`{default}` ({})", methods.join(", ")),
        });
        let mut about = entry.info.about.clone();
        let more = [entry.archs().map(|archs| format!("`{archs}`")), entry.only()].into_iter().flatten();
        for more in more {
            let _ = write!(about, " Only {more}.");
        }
        let cells = [
            format!("`{key}`"),
            defaults.collect::<Vec<_>>().join(", "),
            entry.info.takes().unwrap_or_default(),
            about,
        ];
        let _ = writeln!(text, "| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_page_is_up_to_date() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        let found = std::fs::read_to_string(page).unwrap_or_default();
        assert!(
            found == markdown().unwrap(),
            "write it anew: gan-cli config explain --markdown > docs/configuration.md"
        );
    }

    #[test]
    fn keys_are_found_by_path_end_and_table() {
        let all = entries(METHODS).unwrap();
        let keys = |wanted: &str| find(&all, wanted).unwrap().iter().map(|e| e.info.key.clone()).collect::<Vec<_>>();
        assert_eq!(keys("train.lr"), ["train.lr"]);
        assert_eq!(keys("lr"), ["train.lr"]);
        assert_eq!(keys("norm"), ["generator.norm", "discriminator.norm"]);
        assert!(keys("validation").len() > 5 && keys("[loss]").iter().all(|key| key.starts_with("loss.")));
        let refused = find(&all, "n_epohcs").err().unwrap().to_string();
        assert_eq!(refused, "there is no key `n_epohcs`; did you mean `train.n_epochs`?");
    }

    #[test]
    fn a_key_is_explained_with_all_that_is_known() {
        let all = entries(METHODS).unwrap();
        let said = |key: &str| text(find(&all, key).unwrap()[0], true);
        let epochs = said("n_epochs");
        assert!(epochs.contains("default   100 (pix2pix, pix2pixhd, cyclegan), 200 (cut)"), "{epochs}");
        assert!(epochs.contains("a whole number from 0") && epochs.contains("cut fastcut: 150"), "{epochs}");
        let blocks = said("n_blocks");
        assert!(blocks.contains("used by   generator.arch = \"resnet\""), "{blocks}");
        assert!(said("data.direction").contains("takes     a2b or b2a"));
        assert!(said("lambda_l1").contains("methods   pix2pix"));
    }
}
