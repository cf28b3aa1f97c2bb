//! Circles of imports between the top-level modules of a library, read off its sources.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::tokens::{Source, tokens};

/// Libraries that have circles. No other may.
const TANGLED: &[&str] = &["gan-kernels", "gan-layers", "gan-train"];

/// Which modules each module of a library uses.
type Graph = BTreeMap<String, BTreeSet<String>>;

/// One line for each circle in a library below `root/crates`.
pub(super) fn violations(root: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for package in children(&root.join("crates"))? {
        let (name, src) = (stem(&package), package.join("src"));
        if src.join("lib.rs").is_file() && !TANGLED.contains(&name.as_str()) {
            let graph = graph(&src)?;
            let circles = circles(&graph).into_iter();
            found.extend(circles.map(|circle| format!("{name}: a circle of imports: {}", circle.join(" → "))));
        }
    }
    Ok(found)
}

/// A file below `src`.
struct File {
    /// The top-level module that it belongs to.
    top: String,
    /// How many modules deep it lies: 1 for a top-level module.
    depth: usize,
    /// Its path without extension, or its folder if it is a `mod.rs`.
    module: PathBuf,
    source: Source,
}

/// The graph of a library's modules; tests are left out.
fn graph(src: &Path) -> Result<Graph> {
    let lib = source(&src.join("lib.rs"))?;
    let mut files = Vec::new();
    walk(src, src, &mut files)?;
    let mut tests: BTreeSet<PathBuf> = lib.test_modules.iter().map(|name| src.join(name)).collect();
    tests.extend(files.iter().flat_map(|file| file.source.test_modules.iter().map(|name| file.module.join(name))));
    files.retain(|file| !tests.iter().any(|test| file.module.starts_with(test)));
    let mut graph: Graph = files.iter().map(|file| (file.top.clone(), BTreeSet::new())).collect();
    let exports = exports(&lib.tokens);
    for file in &files {
        for name in names_of_root(&file.source.tokens, file.depth) {
            let used = if graph.contains_key(name) { Some(name) } else { exports.get(name).copied() };
            if let Some(used) = used.filter(|used| *used != file.top && graph.contains_key(*used)) {
                graph.entry(file.top.clone()).or_default().insert(used.to_owned());
            }
        }
    }
    Ok(graph)
}

fn walk(folder: &Path, src: &Path, files: &mut Vec<File>) -> Result<()> {
    for path in children(folder)? {
        if path.is_dir() {
            walk(&path, src, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") && path != src.join("lib.rs") {
            let module = if stem(&path) == "mod" { folder.to_path_buf() } else { path.with_extension("") };
            let parts = module.strip_prefix(src)?;
            let top = parts.iter().next().unwrap_or_default().to_string_lossy().into_owned();
            files.push(File { top, depth: parts.iter().count(), source: source(&path)?, module });
        }
    }
    Ok(())
}

/// The names of the crate's root that a module at this depth mentions: `crate::NAME`, `super::NAME` and lists of them.
fn names_of_root(tokens: &[String], depth: usize) -> Vec<&str> {
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let after = if tokens[at] == "crate" {
            at + 1
        } else if tokens[at] == "super" && (at < 2 || tokens[at - 2] != "super") {
            let supers = tokens[at..].iter().step_by(2).take_while(|token| *token == "super").count();
            if supers < depth {
                continue;
            }
            at + 2 * supers - 1
        } else {
            continue;
        };
        if tokens.get(after).is_some_and(|token| token == "::") {
            first_names(&tokens[after + 1..], &mut found);
        }
    }
    found
}

/// The first name of a path, or of each path of a list in braces.
fn first_names<'a>(tokens: &'a [String], found: &mut Vec<&'a str>) {
    if tokens.first().is_none_or(|token| token != "{") {
        found.extend(tokens.first().map(String::as_str));
        return;
    }
    let mut depth = 0;
    for pair in tokens.windows(2) {
        match pair[0].as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return;
        }
        if depth == 1 && (pair[0] == "{" || pair[0] == ",") {
            found.push(&pair[1]);
        }
    }
}

/// What the root re-exports, each name with its module.
fn exports(lib: &[String]) -> BTreeMap<&str, &str> {
    let mut exports = BTreeMap::new();
    for at in (0..lib.len()).filter(|&at| lib[at] == "use") {
        let path: Vec<&str> = lib[at + 1..].iter().map(String::as_str).take_while(|token| *token != ";").collect();
        let path = path.strip_prefix(&["crate", "::"]).or(path.strip_prefix(&["self", "::"])).unwrap_or(&path);
        if let [module, rest @ ..] = path {
            exports.extend(rest.iter().map(|name| (*name, *module)));
        }
    }
    exports
}

/// A shortest circle through each module that lies on one, without those of which a module was named before.
fn circles(graph: &Graph) -> Vec<Vec<&str>> {
    let mut named = BTreeSet::new();
    let mut found = Vec::new();
    for start in graph.keys().map(String::as_str) {
        if named.contains(start) {
            continue;
        }
        if let Some(circle) = shortest_circle(graph, start) {
            named.extend(circle.iter().copied());
            found.push(circle);
        }
    }
    found
}

fn shortest_circle<'a>(graph: &'a Graph, start: &'a str) -> Option<Vec<&'a str>> {
    let mut from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut pending = VecDeque::from([start]);
    while let Some(at) = pending.pop_front() {
        for next in graph.get(at).into_iter().flatten().map(String::as_str) {
            if next == start {
                let mut circle = vec![start, at];
                while let Some(before) = from.get(circle[circle.len() - 1]) {
                    circle.push(before);
                }
                circle.reverse();
                return Some(circle);
            }
            if !from.contains_key(next) {
                from.insert(next, at);
                pending.push_back(next);
            }
        }
    }
    None
}

fn source(path: &Path) -> Result<Source> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(tokens(&text))
}

/// The entries of a folder in order; none where there is no such folder.
fn children(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The circles of a library `x` of these files.
    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files.iter().chain(&[("lib.rs", "pub use self::b::{B, deep::D as E};")]) {
            let path = dir.path().join("crates/x/src").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        violations(dir.path()).unwrap()
    }

    #[test]
    fn this_workspace_has_no_circles() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        assert_eq!(violations(root).unwrap(), Vec::<String>::new());
        // That is not for want of imports.
        let data = graph(&root.join("crates/gan-data/src")).unwrap();
        assert!(data["loader"].contains("dataset") && data["reader"].contains("config"), "{data:?}");
    }

    #[test]
    fn every_way_to_import_is_seen() {
        for import in [
            "use crate::b::C;",
            "use crate::{std, b::{C, D}};",
            "fn f() { crate::b::c() }",
            "use super::b::C;",
            "use crate::B;",
            "use crate::E;",
        ] {
            let circle = found(&[("a.rs", import), ("b.rs", "use crate::a::A;")]);
            assert_eq!(circle, ["x: a circle of imports: a → b → a"], "{import}");
        }
        let longer = found(&[
            ("a/mod.rs", ""),
            ("a/in.rs", "use super::super::b::B;"),
            ("b.rs", "use crate::c;"),
            ("c.rs", "use crate::a;"),
        ]);
        assert_eq!(longer, ["x: a circle of imports: a → b → c → a"]);
    }

    #[test]
    fn what_is_no_circle_is_not_reported() {
        for (a, b) in [
            ("use crate::b::B;", "use crate::c::C;"),
            // Within one module anything goes.
            ("use crate::a::inner; use super::b;", ""),
            ("use crate::b;", "#[cfg(test)] mod tests { use crate::a; }"),
            ("use crate::b;", "//! [`crate::a`]\n/* crate::a */ const A: &str = \"crate::a\";"),
        ] {
            assert_eq!(
                found(&[("a.rs", a), ("a/inner.rs", "use super::b;"), ("b.rs", b), ("c.rs", "")]),
                Vec::<String>::new()
            );
        }
        let tests =
            found(&[("a.rs", "use crate::b;"), ("b.rs", "#[cfg(test)] mod tests;"), ("b/tests.rs", "use crate::a;")]);
        assert_eq!(tests, Vec::<String>::new());
    }
}
