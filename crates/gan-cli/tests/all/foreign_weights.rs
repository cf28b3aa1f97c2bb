//! Weight files that no network can be built from, through the program: exit 4 with what is wrong and what to do.
#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor};
use gan_weights::{StateDict, pth, read_any, safetensors};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[path = "../../../gan-weights/tests/pth/build.rs"]
#[allow(dead_code)]
mod build;

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/interchange/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn gan_cli(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gan-cli")).args(args).output().unwrap()
}

/// Translates with this model and returns the exit code and what is said; nothing may be written then.
#[track_caller]
fn translate(model: &Path, more: &[&str]) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.png");
    let (model, out, photo) = (model.to_str().unwrap(), output.to_str().unwrap(), fixture("photo.png"));
    let result = gan_cli(&[&["translate", "--model", model, "--input", &photo, "--output", out], more].concat());
    assert_eq!(output.exists(), result.status.success());
    (result.status.code().unwrap(), String::from_utf8_lossy(&result.stderr).into_owned())
}

/// The fixture's weights with `bad` as element 5 of the first tensor that has one.
fn broken(name: &str, bad: f64) -> StateDict {
    let mut state = read_any(fixture(name)).unwrap().state;
    let (name, tensor) = state.entries()[0].clone();
    let mut values: Vec<f64> = tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap();
    values[5] = bad;
    let tensor = Tensor::from_vec(values, tensor.dims(), &Device::Cpu).unwrap().to_dtype(tensor.dtype()).unwrap();
    state.push(name, tensor);
    state
}

#[test]
fn weights_that_are_no_numbers_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["resnet.pth", "unet.pth"] {
        for (bad, said) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf"), (f64::NEG_INFINITY, "-inf")] {
            let state = broken(name, bad);
            let tensor = state.names().next().unwrap();
            let files: [PathBuf; 2] = ["broken.pth", "broken.safetensors"].map(|file| folder.path().join(file));
            pth::write(&files[0], &state).unwrap();
            safetensors::write(&files[1], &state).unwrap();
            for file in &files {
                let expected = format!("{tensor} holds {said} at element 5");
                let (code, message) = translate(file, &[]);
                assert!(code == 4 && message.contains(&expected), "{name} {said}: {code} {message}");
                assert!(message.contains(file.to_str().unwrap()), "{message}");
                let summary = gan_cli(&["summary", "--model", file.to_str().unwrap()]);
                assert_eq!(summary.status.code(), Some(4));
                // Every bit is carried over, with a word.
                let copy = folder.path().join("copy.safetensors");
                let converted = gan_cli(&["convert", file.to_str().unwrap(), copy.to_str().unwrap()]);
                let notes = String::from_utf8_lossy(&converted.stderr).into_owned();
                assert!(converted.status.success() && notes.contains(&expected), "{notes}");
            }
        }
    }
}

#[test]
fn foreign_files_are_named_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("latest_net_G.pth");
    let mut program = build::Zip { entries: Vec::new() };
    program.add("g/code/__torch__/nets.py", b"def forward").method = 8;
    program.add("g/constants.pkl", b"\x80\x02).").method = 8;
    for (bytes, said, remedy) in [
        (program.bytes(), "a TorchScript program", "torch.jit.load"),
        (b"version https://git-lfs.github.com/spec/v1\n".to_vec(), "a Git LFS pointer", "git lfs pull"),
        (b"\x08\x08\x12\x07pytorch".to_vec(), "an ONNX model", "torch.save(net.state_dict(), path)"),
        (b"\x89HDF\r\n\x1a\n".to_vec(), "an HDF5 file", "torch.save(net.state_dict(), path)"),
        (b"Rar!\x1a\x07".to_vec(), "a RAR archive", "unpack it"),
        (std::fs::read(fixture("photo.png")).unwrap(), "a PNG image", "give the weight file itself"),
    ] {
        std::fs::write(&file, bytes).unwrap();
        let (code, message) = translate(&file, &[]);
        assert!(code == 4 && message.contains(said) && message.contains(remedy), "{code} {message}");
    }
    let (code, message) = translate(Path::new(&fixture("resnet.pth")), &["--entry", "netX"]);
    assert!(code == 4 && message.contains("netX"), "{message}");
}

#[test]
fn options_beside_the_weights_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("training.pth");
    let state = read_any(fixture("resnet.pth")).unwrap().state;
    let (mut net, mut storages) = (b"}".to_vec(), Vec::new());
    for (at, (name, tensor)) in state.iter().enumerate() {
        let values: Vec<f32> = tensor.flatten_all().unwrap().to_dtype(DType::F32).unwrap().to_vec1().unwrap();
        let size: Vec<i64> = tensor.dims().iter().map(|&size| size as i64).collect();
        let stride: Vec<i64> = tensor.stride().iter().map(|&stride| stride as i64).collect();
        net.extend(build::text(name));
        let storage = build::storage(&at.to_string(), values.len() as i64);
        net.extend(build::tensor(&storage, 0, &size, &stride));
        net.push(b's');
        storages.push((at.to_string(), build::floats(&values)));
    }
    let storages: Vec<(&str, &[u8])> = storages.iter().map(|(key, data)| (key.as_str(), data.as_slice())).collect();
    let write = |object: &[u8]| {
        let code = build::dict(&[("netG", net.clone()), ("opt", object.to_vec())]);
        std::fs::write(&file, build::Zip::pth(&code, &storages).bytes()).unwrap();
    };
    write(b"cargparse\nNamespace\n)\x81}b");
    let (code, message) = translate(&file, &["--entry", "netG"]);
    assert!(code == 0, "{message}");
    let (code, message) = translate(&file, &["--entry", "opt"]);
    assert!(code == 4 && message.contains("argparse.Namespace"), "{message}");
    // Of two generators one has to be named; the only one is found under whatever name.
    let two = build::dict(&[("photo", net.clone()), ("paint", net.clone()), ("steps", build::int(3))]);
    std::fs::write(&file, build::Zip::pth(&two, &storages).bytes()).unwrap();
    let (code, message) = translate(&file, &[]);
    assert!(
        code == 4 && message.contains("for example --entry photo") && message.contains("paint: resnet"),
        "{message}"
    );
    let (code, message) = translate(&file, &["--entry", "paint"]);
    assert!(code == 0, "{message}");
    let shared = build::storage("0", storages[0].1.len() as i64 / 4);
    let judge = [b"}".to_vec(), build::text("conv.weight"), build::tensor(&shared, 0, &[1], &[1]), b"s".to_vec()];
    let one = build::dict(&[("anything", net.clone()), ("critic", judge.concat())]);
    std::fs::write(&file, build::Zip::pth(&one, &storages).bytes()).unwrap();
    let (code, message) = translate(&file, &[]);
    assert!(code == 0, "{message}");
    // A class that nobody has heard of is as good as any.
    write(b"canybodys.callbacks\nHistory\n)\x81}b");
    let (code, message) = translate(&file, &["--entry", "netG"]);
    assert!(code == 0, "{message}");
    write(b"cos\nsystem\n");
    let (code, message) = translate(&file, &["--entry", "netG"]);
    assert!(code == 4 && message.contains("refused: pickle wants to import os.system"), "{message}");
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.pth");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (code, message) = translate(&pipe, &[]);
    assert!(code == 4 && message.contains("named pipe"), "{message}");
}
