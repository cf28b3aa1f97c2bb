//! Writing safetensors files.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::Path;

use candle_core::{CpuStorage, DType, Device, Storage, Tensor};

use super::{LENGTH, METADATA};
use crate::file::write_file;
use crate::limits::MAX_HEADER;
use crate::{Error, RawTensor, Result, StateDict};

/// Writes the tensors of `state` to `path`. The header lists them in order, and [`read_any`](crate::read_any) returns
/// them so; the data are sorted by element size, as the format wants them aligned. The file appears at once and whole.
///
/// # Errors
/// [`Error::Io`] where the file cannot be written, [`Error::Unwritable`] where a tensor's type has no place in the
/// format.
pub fn write(path: impl AsRef<Path>, state: &StateDict) -> Result<()> {
    let path = path.as_ref();
    let listed: Vec<Listed<'_>> =
        state.entries().iter().map(Listed::of).chain(state.others().iter().map(Listed::of_raw)).collect();
    let header = Header::listing(&listed, &[]).map_err(|HeaderError { reason, remedy }| Error::Unwritable {
        path: path.to_owned(),
        reason,
        remedy,
    })?;
    write_file(path, |out| {
        out.write_all(&header.bytes)?;
        header.order.iter().try_for_each(|&at| match listed[at].elements {
            Elements::Tensor(tensor) => write_elements(out, tensor),
            Elements::Raw(data) => out.write_all(data),
        })
    })
}

/// A tensor as a header lists it.
struct Listed<'a> {
    name: &'a str,
    /// `None` where the format has no name for it; its name in messages is `shown`.
    dtype: Option<&'static str>,
    shown: &'static str,
    width: usize,
    dims: &'a [usize],
    elements: Elements<'a>,
}

enum Elements<'a> {
    Tensor(&'a Tensor),
    Raw(&'a [u8]),
}

impl<'a> Listed<'a> {
    fn of((name, tensor): &'a (String, Tensor)) -> Self {
        let dtype = tensor.dtype();
        Listed {
            name,
            dtype: dtype_name(dtype),
            shown: dtype.as_str(),
            width: dtype.size_in_bytes(),
            dims: tensor.dims(),
            elements: Elements::Tensor(tensor),
        }
    }

    fn of_raw((name, tensor): &'a (String, RawTensor)) -> Self {
        let element = tensor.element();
        Listed {
            name,
            dtype: element.safetensors_name(),
            shown: element.name(),
            width: element.width(),
            dims: tensor.dims(),
            elements: Elements::Raw(tensor.data()),
        }
    }

    fn bytes(&self) -> usize {
        self.dims.iter().product::<usize>() * self.width
    }
}

/// The beginning of a file: what comes before the elements of its tensors.
#[derive(Debug, Clone)]
pub struct Header {
    /// The length of the header, then the header.
    pub bytes: Vec<u8>,
    /// The order in which the elements of the tensors follow, as places in the list that the header was made of: wide
    /// element types first, so that those of each tensor are aligned.
    pub order: Vec<usize>,
}

/// What a header cannot list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}; {remedy}")]
pub struct HeaderError {
    /// Why not.
    pub reason: String,
    /// What to try.
    pub remedy: &'static str,
}

impl Header {
    /// The header that lists `tensors` in order, with `metadata` (key and value) before them.
    ///
    /// # Errors
    /// [`HeaderError`] where a name is reserved or occurs twice, where a tensor's element type has no place in the format, or
    /// where the header would be larger than what is read: 16 MiB.
    pub fn of(tensors: &[(String, Tensor)], metadata: &[(&str, &str)]) -> Result<Self, HeaderError> {
        Self::listing(&tensors.iter().map(Listed::of).collect::<Vec<_>>(), metadata)
    }

    fn listing(tensors: &[Listed<'_>], metadata: &[(&str, &str)]) -> Result<Self, HeaderError> {
        let refused = |reason: String, remedy: &'static str| Err(HeaderError { reason, remedy });
        let mut order: Vec<usize> = (0..tensors.len()).collect();
        order.sort_by_key(|&at| std::cmp::Reverse(tensors[at].width));
        let mut starts = vec![0; tensors.len()];
        let mut end = 0;
        for &at in &order {
            starts[at] = end;
            end += tensors[at].bytes();
        }

        let mut members = Vec::with_capacity(tensors.len() + 1);
        if !metadata.is_empty() {
            let pairs: Vec<_> = metadata.iter().map(|(key, value)| format!("{}:{}", json(key), json(value))).collect();
            members.push(format!("{}:{{{}}}", json(METADATA), pairs.join(",")));
        }
        let mut names = HashSet::with_capacity(tensors.len());
        for (tensor, start) in tensors.iter().zip(starts) {
            let name = tensor.name;
            if name == METADATA {
                return refused(format!("the name `{METADATA}` is reserved in safetensors files"), "rename the tensor");
            }
            if !names.insert(name) {
                return refused(format!("the name `{name}` occurs twice"), "rename one of the tensors");
            }
            let Some(dtype) = tensor.dtype else {
                let reason = format!("{name} has type {}", tensor.shown);
                return refused(reason, "convert the tensor to a float type first");
            };
            let (name, shape, end) = (json(name), tensor.dims, start + tensor.bytes());
            members.push(format!(r#"{name}:{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{start},{end}]}}"#));
        }
        let mut header = format!("{{{}}}", members.join(",")).into_bytes();
        header.resize(header.len().next_multiple_of(LENGTH), b' ');
        if header.len() > MAX_HEADER {
            let reason = format!("its header takes {} bytes, more than {MAX_HEADER}", header.len());
            return refused(reason, "give the tensors shorter names");
        }
        Ok(Header { bytes: [&(header.len() as u64).to_le_bytes()[..], &header].concat(), order })
    }
}

fn json(text: &str) -> serde_json::Value {
    text.into()
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

/// Writes the elements of a tensor of any shape, on any device, as a safetensors file has them: row by row, little-endian.
///
/// # Errors
/// What `out` answers; [`io::ErrorKind::Other`] if the tensor cannot be brought to the host,
/// [`io::ErrorKind::Unsupported`] for an element type that [`Header`] does not list.
pub fn write_elements(out: &mut dyn Write, tensor: &Tensor) -> io::Result<()> {
    let tensor = tensor.to_device(&Device::Cpu).and_then(|tensor| tensor.contiguous()).map_err(io::Error::other)?;
    let (storage, layout) = tensor.storage_and_layout();
    let (Storage::Cpu(data), Some((start, end))) = (&*storage, layout.contiguous_offsets()) else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    match data {
        CpuStorage::U8(x) => out.write_all(&x[start..end]),
        CpuStorage::U32(x) => stream(out, &x[start..end], u32::to_le_bytes),
        CpuStorage::I16(x) => stream(out, &x[start..end], i16::to_le_bytes),
        CpuStorage::I32(x) => stream(out, &x[start..end], i32::to_le_bytes),
        CpuStorage::I64(x) => stream(out, &x[start..end], i64::to_le_bytes),
        CpuStorage::BF16(x) => stream(out, &x[start..end], half::bf16::to_le_bytes),
        CpuStorage::F16(x) => stream(out, &x[start..end], half::f16::to_le_bytes),
        CpuStorage::F32(x) => stream(out, &x[start..end], f32::to_le_bytes),
        CpuStorage::F64(x) => stream(out, &x[start..end], f64::to_le_bytes),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Converts a piece at a time: the largest tensors are as large as all parameters of a network.
fn stream<T: Copy, const N: usize>(out: &mut dyn Write, data: &[T], bytes: impl Fn(T) -> [u8; N]) -> io::Result<()> {
    const PIECE: usize = 1 << 16;
    let mut buffer = Vec::with_capacity(PIECE.min(data.len()) * N);
    for piece in data.chunks(PIECE) {
        buffer.clear();
        for &x in piece {
            buffer.extend_from_slice(&bytes(x));
        }
        out.write_all(&buffer)?;
    }
    Ok(())
}
