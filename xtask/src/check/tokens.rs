//! The words and signs of a Rust source, without comments, literals and tests.

/// A source as `xtask check` reads it.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// Words, `::`, and single signs.
    pub(super) tokens: Vec<String>,
    /// Modules that only tests have: `#[cfg(test)] mod NAME`.
    pub(super) test_modules: Vec<String>,
}

/// Reads a source.
pub(super) fn tokens(text: &str) -> Source {
    without_tests(&lex(text))
}

fn lex(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let word = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let hashes = rest[word..].len() - rest[word..].trim_start_matches('#').len();
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if next == '"' {
            string(rest)
        } else if matches!(&rest[..word], "b" | "c") && rest[word..].starts_with('"') {
            word + string(&rest[word..])
        } else if matches!(&rest[..word], "r" | "br" | "cr") && rest[word + hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = word + hashes + 1;
            rest[body..].find(&end).map_or(rest.len(), |at| body + at + end.len())
        } else if next == '\'' {
            character(rest)
        } else if next.is_whitespace() {
            next.len_utf8()
        } else {
            let length = if word > 0 {
                word
            } else if rest.starts_with("::") {
                2
            } else {
                next.len_utf8()
            };
            found.push(rest[..length].to_owned());
            length
        };
        rest = &rest[skipped..];
    }
    found
}

/// Length of the block comment that `text` begins with; comments nest.
fn block_comment(text: &str) -> usize {
    let (mut at, mut depth) = (2, 1);
    while depth > 0 {
        let rest = &text[at..];
        let Some(next) = rest.find("*/") else { return text.len() };
        match rest.find("/*").filter(|&open| open < next) {
            Some(open) => (at, depth) = (at + open + 2, depth + 1),
            None => (at, depth) = (at + next + 2, depth - 1),
        }
    }
    at
}

/// Length of the string literal that `text` begins with.
fn string(text: &str) -> usize {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

/// Length of the character literal, or of the quote of a lifetime, that `text` begins with.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        // An escape such as '\'' or '\u{e9}'.
        (Some((_, '\\')), Some((at, c))) => {
            let body = at + c.len_utf8();
            text[body..].find('\'').map_or(text.len(), |end| body + end + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

/// Leaves out what follows `#[cfg(test)]`.
fn without_tests(all: &[String]) -> Source {
    const MARKS: [&[&str]; 2] =
        [&["#", "[", "cfg", "(", "test", ")", "]"], &["#", "[", "cfg", "(", "all", "(", "test"]];
    let mut source = Source::default();
    let mut at = 0;
    while at < all.len() {
        let is_test = MARKS.iter().any(|mark| all[at..].iter().take(mark.len()).eq(mark.iter()));
        if !is_test {
            source.tokens.push(all[at].clone());
            at += 1;
            continue;
        }
        let item = &all[at..at + item_length(&all[at..])];
        if let Some(name) = item.iter().position(|token| token == "mod").and_then(|place| item.get(place + 1)) {
            source.test_modules.push(name.clone());
        }
        at += item.len();
    }
    source
}

/// Number of tokens up to the `;` or the closing brace of the item that `tokens` begin with, attributes included.
fn item_length(tokens: &[String]) -> usize {
    let (mut braces, mut brackets) = (0_usize, 0_usize);
    for (at, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "[" | "(" => brackets += 1,
            "]" | ")" => brackets = brackets.saturating_sub(1),
            "{" => braces += 1,
            "}" if braces <= 1 => return at + 1,
            "}" => braces -= 1,
            ";" if braces == 0 && brackets == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_is_left() {
        let text = r##"
            //! crate::a
            /* crate::b /* crate::c */ crate::d */
            fn f<'a>(x: &'a str) -> [char; 3] { "crate::e \" crate::f"; r#"crate::g ""#; b"crate::h"; ['"', '\'', '\\'] }
            use crate::i;
        "##;
        let source = tokens(text);
        let words: Vec<&str> = source.tokens.iter().map(String::as_str).filter(|token| token.len() > 1).collect();
        assert_eq!(words, ["fn", "str", "char", "use", "crate", "::"]);
        assert_eq!(source.tokens.iter().filter(|token| *token == "a").count(), 2, "lifetimes are words");
    }

    #[test]
    fn tests_are_left_out() {
        let text = "
            #[cfg(test)] #[path = \"x\"] pub(crate) mod fault;
            #[cfg(test)] use crate::{one, two};
            #[cfg(all(test, unix))] mod tests { fn f() { if x { y } } }
            #[cfg(test)] const N: [u8; 3] = [1; 3];
            #[cfg(not(test))] use crate::three;
        ";
        let source = tokens(text);
        assert_eq!(source.test_modules, ["fault", "tests"]);
        assert!(!source.tokens.iter().any(|token| ["one", "two", "y", "N"].contains(&token.as_str())), "{source:?}");
        assert!(source.tokens.ends_with(&["crate", "::", "three", ";"].map(String::from)));
    }
}
