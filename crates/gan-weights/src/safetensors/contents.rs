//! Reading safetensors files.

use std::collections::HashSet;
use std::fmt;
use std::io::{self, Read};

use candle_core::Tensor;
use safetensors::SafeTensorError;
use safetensors::tensor::Metadata;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::{LENGTH, METADATA, elements};
use crate::limits::{MAX_HEADER, MAX_TENSORS, check_shape};
use crate::raw::Built;
use crate::source::Source;
use crate::{Error, Format, Loaded, Origin, Result, StateDict, shown};

/// What is wrong with the bytes of a safetensors file, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(String);

/// Why the tensors of a file were not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Io(io::Error),
    #[error(transparent)]
    Malformed(Malformed),
    /// The tensor of this name cannot be made.
    #[error("tensor {0}: {1}")]
    Tensor(String, candle_core::Error),
}

/// The header of a safetensors file, checked.
#[derive(Debug)]
pub(crate) struct Listing {
    names: Vec<String>,
    metadata: Metadata,
    /// Where the elements begin.
    start: usize,
}

impl Listing {
    /// Reads the header of a file of `length` bytes, which are the next ones of `file`.
    pub(crate) fn read(file: &mut dyn Read, length: usize) -> std::result::Result<Self, Failure> {
        let bad = |reason: String| Failure::Malformed(Malformed(reason));
        let Some(left) = length.checked_sub(LENGTH) else {
            return Err(bad(format!("it has {length} bytes, too few for a header")));
        };
        let mut size = [0; LENGTH];
        file.read_exact(&mut size).map_err(Failure::Io)?;
        let size = u64::from_le_bytes(size);
        if size > left as u64 {
            return Err(bad(format!("its header takes {size} bytes and ends beyond the file")));
        }
        let Some(size) = usize::try_from(size).ok().filter(|&size| size <= MAX_HEADER) else {
            return Err(bad(format!("its header takes {size} bytes, more than {MAX_HEADER}")));
        };
        let mut header = vec![0; size];
        file.read_exact(&mut header).map_err(Failure::Io)?;
        Self::parse(&header, left - size).map_err(Failure::Malformed)
    }

    /// Reads a header before which and behind which `LENGTH` and `elements` bytes lie.
    fn parse(header: &[u8], elements: usize) -> std::result::Result<Self, Malformed> {
        let bad = |reason: &dyn fmt::Display| Malformed(reason.to_string());
        let names =
            serde_json::Deserializer::from_slice(header).deserialize_map(KeyOrder).map_err(|error| bad(&error))?;
        // Checks lengths, offsets and overlaps.
        let metadata: Metadata = serde_json::from_slice(header).map_err(|error| bad(&error))?;
        if metadata.data_len() != elements {
            return Err(bad(&SafeTensorError::MetadataIncompleteBuffer));
        }
        let mut listed = HashSet::with_capacity(names.len());
        for name in &names {
            if !listed.insert(name) {
                return Err(Malformed("it lists a tensor twice".into()));
            }
            let info = metadata.info(name).ok_or_else(|| bad(&SafeTensorError::TensorNotFound(name.clone())))?;
            check_shape(&info.shape).map_err(|error| Malformed(format!("tensor {}: {error}", shown(name))))?;
        }
        Ok(Self { names, metadata, start: LENGTH + header.len() })
    }

    /// Reads all tensors, in the order of the file, of which the elements are the next bytes; returns them in the order of
    /// the header.
    pub(crate) fn tensors(self, file: &mut dyn Read) -> std::result::Result<Vec<(String, Built)>, Failure> {
        let infos: Vec<_> = self.names.iter().filter_map(|name| self.metadata.info(name)).collect();
        let mut order: Vec<usize> = (0..infos.len()).collect();
        order.sort_by_key(|&at| infos[at].data_offsets);
        let mut tensors = Vec::with_capacity(infos.len());
        for at in order {
            match elements::read(file, infos[at]) {
                Ok(built) => tensors.push((at, built)),
                Err(candle_core::Error::Io(error)) => return Err(Failure::Io(error)),
                Err(error) => return Err(Failure::Tensor(self.names[at].clone(), error)),
            }
        }
        tensors.sort_unstable_by_key(|(at, _)| *at);
        Ok(self.names.into_iter().zip(tensors).map(|(name, (_, built))| (name, built)).collect())
    }
}

/// A safetensors file in memory. Its header has been read and checked; tensors are made when they are asked for.
#[derive(Debug)]
pub struct Contents<'a> {
    listing: Listing,
    elements: &'a [u8],
}

impl<'a> Contents<'a> {
    /// Reads the header of `file`, the bytes of a whole file.
    ///
    /// # Errors
    /// [`Malformed`] where the header contradicts itself or the file, lists a tensor twice, or is beyond the limits:
    /// 16 MiB, and 16 dimensions and 2^40 elements a tensor.
    pub fn parse(file: &'a [u8]) -> std::result::Result<Self, Malformed> {
        let listing = Listing::read(&mut &*file, file.len()).map_err(|failure| Malformed(failure.to_string()))?;
        Ok(Self { elements: &file[listing.start..], listing })
    }

    /// The names of the tensors, in the order of the header.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.listing.names.iter().map(String::as_str)
    }

    /// Makes the tensor called `name`, in host memory.
    ///
    /// # Errors
    /// Where there is no such tensor, or it has an element type that candle does not know.
    pub fn tensor(&self, name: &str) -> candle_core::Result<Tensor> {
        let metadata = &self.listing.metadata;
        let info = metadata.info(name).ok_or_else(|| SafeTensorError::TensorNotFound(name.to_owned()))?;
        let (start, end) = info.data_offsets;
        match elements::read(&mut &self.elements[start..end], info)? {
            Built::Tensor(tensor) => Ok(tensor),
            Built::Raw(_) => Err(candle_core::Error::UnsupportedSafeTensorDtype(info.dtype)),
        }
    }
}

/// Reads the tensors of `file`, which is of `origin`, in the order of its header; 65536 at most.
pub(crate) fn read_of(file: &Source<'_>, origin: Origin) -> Result<Loaded> {
    let failed = |failure| match failure {
        Failure::Io(error) => origin.unreadable(error),
        Failure::Malformed(malformed) => Error::BadWeights {
            origin: origin.clone(),
            reason: format!("damaged safetensors file: {malformed}"),
            remedy: "copy or download it again",
        },
        Failure::Tensor(name, error) => Error::BadWeights {
            origin: origin.clone(),
            reason: format!("tensor {}: {error}", shown(&name)),
            remedy: "convert the tensor to a float type where the file was made",
        },
    };
    let mut bytes = file.reader(0..file.len());
    let listing = Listing::read(&mut bytes, file.len()).map_err(failed)?;
    let count = listing.names.len();
    if count > MAX_TENSORS {
        return Err(failed(Failure::Malformed(Malformed(format!(
            "it lists {count} tensors, more than {MAX_TENSORS}"
        )))));
    }
    let mut state = StateDict::new();
    for (name, built) in listing.tensors(&mut bytes).map_err(failed)? {
        state.push_built(name, built);
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
