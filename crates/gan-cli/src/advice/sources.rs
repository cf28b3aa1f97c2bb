//! The texts that users read: string literals of the sources, help, documentation.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The page whose first columns are options of other programs.
const PORTING: &str = "porting-from-pytorch.md";

/// Every text with the file it is from.
pub(super) fn texts(root: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut add = |path: &Path, texts: Vec<String>| {
        let name = path.strip_prefix(root).unwrap_or(path).display().to_string();
        found.extend(texts.into_iter().map(|text| (name.clone(), text)));
    };
    let sources =
        fs::read_dir(root.join("crates")).unwrap().map(|entry| entry.unwrap().path()).chain([root.join("xtask")]);
    for path in sources.flat_map(|folder| files(&folder.join("src"), "rs")) {
        // Doc comments of the program's own crate become help.
        let help = path.starts_with(root.join("crates/gan-cli"));
        if ["tests.rs", "advice.rs", "gallery/page.rs"].iter().any(|no_messages| path.ends_with(no_messages)) {
            continue;
        }
        let mut texts = strings(&fs::read_to_string(&path).unwrap(), help);
        if path.starts_with(root.join("xtask")) {
            // An option alone is an argument for another program.
            texts.retain(|text| !text.starts_with("--"));
        }
        add(&path, texts);
    }
    for path in files(&root.join("crates/gan-cli/presets"), "toml") {
        let text = fs::read_to_string(&path).unwrap();
        add(&path, text.lines().filter(|line| line.starts_with('#')).map(String::from).collect());
    }
    for path in files(&root.join("docs"), "md").into_iter().chain([root.join("README.md")]) {
        add(&path, vec![fs::read_to_string(&path).unwrap()]);
    }
    found
}

/// The files of this extension below a folder, without tests.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() && !["tests", "advice"].iter().any(|name| path.ends_with(name)) {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The options that the scripts in a folder define.
pub(super) fn script_options(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for path in files(folder, "py") {
        let text = fs::read_to_string(path).unwrap();
        let defined = text.split("add_argument(").skip(1);
        let names = defined.filter_map(|rest| rest.split_once("\"--")?.1.split_once('"'));
        found.extend(names.map(|(name, _)| name.to_owned()));
    }
    found
}

/// Options of the reference implementations that a text explains: what stands in the first column of its tables.
pub(super) fn options_of_references(file: &str, text: &str) -> BTreeSet<String> {
    if !file.ends_with(PORTING) {
        return BTreeSet::new();
    }
    let cells = text.lines().filter_map(|line| line.strip_prefix('|')?.split('|').next());
    let words = cells.flat_map(|cell| cell.split(|c: char| c.is_whitespace() || c == '`' || c == ','));
    words.filter(|word| word.starts_with("--")).map(|word| word.trim_end_matches('*').to_owned()).collect()
}

/// The text without the lines that call other programs.
pub(super) fn without_references(file: &str, text: &str) -> String {
    let foreign = |line: &&str| file.ends_with(PORTING) && line.starts_with("test.py");
    text.lines().filter(|line| !foreign(line)).map(|line| format!("{line}\n")).collect()
}

/// The string literals of Rust code up to its tests, and with `docs` its `///` comments.
pub(super) fn strings(source: &str, docs: bool) -> Vec<String> {
    let code = match source.split_once("#[cfg(test)]\nmod tests {") {
        Some((code, _)) => code,
        None => source,
    };
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find(['/', '"', '\'', 'r']) {
        let before = rest[..at].chars().next_back();
        rest = &rest[at..];
        if let Some(comment) = rest.strip_prefix("//") {
            let (line, after) = comment.split_once('\n').unwrap_or((comment, ""));
            if let Some(doc) = line.strip_prefix('/').filter(|_| docs) {
                found.push(doc.trim().to_owned());
            }
            rest = after;
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").map_or("", |(_, after)| after);
        } else if let Some(text) = rest.strip_prefix('"') {
            let (text, after) = literal(text);
            found.push(text);
            rest = after;
        } else if rest.starts_with("'\\") {
            rest = rest[3..].split_once('\'').map_or("", |(_, after)| after);
        } else if let Some(quoted) = rest.strip_prefix('\'') {
            // `'x'` is a character, `'x` a lifetime.
            let end = quoted.chars().next().map_or(0, char::len_utf8);
            rest = quoted[end..].strip_prefix('\'').unwrap_or(quoted);
        } else if let Some(after) = rest.strip_prefix('/') {
            rest = after;
        } else {
            let hashes = rest[1..].len() - rest[1..].trim_start_matches('#').len();
            let word = before.is_some_and(|c| (c.is_alphanumeric() || c == '_') && c != 'b');
            match rest[1 + hashes..].strip_prefix('"').filter(|_| !word) {
                Some(raw) => {
                    let (text, after) = raw.split_once(&format!("\"{}", "#".repeat(hashes))).unwrap_or((raw, ""));
                    found.push(text.to_owned());
                    rest = after;
                }
                None => rest = &rest[1..],
            }
        }
    }
    found
}

/// A string literal without its escapes, and what follows it.
fn literal(text: &str) -> (String, &str) {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (out, &text[at + 1..]),
            '\\' => match chars.next() {
                Some((_, 'n')) => out.push('\n'),
                Some((after, '\n')) => {
                    // A continued line begins with its first word.
                    let rest = text[after..].trim_start();
                    let (more, after) = literal(rest);
                    return (out + &more, after);
                }
                Some((_, other)) => out.push(other),
                None => {}
            },
            other => out.push(other),
        }
    }
    (out, "")
}
