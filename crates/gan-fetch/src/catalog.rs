//! The catalogue: what can be fetched, from where, under which licence, and what it must hash to.

use std::ops::RangeInclusive;
use std::path::{Component, Path};

use gan_fs::read_regular;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::human;

/// The catalogue that the program was built with.
const EMBEDDED: &str = include_str!("../catalog.toml");
/// The most bytes that a catalogue may have.
const MAX_CATALOG: u64 = 1 << 24;

/// Datasets become folders, weights become files (or a folder of files).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Images, below `datasets`.
    Dataset,
    /// Networks, below `weights`.
    Weights,
}

/// Where the list shows an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    /// Datasets of pairs.
    Pairs,
    /// Datasets of two folders of unpaired images.
    Domains,
    /// Datasets of label maps and photos.
    Labels,
    /// Trained generators.
    Generators,
    /// Networks of losses and metrics.
    Networks,
}

impl Kind {
    /// The folder of the data directory, and the table of the lock file.
    #[must_use]
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Dataset => "datasets",
            Self::Weights => "weights",
        }
    }
}

/// What the fetched file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Format {
    /// A zip archive.
    #[serde(rename = "zip")]
    Zip,
    /// A tar archive.
    #[serde(rename = "tar")]
    Tar,
    /// A tar archive, compressed with gzip.
    #[serde(rename = "tar.gz")]
    TarGz,
    /// Weights in the format safetensors.
    #[serde(rename = "safetensors")]
    Safetensors,
    /// Weights in a file of PyTorch.
    #[serde(rename = "pth")]
    Pth,
}

impl Format {
    /// Whether it is unpacked.
    #[must_use]
    pub const fn is_archive(self) -> bool {
        matches!(self, Self::Zip | Self::Tar | Self::TarGz)
    }

    /// The ending of its files, without the dot.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Zip => "zip",
            Self::Tar => "tar",
            Self::TarGz => "tar.gz",
            Self::Safetensors => "safetensors",
            Self::Pth => "pth",
        }
    }
}

/// One thing to fetch. The comments at the head of `catalog.toml` describe the keys.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    #[serde(skip, default = "dataset")]
    pub(crate) kind: Kind,
    /// The number of the series that it is one of.
    #[serde(skip)]
    pub(crate) series: Option<usize>,
    #[serde(default)]
    pub(crate) section: Option<Section>,
    #[serde(default)]
    pub(crate) methods: Vec<String>,
    #[serde(default, rename = "try")]
    pub(crate) example: Option<String>,
    pub(crate) name: String,
    /// A name that several entries answer to, for those that are of use together.
    #[serde(default)]
    pub(crate) group: Option<String>,
    #[serde(default)]
    each: Vec<String>,
    pub(crate) about: String,
    pub(crate) licence: String,
    #[serde(default)]
    pub(crate) terms: String,
    #[serde(default)]
    pub(crate) restricted: bool,
    pub(crate) format: Format,
    #[serde(default)]
    pub(crate) urls: Vec<String>,
    #[serde(default)]
    pub(crate) bytes: Option<u64>,
    #[serde(default)]
    pub(crate) approx: Option<String>,
    #[serde(default)]
    pub(crate) sha256: Option<String>,
    #[serde(default)]
    pub(crate) md5: Option<String>,
    #[serde(default)]
    pub(crate) root: Option<String>,
    #[serde(default)]
    pub(crate) moves: Vec<(String, String)>,
    #[serde(default)]
    pub(crate) folders: Vec<String>,
    #[serde(default)]
    pub(crate) files: Option<u64>,
    #[serde(default)]
    pub(crate) unpacked_bytes: Option<u64>,
    #[serde(default)]
    pub(crate) keep: Vec<String>,
    #[serde(default)]
    pub(crate) manual: Vec<String>,
}

const fn dataset() -> Kind {
    Kind::Dataset
}

impl Entry {
    /// What one types to fetch it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Dataset or weights.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where the list shows it.
    #[must_use]
    pub fn section(&self) -> Option<Section> {
        self.section
    }

    /// What it is, in one line.
    #[must_use]
    pub fn about(&self) -> &str {
        &self.about
    }

    /// The methods that it fits, by their names on the command line.
    #[must_use]
    pub fn methods(&self) -> &[String] {
        &self.methods
    }

    /// A command that uses it, once it is in the data directory `dir`. Datasets in the default directory are named, everything else
    /// is given by its path.
    #[must_use]
    pub fn example(&self, dir: &Path) -> Option<String> {
        let named = self.kind == Kind::Dataset && gan_fs::data_dir(None).is_some_and(|default| default == dir);
        let place = if named { self.name.clone() } else { quoted(&dir.join(self.stored())) };
        Some(self.example.as_ref()?.replace("{here}", &place))
    }

    /// What is left to do where fetching failed, step by step; `dir` is the data directory.
    #[must_use]
    pub fn by_hand(&self, dir: &Path) -> Vec<String> {
        let place = dir.join(self.stored()).display().to_string();
        if !self.manual.is_empty() {
            return self.manual.iter().map(|step| step.replace("{stored}", &place)).collect();
        }
        let action = if self.format.is_archive() { "unpack it as" } else { "put it at" };
        vec![format!("download {} by other means", self.urls.join(" or ")), format!("{action} {place}")]
    }

    /// Path below the data directory, with `/` between the parts.
    #[must_use]
    pub fn stored(&self) -> String {
        let folder = self.kind.folder();
        if self.format.is_archive() {
            format!("{folder}/{}", self.name)
        } else {
            format!("{folder}/{}.{}", self.name, self.format.extension())
        }
    }

    /// The size that `approx` tells, in bytes.
    pub(crate) fn approx_bytes(&self) -> Option<u64> {
        human::parse_bytes(self.approx.as_deref()?)
    }

    /// Replaces `{}` by `part` in the keys that may hold it.
    fn instance(&self, part: &str) -> Self {
        let put = |text: &String| text.replace("{}", part);
        Self {
            name: put(&self.name),
            about: put(&self.about),
            urls: self.urls.iter().map(put).collect(),
            manual: self.manual.iter().map(put).collect(),
            example: self.example.as_ref().map(put),
            each: Vec::new(),
            ..self.clone()
        }
    }

    /// What contradicts itself, if anything.
    fn validate(&self) -> Result<(), String> {
        let ensure = |holds: bool, reason: &str| if holds { Ok(()) } else { Err(reason.to_owned()) };
        let hex = |text: &Option<String>, digits: RangeInclusive<usize>| {
            text.as_ref().is_none_or(|text| {
                digits.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            })
        };
        let plain = !self.name.is_empty()
            && self.name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-' || b == b'.')
            && !self.name.starts_with('.');
        ensure(plain, "a name is made of letters, digits, `_`, `-` and `.`")?;
        ensure(
            hex(&self.sha256, 8..=64),
            "sha256 must be 64 lower-case hexadecimal digits, or the first 8 or more of them",
        )?;
        ensure(hex(&self.md5, 32..=32), "md5 must be 32 lower-case hexadecimal digits")?;
        ensure(!self.urls.is_empty() || !self.manual.is_empty(), "neither urls nor manual steps")?;
        for url in &self.urls {
            let http = url.starts_with("https://") || url.starts_with("http://");
            ensure(http, &format!("not an http(s) address: {url}"))?;
        }
        ensure(self.keep.is_empty() || self.format == Format::Safetensors, "`keep` is for safetensors only")?;
        ensure(
            self.format.is_archive() || (self.folders.is_empty() && self.root.is_none() && self.moves.is_empty()),
            "`root`, `moves` and `folders` are for archives only",
        )?;
        let below = |path: &String| {
            !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
        };
        let mut paths =
            self.root.iter().chain(&self.folders).chain(self.moves.iter().flat_map(|(from, to)| [from, to]));
        ensure(paths.all(below), "`root`, `moves` and `folders` are paths in the archive, without `..`")?;
        let approx = self.approx.as_ref().is_none_or(|text| human::parse_bytes(text).is_some());
        ensure(approx, "approx must be a size such as `117 MB`")?;
        ensure(!self.licence.is_empty(), "no licence line")?;
        ensure(!self.restricted || !self.terms.is_empty(), "a restricted entry must print its `terms`")
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tables {
    #[serde(default)]
    dataset: Vec<Entry>,
    #[serde(default)]
    weights: Vec<Entry>,
}

/// The whole catalogue, in the order of the file: datasets, then weights.
#[derive(Debug)]
pub struct Catalog {
    entries: Vec<Entry>,
}

impl Catalog {
    /// The catalogue that the program was built with.
    ///
    /// # Errors
    /// As [`Catalog::parse`]; a test keeps it from happening.
    pub fn embedded() -> Result<Self> {
        Self::parse(EMBEDDED, "catalog.toml")
    }

    /// Reads a catalogue from a file.
    ///
    /// # Errors
    /// When the file cannot be read, and as [`Catalog::parse`].
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = read_regular(path, MAX_CATALOG).map_err(Error::io("read", path))?;
        let place = path.display().to_string();
        match String::from_utf8(bytes) {
            Ok(text) => Self::parse(&text, &place),
            Err(_) => Err(Error::Catalog { place, reason: "it is no text".into() }),
        }
    }

    /// Reads a catalogue and checks each entry; `place` says in messages where the text is from.
    ///
    /// # Errors
    /// [`Error::Catalog`] on TOML that does not fit, on a name used twice, and on an entry that contradicts itself.
    pub fn parse(text: &str, place: &str) -> Result<Self> {
        Self::of_text(text).map_err(|reason| Error::Catalog { place: place.to_owned(), reason })
    }

    fn of_text(text: &str) -> Result<Self, String> {
        let tables: Tables = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut entries: Vec<Entry> = Vec::new();
        for (kind, raw) in [(Kind::Dataset, tables.dataset), (Kind::Weights, tables.weights)] {
            for mut entry in raw {
                entry.kind = kind;
                if entry.each.is_empty() {
                    entries.push(entry);
                } else {
                    entry.series = Some(entries.len());
                    entries.extend(entry.each.iter().map(|part| entry.instance(part)));
                }
            }
        }
        for (i, entry) in entries.iter().enumerate() {
            entry.validate().map_err(|reason| format!("entry `{}`: {reason}", entry.name))?;
            let answers =
                |other: &Entry| other.group.as_ref().is_some_and(|group| group.eq_ignore_ascii_case(&entry.name));
            if entries[..i].iter().any(|other| other.name.eq_ignore_ascii_case(&entry.name))
                || entries.iter().any(answers)
            {
                return Err(format!("the name `{}` is used twice", entry.name));
            }
        }
        Ok(Self { entries })
    }

    /// Every entry, in the order of the file.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry of that name, or those of that group.
    ///
    /// # Errors
    /// [`Error::UnknownName`] when there is none; it offers the nearest names.
    pub fn find(&self, name: &str) -> Result<Vec<&Entry>> {
        let answers = |entry: &&Entry| entry.name == name || entry.group.as_deref() == Some(name);
        let found: Vec<&Entry> = self.entries.iter().filter(answers).collect();
        if !found.is_empty() {
            return Ok(found);
        }
        let mut near: Vec<_> = self
            .entries
            .iter()
            .map(|entry| (edit_distance(name, &entry.name), entry.name.as_str()))
            .filter(|(distance, other)| *distance <= 3 || (name.len() > 3 && other.contains(name)))
            .collect();
        near.sort_unstable();
        near.truncate(4);
        let near = near.into_iter().map(|(_, name)| name.to_owned()).collect();
        Err(Error::UnknownName { name: name.to_owned(), near })
    }
}

/// A path as an argument of a POSIX shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "_-./+=:,@%".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// Levenshtein distance in bytes.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let cost = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn examples_name_the_place() {
        let text = "[[dataset]]\nname='a'\nabout='a'\nlicence='x'\nformat='zip'\nurls=['http://h/a']\ntry='gan-cli train cut --data {here}'\n";
        let catalog = Catalog::parse(text, "c").unwrap();
        let example = |dir: &str| catalog.entries[0].example(Path::new(dir)).unwrap();
        assert_eq!(example("/d"), "gan-cli train cut --data /d/datasets/a");
        assert_eq!(example("/my d"), "gan-cli train cut --data '/my d/datasets/a'");
        let default = gan_fs::data_dir(None).unwrap();
        assert_eq!(example(default.to_str().unwrap()), "gan-cli train cut --data a");
    }

    #[test]
    fn the_embedded_catalogue_is_sound() {
        let catalog = Catalog::embedded().unwrap();
        for name in [
            "facades",
            "horse2zebra",
            "vgg19",
            "inception",
            "alexnet",
            "lpips_vgg",
            "cityscapes",
            "cyclegan_horse2zebra",
        ] {
            catalog.find(name).unwrap();
        }
        let vgg = catalog.find("vgg19").unwrap()[0];
        assert_eq!(vgg.stored(), "weights/vgg19.safetensors");
        assert!(catalog.find("cityscapes").unwrap()[0].urls.is_empty(), "its licence forbids mirrors");
        for entry in &catalog.entries {
            assert!(entry.licence.chars().count() <= 27, "{}: the list would not fit 80 columns", entry.name);
            assert!(entry.name.len() <= 32, "{}: the list would not fit 80 columns", entry.name);
        }
    }

    #[test]
    fn a_series_is_spelt_out() {
        let text = "[[weights]]\nname='g_{}'\neach=['a','b']\nabout='{}'\nlicence='x'\nformat='pth'\nurls=['http://h/{}.pth']\n";
        let catalog = Catalog::parse(text, "c").unwrap();
        let names: Vec<_> = catalog.entries.iter().map(|e| (e.name.as_str(), e.urls[0].as_str())).collect();
        assert_eq!(names, [("g_a", "http://h/a.pth"), ("g_b", "http://h/b.pth")]);
        assert_eq!(catalog.entries[0].series, catalog.entries[1].series);
        assert!(catalog.entries[0].series.is_some());
    }

    #[test]
    fn contradictions_are_refused() {
        let entry = |more: &str| format!("[[dataset]]\nname='a'\nabout='a'\nlicence='x'\nformat='zip'\n{more}\n");
        for (more, reason) in [
            ("", "neither urls nor manual"),
            ("urls=['ftp://h/a']", "not an http"),
            ("urls=['http://h/a']\nsha256='12'", "sha256"),
            ("urls=['http://h/a']\nmd5='xx'", "md5"),
            ("urls=['http://h/a']\nkeep=['f']", "safetensors only"),
            ("urls=['http://h/a']\nrestricted=true", "terms"),
            ("urls=['http://h/a']\nsha='1'", "unknown field"),
            ("urls=['http://h/a']\napprox='some'", "approx"),
            ("urls=['http://h/a']\nroot='../a'", "without `..`"),
            ("urls=['http://h/a']\nfolders=['/tmp']", "without `..`"),
            ("urls=['http://h/a']\nmoves=[['a', 'b/../../../c']]", "without `..`"),
        ] {
            let error = Catalog::parse(&entry(more), "c.toml").unwrap_err().to_string();
            assert!(error.starts_with("c.toml: "), "{error}");
            assert!(error.contains(reason), "{more}: {error}");
        }
        let twice = format!("{0}{0}", entry("urls=['http://h/a']"));
        assert!(Catalog::parse(&twice, "c").unwrap_err().to_string().contains("twice"));
    }

    #[test]
    fn a_misspelt_name_is_answered_with_a_near_one() {
        let catalog = Catalog::embedded().unwrap();
        let lpips: Vec<&str> = catalog.find("lpips").unwrap().iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(lpips, ["alexnet", "lpips_alex"], "what LPIPS needs unless another network is chosen");
        assert!(catalog.find("horse2zebr").unwrap_err().to_string().contains("`horse2zebra`"));
        assert!(catalog.find("qqqqqqqqqqqq").unwrap_err().to_string().contains("--list"));
    }
}
