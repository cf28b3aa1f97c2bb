//! The list of layer kinds and the folder that holds them.
#![allow(clippy::unwrap_used)]

use gan_layers::layers::{conv::Conv, dropout::DropoutLayer, residual::Residual};
use gan_layers::{Builder, ConvSpec, SequenceBuilder};
use std::fs;
use std::path::Path;

#[test]
fn a_layer_is_known_by_its_kind() {
    let spec = ConvSpec { in_nc: 2, out_nc: 2, kernel: 3, stride: 2, padding: 1, bias: false };
    let net = SequenceBuilder::new(Builder::shapes_only()).conv(spec).unwrap();
    let net = net.residual("block", |s| Ok(s.dropout(0.25))).unwrap().finish();
    let [conv, block] = net.nodes() else { panic!("two layers") };
    assert_eq!(conv.layer.get::<Conv>().map(|c| (c.stride, c.padding, c.bias.is_some())), Some((2, [1, 1], false)));
    assert!(conv.layer.get::<Residual>().is_none());
    let Residual(inner) = block.layer.get().unwrap();
    assert_eq!(inner.nodes()[0].path, "1.block.0");
    assert_eq!(inner.nodes()[0].layer.get::<DropoutLayer>().map(|d| d.p), Some(0.25));
}

#[test]
fn a_layer_kind_is_one_file_and_one_line() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/layers");
    let list = fs::read_to_string(folder.join("mod.rs")).unwrap();
    let name = |line: &str| {
        Some(
            line.trim_start_matches("pub(crate) ")
                .trim_start_matches("pub ")
                .strip_prefix("mod ")?
                .strip_suffix(';')?
                .to_owned(),
        )
    };
    let mut listed: Vec<String> = list.lines().filter_map(name).collect();
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
    assert_eq!(files, listed, "files of src/layers, and lines `mod NAME;` of its mod.rs");
    assert!(files.len() >= 12, "{files:?}");
}
