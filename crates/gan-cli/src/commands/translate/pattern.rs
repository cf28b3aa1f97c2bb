//! `--name`: how results are called.

use super::names::{Source, distinct_key, numbered};
use crate::exit::{Coded, USAGE};
use anyhow::bail;
use gan_data::{WriteFormat, with_suffix};
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

/// A name with fields in braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field(Field),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Stem,
    Name,
    Ext,
    Model,
    Step,
    Index,
    Folder,
}

/// What a name may tell of the model.
#[derive(Debug)]
pub(super) struct ModelFacts {
    pub(super) name: OsString,
    /// Step of the checkpoint.
    pub(super) step: Option<u64>,
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            pieces.push(Piece::Text(rest[..at].to_owned()));
            let inside = rest[at..].strip_prefix('{').and_then(|rest| rest.split_once('}'));
            let Some((name, after)) = inside else { return Err("braces stand around a field, as in {stem}".into()) };
            let field = match name {
                "stem" => Field::Stem,
                "name" => Field::Name,
                "ext" => Field::Ext,
                "model" => Field::Model,
                "step" => Field::Step,
                "index" => Field::Index,
                "folder" => Field::Folder,
                _ => {
                    return Err(format!(
                        "there is no field {{{name}}}; there are stem, name, ext, model, step, index and folder"
                    ));
                }
            };
            pieces.push(Piece::Field(field));
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        pieces.retain(|piece| *piece != Piece::Text(String::new()));
        let outside = |part: Component<'_>| !matches!(part, Component::Normal(_) | Component::CurDir);
        if text.is_empty() || Path::new(text).components().any(outside) {
            return Err("it names a file below the output folder".into());
        }
        Ok(Pattern(pieces))
    }
}

impl Pattern {
    fn uses(&self, field: Field) -> bool {
        self.0.contains(&Piece::Field(field))
    }

    /// Whether the model has to be opened to know its names.
    pub(super) fn uses_step(&self) -> bool {
        self.uses(Field::Step)
    }

    /// Whether the names end as the pattern says, so that no other format can be asked for.
    pub(super) fn picks_format(&self) -> bool {
        let Some(Piece::Text(end)) = self.0.last() else { return false };
        WriteFormat::of(Path::new(&format!("x{end}"))) != WriteFormat::NoImage
    }

    /// Names of the results within the output folder. The folders of inputs are kept, unless the pattern says where they go. Names that
    /// are taken get a number. The second value is what the user should know.
    ///
    /// # Errors
    /// [`Coded`]: a name that leads out of the folder or is that of a format that is not written.
    pub(super) fn names(
        &self,
        sources: &[Source],
        model: &ModelFacts,
        extension: &dyn Fn(&Path) -> OsString,
    ) -> anyhow::Result<(Vec<PathBuf>, Option<String>)> {
        if self.uses_step() && model.step.is_none() {
            bail!(Coded(USAGE, "--name: {step} is for checkpoints of runs, and this model has no step".into()));
        }
        let (mut taken, mut renamed) = (HashSet::new(), Vec::new());
        let mut names = Vec::with_capacity(sources.len());
        for (i, source) in sources.iter().enumerate() {
            let name = self.name(i, sources, model, &extension(&source.input))?;
            let mut free = name.clone();
            let mut number = 1;
            while !taken.insert(distinct_key(&free)) {
                number += 1;
                free = numbered(&name, &number.to_string());
            }
            if number > 1 {
                renamed.push(free.display().to_string());
            }
            names.push(free);
        }
        let note = renamed.first().map(|first| {
            let more = if renamed.len() > 1 { ", …" } else { "" };
            format!("{} results share a name with others and got a number: {first}{more}", renamed.len())
        });
        Ok((names, note))
    }

    fn name(&self, i: usize, sources: &[Source], model: &ModelFacts, ext: &OsStr) -> anyhow::Result<PathBuf> {
        let source = &sources[i];
        let folder = source.relative.parent().unwrap_or(Path::new(""));
        let mut text = OsString::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(piece) => text.push(piece),
                Piece::Field(Field::Stem) => text.push(source.relative.file_stem().unwrap_or_default()),
                Piece::Field(Field::Name) => text.push(source.relative.file_name().unwrap_or_default()),
                Piece::Field(Field::Ext) => text.push(ext),
                Piece::Field(Field::Model) => text.push(&model.name),
                Piece::Field(Field::Step) => text.push(model.step.unwrap_or(0).to_string()),
                Piece::Field(Field::Index) => {
                    let width = sources.len().to_string().len();
                    text.push(format!("{:0width$}", i + 1));
                }
                Piece::Field(Field::Folder) => text.push(folder),
            }
        }
        // Without a folder, `{folder}/{stem}` begins with a separator.
        let mut name = if self.uses(Field::Folder) { PathBuf::new() } else { folder.to_owned() };
        for part in Path::new(&text).components() {
            match part {
                Component::Normal(part) => name.push(part),
                Component::CurDir | Component::RootDir => {}
                Component::ParentDir | Component::Prefix(_) => {
                    let (text, input) = (Path::new(&text).display(), source.input.display());
                    bail!(Coded(
                        USAGE,
                        format!("--name makes {text} of {input}, which is no name in the output folder")
                    ));
                }
            }
        }
        let Some(last) = name.file_name().map(OsStr::to_owned).filter(|_| !text.is_empty()) else {
            bail!(Coded(USAGE, format!("--name makes no name of {}", source.input.display())));
        };
        match WriteFormat::of(&name) {
            WriteFormat::Writable { .. } => Ok(name),
            WriteFormat::NoImage => {
                let folder = name.parent().unwrap_or(Path::new("")).to_owned();
                Ok(with_suffix(&folder, Path::new(&last), &ext.to_string_lossy()))
            }
            WriteFormat::Unsupported => {
                let (name, formats) = (name.display(), WriteFormat::WRITABLE);
                bail!(Coded(USAGE, format!("--name makes {name}, a format that is not written; end it in {formats}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn named(pattern: &str, files: &[&str]) -> Result<Vec<String>, String> {
        let sources: Vec<_> = files.iter().map(|file| Source::below("in", file)).collect();
        let facts = ModelFacts { name: "photos".into(), step: Some(200) };
        let pattern: Pattern = pattern.parse()?;
        let names = pattern.names(&sources, &facts, &|_| "png".into()).map_err(|e| e.to_string())?.0;
        Ok(names.iter().map(|name| name.to_string_lossy().replace('\\', "/")).collect())
    }

    #[test]
    fn fields_are_filled_in() {
        let one = |pattern: &str, file: &str| named(pattern, &[file]).unwrap().remove(0);
        assert_eq!(one("{stem}_{step}.{ext}", "a.jpg"), "a_200.png");
        assert_eq!(one("{name}.webp", "a.jpg"), "a.jpg.webp");
        // The folders of the input are kept, unless the pattern says where they go.
        assert_eq!(one("{model}-{stem}.{ext}", "x/y/a.jpg"), "x/y/photos-a.png");
        assert_eq!(one("{folder}/{model}/{stem}.{ext}", "x/y/a.jpg"), "x/y/photos/a.png");
        assert_eq!(one("{folder}/{stem}.{ext}", "a.jpg"), "a.png");
        assert_eq!(one("{folder}_{stem}", "x/a.jpg"), "x_a.png");
        // Without an ending, and with one that is none.
        assert_eq!(one("{stem}.v2", "a.jpg"), "a.v2.png");
        let many: Vec<String> = (0..12).map(|i| format!("{i}.jpg")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(named("{index}.{ext}", &many).unwrap()[..2], ["01.png", "02.png"]);
    }

    #[test]
    fn names_that_clash_get_a_number() {
        assert_eq!(named("x.{ext}", &["a.jpg", "b.jpg", "c.jpg"]).unwrap(), ["x.png", "x-2.png", "x-3.png"]);
        assert_eq!(named("{stem}.{ext}", &["a.jpg", "a-2.jpg", "a.png"]).unwrap(), ["a.png", "a-2.png", "a-3.png"]);
    }

    #[test]
    fn names_stay_in_the_folder() {
        for pattern in ["../{stem}.{ext}", "/tmp/{stem}.{ext}", "x/../../{stem}", "", "{stm}", "{stem", "a}"] {
            named(pattern, &["a.jpg"]).unwrap_err();
        }
        for (pattern, file) in [("{stem}{stem}/x", "..jpg"), ("{folder}", "a.jpg"), ("{stem}.gif", "a.jpg")] {
            named(pattern, &[file]).unwrap_err();
        }
    }

    #[test]
    fn an_ending_picks_the_format() {
        for (pattern, picks) in [("{stem}.jpg", true), ("{stem}.{ext}", false), ("{stem}", false), ("{stem}.v2", false)]
        {
            assert_eq!(pattern.parse::<Pattern>().unwrap().picks_format(), picks, "{pattern}");
        }
    }
}
