//! Options and keys in a text.

use std::collections::BTreeSet;

/// Something a user may type.
pub(super) enum Mention {
    /// An option, and the command in whose line it stands.
    Option { command: Option<String>, name: String },
    /// A key of the configuration.
    Key(String),
}

impl std::fmt::Display for Mention {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Mention::Option { command: None, name } => write!(f, "--{name}"),
            Mention::Option { command: Some(command), name } => write!(f, "--{name} ({command})"),
            Mention::Key(key) => f.write_str(key),
        }
    }
}

/// What `key` looks like but is: the extension of a file.
const EXTENSIONS: &[&str] =
    &["rs", "toml", "json", "jsonl", "safetensors", "pth", "pt", "pkl", "png", "jpg", "html", "md", "py", "zip", "svg"];

fn in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

fn in_key(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '.'
}

/// The longest start of a text of such characters, without dots and dashes at its end.
fn start(text: &str, of: fn(char) -> bool) -> &str {
    text[..text.find(|c| !of(c)).unwrap_or(text.len())].trim_end_matches(['.', '-'])
}

/// Everything that `text` names. `commands` are those of the program, `tables` those of the configuration.
pub(super) fn mentions(text: &str, commands: &[&str], tables: &BTreeSet<&str>) -> Vec<Mention> {
    let mut found = options(text, commands);
    let keys = in_tables(text, tables).into_iter().chain(assigned(text));
    found.extend(keys.collect::<BTreeSet<_>>().into_iter().map(Mention::Key));
    found
}

fn options(text: &str, commands: &[&str]) -> Vec<Mention> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("--") {
        let name = start(&text[at + 2..], in_word);
        let alone = !text[..at].ends_with(in_word) && name.starts_with(|c: char| c.is_ascii_alphabetic());
        if alone {
            let command = command(&text[..at], commands);
            found.push(Mention::Option { command, name: name.to_owned() });
        }
    }
    found
}

/// The command whose line, up to here, this is.
fn command(before: &str, commands: &[&str]) -> Option<String> {
    const CALL: &str = "gan-cli ";
    let call = &before[before.rfind(CALL)? + CALL.len()..];
    // The line ends at its quote, or where the next one begins; a backslash continues it.
    if call.contains(['`', '\'']) || call.replace("\\\n", "").contains('\n') {
        return None;
    }
    let named = commands.iter().filter(|command| call.starts_with(&format!("{command} ")));
    named.max_by_key(|command| command.len()).map(ToString::to_string)
}

/// `table.key`, wherever it stands.
fn in_tables(text: &str, tables: &BTreeSet<&str>) -> Vec<String> {
    let mut found = Vec::new();
    for table in tables {
        for (at, _) in text.match_indices(&format!("{table}.")) {
            let path = start(&text[at..], in_key);
            let after = &text[at + path.len()..];
            let alone = !text[..at].ends_with(|c: char| in_word(c) || c == '.' || c == '/');
            let key = path.split_once('.').map_or("", |(_, key)| key);
            if alone && !key.is_empty() && !EXTENSIONS.contains(&key) && !after.starts_with(['(', '/']) {
                found.push(path.to_owned());
            }
        }
    }
    found
}

/// What is given a value: `key = value` in backticks, `--set key=value`, "set key = value", "raise some_key".
fn assigned(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut take = |rest: &str, needs_value: bool| {
        let key = start(rest, in_key);
        let valued = rest[key.len()..].trim_start().starts_with('=');
        let is_key = if needs_value { valued } else { key.contains('_') };
        if is_key && key.starts_with(|c: char| c.is_ascii_lowercase()) {
            found.push(key.to_owned());
        }
    };
    for (i, span) in text.split('`').enumerate() {
        if i % 2 == 1 && !span.contains('\n') {
            take(span, true);
        }
    }
    for (word, needs_value) in [("--set ", true), ("set ", true), ("raise ", false)] {
        for (at, _) in text.match_indices(word) {
            if !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
                take(&text[at + word.len()..], needs_value);
            }
        }
    }
    found
}
