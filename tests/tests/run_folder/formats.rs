//! Runs of released formats are read for good: `fixtures/format-N` holds one of each method, with what the program that wrote
//! it made of them. (gan-cli's tests translate with them.)

use super::{copy, find, log, resume_with};
use std::path::{Path, PathBuf};

fn fixtures(format: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/format-{format}"))
}

#[test]
fn format_1_goes_on() {
    goes_on(1, |name, said| {
        assert!(said.iter().any(|s| s.contains("older version") && s.contains("epoch 2")), "{name}: {said:?}");
    });
}

#[test]
fn format_2_goes_on() {
    goes_on(2, |name, said| assert_eq!(said, ["started at 4 of 5"], "{name}"));
}

fn goes_on(format: u32, says: impl Fn(&str, &[String])) {
    let folder = tempfile::tempdir().unwrap();
    for name in ["pix2pix", "cyclegan", "pix2pixhd"] {
        let run = folder.path().join(name);
        copy(&fixtures(format).join(name), &run);
        let (outcome, said) = resume_with(find(name), &run, &["max_steps=5"], None);
        assert_eq!(outcome.unwrap().step, 5, "{name}");
        // The machine that wrote the fixture may have had another instruction set.
        let said: Vec<String> = said.into_iter().filter(|said| !said.contains("differ in the last bits")).collect();
        says(name, &said);
        let line = std::fs::read_to_string(fixtures(format).join(format!("expected/{name}.json"))).unwrap();
        let expected: serde_json::Value = serde_json::from_str(&line).unwrap();
        let record = log(&run).pop().unwrap();
        assert_eq!((record.step, record.epoch), (5, 2), "{name}");
        for (loss, value) in record.losses {
            let expected = expected["losses"][&loss].as_f64().unwrap();
            // Other instruction sets round differently.
            assert!((value.unwrap() - expected).abs() <= 1e-3 * expected.abs(), "{name} {loss}: {value:?}, {expected}");
        }
        // From now on it knows its place.
        let (outcome, said) = resume_with(find(name), &run, &["max_steps=6"], None);
        assert_eq!(outcome.unwrap().step, 6);
        assert_eq!(said, ["started at 5 of 6"], "{name}");
    }
}
