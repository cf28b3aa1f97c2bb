//! What is written is read; what lies is refused.

#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use safetensors::tensor::View;

use super::*;
use crate::limits::{MAX_HEADER, MAX_TENSORS};
use crate::{Error, Format, Loaded, Origin, Result, StateDict, read_any, shown};

fn mixed() -> StateDict {
    let cpu = &Device::Cpu;
    [
        ("z.weight", Tensor::arange(0f32, 6., cpu).unwrap().reshape((2, 3)).unwrap()),
        ("z.count \"of\" steps", Tensor::new(3i64, cpu).unwrap()),
        ("a.half", Tensor::arange(0f32, 5., cpu).unwrap().to_dtype(DType::F16).unwrap()),
        ("a.view", Tensor::arange(0f64, 6., cpu).unwrap().reshape((2, 3)).unwrap().t().unwrap()),
        ("a.none", Tensor::zeros((0, 4), DType::F32, cpu).unwrap()),
    ]
    .into_iter()
    .map(|(name, tensor)| (name.to_owned(), tensor))
    .collect()
}

#[test]
fn what_is_written_is_read_in_the_same_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("any name");
    let state = mixed();
    write(&path, &state).unwrap();
    let loaded = read_any(&path).unwrap();
    assert_eq!(loaded.format, Format::Safetensors);
    assert!(loaded.state.names().eq(state.names()));
    for ((_, wrote), (_, read)) in state.iter().zip(loaded.state.iter()) {
        assert_eq!((wrote.dtype(), wrote.dims()), (read.dtype(), read.dims()));
        assert_eq!(View::data(&wrote), View::data(&read));
    }
}

#[test]
fn data_are_aligned_for_their_type() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    write(&path, &mixed()).unwrap();
    let file = std::fs::read(&path).unwrap();
    let tensors = SafeTensors::deserialize(&file).unwrap();
    for (name, view) in tensors.tensors() {
        let at = view.data().as_ptr() as usize - file.as_ptr() as usize;
        assert_eq!(at % (view.dtype().bitsize() / 8), 0, "{name}");
    }
}

#[test]
fn every_prefix_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    write(&path, &mixed()).unwrap();
    let file = std::fs::read(&path).unwrap();
    for end in LENGTH..file.len() {
        assert!(read_bytes(&file[..end]).is_err(), "{end} bytes");
    }
}

fn read_bytes(file: &[u8]) -> Result<Loaded> {
    read_of(&Source::Memory(file), Origin::Memory)
}

/// A file with this header, and as many zeros behind it as it takes.
fn file(header: &str, data: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
}

#[test]
fn headers_that_lie_are_refused() {
    let tensor = |name: &str, dtype: &str, shape: &str, range: &str| {
        format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{range}}}"#)
    };
    let good = tensor("a", "F32", "[2]", "[0,8]");
    assert!(read_bytes(&file(&format!("{{{good}}}"), 8)).is_ok());
    for (header, data, said) in [
        (format!("{{{good},{good}}}"), 8, "twice"),
        (format!("{{{good},{}}}", tensor("b", "F32", "[2]", "[4,12]")), 12, "damaged"),
        (format!("{{{good},{}}}", tensor("b", "F32", "[2]", "[12,20]")), 20, "damaged"),
        (format!("{{{}}}", tensor("a", "F32", "[3]", "[0,8]")), 8, "damaged"),
        (format!("{{{}}}", tensor("a", "F32", "[2]", "[0,8]")), 16, "damaged"),
        (format!("{{{}}}", tensor("a", "F32", "[2]", "[8,0]")), 8, "damaged"),
        (format!("{{{}}}", tensor("a", "F33", "[2]", "[0,8]")), 8, "damaged"),
        (format!("{{{}}}", tensor("a", "F32", "[-2]", "[0,8]")), 8, "damaged"),
        (format!("{{{}}}", tensor("a", "F32", "[9223372036854775808,4]", "[0,8]")), 8, "damaged"),
        (format!("{{{}}}", tensor("a", "F32", "[0,4611686018427387904,4]", "[0,0]")), 0, "2^40"),
        (format!("{{{}}}", tensor("a", "F32", &format!("{:?}", [1; 17]), "[0,4]")), 4, "17 dimensions"),
        (format!("{{{}", "[".repeat(100_000)), 0, "damaged"),
        (format!("{{\"a\":{}", "{\"a\":".repeat(100_000)), 0, "damaged"),
        ("{".to_owned(), 0, "damaged"),
    ] {
        let error = read_bytes(&file(&header, data)).unwrap_err().to_string();
        assert!(error.contains(said), "{}: {error}", &header[..header.len().min(80)]);
    }
    for length in [u64::MAX, 1 << 62, 1 << 40, 100] {
        let mut lying = file(&format!("{{{good}}}"), 8);
        lying[..8].copy_from_slice(&length.to_le_bytes());
        assert!(read_bytes(&lying).unwrap_err().to_string().contains("ends beyond the file"));
    }
}

#[test]
fn the_number_of_tensors_and_the_header_are_bounded() {
    let header = |count: usize| {
        let entry = |i| format!(r#""{i}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#);
        format!("{{{}}}", (0..count).map(entry).collect::<Vec<_>>().join(","))
    };
    assert_eq!(read_bytes(&file(&header(1000), 0)).unwrap().state.len(), 1000);
    let error = read_bytes(&file(&header(MAX_TENSORS + 1), 0)).unwrap_err().to_string();
    assert!(error.contains("65537 tensors, more than 65536"), "{error}");
    let padded = format!("{{{}}}", " ".repeat(MAX_HEADER));
    let error = read_bytes(&file(&padded, 0)).unwrap_err().to_string();
    assert!(error.contains("more than 16777216"), "{error}");
}

#[test]
fn a_type_without_a_place_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    let float8 = Tensor::zeros(4, DType::F8E4M3, &Device::Cpu).unwrap();
    let state: StateDict = [("w".to_owned(), float8)].into_iter().collect();
    assert!(matches!(write(&path, &state), Err(Error::Unwritable { .. })));
    assert!(!path.exists());
}

#[test]
fn what_a_header_cannot_list_is_refused() {
    let named = |name: &str, dtype| (name.to_owned(), Tensor::zeros(2, dtype, &Device::Cpu).unwrap());
    for (tensors, said) in [
        (vec![named("w", DType::F32), named("v", DType::F32), named("w", DType::F32)], "`w` occurs twice"),
        (vec![named(METADATA, DType::F32)], "`__metadata__` is reserved"),
        (vec![named("w", DType::F8E4M3)], "w has type f8e4m3"),
        (vec![named(&"long".repeat(MAX_HEADER / 4), DType::F32)], "more than 16777216"),
    ] {
        let error = Header::of(&tensors, &[]).unwrap_err();
        assert!(error.reason.contains(said), "{said}: {}", shown(&error.reason));
    }
}

#[test]
fn tensors_of_any_layout_are_written_piece_by_piece() {
    let all = Tensor::arange(0f32, 200_000., &Device::Cpu).unwrap();
    let part = all.narrow(0, 7, 150_000).unwrap().reshape((300, 500)).unwrap().t().unwrap();
    let mut out = Vec::new();
    write_elements(&mut out, &part).unwrap();
    assert_eq!(out, View::data(&&part.contiguous().unwrap()).to_vec());
}
