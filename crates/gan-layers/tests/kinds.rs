//! The list of layer kinds and the folder that holds them.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

#[test]
fn a_layer_kind_is_one_file_and_one_line() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/layers");
    let list = fs::read_to_string(folder.join("mod.rs")).unwrap();
    let mut listed: Vec<String> =
        list.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).map(String::from).collect();
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_string();
        if name != "mod" {
            let kinds = fs::read_to_string(&path).unwrap().matches("\nimpl Kind for ").count();
            assert_eq!(kinds, 1, "{} holds {kinds} layer kinds", path.display());
            files.push(name);
        }
    }
    listed.sort();
    files.sort();
    assert_eq!(files, listed, "files of src/layers, and lines `pub mod NAME;` of its mod.rs");
    assert!(files.len() >= 12, "{files:?}");
}
