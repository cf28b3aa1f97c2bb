//! A configuration as a file for people.

use std::fmt::Write;

use toml::{Table, Value};

use super::docs::{KeyInfo, is_used};
use super::keys::join;

/// The configuration `values` as TOML, with a line above each key that says what it is for and what it takes. A key that the
/// architecture has no use for is left out at its default: who reads the text has that anyway.
pub(crate) fn commented(values: &Table, docs: &[KeyInfo]) -> String {
    let mut text =
        "# The configuration of this run. Keys that its architectures have no use for are left out.\n".to_owned();
    write(&mut text, values, "", &Commented { values, docs });
    text
}

struct Commented<'c> {
    values: &'c Table,
    docs: &'c [KeyInfo],
}

impl Commented<'_> {
    fn info(&self, path: &str) -> Option<&KeyInfo> {
        self.docs.iter().find(|info| info.key == path)
    }

    /// The place of a key, or of the first key of a table, among all that are documented.
    fn place(&self, path: &str) -> usize {
        let table = format!("{path}.");
        let at = self.docs.iter().position(|info| info.key == path || info.key.starts_with(&table));
        at.unwrap_or(usize::MAX)
    }
}

fn write(text: &mut String, table: &Table, path: &str, of: &Commented<'_>) {
    let mut entries: Vec<_> = table.iter().map(|(key, value)| (join(path, key), key, value)).collect();
    entries.sort_by_key(|(path, ..)| of.place(path));
    let is_table = |path: &str, value: &Value| value.is_table() && of.info(path).is_none();
    for (path, key, value) in entries.iter().filter(|(path, _, value)| !is_table(path, value)) {
        let info = of.info(path);
        let value = value.to_string();
        if info.is_some_and(|info| info.default.as_ref() == Some(&value)) && !is_used(path, of.values) {
            continue;
        }
        if let Some(info) = info.filter(|info| !info.about.is_empty()) {
            let takes = info.takes().map(|takes| format!(" ({takes})")).unwrap_or_default();
            let _ = writeln!(text, "# {}{takes}", info.summary());
        }
        let _ = writeln!(text, "{} = {value}", quoted(key));
    }
    for (path, _, value) in entries.iter().filter(|(path, _, value)| is_table(path, value)) {
        if let Value::Table(table) = value {
            let header: Vec<_> = path.split('.').map(quoted).collect();
            let _ = write!(text, "\n[{}]\n", header.join("."));
            write(text, table, path, of);
        }
    }
}

/// A key as TOML takes it.
fn quoted(key: &str) -> String {
    let is_bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if is_bare { key.to_owned() } else { Value::String(key.to_owned()).to_string() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::METHODS;
    use crate::config::{ConfigSource, commented};

    /// The file of a configuration, and that it is read back as it was.
    #[track_caller]
    fn file(method: &str, settings: &[&str]) -> String {
        let spec = crate::find(METHODS, method).unwrap();
        let layers: Vec<_> = settings.iter().map(|text| ConfigSource::Setting((*text).to_owned())).collect();
        let values = (spec.resolve)(&layers).unwrap().to_table().unwrap();
        let toml = commented(&values, &(spec.docs)().unwrap());
        let read = (spec.resolve)(&[ConfigSource::Saved { name: "x".into(), toml: toml.clone() }]).unwrap();
        assert_eq!(read.to_table().unwrap(), values, "{toml}");
        toml
    }

    #[test]
    fn every_key_has_its_line_and_is_read_back() {
        for method in METHODS {
            let toml = file(method.name, method.smoke_overrides);
            let lines: Vec<_> = toml.lines().collect();
            for pair in lines.windows(2).filter(|pair| pair[1].contains(" = ") && !pair[1].starts_with('#')) {
                assert!(pair[0].starts_with("# ") && pair[0].len() > 8, "{pair:?}");
            }
        }
        let toml = file(
            "pix2pix",
            &["init={g=\"a \\\"b\\\".pth\"}", "lr_g=1e-4", "freeze={\"g\"=\"model.1\"}", "validation.metrics=[\"l1\"]"],
        );
        assert!(
            toml.contains("# Decay of Adam's first moment. (a number from 0 to 1, 1 excluded)\nbeta1 = 0.5\n"),
            "{toml}"
        );
        assert!(toml.contains("# Which side is the input. (a2b or b2a)\ndirection = \"a2b\"\n"), "{toml}");
    }

    #[test]
    fn keys_without_use_are_left_out_at_their_defaults() {
        let has = |toml: &str, key: &str| toml.lines().any(|line| line.starts_with(&format!("{key} = ")));
        let unet = file("pix2pix", &[]);
        for key in ["num_downs", "n_blocks", "n_blocks_global", "antialias_up", "num_d"] {
            assert!(!has(&unet, key), "{key}: {unet}");
        }
        assert!(has(&unet, "ngf") && has(&unet, "upsample") && has(&unet, "dropout"));
        assert!(has(&file("pix2pix", &["generator.arch=unet"]), "num_downs"));
        // Agrees with the architecture, and is not the default.
        assert!(has(&file("pix2pix", &["generator.arch=resnet_6blocks", "n_blocks=6"]), "n_blocks"));
    }
}
