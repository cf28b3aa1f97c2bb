//! Training on from weights of other runs and programs.
#![allow(clippy::unwrap_used)]

use crate::support;

use candle_core::{DType, Tensor};
use gan_train::checkpoint::Snapshot;
use gan_weights::{StateDict, read_any, safetensors};
use std::fs;
use support::{Bench, Ran, newest, resume, tiny_in};

/// A step that moves no weight by what F32 sees beside it.
const STILL: &[&str] = &["seed=5", "max_steps=1", "lr=1e-30"];

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn tensor<'a>(snapshot: &'a Snapshot, network: &str, key: &str) -> &'a Tensor {
    &snapshot.file(network).unwrap().iter().find(|(name, _)| name == key).unwrap().1
}

/// Checks that the parameters of a network are those of another run.
#[track_caller]
fn assert_same_weights(have: &Snapshot, want: &Snapshot, network: &str) {
    let parameters = want
        .file(network)
        .unwrap()
        .iter()
        .filter(|(name, _)| !name.contains("running_") && !name.contains("num_batches"));
    for (key, want) in parameters {
        let (have, want) = (numbers(tensor(have, network, key)), numbers(want));
        let largest = have.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(largest < 1e-20, "{network}: {key} differs by {largest}");
    }
}

fn networks(snapshot: &Snapshot) -> Vec<String> {
    let names = snapshot.tensors.iter().map(|(name, _)| name.clone());
    names.filter(|name| !["optimizer", "pool"].contains(&name.as_str())).collect()
}

#[track_caller]
fn says(ran: &Ran, words: &[&str]) {
    for word in words {
        assert!(ran.err.contains(word), "`{word}` is missing in: {}", ran.err);
    }
}

/// All networks of a method, as a folder of the references, as single files and as a run; with other crops and batches.
#[test]
fn every_method_goes_on_from_files() {
    let bench = Bench::new();
    for method in ["pix2pix", "pix2pixhd", "cyclegan", "cut"] {
        bench.ok(tiny_in(method, method, &["max_steps=1"]));
        let first = newest(&bench.path(method));
        let folder = format!("{method}-pth");
        fs::create_dir(bench.path(&folder)).unwrap();
        let names = networks(&first);
        for name in &names {
            let file = format!("{folder}/latest_net_{}.pth", name.to_uppercase());
            bench.ok(["convert", method, &file, "--network", name]);
        }
        for kind in ["folder", "files", "run"] {
            let source = |name: &String| match kind {
                "folder" => folder.clone(),
                "files" => format!("{folder}/latest_net_{}.pth", name.to_uppercase()),
                _ => method.to_owned(),
            };
            let run = format!("{method}-{kind}");
            let other = [STILL, &["load_size=64", "crop_size=64", "batch_size=2"]].concat();
            let init = names.iter().flat_map(|name| ["--init".to_owned(), format!("{name}={}", source(name))]);
            let ran = bench.ok(tiny_in(method, &run, &other).into_iter().chain(init));
            for name in &names {
                says(&ran, &[&format!("{name}: {} tensors from {}", first.file(name).unwrap().len(), source(name))]);
                assert_same_weights(&newest(&bench.path(&run)), &first, name);
            }
            assert!(!ran.err.contains("fresh") && !ran.err.contains("left out"), "{}", ran.err);
        }
    }
    // One network alone: the others are drawn.
    let ran = bench.ok(tiny_in("cut", "g-alone", STILL).into_iter().chain(["--init".into(), "g=cut".into()]));
    says(&ran, &["with fresh weights: d, f"]);
    // A run without that network names the file of another one.
    let ran = bench.run(tiny_in("cyclegan", "none", &[]).into_iter().chain(["--init".into(), "g_a=cut".into()]));
    ran.fails(4, &["there is no g_a, only d, f, g", "cut/checkpoints/1/g.safetensors"]);
    assert!(!bench.path("none").exists());
}

#[test]
fn weights_that_differ_are_refused_with_settings_that_work() {
    let bench = Bench::new();
    let fixture = format!("{}/tests/fixtures/interchange/resnet.pth", env!("CARGO_MANIFEST_DIR"));
    let init = |network: &str, path: &str| ["--init".to_owned(), format!("{network}={path}")];
    let ran = bench.run(tiny_in("pix2pix", "run", STILL).into_iter().chain(init("g", &fixture)));
    ran.fails(
        4,
        &["g cannot start from", "resnet.pth", "unet generator", "tensors differ", "--set generator.arch=resnet"],
    );
    assert!(!bench.path("run").exists());
    let advice = ran.err.lines().find_map(|line| line.strip_prefix("they are alike with ")).unwrap().to_owned();
    let settings: Vec<&str> = advice.split("--set ").map(str::trim).filter(|setting| !setting.is_empty()).collect();
    let ran =
        bench.ok(tiny_in("pix2pix", "run", &[&settings[..], STILL].concat()).into_iter().chain(init("g", &fixture)));
    says(&ran, &["g: ", "resnet.pth (resnet"]);
    let state = read_any(&fixture).unwrap().state;
    for (key, want) in state.iter().filter(|(key, _)| key.ends_with("weight")) {
        let have = newest(&bench.path("run"));
        assert_eq!(numbers(tensor(&have, "g", key)), numbers(want), "{key}");
    }

    // A discriminator is no generator, partly or not; the other way round it has no settings either.
    bench.ok(["convert", "run", "d.pth", "--network", "d"]);
    let args = tiny_in("pix2pix", "other", STILL).into_iter().chain(init("g", "d.pth"));
    let ran = bench.run(args.chain(["--init-partial".into()]));
    ran.fails(4, &["PatchGAN discriminator", "g is another", "gan-cli summary d.pth"]);
    assert!(!ran.err.contains("takes the tensors that fit"), "{}", ran.err);
    // A wider discriminator.
    let ran = bench.run(tiny_in("pix2pix", "other", &["ndf=8"]).into_iter().chain(init("d", "d.pth")));
    ran.fails(4, &["they are alike with --set discriminator.ndf=4"]);
    // Numbers that are none.
    let mut broken = read_any(bench.path("d.pth")).unwrap().state;
    let bias = broken.get("model.0.bias").unwrap();
    broken.push("model.0.bias", (bias.ones_like().unwrap() * f64::NAN).unwrap());
    safetensors::write(bench.path("nan.safetensors"), &broken).unwrap();
    let ran = bench.run(tiny_in("pix2pix", "other", &[]).into_iter().chain(init("d", "nan.safetensors")));
    ran.fails(4, &["cannot use nan.safetensors", "holds NaN"]);
    assert!(!bench.path("other").exists());
}

#[test]
fn what_fits_is_taken_where_that_is_asked_for() {
    let bench = Bench::new();
    bench.ok(tiny_in("pix2pix", "colour", &["max_steps=1"]));
    let grey = |run: &str, more: &[&str]| {
        let args = tiny_in("pix2pix", run, &[STILL, &["generator.output_nc=1"]].concat());
        bench.run(
            args.into_iter()
                .chain(["--init", "g=colour", "--init", "d=colour"].map(String::from))
                .chain(more.iter().map(ToString::to_string)),
        )
    };
    grey("grey", &[]).fails(4, &["model.model.3.weight", "--set generator.output_nc=3", "--init-partial"]);
    let ran = grey("grey", &["--init-partial"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    says(&ran, &["g: 2 tensors keep fresh values: model.model.3.weight: ", "in the network, model.model.3.bias"]);
    says(
        &ran,
        &["d: 1 tensors keep fresh values: model.0.weight: [4, 6, 4, 4] in the file, [4, 4, 4, 4] in the network"],
    );
    let (have, colour) = (newest(&bench.path("grey")), newest(&bench.path("colour")));
    let (mut same, mut fresh) = (0, 0);
    for (key, want) in colour.file("g").unwrap().iter().filter(|(key, _)| key.ends_with("weight")) {
        let have = tensor(&have, "g", key);
        if have.dims() == want.dims() {
            assert_eq!(numbers(have), numbers(want), "{key}");
            same += 1;
        } else {
            assert!(numbers(have).iter().any(|x| *x != 0.0));
            fresh += 1;
        }
    }
    assert!(same > 5 && fresh == 1, "{same} {fresh}");
    // What is sealed goes on without the files, and with the command line of the start.
    fs::remove_dir_all(bench.path("colour")).unwrap();
    bench.ok(resume("pix2pix", "grey").into_iter().chain(["--set", "max_steps=2"]));
    assert_eq!(newest(&bench.path("grey")).step, 2);
    let other = bench.run(resume("pix2pix", "grey").into_iter().chain(["--init", "g=elsewhere"]));
    other.fails(4, &["train.init.g: \"colour\" -> \"elsewhere\""]);
}

#[test]
fn a_file_of_several_networks_is_searched_by_name() {
    let bench = Bench::new();
    bench.ok(tiny_in("cyclegan", "cycle", &["max_steps=1"]));
    let first = newest(&bench.path("cycle"));
    let of = |network: &str, prefix: &str| {
        let tensors = first.file(network).unwrap().clone();
        tensors.into_iter().map(|(key, tensor)| (format!("{prefix}.{key}"), tensor)).collect::<Vec<_>>()
    };
    let both: StateDict = [of("g_a", "netG_A"), of("g_b", "netG_B")].into_iter().flatten().collect();
    safetensors::write(bench.path("both.safetensors"), &both).unwrap();
    let init = ["--init", "g_a=both.safetensors", "--init", "g_b=both.safetensors"].map(String::from);
    let ran = bench.ok(tiny_in("cyclegan", "again", STILL).into_iter().chain(init));
    says(&ran, &["with fresh weights: d_a, d_b"]);
    for network in ["g_a", "g_b"] {
        assert_same_weights(&newest(&bench.path("again")), &first, network);
    }
    // Nothing tells which of them another method means.
    let ran =
        bench.run(tiny_in("pix2pix", "pairs", &[]).into_iter().chain(["--init".into(), "g=both.safetensors".into()]));
    ran.fails(4, &["several networks", "netG_A", "netG_B", "--entry"]);
}

#[test]
fn frozen_layers_stay_and_may_not_change_on_the_way() {
    let bench = Bench::new();
    let args = |more: &[&str]| {
        let args = tiny_in("pix2pix", "run", &["max_steps=2"]).into_iter();
        args.chain(["--freeze", "g=model.model.0", "--freeze", "d=model.0..model.4"].map(String::from))
            .chain(more.iter().map(ToString::to_string))
            .collect::<Vec<_>>()
    };
    bench.ok(tiny_in("pix2pix", "drawn", &["max_steps=1", "lr=1e-30"]));
    let ran = bench.ok(args(&[]));
    says(&ran, &["frozen: g model.model.0 (", "frozen: d model.0..model.4 ("]);
    let ran = bench.ok(args(&["--resume", "--set", "max_steps=3"]));
    says(&ran, &["frozen: g model.model.0 ("]);
    let (drawn, trained) = (newest(&bench.path("drawn")), newest(&bench.path("run")));
    assert_eq!(trained.step, 3);
    for (network, key, frozen) in [
        ("g", "model.model.0.weight", true),
        ("g", "model.model.3.weight", false),
        ("d", "model.2.weight", true),
        ("d", "model.5.weight", false),
    ] {
        let same = numbers(tensor(&drawn, network, key)) == numbers(tensor(&trained, network, key));
        assert_eq!(same, frozen, "{network} {key}");
    }
    bench
        .run(resume("pix2pix", "run").into_iter().chain(["--freeze", "g=model.model.3"]))
        .fails(4, &["train.freeze.g"]);
    bench.run(args(&["--freeze", "g=model.model.3"])).fails(4, &["--freeze: g is named twice"]);
    bench.run(args(&["--freeze", "g"])).fails(2, &["--freeze"]);
    // Rates may change.
    bench.ok(resume("pix2pix", "run").into_iter().chain(["--set", "lr_d=1e-5", "--set", "max_steps=4"]));
}
