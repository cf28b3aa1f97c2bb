//! A position in PTX text, with the few ways of moving on that the grammar needs.

/// PTX text without its comments, which are replaced by spaces so that line numbers stay.
pub fn strip_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('/') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else {
            out.push('/');
            rest = &rest[1..];
            continue;
        };
        out.extend(rest[..end].chars().filter(|&c| c == '\n'));
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

/// Whether `c` may stand in an identifier (registers, labels and directives included).
pub fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '%' | '.' | ':')
}

/// Reads text from left to right.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    text: &'a str,
    pos: usize,
}

impl<'a> Cursor<'a> {
    /// At the start of `text`.
    pub fn new(text: &'a str) -> Self {
        Self { text, pos: 0 }
    }

    /// Byte offset from the start.
    pub fn pos(&self) -> usize {
        self.pos
    }

    /// The next character after white space, if any.
    pub fn peek(&mut self) -> Option<char> {
        let rest = &self.text[self.pos..];
        let trimmed = rest.trim_start();
        self.pos += rest.len() - trimmed.len();
        trimmed.chars().next()
    }

    /// Takes `c` if it comes next.
    pub fn eat(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        if found {
            self.pos += c.len_utf8();
        }
        found
    }

    /// The next identifier, number or directive (empty if something else comes). A word ends after a colon that is
    /// not doubled, so that labels come with theirs.
    pub fn word(&mut self) -> &'a str {
        self.peek();
        let rest = &self.text[self.pos..];
        let bytes = rest.as_bytes();
        let mut end = 0;
        while end < bytes.len() && is_word(char::from(bytes[end])) {
            if bytes[end] == b':' {
                if bytes.get(end + 1) == Some(&b':') {
                    end += 2;
                    continue;
                }
                end += 1;
                break;
            }
            end += 1;
        }
        self.pos += end;
        &rest[..end]
    }

    /// Everything up to (without) the first of `ends`, which is passed over.
    pub fn until(&mut self, end: char) -> &'a str {
        let rest = &self.text[self.pos..];
        let at = rest.find(end).unwrap_or(rest.len());
        self.pos += (at + end.len_utf8()).min(rest.len());
        &rest[..at]
    }

    /// The text between the bracket `open`, which comes next, and its partner, without them.
    pub fn bracketed(&mut self, open: char, close: char) -> &'a str {
        if !self.eat(open) {
            return "";
        }
        let start = self.pos;
        let mut depth = 1;
        for (at, c) in self.text[start..].char_indices() {
            if c == open {
                depth += 1;
            } else if c == close {
                depth -= 1;
                if depth == 0 {
                    self.pos = start + at + close.len_utf8();
                    return &self.text[start..start + at];
                }
            }
        }
        self.pos = self.text.len();
        &self.text[start..]
    }
}
