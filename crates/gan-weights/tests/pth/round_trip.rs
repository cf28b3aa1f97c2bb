//! What is written is read back, bit by bit.

use std::fs;

use candle_core::{DType, Device, Tensor};
use gan_weights::{Error, Format, StateDict, pth, read_any};
use safetensors::View;

use super::fixtures::path;

fn assert_same(left: &StateDict, right: &StateDict) {
    assert!(left.names().eq(right.names()));
    for ((name, left), (_, right)) in left.iter().zip(right.iter()) {
        assert_eq!((left.dtype(), left.dims()), (right.dtype(), right.dims()), "{name}");
        assert_eq!(View::data(&left), View::data(&right), "{name}");
    }
    assert_eq!(left.others(), right.others());
}

#[test]
fn pytorchs_files_survive_a_round_trip_through_both_formats() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["kinds.zip", "kinds.legacy", "network.zip", "training.legacy"] {
        let read = pth::read(path(name)).unwrap().state;
        let (safetensors, pth) = (folder.path().join("weights"), folder.path().join("weights.pth"));
        gan_weights::safetensors::write(&safetensors, &read).unwrap();
        let converted = read_any(&safetensors).unwrap();
        assert_same(&converted.state, &read);
        pth::write(&pth, &converted.state).unwrap();
        let back = pth::read(&pth).unwrap();
        assert_eq!((back.format, back.notes.len()), (Format::PthZip, 0));
        assert_same(&back.state, &read);
    }
}

#[test]
fn element_types_that_candle_lacks_keep_their_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let mut state = pth::read(path("raw.zip")).unwrap().state;
    let file = folder.path().join("raw.pth");
    pth::write(&file, &state).unwrap();
    assert_same(&pth::read(&file).unwrap().state, &state);
    let safetensors = folder.path().join("raw.safetensors");
    let error = gan_weights::safetensors::write(&safetensors, &state).unwrap_err().to_string();
    assert!(error.contains("complex128 has type complex128"), "{error}");
    state.retain_names(|name| name != "complex128");
    gan_weights::safetensors::write(&safetensors, &state).unwrap();
    assert_same(&read_any(&safetensors).unwrap().state, &state);
}

#[test]
fn bits_that_are_no_numbers_survive() {
    let folder = tempfile::tempdir().unwrap();
    let bits = [0x7fc0_1234, 0xffa0_0001, 0x8000_0000, 1, 0x7f80_0000].map(f32::from_bits);
    let state: StateDict = [("w".to_owned(), Tensor::new(&bits, &Device::Cpu).unwrap())].into_iter().collect();
    let file = folder.path().join("w.pth");
    pth::write(&file, &state).unwrap();
    assert_same(&pth::read(&file).unwrap().state, &state);
}

#[test]
fn files_depend_on_nothing_but_the_tensors() {
    let folder = tempfile::tempdir().unwrap();
    let state = pth::read(path("kinds.zip")).unwrap().state;
    let (one, two) = (folder.path().join("one.pth"), folder.path().join("two.pth"));
    pth::write(&one, &state).unwrap();
    pth::write(&two, &pth::read(&one).unwrap().state).unwrap();
    assert_eq!(fs::read(one).unwrap(), fs::read(two).unwrap());
}

#[test]
fn more_tensors_than_a_pickle_batch_keep_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("many.pth");
    let state: StateDict =
        (0..2500i64).map(|i| (format!("layer.{}", i * 7919 % 2500), Tensor::new(i, &Device::Cpu).unwrap())).collect();
    pth::write(&file, &state).unwrap();
    assert_same(&pth::read(&file).unwrap().state, &state);
}

#[test]
fn storages_start_at_multiples_of_64() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("aligned.pth");
    let marks: StateDict = (1..9usize)
        .map(|i| {
            let tensor = Tensor::full(f64::from_bits(0x4141_4141_4141_4100 + i as u64), i, &Device::Cpu).unwrap();
            ("x".repeat(i * 13), tensor)
        })
        .collect();
    pth::write(&file, &marks).unwrap();
    let file = fs::read(file).unwrap();
    for (_, tensor) in marks.iter() {
        let data = View::data(&tensor).into_owned();
        let at = file.windows(data.len()).position(|window| window == data).unwrap();
        assert_eq!(at % 64, 0);
    }
}

#[test]
fn a_type_that_pytorch_lacks_is_refused_and_the_old_file_stays() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("old.pth");
    fs::write(&file, "old").unwrap();
    let state: StateDict =
        [("w".to_owned(), Tensor::zeros(3, DType::F8E4M3, &Device::Cpu).unwrap())].into_iter().collect();
    let error = pth::write(&file, &state).unwrap_err();
    assert!(matches!(&error, Error::Unwritable { reason, .. } if reason.contains("f8e4m3")), "{error}");
    assert_eq!(fs::read(&file).unwrap(), b"old");
}

#[test]
fn what_does_not_fit_into_the_format_is_refused_and_the_old_file_stays() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("old.pth");
    fs::write(&file, "old").unwrap();
    // Four GiB of one number, which takes no memory.
    let large = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap().broadcast_as(1 << 30).unwrap();
    let large: StateDict = [("w".to_owned(), large)].into_iter().collect();
    let none = Tensor::zeros(0, DType::U8, &Device::Cpu).unwrap();
    let many = |count: usize| -> StateDict { (0..count).map(|i| (i.to_string(), none.clone())).collect() };
    for state in [large, many(65_001)] {
        let error = pth::write(&file, &state).unwrap_err();
        assert!(matches!(&error, Error::Unwritable { reason, .. } if reason.contains("32-bit")), "{error}");
        assert_eq!(fs::read(&file).unwrap(), b"old");
    }
    pth::write(&file, &many(65_000)).unwrap();
    let written = fs::read(&file).unwrap();
    assert_eq!(written[written.len() - 12..written.len() - 10], 65_003_u16.to_le_bytes());
}
