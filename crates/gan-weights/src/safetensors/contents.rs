//! Reading safetensors files.

use std::collections::HashSet;
use std::fmt;

use candle_core::safetensors::Load;
use candle_core::{Device, Tensor};
use safetensors::SafeTensors;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::{LENGTH, METADATA};
use crate::limits::{MAX_HEADER, MAX_TENSORS, check_shape};
use crate::{ElementType, Error, Format, Loaded, Origin, RawTensor, Result, StateDict, shown};

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

    /// Copies the tensor called `name`, if candle lacks its element type.
    pub(crate) fn raw(&self, name: &str) -> Option<RawTensor> {
        let view = self.tensors.tensor(name).ok()?;
        let element = ElementType::of_safetensors(view.dtype())?;
        RawTensor::new(element, view.shape().to_vec(), view.data().to_vec())
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
    let mut state = StateDict::new();
    for name in contents.names() {
        match contents.raw(name) {
            Some(raw) => state.push_other(name, raw),
            None => {
                let tensor = contents.tensor(name).map_err(|error| Error::BadWeights {
                    origin: origin.clone(),
                    reason: format!("tensor {}: {error}", shown(name)),
                    remedy: "convert the tensor to a float type where the file was made",
                })?;
                state.push(name, tensor);
            }
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
