//! `gan-cli man`.
#![allow(clippy::unwrap_used)]

use crate::support;

use std::fs;
use support::Bench;

#[test]
fn a_page_a_command() {
    let bench = Bench::new();
    let ran = bench.ok(["man", "pages/man1"]);
    let names: Vec<_> = fs::read_dir(bench.path("pages/man1"))
        .unwrap()
        .map(|page| page.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(ran.out.starts_with(&format!("{} pages in pages/man1; ", names.len())), "{}", ran.out);
    for name in ["gan-cli.1", "gan-cli-train.1", "gan-cli-fetch.1", "gan-cli-dataset-pairs.1", "gan-cli-man.1"] {
        assert!(names.iter().any(|have| have == name), "{name}: {names:?}");
    }
    let page = fs::read_to_string(bench.path("pages/man1/gan-cli-train.1")).unwrap();
    for words in [".TH gan-cli-train 1", ".SH NAME", ".SH SYNOPSIS", ".SH OPTIONS", ".SH EXAMPLES", ".SH \"SEE ALSO\""]
    {
        assert!(page.replace("\\-", "-").contains(words), "{words}: {page}");
    }
    // A second time, and where no folder can be.
    bench.ok(["man", "pages/man1"]);
    fs::write(bench.path("file"), "").unwrap();
    bench.run(["man", "file/man1"]).fails(1, &["cannot create file/man1"]);
}
