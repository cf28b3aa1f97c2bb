//! Files that PyTorch wrote, in both containers.

use candle_core::{DType, Tensor};
use gan_weights::{ElementType, Error, Format, Loaded, RawTensor, StateDict, pth, read_any, read_entry, safetensors};

pub(crate) fn path(name: &str) -> String {
    format!("{}/tests/fixtures/pth/{name}.pth", env!("CARGO_MANIFEST_DIR"))
}

fn both(name: &str) -> [Loaded; 2] {
    let loaded = ["zip", "legacy"].map(|container| read_any(path(&format!("{name}.{container}"))).unwrap());
    assert_eq!(loaded.each_ref().map(|loaded| loaded.format), [Format::PthZip, Format::PthLegacy]);
    loaded
}

/// Elements in row-major order, as f64.
pub(crate) fn elements(tensor: &Tensor) -> Vec<f64> {
    assert!(tensor.is_contiguous());
    tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

fn assert_tensor(state: &StateDict, name: &str, dtype: DType, shape: &[usize], expected: &[f64]) {
    let tensor = state.get(name).unwrap();
    assert_eq!((tensor.dtype(), tensor.dims()), (dtype, shape), "{name}");
    assert_eq!(elements(tensor), expected, "{name}");
}

/// Elements `indices` of the ramp that the script fills floats with.
fn ramp(indices: impl IntoIterator<Item = usize>) -> Vec<f64> {
    indices.into_iter().map(|i| i as f64 / 8. - 3.).collect()
}

#[test]
fn every_element_type_and_view_is_read() {
    for loaded in both("kinds") {
        let state = &loaded.state;
        let names: Vec<_> = state.names().collect();
        assert_eq!(names[..4], ["conv.weight", "conv.bias", "half", "bfloat16"]);
        assert_eq!((names.len(), names[16]), (17, "expanded"));
        assert_tensor(state, "conv.weight", DType::F32, &[2, 3, 2, 2], &ramp(0..24));
        assert_tensor(state, "conv.bias", DType::F32, &[2], &ramp(0..2));
        assert_tensor(state, "half", DType::F16, &[5], &ramp(0..5));
        assert_tensor(state, "bfloat16", DType::BF16, &[5], &ramp(0..5));
        assert_tensor(state, "double", DType::F64, &[3], &ramp(0..3));
        assert_tensor(state, "long", DType::I64, &[4], &[-3., -2., -1., 0.]);
        assert_tensor(state, "int", DType::I32, &[4], &[-3., -2., -1., 0.]);
        assert_tensor(state, "short", DType::I16, &[4], &[-3., -2., -1., 0.]);
        assert_tensor(state, "byte", DType::U8, &[6], &[0., 0., 0., 0., 1., 2.]);
        assert_tensor(state, "scalar", DType::I64, &[], &[7.]);
        assert_tensor(state, "empty", DType::F32, &[0, 3], &[]);
        assert_tensor(state, "transposed", DType::F32, &[3, 2], &ramp([0, 3, 1, 4, 2, 5]));
        let permuted = (0..4).flat_map(|k| (0..6).map(move |ij| ij * 4 + k));
        assert_tensor(state, "permuted", DType::F32, &[4, 2, 3], &ramp(permuted));
        assert_tensor(state, "shared.head", DType::F32, &[2, 3], &ramp(0..6));
        assert_tensor(state, "shared.tail", DType::F32, &[4], &ramp(20..24));
        assert_tensor(state, "shared.stepped", DType::F32, &[5], &ramp([1, 6, 11, 16, 21]));
        assert_tensor(state, "expanded", DType::F32, &[2, 3], &ramp([0, 0, 0, 1, 1, 1]));
        let boolean = RawTensor::new(ElementType::Bool, vec![3], vec![1, 0, 1]).unwrap();
        assert_eq!(state.others(), [("bool".to_owned(), boolean)]);
        assert!(loaded.notes.is_empty());
    }
}

/// Little-endian F32.
fn floats(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|x| (*x as f32).to_le_bytes()).collect()
}

#[test]
fn element_types_that_candle_lacks_are_bytes() {
    for loaded in both("raw") {
        let state = &loaded.state;
        assert!(state.names().eq(["w.x", "uint32", "negative"]));
        assert_tensor(state, "uint32", DType::U32, &[3], &[0., 1., 2.]);
        let negative: Vec<f64> = ramp(0..4).iter().map(|x| -x).collect();
        assert_tensor(state, "negative", DType::F32, &[4], &negative);
        // The numbers i / 8 - 3 + (i / 8 - 2) j.
        let complex = |sign: f64| ramp(0..4).iter().flat_map(|x| [*x, sign * (x + 1.)]).collect::<Vec<_>>();
        let doubles = complex(1.).iter().flat_map(|x| x.to_le_bytes()).collect();
        let expected = [
            ("bool", ElementType::Bool, vec![2, 2], vec![1, 1, 0, 1]),
            ("int8", ElementType::I8, vec![5], vec![253, 254, 255, 0, 1]),
            ("uint16", ElementType::U16, vec![6], (65530..=65535).flat_map(u16::to_le_bytes).collect()),
            ("uint64", ElementType::U64, vec![3], (0..3).flat_map(u64::to_le_bytes).collect()),
            // -3 and -2.875 are 1.5 times 2 and, rounded to even, 1.5 times 2; a step further 1.375 times 2.
            ("e4m3", ElementType::F8E4M3, vec![8], vec![0xc4, 0xc4, 0xc3, 0xc2, 0xc2, 0xc2, 0xc1, 0xc0]),
            ("e5m2", ElementType::F8E5M2, vec![8], vec![0xc2, 0xc2, 0xc2, 0xc1, 0xc1, 0xc1, 0xc0, 0xc0]),
            ("complex64", ElementType::Complex64, vec![4], floats(&complex(1.))),
            ("complex128", ElementType::Complex128, vec![4], doubles),
            ("conjugate", ElementType::Complex64, vec![4], floats(&complex(-1.))),
        ];
        for ((name, raw), (expected, element, dims, bytes)) in state.others().iter().zip(expected) {
            assert_eq!((name.as_str(), raw), (expected, &RawTensor::new(element, dims, bytes).unwrap()));
        }
        assert_eq!((state.others().len(), loaded.notes.len()), (9, 0));
    }
}

const NETWORK: [&str; 7] =
    ["0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked"];

fn assert_network(state: &StateDict) {
    assert!(state.names().eq(NETWORK));
    assert_tensor(state, "0.weight", DType::F32, &[2, 1, 3, 3], &ramp(0..18));
    assert_tensor(state, "1.running_var", DType::F32, &[2], &ramp(0..2));
    assert_tensor(state, "1.num_batches_tracked", DType::I64, &[], &[1.]);
}

#[test]
fn a_module_with_metadata_is_read() {
    for loaded in both("network") {
        assert_network(&loaded.state);
        assert!(loaded.notes.is_empty());
    }
}

#[test]
fn a_state_dict_in_a_training_loops_dict_is_found_and_reported() {
    for loaded in both("training") {
        assert_network(&loaded.state);
        assert_eq!(
            loaded.notes,
            [r#"state dict found under "model""#, "not used: epoch = 7, optimizer (dict), lr = 0.5"]
        );
    }
}

#[test]
fn an_entry_that_does_not_exist_is_refused_with_those_that_do() {
    let error = read_entry(path("training.zip"), "netD").unwrap_err().to_string();
    assert!(error.contains("\"netD\"") && error.contains("\"model\""), "{error}");
    assert_network(&read_entry(path("training.zip"), "model").unwrap().state);
    let error = read_entry(path("training.zip"), "optimizer").unwrap_err().to_string();
    assert!(error.contains("a dict under \"optimizer\", no state dict"), "{error}");
}

#[test]
fn a_safetensors_file_has_no_entries() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weights");
    safetensors::write(&file, &pth::read(path("network.zip")).unwrap().state).unwrap();
    let error = read_entry(&file, "netG").unwrap_err().to_string();
    assert!(error.contains("one state dict") && error.contains("leave the entry out"), "{error}");
}

#[test]
fn later_protocols_and_missing_checksums_are_read() {
    assert_network(&pth::read(path("protocol4.zip")).unwrap().state);
    assert_network(&pth::read(path("unchecked.zip")).unwrap().state);
}

#[test]
fn tensors_of_a_gpu_are_read_into_host_memory() {
    for loaded in both("cuda") {
        assert_tensor(&loaded.state, "weight", DType::F32, &[2, 3], &ramp(0..6));
    }
}

#[test]
fn big_endian_files_are_refused() {
    for container in ["zip", "legacy"] {
        let error = pth::read(path(&format!("bigendian.{container}"))).unwrap_err();
        assert!(matches!(&error, Error::BadWeights { reason, .. } if reason.contains("big-endian")), "{error}");
        assert!(error.to_string().contains(&format!("bigendian.{container}.pth")), "{error}");
    }
}

#[test]
fn data_parallel_prefixes_can_be_stripped() {
    for loaded in both("wrapped") {
        let mut state = loaded.state;
        assert_eq!(state.names().next(), Some("module.0.weight"));
        let notes = gan_weights::strip_data_parallel(&mut state);
        assert_eq!(notes, ["prefix \"module.\" of DataParallel removed from 7 keys"]);
        assert_network(&state);
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = pth::read(path("absent")).unwrap_err();
    assert!(matches!(&error, Error::Io { action: "read", .. }), "{error}");
    assert!(error.to_string().contains("absent.pth"), "{error}");
    assert!(pth::read(env!("CARGO_MANIFEST_DIR")).unwrap_err().to_string().contains("not a regular file"));
}
