//! safetensors files: a JSON header that lists the tensors, then their elements.

use std::fmt;
use std::path::Path;

use candle_core::safetensors::Load;
use candle_core::{DType, Device};
use safetensors::SafeTensors;
use safetensors::tensor::View;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::{Format, Loaded, StateDict, write_atomically};
use crate::{Error, Origin, Result};

/// The key of the header that is not a tensor.
const METADATA: &str = "__metadata__";

/// Bytes of the header's length, and the multiple the header is padded to.
const LENGTH: usize = 8;

/// Whether `file` starts like a safetensors file: a plausible length and a JSON object. No `.pth` file does.
pub(super) fn is_safetensors(file: &[u8]) -> bool {
    file.get(LENGTH) == Some(&b'{') && file[LENGTH - 1] == 0
}

/// Reads the tensors of `file` in the order of its header.
pub(super) fn read(file: &[u8], origin: Origin) -> Result<Loaded> {
    let bad = |reason: String| Error::BadWeights {
        origin: origin.clone(),
        reason: format!("damaged safetensors file: {reason}"),
        remedy: "copy or download it again",
    };
    // Checks lengths, offsets and overlaps.
    let tensors = SafeTensors::deserialize(file).map_err(|error| bad(error.to_string()))?;
    let mut length = [0; LENGTH];
    length.copy_from_slice(&file[..LENGTH]);
    let end = LENGTH + usize::try_from(u64::from_le_bytes(length)).map_err(|error| bad(error.to_string()))?;
    let names = serde_json::Deserializer::from_slice(&file[LENGTH..end])
        .deserialize_map(KeyOrder)
        .map_err(|error| bad(error.to_string()))?;
    let mut state = StateDict::new();
    for name in names {
        let view = tensors.tensor(&name).map_err(|error| bad(error.to_string()))?;
        let tensor = view.load(&Device::Cpu).map_err(|error| Error::BadWeights {
            origin: origin.clone(),
            reason: format!("tensor {name}: {error}"),
            remedy: "convert the tensor to a float type where the file was made",
        })?;
        if state.push(name, tensor).is_some() {
            return Err(bad("it lists a tensor twice".into()));
        }
    }
    Ok(Loaded { state, format: Format::Safetensors, notes: Vec::new() })
}

/// Collects the tensor names of a header in the order of the document, which a map would lose.
struct KeyOrder;

impl<'de> Visitor<'de> for KeyOrder {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the header of a safetensors file")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        let mut names = Vec::new();
        while let Some((name, IgnoredAny)) = map.next_entry::<String, _>()? {
            if name != METADATA {
                names.push(name);
            }
        }
        Ok(names)
    }
}

/// Writes `state` to `path`.
pub(super) fn write(path: &Path, state: &StateDict) -> Result<()> {
    let unwritable = |reason: String, remedy: &'static str| Error::Unwritable { path: path.to_owned(), reason, remedy };
    let mut by_alignment: Vec<usize> = (0..state.len()).collect();
    by_alignment.sort_by_key(|&at| std::cmp::Reverse(state.entries()[at].1.dtype().size_in_bytes()));
    let mut offsets = vec![(0, 0); state.len()];
    let mut end = 0;
    for &at in &by_alignment {
        let tensor = &state.entries()[at].1;
        let start = end;
        end += tensor.elem_count() * tensor.dtype().size_in_bytes();
        offsets[at] = (start, end);
    }
    let mut header = String::from("{");
    for ((name, tensor), (start, end)) in state.iter().zip(offsets) {
        if name == METADATA {
            return Err(unwritable(format!("safetensors reserves the name {METADATA}"), "rename the tensor"));
        }
        let Some(dtype) = dtype_name(tensor.dtype()) else {
            let reason = format!("{name} has type {}", tensor.dtype().as_str());
            return Err(unwritable(reason, "convert the tensor to a float type first"));
        };
        if header.len() > 1 {
            header.push(',');
        }
        let name = serde_json::Value::from(name);
        let shape = tensor.dims();
        header += &format!(r#"{name}:{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{start},{end}]}}"#);
    }
    header.push('}');
    let padded = header.len().next_multiple_of(LENGTH);
    write_atomically(path, |out| {
        out.write_all(&(padded as u64).to_le_bytes())?;
        out.write_all(header.as_bytes())?;
        out.write_all(&vec![b' '; padded - header.len()])?;
        by_alignment.iter().try_for_each(|&at| out.write_all(&View::data(&state.entries()[at].1)))
    })
}

fn dtype_name(dtype: DType) -> Option<&'static str> {
    Some(match dtype {
        DType::U8 => "U8",
        DType::U32 => "U32",
        DType::I16 => "I16",
        DType::I32 => "I32",
        DType::I64 => "I64",
        DType::BF16 => "BF16",
        DType::F16 => "F16",
        DType::F32 => "F32",
        DType::F64 => "F64",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use candle_core::Tensor;

    use super::super::read_any;
    use super::*;

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
        state.write_safetensors(&path).unwrap();
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
        mixed().write_safetensors(&path).unwrap();
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
        mixed().write_safetensors(&path).unwrap();
        let file = std::fs::read(&path).unwrap();
        for end in LENGTH..file.len() {
            assert!(read(&file[..end], Origin::Memory).is_err(), "{end} bytes");
        }
    }

    #[test]
    fn a_type_without_a_place_is_refused_before_anything_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        let float8 = Tensor::zeros(4, DType::F8E4M3, &Device::Cpu).unwrap();
        let state: StateDict = [("w".to_owned(), float8)].into_iter().collect();
        assert!(matches!(state.write_safetensors(&path), Err(Error::Unwritable { .. })));
        assert!(!path.exists());
    }
}
