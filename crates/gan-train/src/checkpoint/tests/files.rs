//! What the files of a checkpoint look like.

use candle_core::{DType, Device, Tensor};
use gan_weights::checkpoint::{FORMAT, MODEL, checkpoints_dir, read_manifest, read_tensors};
use serde_json::json;

use super::{assert_same, run, snapshot};
use crate::Error;
use crate::checkpoint::{Snapshot, Warning, load, load_latest, save, tensors};
use crate::storage::volatile::VolatileStorage;
use crate::storage::{Disk, Files};

#[test]
fn round_trip_on_disk_is_exact() {
    let folder = tempfile::tempdir().unwrap();
    let mut wanted = snapshot(123);
    // Views: not contiguous, with an offset, without elements, without dimensions, and every element type.
    let base = Tensor::arange(0f32, 24., &Device::Cpu).unwrap().reshape((2, 3, 4)).unwrap();
    let all = vec![
        ("transposed".to_owned(), base.transpose(0, 2).unwrap()),
        ("narrowed".to_owned(), base.narrow(0, 1, 1).unwrap()),
        ("empty".to_owned(), Tensor::zeros((0, 3), DType::F32, &Device::Cpu).unwrap()),
        ("f64".to_owned(), Tensor::new(&[0.1f64, -1e300, 5e-324], &Device::Cpu).unwrap()),
        ("i64".to_owned(), Tensor::new(&[i64::MIN, i64::MAX], &Device::Cpu).unwrap()),
        ("u32".to_owned(), Tensor::new(&[0u32, u32::MAX], &Device::Cpu).unwrap()),
        ("u8 \"quoted\" é".to_owned(), Tensor::new(&[1u8, 2, 255], &Device::Cpu).unwrap()),
        ("scalar".to_owned(), Tensor::new(-0.0f32, &Device::Cpu).unwrap()),
    ];
    wanted.tensors.push(("encoder".to_owned(), all));
    wanted.state = json!({"pi": std::f64::consts::PI, "thirds": (0..100).map(|i| f64::from(i) / 3e7).collect::<Vec<_>>(), "u64": u64::MAX});
    let saved = save(&Disk, folder.path(), &wanted, 3).unwrap();
    assert!(saved.path.ends_with("checkpoints/123") && saved.warnings.is_empty() && saved.bytes > 500);
    let loaded = load_latest(&Disk, folder.path(), Some("pix2pix")).unwrap();
    assert_same(&loaded.snapshot, &wanted);
    assert_same(&load(&Disk, &saved.path).unwrap().snapshot, &wanted);
    let order: Vec<_> = loaded.snapshot.file("generator").unwrap().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(order, ["model.2.num_batches_tracked", "model.1.weight", "model.1.bias"]);
}

#[test]
fn the_files_load_in_candle() {
    let folder = tempfile::tempdir().unwrap();
    let saved = save(&Disk, folder.path(), &snapshot(3), 1).unwrap();
    let tensors = candle_core::safetensors::load(saved.path.join("generator.safetensors"), &Device::Cpu).unwrap();
    assert_eq!(tensors["model.1.weight"].dims(), [2, 3, 2, 2]);
    assert_eq!(tensors["model.1.bias"].to_vec1::<f32>().unwrap(), [-3.0, -3.0 + 0.37]);
    assert_eq!(tensors["model.2.num_batches_tracked"].to_scalar::<i64>().unwrap(), 3);
}

#[test]
fn the_format_is_pinned() {
    let storage = VolatileStorage::new();
    let mut snapshot = Snapshot::new(1, "pix2pix");
    let tensors = vec![
        ("b".to_owned(), Tensor::new(&[1f32, -2.], &Device::Cpu).unwrap()),
        ("n".to_owned(), Tensor::new(3i64, &Device::Cpu).unwrap()),
    ];
    snapshot.tensors = vec![("generator".to_owned(), tensors)];
    snapshot.state = json!({"epoch": 1});
    let saved = save(&storage, run(), &snapshot, 1).unwrap();
    let header = br#"{"__metadata__":{"format":"pt"},"n":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}"#;
    let padded = header.len().next_multiple_of(8);
    let mut expected = (padded as u64).to_le_bytes().to_vec();
    expected.extend_from_slice(header);
    expected.resize(8 + padded, b' ');
    expected.extend_from_slice(&3i64.to_le_bytes());
    expected.extend_from_slice(&[0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]);
    assert_eq!(storage.content(&saved.path.join("generator.safetensors")), expected);

    let mut manifest = read_manifest(&storage, &saved.path).unwrap();
    manifest.instruction_set = "x86_64".to_owned();
    manifest.versions = [("gan-train".to_owned(), "0.1.0".to_owned())].into();
    let text = String::from_utf8(manifest.encode().unwrap()).unwrap();
    let hash = blake3::hash(&expected).to_hex();
    let start = format!(
        r#"{{
  "format": 1,
  "step": 1,
  "method": "pix2pix",
  "instruction_set": "x86_64",
  "versions": {{
    "gan-train": "0.1.0"
  }},
  "model": null,
  "files": [
    {{
      "name": "generator.safetensors",
      "bytes": {},
      "blake3": "{hash}"
    }},"#,
        expected.len()
    );
    assert!(text.starts_with(&start), "{text}");
}

#[test]
fn a_model_is_a_file_of_its_own_and_makes_format_2() {
    let storage = VolatileStorage::new();
    save(&storage, run(), &snapshot(1), 0).unwrap();
    let mut wanted = snapshot(2);
    wanted.model_json = Some(json!({"generators": ["g"]}));
    let saved = save(&storage, run(), &wanted, 0).unwrap();
    assert_same(&load_latest(&storage, run(), None).unwrap().snapshot, &wanted);
    let manifest = read_manifest(&storage, &saved.path).unwrap();
    assert_eq!((manifest.format, manifest.file(MODEL).is_some()), (FORMAT, true));
    assert_eq!(load(&storage, &checkpoints_dir(run()).join("1")).unwrap().snapshot.model_json, None);

    let text = String::from_utf8(storage.content(&saved.path.join(MODEL))).unwrap().replace('g', "d");
    storage.put(&saved.path.join(MODEL), text.into_bytes());
    assert_eq!(load_latest(&storage, run(), None).unwrap().snapshot.step, 1);
    for format in [1, 2] {
        let dir = checkpoints_dir(run()).join(if format == 1 { "2" } else { "1" });
        let mut manifest = read_manifest(&storage, &dir).unwrap();
        manifest.format = format;
        storage.put(&dir.join("manifest.json"), manifest.encode().unwrap());
        let error = load(&storage, &dir).unwrap_err().to_string();
        assert!(error.contains(&format!("it has format {format}, its files are of format")), "{error}");
    }
}

#[test]
fn tensors_longer_than_one_chunk() {
    let storage = VolatileStorage::new();
    let mut wanted = Snapshot::new(1, "cyclegan");
    let n = 3 * (1 << 16) + 17;
    let tensor = Tensor::arange(0f32, n as f32, &Device::Cpu).unwrap();
    wanted.tensors = vec![("optimizer".to_owned(), vec![("all".to_owned(), tensor)])];
    save(&storage, run(), &wanted, 1).unwrap();
    assert_same(&load_latest(&storage, run(), None).unwrap().snapshot, &wanted);
}

#[test]
fn non_finite_values_are_refused_by_name() {
    for (bad, shown) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
        let storage = VolatileStorage::new();
        save(&storage, run(), &snapshot(1), 1).unwrap();
        let mut snapshot = snapshot(2);
        let mut values = vec![0f32; 70_000];
        values[69_999] = bad;
        snapshot.tensors[1]
            .1
            .push(("discriminator".to_owned(), Tensor::from_vec(values, 70_000, &Device::Cpu).unwrap()));
        let error = save(&storage, run(), &snapshot, 1).unwrap_err();
        assert!(
            matches!(&error, Error::NonFinite { file, tensor, index: 69_999, .. } if file == "optimizer.safetensors" && tensor == "discriminator")
        );
        assert!(error.to_string().contains(shown));
        assert_eq!(load_latest(&storage, run(), None).unwrap().snapshot.step, 1);
        assert_eq!(storage.list(&checkpoints_dir(run())).unwrap().len(), 2, "step 1 and the hint");
    }
}

/// The image pools are one tensor an image, and may be as large as a header allows.
#[test]
fn more_tensors_than_any_network_has_are_read_back() {
    let one = Tensor::new(1u8, &Device::Cpu).unwrap();
    let pool: Vec<_> = (0..80_000).map(|i| (format!("fake.{i}"), one.clone())).collect();
    let mut bytes = Vec::new();
    tensors::write(&mut bytes, run(), "pool.safetensors", &pool).unwrap();
    let read = read_tensors(run(), &bytes).unwrap();
    assert!(read.names().eq(pool.iter().map(|(name, _)| name.as_str())));
}

#[test]
fn what_the_format_cannot_hold_is_refused() {
    let tensor = |dtype| Tensor::zeros(2, dtype, &Device::Cpu).unwrap();
    let named = |name: &str, dtype| (name.to_owned(), tensor(dtype));
    let cases = [
        ("generator", vec![named("w", DType::BF16)], "BF16"),
        ("generator", vec![named("w", DType::F32), named("w", DType::F32)], "`w` occurs twice"),
        ("generator", vec![named("__metadata__", DType::F32)], "reserved"),
        ("../generator", vec![], "file name"),
        ("", vec![], "file name"),
        ("OPTIMIZER", vec![], "occurs twice"),
    ];
    for (stem, tensors, message) in cases {
        let mut snapshot = snapshot(1);
        snapshot.tensors.remove(0);
        snapshot.tensors.push((stem.to_owned(), tensors));
        let error = save(&VolatileStorage::new(), run(), &snapshot, 1).unwrap_err().to_string();
        assert!(error.contains(message), "{stem}: {error}");
    }
}

#[test]
fn another_instruction_set_is_a_warning() {
    let storage = VolatileStorage::new();
    let saved = save(&storage, run(), &snapshot(1), 1).unwrap();
    let mut manifest = read_manifest(&storage, &saved.path).unwrap();
    assert!(manifest.instruction_set.starts_with(std::env::consts::ARCH), "{}", manifest.instruction_set);
    manifest.instruction_set = "pdp11".to_owned();
    storage.put(&saved.path.join("manifest.json"), manifest.encode().unwrap());
    let warnings = load_latest(&storage, run(), None).unwrap().warnings;
    assert!(matches!(&warnings[..], [Warning::InstructionSet { saved, .. }] if saved == "pdp11"));
}
