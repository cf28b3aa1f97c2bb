//! Generators as other repositories and training loops save them, through the program: PyTorch's images, or words that help.
//!
//! The fixtures are made by `fixtures/make_foreign.py`.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // only images of its own making are opened

use gan_weights::{StateDict, pth, read_any, safetensors};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn gan_cli(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gan-cli")).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Translates the photo and returns what is said; the image may differ from the fixture's by a level.
#[track_caller]
fn translates(model: &str, more: &[&str], expected: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.png");
    let (out, photo) = (output.to_str().unwrap(), fixture("interchange/photo.png"));
    let result = gan_cli(&[&["translate", "--model", model, "--input", &photo, "--output", out], more].concat());
    let said = text(&result.stderr);
    assert!(result.status.success(), "{model}: {said}");
    let [ours, expected] =
        [output, fixture(expected).into()].map(|path| image::open(path).unwrap().into_rgb8().into_raw());
    let worst = ours.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
    assert!(ours.len() == expected.len() && worst <= 1, "{model}: {worst} levels");
    said
}

#[track_caller]
fn refused(code: i32, args: &[&str]) -> String {
    let result = gan_cli(args);
    let said = text(&result.stderr);
    assert_eq!(result.status.code(), Some(code), "{args:?}: {said}");
    said
}

#[track_caller]
fn answer(args: &[&str]) -> (String, String) {
    let result = gan_cli(args);
    assert!(result.status.success(), "{args:?}: {}", text(&result.stderr));
    (text(&result.stdout), text(&result.stderr))
}

#[test]
fn images_are_those_of_pytorch() {
    for (name, says) in [
        ("resize", "instance norm with scale and shift"),
        ("resize_zero", "resize-convolutions with zero padding"),
        ("resize_unet", "unet generator of 5 downsampling layers, resize-convolutions"),
        ("resize_local", "on 2 downsampling layers, 1 blocks, resize-convolutions"),
        ("spectral", "spectral norm of 8 layers folded"),
        ("spectral_parametrized", "spectral norm of 8 layers folded"),
        ("whole", "a whole network"),
        ("tutorial", "19 layers matched by their order and shapes"),
    ] {
        let said = translates(&fixture(&format!("foreign/{name}.pth")), &[], &format!("foreign/{name}.png"));
        assert!(said.contains(says), "{name}: {said}");
        assert_eq!(said.contains("shows which layer is which"), name == "tutorial", "{said}");
    }
    translates(&fixture("foreign/tutorial_batch.pth"), &["--eval"], "foreign/tutorial_batch_eval.png");
}

#[test]
fn networks_of_other_repositories_are_known_by_structure_and_names() {
    for (name, says) in [
        ("gan_unet", "unet_layout = post_activation_resize, down_padding = zero, skip_first = false"),
        ("mirroring_unet", "unet_layout = post_activation_relu, down_padding = reflect, skip_first = false"),
        ("function_unet", "unet_layout = biased, down_padding = zero, skip_first = false"),
        ("mirroring_resnet", "down_padding = reflect is assumed"),
    ] {
        let (model, image) = (fixture(&format!("foreign/{name}.pth")), format!("foreign/{name}.png"));
        let said = translates(&model, &["--eval"], &image);
        assert!(said.contains(says) && said.contains("--assume KEY=VALUE"), "{name}: {said}");
        // Converted and cleaned, it needs no names.
        let folder = tempfile::tempdir().unwrap();
        let clean = folder.path().join("clean.safetensors");
        answer(&["convert", &model, clean.to_str().unwrap(), "--clean"]);
        let said = translates(clean.to_str().unwrap(), &["--eval"], &image);
        assert!(!said.contains("assumed"), "{name}: {said}");
    }
    let model = fixture("foreign/gan_unet.pth");
    let photo = fixture("interchange/photo.png");
    let args = ["translate", "--model", &model, "--input", &photo, "--output", "never.png", "--assume"];
    for (assumption, code, said) in [
        ("padding=zero", 4, "padding = zero was assumed, which does not fit the tensors"),
        ("pading=zero", 2, "unknown field `pading`, expected one of `padding`"),
        ("padding=mirror", 2, "unknown variant `mirror`"),
        ("padding", 2, "write KEY=VALUE"),
    ] {
        let words = refused(code, &[&args[..], &[assumption]].concat());
        assert!(words.contains(said), "{assumption}: {words}");
    }
}

/// As Python's safetensors writes it: names sorted.
fn sorted(state: &StateDict) -> StateDict {
    let mut entries = state.entries().to_vec();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    entries.into_iter().collect()
}

#[test]
fn names_may_be_sorted() {
    let folder = tempfile::tempdir().unwrap();
    for (name, more, image) in [
        ("tutorial", &[][..], "foreign/tutorial.png"),
        ("tutorial_batch", &["--eval"][..], "foreign/tutorial_batch_eval.png"),
        ("spectral", &[][..], "foreign/spectral.png"),
    ] {
        let file = folder.path().join(format!("{name}.safetensors"));
        safetensors::write(&file, &sorted(&read_any(fixture(&format!("foreign/{name}.pth"))).unwrap().state)).unwrap();
        translates(file.to_str().unwrap(), more, image);
    }
}

#[test]
fn a_file_of_several_networks_asks_which_one() {
    let lightning = fixture("foreign/lightning.ckpt");
    let photo = fixture("interchange/photo.png");
    let args = ["translate", "--model", &lightning, "--input", &photo, "--output", "never.png"];
    let said = refused(4, &args);
    for words in ["several networks", "--entry netG_A", "netG_B: resnet generator", "netD_A: PatchGAN"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(refused(4, &[&args[..], &["--entry", "netX"]].concat()).contains("no state dict under \"netX\""));
    // As a .pth that keeps a state dict in another, as safetensors, and with a name of each network alone.
    let folder = tempfile::tempdir().unwrap();
    let flat = folder.path().join("flat.safetensors");
    safetensors::write(&flat, &read_any(&lightning).unwrap().state).unwrap();
    for model in [lightning.as_str(), flat.to_str().unwrap()] {
        for (entry, image) in [("netG_A", "foreign/lightning_a.png"), ("netG_B", "foreign/lightning_b.png")] {
            translates(model, &["--entry", entry], image);
        }
    }
    translates(&lightning, &["--entry", "state_dict.netG_B"], "foreign/lightning_b.png");
    // Of one generator beside a discriminator there is no choice.
    let mut state = read_any(&lightning).unwrap().state;
    state.retain_names(|name| !name.starts_with("netG_B"));
    let single = folder.path().join("single.pth");
    pth::write(&single, &state).unwrap();
    let said = translates(single.to_str().unwrap(), &[], "foreign/lightning_a.png");
    assert!(said.contains("it is under \"netG_A\", beside 1 other"), "{said}");
}

#[test]
fn new_names_are_taken_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    // An extra tensor keeps the layers from being matched.
    let mut state = read_any(fixture("foreign/tutorial.pth")).unwrap().state;
    state.push("steps", candle_core::Tensor::new(3f32, &candle_core::Device::Cpu).unwrap());
    pth::write(at("odd.pth"), &state).unwrap();
    let odd = at("odd.pth");
    let photo = fixture("interchange/photo.png");
    let args = ["translate", "--model", &odd, "--input", &photo, "--output", "never.png"];
    refused(4, &args);
    fs::write(at("keys.toml"), "steps = \"\"\n").unwrap();
    translates(&odd, &["--keys", &at("keys.toml")], "foreign/tutorial.png");
    fs::write(at("keys.json"), r#"{"steps": "", "initial.0": "model.1"}"#).unwrap();
    // Half of the names are the references', so that neither those nor the order tell.
    translates(&odd, &["--keys", &at("keys.json")], "foreign/tutorial.png");
    for (text, words) in [
        ("stepz = \"\"\n", "no tensor is called stepz"),
        ("steps = 3\n", "it has to be a table of names"),
        ("steps = \"\"\n\"initial.0\" = \"last\"\n", "two tensors would be called last.weight"),
    ] {
        fs::write(at("keys.toml"), text).unwrap();
        let said = refused(4, &[&args[..], &["--keys", &at("keys.toml")]].concat());
        assert!(said.contains(words) && said.contains("keys.toml") || said.contains("--keys"), "{said}");
    }
}

#[test]
fn tensors_of_any_weight_file_are_listed() {
    let (out, _) = answer(&["summary", &fixture("foreign/tutorial.pth")]);
    for words in [
        "initial.0.weight",
        "1 x 3 x 7 x 7",
        "f32",
        "588",
        "38 tensors",
        "resnet generator of 2 blocks",
        "initial.0 ",
        " is  model.1\n",
    ] {
        assert!(out.contains(words), "{words}: {out}");
    }
    // All state dicts of a file, and types that no network computes with.
    let (out, said) = answer(&["summary", &fixture("interchange/training.pth")]);
    assert!(out.contains("entry netG") && out.contains("entry netD") && out.contains("PatchGAN"), "{out}");
    assert!(said.contains("epoch = 3"), "{said}");
    let raw = format!("{}/../gan-weights/tests/fixtures/pth/raw.zip.pth", env!("CARGO_MANIFEST_DIR"));
    let (out, _) = answer(&["summary", &raw]);
    for words in ["uint16", "float8_e5m2", "complex128", "2 x 2", "12 tensors"] {
        assert!(out.contains(words), "{words}: {out}");
    }
    assert!(refused(2, &["summary", &fixture("foreign")]).contains("--model"));
    refused(2, &["summary"]);
    refused(2, &["summary", &raw, "--model", &raw]);
}

#[test]
fn converted_and_cleaned_they_have_the_names_of_the_references() {
    let folder = tempfile::tempdir().unwrap();
    let clean = folder.path().join("clean.pth");
    for (name, first) in [("tutorial", "model.1.weight"), ("spectral", "model.1.bias")] {
        let file = fixture(&format!("foreign/{name}.pth"));
        let (_, said) = answer(&["convert", &file, clean.to_str().unwrap(), "--clean"]);
        assert!(said.contains("resnet generator"), "{said}");
        assert_eq!(read_any(&clean).unwrap().state.names().next(), Some(first));
        translates(clean.to_str().unwrap(), &[], &format!("foreign/{name}.png"));
        // Without it, nothing changes.
        answer(&["convert", &file, clean.to_str().unwrap()]);
        assert!(read_any(&clean).unwrap().state.names().eq(read_any(&file).unwrap().state.names()));
    }
}

/// A folder of the references with these files of the fixture's networks.
fn reference_folder(folder: &Path, files: &[(&str, &str)], options: &str) -> String {
    let path = folder.join("run");
    let _ = fs::remove_dir_all(&path);
    fs::create_dir(&path).unwrap();
    for (name, entry) in files {
        let state = gan_weights::read_entry(fixture("foreign/lightning.ckpt"), entry).unwrap().state;
        pth::write(path.join(name), &state).unwrap();
    }
    fs::write(path.join("train_opt.txt"), options).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn folders_of_the_references_are_models() {
    let folder = tempfile::tempdir().unwrap();
    let cycle = "                    model: cycle_gan    \n               crop_size: 16     \t[default: 256]\n               load_size: 16 \t[default: 286]\n";
    let files = [
        ("latest_net_G_A.pth", "netG_A"),
        ("latest_net_G_B.pth", "netG_B"),
        ("latest_net_D_A.pth", "netD_A"),
        ("5_net_G_A.pth", "netG_B"),
    ];
    let run = reference_folder(folder.path(), &files, cycle);
    let said = translates(&run, &[], "foreign/lightning_a.png");
    assert!(said.contains("train_opt.txt"), "{said}");
    translates(&run, &["--direction", "b2a"], "foreign/lightning_b.png");
    // The sizes are those of training.
    let out = folder.path().join("small.png");
    let photo = fixture("interchange/photo.png");
    let crop = ["--preprocess", "crop", "--output", out.to_str().unwrap()];
    answer(&[&["translate", "--model", &run, "--input", &photo], &crop[..]].concat());
    assert_eq!(image::image_dimensions(&out).unwrap(), (16, 16));
    let (shown, _) = answer(&["summary", "--model", &run, "--network", "g_b"]);
    assert!(shown.contains("resnet generator"), "{shown}");
    let b2a = "direction: BtoA\nmodel: pix2pix\n";
    let run = reference_folder(folder.path(), &[("9_net_G.pth", "netG_B"), ("10_net_G.pth", "netG_A")], b2a);
    translates(&run, &[], "foreign/lightning_a.png");
    let out = folder.path().join("never.png");
    let args = ["translate", "--model", &run, "--input", &photo, "--output", out.to_str().unwrap(), "--arch", "resnet"];
    assert!(refused(2, &args).contains("--keys are for bare weight files"));
}
