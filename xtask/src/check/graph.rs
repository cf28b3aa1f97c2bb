//! The dependency invariants of ARCHITECTURE.md, read off `cargo tree`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Result, bail};

use crate::workspace::cargo;

/// `(a, b)`: `b` may depend on `a`, and so on whatever `a` may depend on. Nothing else may.
const ARROWS: &[(&str, &str)] = &[
    ("gan-rng", "gan-kernels"),
    ("gan-kernels", "gan-layers"),
    ("gan-layers", "gan-nets"),
    ("gan-layers", "gan-losses"),
    ("gan-rng", "gan-data"),
    ("gan-fs", "gan-data"),
    ("gan-fs", "gan-weights"),
    ("gan-weights", "gan-nets"),
    ("gan-weights", "gan-losses"),
    ("gan-range", "gan-data"),
    ("gan-range", "gan-nets"),
    ("gan-nets", "gan-translate"),
    ("gan-data", "gan-translate"),
    ("gan-layers", "gan-metrics"),
    ("gan-weights", "gan-metrics"),
    ("gan-data", "gan-metrics"),
    ("gan-comm", "gan-train"),
    ("gan-metrics", "gan-train"),
    ("gan-translate", "gan-train"),
    ("gan-losses", "gan-train"),
    ("gan-train", "gan-web"),
    ("gan-web", "gan-cli"),
    ("gan-translate", "gan-export"),
    ("gan-export", "gan-cli"),
    ("gan-fs", "gan-fetch"),
    ("gan-fetch", "gan-cli"),
    ("gan-fetch", "xtask"),
    ("gan-video", "gan-cli"),
    // Tests that cross crates see all of them.
    ("gan-train", "gan-tests"),
];

/// Members that stand outside the arrows: they may depend on no other member.
const ALONE: &[&str] = &["gan-rng", "gan-fs", "gan-range", "gan-comm", "gan-video", "cuda-emulator"];

/// What a member may not depend on, however indirectly. A `*` at the end stands for any ending.
const NEVER: &[(&str, &[&str], &str)] = &[
    ("gan-nets", &["clap", "gan-data", "gan-train"], "it translates images in other people's products"),
    ("gan-translate", &["clap", "gan-train"], "it translates images in other people's products"),
    ("gan-train", &["clap"], "it knows no argument parser"),
    ("gan-cli", &["cudarc", "candle-kernels", "cudaforge"], "nothing of CUDA is built without the feature"),
    ("gan-comm", &["mpi", "bindgen", "cudarc"], "nothing of MPI and NCCL is built without the features"),
    ("gan-data", &["ureq", "reqwest", "hyper", "tokio"], "it knows no network"),
    ("xtask", &["candle*", "cudarc"], "it builds in seconds"),
];

/// Members with `anyhow`; the libraries have error types of their own.
const ANYHOW: &[&str] = &["gan-cli", "xtask", "gan-tests"];

/// What one member depends on, apart from its tests.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Dependencies {
    direct: BTreeSet<String>,
    all: BTreeSet<String>,
}

/// Asks cargo for the members and the dependencies of each.
pub(super) fn read(root: &Path) -> Result<BTreeMap<String, Dependencies>> {
    let members = tree(root, &["--workspace", "--depth", "0"])?;
    let mut graph = BTreeMap::new();
    for member in parse(&members).all {
        let dependencies = parse(&tree(root, &["--package", &member])?);
        graph.insert(member, dependencies.without_root());
    }
    if graph.is_empty() {
        bail!("cargo tree names no member of the workspace");
    }
    Ok(graph)
}

fn tree(root: &Path, args: &[&str]) -> Result<String> {
    let mut command = cargo(root);
    command.args(["tree", "--edges", "normal,build", "--prefix", "depth", "--format", "|{p}"]).args(args);
    let output = command.output()?;
    if !output.status.success() {
        bail!("cargo tree failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Reads lines such as `1|serde v1.0.0 (*)`; `all` holds the roots too.
fn parse(text: &str) -> Dependencies {
    let mut dependencies = Dependencies::default();
    for line in text.lines() {
        let Some((depth, package)) = line.split_once('|') else { continue };
        let Some(name) = package.split_whitespace().next() else { continue };
        dependencies.all.insert(name.to_owned());
        match depth {
            "0" => {
                dependencies.direct.insert(format!("root {name}"));
            }
            "1" => {
                dependencies.direct.insert(name.to_owned());
            }
            _ => {}
        }
    }
    dependencies
}

impl Dependencies {
    fn without_root(mut self) -> Self {
        let roots: Vec<_> =
            self.direct.iter().filter_map(|name| Some(name.strip_prefix("root ")?.to_owned())).collect();
        for root in roots {
            self.all.remove(&root);
            self.direct.remove(&format!("root {root}"));
        }
        self
    }
}

/// Members that `member` may depend on: those from which the arrows lead to it.
fn allowed(member: &str) -> BTreeSet<&'static str> {
    let mut allowed = BTreeSet::new();
    let mut open = vec![member];
    while let Some(at) = open.pop() {
        for (from, to) in ARROWS {
            if *to == at && allowed.insert(*from) {
                open.push(from);
            }
        }
    }
    allowed
}

/// One line for each breach.
pub(super) fn violations(graph: &BTreeMap<String, Dependencies>) -> Vec<String> {
    let mut found = Vec::new();
    for (member, dependencies) in graph {
        let placed = ALONE.contains(&member.as_str()) || ARROWS.iter().any(|(_, to)| to == member);
        if !placed {
            found.push(format!(
                "{member} has no place among the arrows: say in xtask/src/check/graph.rs what it may use"
            ));
            continue;
        }
        let allowed = allowed(member);
        for other in graph.keys().filter(|other| dependencies.all.contains(*other)) {
            if !allowed.contains(other.as_str()) {
                found.push(format!("{member} depends on {other}: no arrow leads there"));
            }
        }
        for (_, never, why) in NEVER.iter().filter(|(name, ..)| name == member) {
            for name in &dependencies.all {
                if never.iter().any(|pattern| matches(pattern, name)) {
                    found.push(format!("{member} depends on {name}, directly or not: {why}"));
                }
            }
        }
        if dependencies.direct.contains("anyhow") && !ANYHOW.contains(&member.as_str()) {
            found.push(format!("{member} depends on anyhow: a library has an error type of its own"));
        }
    }
    found
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A graph in which each member depends on exactly what is given (and that is all it sees).
    fn graph(edges: &[(&str, &[&str])]) -> BTreeMap<String, Dependencies> {
        edges
            .iter()
            .map(|(member, names)| {
                let names: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
                ((*member).to_owned(), Dependencies { direct: names.clone(), all: names })
            })
            .collect()
    }

    #[test]
    fn the_output_of_cargo_tree() {
        let text = "0|gan-nets v0.1.0 (/src/crates/gan-nets)\n1|gan-layers v0.1.0 (/src/crates/gan-layers)\n\
                    2|serde v1.0.0\n1|serde v1.0.0 (*)\n1|thiserror v2.0.0\n2|thiserror-impl v2.0.0 (proc-macro)\n";
        let read = parse(text).without_root();
        assert_eq!(read.direct.into_iter().collect::<Vec<_>>(), ["gan-layers", "serde", "thiserror"]);
        assert_eq!(read.all.into_iter().collect::<Vec<_>>(), ["gan-layers", "serde", "thiserror", "thiserror-impl"]);
    }

    #[test]
    fn the_arrows_lead_all_the_way() {
        assert_eq!(
            allowed("gan-nets").into_iter().collect::<Vec<_>>(),
            ["gan-fs", "gan-kernels", "gan-layers", "gan-range", "gan-rng", "gan-weights"]
        );
        assert_eq!(allowed("gan-cli").len(), 17);
        assert_eq!(allowed("xtask").into_iter().collect::<Vec<_>>(), ["gan-fetch", "gan-fs"]);
        assert_eq!(allowed("gan-weights").into_iter().collect::<Vec<_>>(), ["gan-fs"]);
        assert!(allowed("gan-rng").is_empty());
    }

    #[test]
    fn what_may_be_is_not_reported() {
        let sound = graph(&[
            ("gan-rng", &[]),
            ("gan-kernels", &["gan-rng", "candle-core"]),
            ("gan-layers", &["gan-rng", "gan-kernels"]),
            ("gan-weights", &["gan-fs", "candle-core", "safetensors"]),
            ("gan-nets", &["gan-layers", "gan-rng", "gan-weights", "gan-fs"]),
            ("gan-losses", &["gan-layers", "gan-weights"]),
            ("gan-data", &["gan-rng"]),
            ("gan-train", &["gan-nets", "gan-losses", "gan-data"]),
            ("gan-cli", &["gan-train", "gan-data", "clap", "anyhow"]),
            ("xtask", &["ureq", "anyhow"]),
            ("gan-tests", &["gan-kernels"]),
        ]);
        assert_eq!(violations(&sound), Vec::<String>::new());
    }

    #[test]
    fn each_breach_is_reported() {
        for (member, dependency, said) in [
            ("gan-nets", "gan-losses", "no arrow"),
            ("gan-data", "gan-kernels", "no arrow"),
            ("gan-rng", "gan-data", "no arrow"),
            ("gan-weights", "gan-kernels", "no arrow"),
            ("gan-nets", "clap", "other people's products"),
            ("gan-train", "clap", "argument parser"),
            ("gan-cli", "cudarc", "without the feature"),
            ("cuda-emulator", "gan-rng", "no arrow"),
            ("gan-train", "gan-cli", "no arrow"),
            ("gan-data", "ureq", "network"),
            ("xtask", "candle-core", "seconds"),
            ("xtask", "gan-rng", "no arrow"),
            ("gan-layers", "anyhow", "error type"),
            ("gan-unknown", "serde", "has no place"),
        ] {
            let mut broken = graph(&[
                ("gan-cli", &[]),
                ("gan-data", &[]),
                ("gan-kernels", &[]),
                ("gan-losses", &[]),
                ("gan-rng", &[]),
            ]);
            broken.extend(graph(&[(member, &[dependency])]));
            let found = violations(&broken);
            assert!(found.iter().any(|line| line.starts_with(member) && line.contains(said)), "{member}: {found:?}");
        }
    }
}
