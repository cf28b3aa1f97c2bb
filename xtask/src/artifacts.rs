//! What cargo says that it built.

use std::path::PathBuf;

use serde_json::Value;

/// A program that cargo built.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Artifact {
    pub(crate) name: String,
    pub(crate) executable: PathBuf,
    pub(crate) is_test: bool,
}

/// The programs among cargo's JSON messages, one a line.
pub(crate) fn read(messages: &str) -> Vec<Artifact> {
    messages.lines().filter_map(|line| artifact(&serde_json::from_str(line).ok()?)).collect()
}

fn artifact(message: &Value) -> Option<Artifact> {
    Some(Artifact {
        executable: message["executable"].as_str()?.into(),
        name: message["target"]["name"].as_str()?.to_owned(),
        is_test: message["profile"]["test"].as_bool()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_told_from_the_rest() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"anyhow"},"profile":{"test":false},"executable":null}
not JSON
{"reason":"compiler-artifact","target":{"name":"parity"},"profile":{"test":true},"executable":"/t/parity-1"}
{"reason":"compiler-artifact","target":{"name":"gan-cli"},"profile":{"test":false},"executable":"/t/gan-cli"}
{"reason":"build-finished","success":true}"#;
        let of = |name: &str, executable: &str, is_test| Artifact {
            name: name.into(),
            executable: executable.into(),
            is_test,
        };
        assert_eq!(read(messages), [of("parity", "/t/parity-1", true), of("gan-cli", "/t/gan-cli", false)]);
    }
}
