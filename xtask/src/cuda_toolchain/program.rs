//! Running other programs: what they say is kept, and said again when they fail.

use std::io::ErrorKind;
use std::process::Command;

use anyhow::{Result, anyhow, bail};

/// Lines of a failed program's output that a message repeats.
const LAST_LINES: usize = 30;

/// Runs the program and returns what it wrote to its standard output; `remedy` says what to do where it is not installed.
///
/// # Errors
/// When it cannot be started, and when it fails: the message then holds the end of its output.
pub(super) fn output(command: &mut Command, remedy: &str) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow!("there is no program `{name}`: {remedy}"),
        _ => anyhow!("cannot start `{name}`: {error}"),
    })?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let text = format!("{said}{}", String::from_utf8_lossy(&output.stderr));
        bail!("`{name}` failed ({}):\n{}", output.status, last_lines(&text));
    }
    Ok(said)
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_program_that_is_not_there() {
        let error = output(&mut Command::new("no-such-program"), "install it").unwrap_err();
        assert_eq!(error.to_string(), "there is no program `no-such-program`: install it");
    }

    #[cfg(unix)]
    #[test]
    fn what_it_said() {
        let sh = |script: &str| output(Command::new("sh").args(["-c", script]), "");
        assert_eq!(sh("echo one; echo two >&2").unwrap(), "one\n");
        let error = sh("echo out; echo why >&2; exit 3").unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.ends_with("out\nwhy"), "{error}");
    }

    #[test]
    fn only_the_end_is_repeated() {
        let text: String = (0..100).map(|i| format!("{i}\n\n")).collect();
        let end = last_lines(&text);
        assert!(end.starts_with("70\n71\n") && end.ends_with("\n99"), "{end}");
    }
}
