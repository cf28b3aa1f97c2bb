//! A small reader of command lines: words, `--flag`, `--key value` and `--key=value`.
//!
//! An argument-parsing crate would be the largest dependency of this program.

use std::collections::VecDeque;

use anyhow::{Result, bail};

/// One argument as the reader hands it out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arg {
    /// An argument that begins with `--`, without the dashes.
    Flag(String),
    /// Anything else.
    Word(String),
}

/// The arguments that are left to read.
#[derive(Debug)]
pub(crate) struct Args {
    rest: VecDeque<String>,
    /// The value glued to the last flag with `=`.
    glued: Option<(String, String)>,
    only_words: bool,
}

impl Args {
    pub(crate) fn new(args: impl IntoIterator<Item = String>) -> Self {
        Self { rest: args.into_iter().collect(), glued: None, only_words: false }
    }

    /// The next argument; `--` makes everything after it a word.
    ///
    /// # Errors
    /// When a value was glued to a flag that takes none.
    pub(crate) fn next(&mut self) -> Result<Option<Arg>> {
        if let Some((flag, value)) = self.glued.take() {
            bail!("--{flag} takes no value, but was given `{value}`");
        }
        let Some(arg) = self.rest.pop_front() else { return Ok(None) };
        if self.only_words {
            return Ok(Some(Arg::Word(arg)));
        }
        if arg == "--" {
            self.only_words = true;
            return self.next();
        }
        if arg == "-h" {
            return Ok(Some(Arg::Flag("help".into())));
        }
        Ok(Some(match arg.strip_prefix("--") {
            Some(flag) => match flag.split_once('=') {
                Some((flag, value)) => {
                    self.glued = Some((flag.to_owned(), value.to_owned()));
                    Arg::Flag(flag.to_owned())
                }
                None => Arg::Flag(flag.to_owned()),
            },
            None => Arg::Word(arg),
        }))
    }

    /// The value of the flag just read.
    ///
    /// # Errors
    /// When the command line ends before it.
    pub(crate) fn value(&mut self, flag: &str) -> Result<String> {
        if let Some((_, value)) = self.glued.take() {
            return Ok(value);
        }
        match self.rest.pop_front() {
            Some(value) => Ok(value),
            None => bail!("--{flag} needs a value"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn args(line: &str) -> Args {
        Args::new(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn words_flags_and_values() {
        let mut args = args("facades --dir=/d --list --base-url http://h -- --odd");
        assert_eq!(args.next().unwrap(), Some(Arg::Word("facades".into())));
        assert_eq!(args.next().unwrap(), Some(Arg::Flag("dir".into())));
        assert_eq!(args.value("dir").unwrap(), "/d");
        assert_eq!(args.next().unwrap(), Some(Arg::Flag("list".into())));
        assert_eq!(args.next().unwrap(), Some(Arg::Flag("base-url".into())));
        assert_eq!(args.value("base-url").unwrap(), "http://h");
        assert_eq!(args.next().unwrap(), Some(Arg::Word("--odd".into())));
        assert_eq!(args.next().unwrap(), None);
    }

    #[test]
    fn a_value_too_many_and_one_too_few() {
        let mut many = args("--list=yes");
        many.next().unwrap();
        assert!(many.next().unwrap_err().to_string().contains("takes no value"));
        let mut few = args("--dir");
        few.next().unwrap();
        assert!(few.value("dir").unwrap_err().to_string().contains("needs a value"));
    }
}
