//! safetensors files: a JSON header that lists the tensors, then their elements.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use candle_core::safetensors::Load;
use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use safetensors::tensor::View;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::atomic::write_atomically;
use crate::limits::{MAX_HEADER, MAX_TENSORS, check_shape};
use crate::{Error, Format, Loaded, Origin, Result, StateDict, shown};

/// The key of the header that is not a tensor.
const METADATA: &str = "__metadata__";

/// Bytes of the header's length, and the multiple the header is padded to.
const LENGTH: usize = 8;

/// Whether `file` starts like a safetensors file: a plausible length and a JSON object. No `.pth` file does.
pub(crate) fn is_safetensors(file: &[u8]) -> bool {
    file.get(LENGTH) == Some(&b'{') && file[LENGTH - 1] == 0
}

/// What is wrong with the bytes of a safetensors file, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(String);

/// A safetensors file in memory. Its header has been read and checked; tensors are made when they are asked for.
#[derive(Debug)]
pub struct Contents<'a> {
    names: Vec<String>,
    tensors: SafeTensors<'a>,
}

impl<'a> Contents<'a> {
    /// Reads the header of `file`, the bytes of a whole file.
    ///
    /// # Errors
    /// [`Malformed`] where the header contradicts itself or the file, lists a tensor twice, or is beyond the limits:
    /// 16 MiB, and 16 dimensions and 2^40 elements a tensor.
    pub fn parse(file: &'a [u8]) -> std::result::Result<Self, Malformed> {
        let bad = |reason: &dyn fmt::Display| Malformed(reason.to_string());
        let Some(length) = file.first_chunk().map(|length| u64::from_le_bytes(*length)) else {
            return Err(Malformed(format!("it has {} bytes, too few for a header", file.len())));
        };
        let header = usize::try_from(length).ok().and_then(|length| file.get(LENGTH..)?.get(..length));
        let Some(header) = header else {
            return Err(Malformed(format!("its header takes {length} bytes and ends beyond the file")));
        };
        if header.len() > MAX_HEADER {
            return Err(Malformed(format!("its header takes {length} bytes, more than {MAX_HEADER}")));
        }
        let names =
            serde_json::Deserializer::from_slice(header).deserialize_map(KeyOrder).map_err(|error| bad(&error))?;
        // Checks lengths, offsets and overlaps.
        let tensors = SafeTensors::deserialize(file).map_err(|error| bad(&error))?;
        let mut listed = HashSet::with_capacity(names.len());
        for name in &names {
            if !listed.insert(name) {
                return Err(Malformed("it lists a tensor twice".into()));
            }
            let view = tensors.tensor(name).map_err(|error| bad(&error))?;
            check_shape(view.shape()).map_err(|error| Malformed(format!("tensor {}: {error}", shown(name))))?;
        }
        Ok(Self { names, tensors })
    }

    /// The names of the tensors, in the order of the header.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Makes the tensor called `name`, in host memory.
    ///
    /// # Errors
    /// Where there is no such tensor, or it has an element type that candle does not know.
    pub fn tensor(&self, name: &str) -> candle_core::Result<Tensor> {
        self.tensors.tensor(name)?.load(&Device::Cpu)
    }
}

/// Reads the tensors of `file`, which is of `origin`, in the order of its header; 65536 at most.
pub(crate) fn read_bytes_of(file: &[u8], origin: Origin) -> Result<Loaded> {
    let bad = |malformed: Malformed| Error::BadWeights {
        origin: origin.clone(),
        reason: format!("damaged safetensors file: {malformed}"),
        remedy: "copy or download it again",
    };
    let contents = Contents::parse(file).map_err(bad)?;
    let count = contents.names().len();
    if count > MAX_TENSORS {
        return Err(bad(Malformed(format!("it lists {count} tensors, more than {MAX_TENSORS}"))));
    }
    let made = contents.names().map(|name| match contents.tensor(name) {
        Ok(tensor) => Ok((name.to_owned(), tensor)),
        Err(error) => Err(Error::BadWeights {
            origin: origin.clone(),
            reason: format!("tensor {}: {error}", shown(name)),
            remedy: "convert the tensor to a float type where the file was made",
        }),
    });
    Ok(Loaded { state: made.collect::<Result<_>>()?, format: Format::Safetensors, notes: Vec::new() })
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

/// Writes the tensors of `state` to `path`. The header lists them in order, and [`read_any`](crate::read_any) returns
/// them so; the data are sorted by element size, as the format wants them aligned. The file appears at once and whole.
///
/// # Errors
/// [`Error::Io`] where the file cannot be written, [`Error::Unwritable`] where a tensor's type has no place in the
/// format.
pub fn write(path: impl AsRef<Path>, state: &StateDict) -> Result<()> {
    let path = path.as_ref();
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
    use super::*;
    use crate::read_any;

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
            assert!(read_bytes_of(&file[..end], Origin::Memory).is_err(), "{end} bytes");
        }
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
        assert!(read_bytes_of(&file(&format!("{{{good}}}"), 8), Origin::Memory).is_ok());
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
            let error = read_bytes_of(&file(&header, data), Origin::Memory).unwrap_err().to_string();
            assert!(error.contains(said), "{}: {error}", &header[..header.len().min(80)]);
        }
        for length in [u64::MAX, 1 << 62, 1 << 40, 100] {
            let mut lying = file(&format!("{{{good}}}"), 8);
            lying[..8].copy_from_slice(&length.to_le_bytes());
            assert!(read_bytes_of(&lying, Origin::Memory).unwrap_err().to_string().contains("ends beyond the file"));
        }
    }

    #[test]
    fn the_number_of_tensors_and_the_header_are_bounded() {
        let header = |count: usize| {
            let entry = |i| format!(r#""{i}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#);
            format!("{{{}}}", (0..count).map(entry).collect::<Vec<_>>().join(","))
        };
        assert_eq!(read_bytes_of(&file(&header(1000), 0), Origin::Memory).unwrap().state.len(), 1000);
        let error = read_bytes_of(&file(&header(MAX_TENSORS + 1), 0), Origin::Memory).unwrap_err().to_string();
        assert!(error.contains("65537 tensors, more than 65536"), "{error}");
        let padded = format!("{{{}}}", " ".repeat(MAX_HEADER));
        let error = read_bytes_of(&file(&padded, 0), Origin::Memory).unwrap_err().to_string();
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
}
