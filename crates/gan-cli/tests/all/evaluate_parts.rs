//! `evaluate --shard` and `evaluate --join`: the report of one call from those of several.
#![allow(clippy::unwrap_used)]

use crate::evaluate::{json, pairs, write_inception};
use crate::support::{Bench, Ran, tiny_in};
use serde_json::Value;
use std::fs;

/// Without a cache, which would tell the second report that nothing was computed.
fn run(bench: &Bench, args: &[&str]) -> Ran {
    bench.command(args).env("GAN_FEATURE_CACHE", "").output().unwrap().into()
}

#[track_caller]
fn ok(bench: &Bench, args: &[&str]) -> Ran {
    let ran = run(bench, args);
    assert_eq!(ran.code, Some(0), "{args:?}: {ran:?}");
    ran
}

/// Measures parts, in files `NAME-I-of-N`, and returns their names.
fn parts(bench: &Bench, args: &[&str], name: &str, count: usize) -> Vec<String> {
    let part = |number: usize| {
        let (shard, file) = (format!("{number}/{count}"), format!("parts/{name}-{number}-of-{count}"));
        let ran = ok(bench, &[args, &["--shard", &shard, "--part", &file]].concat());
        assert!(ran.out.is_empty() && ran.err.contains(&format!("part {shard} is in {file}")), "{ran:?}");
        file
    };
    (1..=count).map(part).collect()
}

fn joined<'a>(parts: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    [&["evaluate", "--join"][..], &parts.iter().map(String::as_str).collect::<Vec<_>>(), more].concat()
}

/// The same, numbers to rounding.
fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| alike(a, b)))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        _ => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => (a - b).abs() <= 1e-5 * a.abs().max(1.0),
            _ => a == b,
        },
    }
}

/// Values and features, what is left out and why, sizes, notes: every figure in the order of the images.
#[test]
fn parts_make_the_report_of_one_call() {
    let bench = Bench::new();
    pairs(&bench, 5, 24, 20);
    write_inception(&bench.path("data-dir/weights/inception.pth"));
    let folders = ["evaluate", "--fake", "fake", "--real", "real"];
    let all = [&folders[..], &["--allow-other-weights"]].concat();
    let named = [&folders[..], &["--metrics", "psnr,l1"]].concat();
    bench.ok(tiny_in("pix2pix", "trained", &["max_steps=1"]));
    let model = ["evaluate", "--model", "trained", "--limit", "5", "--allow-other-weights"];
    for (name, args, counts) in [("all", &all[..], &[3][..]), ("named", &named, &[2, 7]), ("model", &model, &[4])] {
        let whole = ok(&bench, &[args, &["--json", "whole.json", "--seed", "7"]].concat());
        for &count in counts {
            let mut parts = parts(&bench, args, name, count);
            parts.reverse();
            let ran = ok(&bench, &joined(&parts, &["--json", "joined.json", "--seed", "7"]));
            assert_eq!((&ran.out, &ran.err), (&whole.out, &whole.err), "{name} in {count} parts");
            let (joined, whole) = (json(&bench, "joined.json"), json(&bench, "whole.json"));
            // Networks compute the features of a set in batches, which the parts cut elsewhere.
            assert!(alike(&joined, &whole), "{name} in {count} parts: {joined} {whole}");
        }
    }
}

/// What was asked for and cannot be computed fails the call that reports, after the rest.
#[test]
fn what_cannot_be_computed_fails_the_report() {
    let bench = Bench::new();
    pairs(&bench, 2, 24, 20);
    let parts = parts(&bench, &["evaluate", "--fake", "fake", "--real", "real", "--metrics", "l1,fid"], "a", 2);
    let ran = run(&bench, &joined(&parts, &[]));
    assert!(ran.out.contains("L1"), "{ran:?}");
    ran.fails(4, &["not computed: fid", "gan-cli fetch inception"]);
}

#[test]
fn what_is_not_one_evaluation_is_refused() {
    let bench = Bench::new();
    pairs(&bench, 4, 24, 20);
    let args = ["evaluate", "--fake", "fake", "--real", "real", "--metrics", "l1"];
    let three = parts(&bench, &args, "a", 3);
    let two = parts(&bench, &args, "b", 2);
    let others = parts(&bench, &[&args[..], &["--protocol", "pytorch"]].concat(), "c", 3);
    let refused = |parts: &[&String], said: &[&str]| {
        let parts: Vec<String> = parts.iter().map(|part| (*part).clone()).collect();
        run(&bench, &joined(&parts, &[])).fails(3, said);
    };
    refused(&[&three[0], &three[2]], &["part 2/3 is missing", "--shard 2/3"]);
    refused(&[&three[0], &three[1]], &["part 3/3 is missing"]);
    refused(&[&three[0], &three[1], &three[1], &three[2]], &["are both part 2/3"]);
    refused(&[&three[0], &two[1]], &["part 1/3", "part 2/2", "one evaluation"]);
    refused(&[&three[0], &others[1], &three[2]], &["another --protocol"]);
    // An image was added meanwhile.
    for folder in ["fake", "real"] {
        fs::copy(bench.path("real/0.png"), bench.path(&format!("{folder}/9.png"))).unwrap();
        fs::copy(bench.path("real/0.png"), bench.path(&format!("{folder}/8.png"))).unwrap();
    }
    let later = parts(&bench, &args, "d", 3);
    refused(&[&three[0], &three[1], &later[2]], &["not of the same images"]);
    let whole = fs::read(bench.path(&three[0])).unwrap();
    for damaged in [&whole[..40], &whole[..whole.len() - 1], b"no part", b""] {
        fs::write(bench.path("damaged"), damaged).unwrap();
        refused(&[&"damaged".to_owned(), &three[1], &three[2]], &["damaged: ", "evaluate --shard", "--part"]);
    }
    refused(&[&"missing".to_owned()], &["missing: "]);
    bench.run([&args[..], &["--shard", "1/2"]].concat()).fails(2, &["--part"]);
    bench.run([&args[..], &["--shard", "1/2", "--part", "real/part"]].concat()).fails(2, &["real/part"]);
    bench.run(joined(&three, &["--json", &three[0]])).fails(2, &["would be lost"]);
    bench.run(joined(&three, &["--metrics", "l1"])).fails(2, &["--metrics"]);
}
