//! Files of VGG19's weights that cannot be used.
#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor};
use gan_losses::Vgg19;
use std::collections::HashMap;
use std::path::Path;

#[track_caller]
fn refused(path: &Path) -> String {
    let error = Vgg19::load(path, DType::F32, &Device::Cpu).err().unwrap().to_string();
    assert!(error.contains(&path.display().to_string()), "{error}");
    error
}

#[test]
fn weights_that_are_no_numbers_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vgg19.safetensors");
    for (bad, said) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
        let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu).unwrap();
        let weights: HashMap<_, _> = [
            ("features.0.bias".to_owned(), tensor(&[0.0, 1.0])),
            ("features.2.weight".to_owned(), tensor(&[0.0, 1.0, bad])),
            // What lies behind the features is not used.
            ("classifier.0.weight".to_owned(), tensor(&[f32::NAN])),
        ]
        .into();
        candle_core::safetensors::save(&weights, &path).unwrap();
        let error = refused(&path);
        assert!(error.contains(&format!("features.2.weight holds {said} at element 2")), "{error}");
    }
}

#[test]
fn files_of_other_kinds_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vgg19.safetensors");
    assert!(refused(&path).contains("no such file"));
    assert!(refused(folder.path()).contains("a folder"));
    for (bytes, said) in [
        (&b""[..], "no whole safetensors file"),
        (b"PK\x03\x04 a zip archive", "its header takes"),
        (&[0xff; 64], "its header takes"),
        (b"\x10\0\0\0\0\0\0\0{\"cut\": ", "no whole safetensors file"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = refused(&path);
        assert!(error.contains(said), "{error}");
    }
    let large = std::fs::File::create(&path).unwrap();
    large.set_len(3 << 30).unwrap();
    assert!(refused(&path).contains("larger than"), "a sparse file is not read");
}
