//! The example translates a file with a run.
#![allow(clippy::unwrap_used)]

mod support;

#[path = "../examples/translate.rs"]
mod example;

#[test]
fn the_example_translates_a_file() {
    let output = tempfile::tempdir().unwrap();
    let output = output.path().join("out.png");
    let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let [model, input] = ["cyclegan", "inputs/img.png"].map(|name| text(&support::fixture(name)));
    example::translate(&model, &input, &text(&output)).unwrap();
    let levels = |path| gan_data::decode(path, &gan_data::DecodeOptions::default()).unwrap();
    assert_eq!(levels(&output), levels(&support::fixture("expected/cyclegan.png")));
}
