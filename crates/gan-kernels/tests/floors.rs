//! The floors of the crate: a module uses only modules of lower floors, and those of its own folder.
#![allow(clippy::unwrap_used)]
use std::fs;
use std::path::{Path, PathBuf};

/// From the lowest. Modules of one floor that are listed apart do not know each other.
const FLOORS: &[&[&str]] = &[
    &["spec"],
    &["isa"],
    &["dispatch"],
    &["tuning"],
    &["scratch"],
    &["weight"],
    &["cpu", "cuda"],
    &["device", "upload"],
    &["graph"],
    &["ops"],
];

fn floor(module: &str) -> usize {
    let found = FLOORS.iter().position(|modules| modules.contains(&module));
    found.unwrap_or_else(|| panic!("`{module}` is on no floor: add it to FLOORS"))
}

fn sources(folder: &Path, to: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, to);
        } else if path.extension().is_some_and(|e| e == "rs") {
            to.push(path);
        }
    }
}

#[test]
fn modules_use_only_lower_floors() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut files, mut uses) = (Vec::new(), 0);
    sources(&root, &mut files);
    for file in files {
        let inside = file.strip_prefix(&root).unwrap().with_extension("");
        let own = inside.iter().next().unwrap().to_str().unwrap();
        if own == "lib" {
            continue;
        }
        for line in fs::read_to_string(&file).unwrap().lines() {
            let code = line.split("//").next().unwrap();
            for (at, start) in code.match_indices("crate::") {
                // Macros name what their callers may use.
                if code[..at].ends_with('$') {
                    continue;
                }
                let rest = &code[at + start.len()..];
                let used = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
                uses += 1;
                let allowed = used == own || floor(used) < floor(own);
                assert!(allowed, "{}: `{}` lies above `{own}`, or beside it", inside.display(), line.trim());
            }
        }
    }
    assert!(uses > 100, "{uses}");
}
