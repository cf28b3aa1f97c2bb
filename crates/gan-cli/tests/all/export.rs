//! `export onnx`, `export hub` and `verify`.

use crate::support::{Bench, Ran, tiny_in};
use std::fs;
use std::path::Path;

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/interchange/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// The library of ONNX Runtime, where the variable names one and the program can load it.
#[allow(clippy::print_stderr, reason = "a test that is skipped says so")]
fn runtime() -> Option<String> {
    if !cfg!(feature = "onnxruntime") {
        eprintln!("skipped: built without the feature onnxruntime");
        return None;
    }
    let library = std::env::var("ORT_DYLIB_PATH").ok();
    if library.is_none() {
        eprintln!("skipped: ORT_DYLIB_PATH names no library of ONNX Runtime");
    }
    library
}

/// Runs the program without what the surroundings know of ONNX Runtime.
fn run(bench: &Bench, args: &[&str]) -> Ran {
    bench.command(args).env_remove("ORT_DYLIB_PATH").output().unwrap().into()
}

#[track_caller]
fn ok(bench: &Bench, args: &[&str]) -> Ran {
    let ran = run(bench, args);
    assert_eq!(ran.code, Some(0), "{args:?}: {ran:?}");
    ran
}

/// Names of all files below a folder.
fn files(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match path.is_dir() {
            true => names.extend(files(&path).iter().map(|inner| format!("{name}/{inner}"))),
            false => names.push(name),
        }
    }
    names.sort();
    names
}

/// Small networks of every kind: weight file, options, and what the file says of itself.
const NETWORKS: &[(&str, &[&str], &str)] = &[
    ("resnet.pth", &[], "resnet generator of 1 blocks"),
    ("unet.pth", &[], "unet generator of 5 downsampling layers"),
    ("unet.pth", &["--eval"], "batch norm"),
    ("global.pth", &["--arch", "global"], "global generator"),
    ("training.pth", &["--entry", "netG"], "local generator"),
    ("training.pth", &["--entry", "netD"], "PatchGAN discriminator"),
];

#[test]
fn every_network_becomes_a_file() {
    let bench = Bench::new();
    for (name, options, what) in NETWORKS {
        for more in [&[][..], &["--dynamic"], &["--precision", "f16", "--pad", "slices"]] {
            let args = ["export", "onnx", &fixture(name), "out/net.onnx", "--size", "64", "96"];
            let ran = ok(&bench, &[&args[..], options, more].concat());
            assert!(ran.out.contains(what) && ran.out.contains("opset 17"), "{}", ran.out);
            assert!(ran.out.contains("not verified"), "{}", ran.out);
            assert_eq!(files(&bench.path("out")), ["net.onnx"]);
            let bytes = fs::read(bench.path("out/net.onnx")).unwrap();
            // Field 1, the version of the format, is 8; names of operators stand in the file as they are.
            assert_eq!(bytes[..2], [8, 8]);
            let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(has("Conv") && has("weights_sha256") && has("gan-cli"));
            let slices = more.contains(&"slices");
            assert!(!(slices && has("reflect")) && (has("reflect") || slices || !what.contains("resnet")), "{name}");
        }
    }
}

#[test]
fn files_of_equal_models_are_equal_and_f16_takes_half() {
    let bench = Bench::new();
    let size = |name: &str| fs::metadata(bench.path(name)).unwrap().len();
    ok(&bench, &["export", "onnx", &fixture("unet.pth"), "a.onnx", "--size", "64", "64"]);
    ok(&bench, &["export", "onnx", &fixture("unet.pth"), "b.onnx", "--size", "64", "64"]);
    assert_eq!(fs::read(bench.path("a.onnx")).unwrap(), fs::read(bench.path("b.onnx")).unwrap());
    ok(&bench, &["export", "onnx", &fixture("unet.pth"), "h.onnx", "--size", "64", "64", "--precision", "f16"]);
    assert!(size("h.onnx") < size("a.onnx"), "{} and {}", size("h.onnx"), size("a.onnx"));
}

#[test]
fn what_cannot_be_exported_is_refused_and_leaves_nothing() {
    let bench = Bench::new();
    fs::copy(fixture("unet.pth"), bench.path("model.onnx")).unwrap();
    fs::create_dir(bench.path("folder.onnx")).unwrap();
    let unet = fixture("unet.pth");
    for (args, code, words) in [
        (vec![&*unet, "net.pb"], 2, vec![".onnx"]),
        (vec![&*unet, "folder.onnx"], 2, vec!["is a folder"]),
        (vec![&*unet, "net.onnx", "--size", "50", "64"], 2, vec!["--size 50 64", "multiples of 32"]),
        (vec![&*unet, "net.onnx", "--network", "g"], 2, vec!["--network"]),
        (vec!["missing.pth", "net.onnx"], 4, vec!["missing.pth"]),
        (vec!["model.onnx", "model.onnx"], 2, vec!["is the input"]),
        (vec![&*unet, "net.onnx", "--runtime", "missing.so"], 2, vec!["--runtime"]),
        (
            vec![&*fixture("training.pth"), "net.onnx", "--entry", "netD", "--with-preprocessing"],
            2,
            vec!["leave it out"],
        ),
    ] {
        run(&bench, &[&["export", "onnx"], &args[..]].concat()).fails(code, &words);
        assert_eq!(files(&bench.path(".")), ["model.onnx"], "{args:?}");
    }
}

#[test]
fn onnx_runtime_computes_the_same() {
    let Some(library) = runtime() else { return };
    let bench = Bench::new();
    let out = |more: &[&str]| {
        let args = [&["export", "onnx"], more, &["--runtime", &library]].concat();
        let ran = ok(&bench, &args);
        assert!(ran.out.contains("verified with ONNX Runtime"), "{}", ran.out);
        ran.out
    };
    for (name, options, _) in NETWORKS {
        for more in [&[][..], &["--dynamic"], &["--pad", "slices"], &["--precision", "f16"]] {
            out(&[&[&*fixture(name), "net.onnx", "--size", "64", "96"], *options, more].concat());
        }
    }
    for (name, options) in
        [("resnet.pth", &[][..]), ("unet.pth", &[]), ("global.pth", &["--arch", "global", "--label-nc", "4"])]
    {
        for more in [&[][..], &["--dynamic"], &["--precision", "f16"]] {
            out(&[&[&*fixture(name), "net.onnx", "--size", "64", "96", "--with-preprocessing"], options, more].concat());
        }
    }
    // A library that is none.
    fs::write(bench.path("library.so"), "no library").unwrap();
    let args = ["export", "onnx", &fixture("unet.pth"), "other.onnx", "--runtime", "library.so"];
    run(&bench, &args).fails(1, &["ONNX Runtime"]);
    assert_eq!(files(&bench.path(".")), ["library.so", "net.onnx"]);
}

#[test]
fn a_run_becomes_a_folder_that_every_command_takes() {
    let bench = Bench::new();
    ok(&bench, &tiny_in("pix2pix", "run", &["max_steps=2"]).iter().map(String::as_str).collect::<Vec<_>>());
    let ran = ok(&bench, &["export", "hub", "run", "hub", "--licence", "mit", "--dataset", "facades"]);
    assert!(ran.err.contains("samples: the first of"), "{}", ran.err);
    let expected = [
        "README.md",
        "config.json",
        "model.safetensors",
        "samples/input-1.png",
        "samples/input-2.png",
        "samples/output-1.png",
        "samples/output-2.png",
        "verification.json",
    ];
    assert_eq!(files(&bench.path("hub")), expected);
    let card = fs::read_to_string(bench.path("hub/README.md")).unwrap();
    for line in
        ["license: \"mit\"", "pipeline_tag: image-to-image", "- \"facades\"", "load_state_dict", "samples/output-2.png"]
    {
        assert!(card.contains(line), "{line}: {card}");
    }
    let header = fs::read(bench.path("hub/model.safetensors")).unwrap();
    assert!(String::from_utf8_lossy(&header[..200]).contains(r#""__metadata__":{"format":"pt"}"#));

    let ran = ok(&bench, &["verify", "hub"]);
    assert!(ran.out.contains("2 samples made again: the same in every level"), "{}", ran.out);
    for model in ["run", "hub"] {
        ok(&bench, &["translate", model, "hub/samples/input-1.png", &format!("{model}.png")]);
    }
    assert_eq!(fs::read(bench.path("run.png")).unwrap(), fs::read(bench.path("hub.png")).unwrap());
    assert!(ok(&bench, &["summary", "--model", "hub"]).out.contains("unet"));
    // The folder knows no dataset; how one is read it knows.
    run(&bench, &["evaluate", "--model", "hub", "--metrics", "l1"]).fails(4, &["no run folder", "--data"]);
    let facades = bench.synth("facades", "facades", 32, 3, 2).display().to_string();
    ok(&bench, &["evaluate", "--model", "hub", "--data", &facades, "--metrics", "l1", "--json", "report.json"]);
    let report: serde_json::Value = serde_json::from_slice(&fs::read(bench.path("report.json")).unwrap()).unwrap();
    assert!(report.to_string().contains("facades") && report.to_string().contains("l1"), "{report}");
    ok(&bench, &["convert", "hub", "g.pth", "--network", "g"]);
    ok(&bench, &["export", "onnx", "hub", "hub.onnx"]);
    ok(&bench, &["export", "hub", "hub", "again", "--sample", "hub/samples/input-2.png"]);
    ok(&bench, &["verify", "again"]);
    run(&bench, &["translate", "hub", "hub/samples/input-1.png", "x.png", "--checkpoint", "best"])
        .fails(2, &["is one model"]);
    run(&bench, &["export", "hub", "run", "hub"]).fails(2, &["exists"]);
    run(&bench, &["export", "hub", "run", "run/checkpoints/hub"]).fails(2, &["is read"]);
    run(&bench, &["verify", "run"]).fails(4, &["no model folder"]);
    run(&bench, &["verify", "nowhere"]).fails(4, &["does not exist"]);
}

#[test]
fn damaged_and_edited_folders_are_refused() {
    let bench = Bench::new();
    ok(&bench, &["export", "hub", &fixture("resnet.pth"), "hub"]);
    ok(&bench, &["verify", "hub"]);
    let at = |name: &str| bench.path("hub").join(name);
    let change = |name: &str, change: &dyn Fn(Vec<u8>) -> Option<Vec<u8>>, words: &[&str]| {
        let before = fs::read(at(name)).unwrap();
        match change(before.clone()) {
            Some(after) => fs::write(at(name), after).unwrap(),
            None => fs::remove_file(at(name)).unwrap(),
        }
        run(&bench, &["verify", "hub"]).fails(4, words);
        fs::write(at(name), before).unwrap();
    };
    let flip = |place: fn(usize) -> usize| {
        move |mut bytes: Vec<u8>| {
            let at = place(bytes.len());
            bytes[at] ^= 1;
            Some(bytes)
        }
    };
    for name in ["model.safetensors", "config.json", "samples/input-1.png", "samples/output-2.png"] {
        change(name, &flip(|n| n - 3), &[name, "SHA-256"]);
        change(name, &|_| None, &[name, "cannot be read"]);
        change(
            name,
            &|mut bytes| {
                bytes.truncate(bytes.len() / 2);
                Some(bytes)
            },
            &[name],
        );
    }
    change("verification.json", &flip(|_| 0), &["verification.json", "damaged"]);
    change("verification.json", &|_| None, &["verification.json"]);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    change(
        "verification.json",
        &|bytes| Some(text(bytes).replace("\"format\": 1", "\"format\": 9").into_bytes()),
        &["format 9"],
    );
    change(
        "verification.json",
        &|bytes| Some(text(bytes).replace("samples/input-1.png", "../input.png").into_bytes()),
        &["not in the folder"],
    );
    ok(&bench, &["verify", "hub"]);

    // Another model with hashes that are its own makes other images.
    ok(&bench, &["export", "hub", &fixture("resnet.pth"), "other", "--sample", &fixture("photo.png")]);
    let mut manifest = fs::read_to_string(bench.path("other/verification.json")).unwrap();
    let hash = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.contains(&format!("\"{name}\": "))).unwrap().to_owned();
        line.split('"').nth(3).unwrap().to_owned()
    };
    let (input, output) = (hash(&manifest, "samples/input-1.png"), hash(&manifest, "samples/output-1.png"));
    manifest = manifest.replace(&output, &input);
    fs::copy(bench.path("other/samples/input-1.png"), bench.path("other/samples/output-1.png")).unwrap();
    fs::write(bench.path("other/verification.json"), manifest).unwrap();
    run(&bench, &["verify", "other"]).fails(4, &["another image", "levels away"]);
}

#[test]
fn label_maps_instances_and_directions_have_their_folders() {
    let bench = Bench::new();
    let args = |method: &str, run: &str| tiny_in(method, run, &["max_steps=1"]);
    let go = |args: Vec<String>| ok(&bench, &args.iter().map(String::as_str).collect::<Vec<_>>());
    go(args("pix2pixhd", "streets"));
    ok(&bench, &["export", "hub", "streets", "streets-hub"]);
    assert!(files(&bench.path("streets-hub")).contains(&"samples/instances-1.png".to_owned()));
    ok(&bench, &["verify", "streets-hub"]);
    let card = fs::read_to_string(bench.path("streets-hub/README.md")).unwrap();
    assert!(card.contains("F.one_hot") && card.contains("--inst samples/instances-1.png"), "{card}");
    ok(&bench, &["export", "onnx", "streets", "streets.onnx", "--with-preprocessing"]);
    ok(&bench, &["export", "onnx", "streets", "d.onnx", "--network", "d"]);

    go(args("cyclegan", "night"));
    ok(&bench, &["export", "hub", "night", "there"]);
    ok(&bench, &["export", "hub", "night", "back", "--direction", "b2a"]);
    ok(&bench, &["verify", "there"]);
    ok(&bench, &["verify", "back"]);
    let weights = |name: &str| fs::read(bench.path(name).join("model.safetensors")).unwrap();
    assert_ne!(weights("there"), weights("back"));
    let said = ok(&bench, &["export", "onnx", "night", "night.onnx"]).err;
    assert!(said.contains("--network g_b"), "{said}");
    run(&bench, &["export", "onnx", "night", "x.onnx", "--network", "g"]).fails(4, &["g_a"]);
}
