//! Writing a state dict for `torch.load(path, weights_only=True)`.

use std::io::{self, Write};
use std::path::Path;

use candle_core::{DType, Tensor};
use safetensors::tensor::View;

use crate::file::write_file;
use crate::{Error, Result, StateDict};

/// Where PyTorch expects the data of storages to start, so that they can be mapped into memory.
const ALIGNMENT: u64 = 64;

/// The folder inside the archive; a constant, so that equal state dicts give equal files whatever they are called.
const ROOT: &str = "archive";

/// The entries beside those of storages.
const PICKLE: &str = "data.pkl";
const BYTE_ORDER: (&str, &[u8]) = ("byteorder", b"little");
const VERSION: (&str, &[u8]) = ("version", b"3\n");

/// The items a pickle sets at once, as Python's pickler does.
const BATCH: usize = 1000;

/// Zip counts entries with 16 bits.
const MOST_TENSORS: usize = 65_000;

/// Bytes of a local header, of a record of the directory and of the end record, without names and padding.
const LOCAL_SIZE: u64 = 30;
const CENTRAL_SIZE: u64 = 46;
const END_SIZE: u64 = 22;

/// Flag of zip entries whose names are UTF-8.
const UTF8: u16 = 1 << 11;

/// The day on which zip's calendar begins, for all entries: files depend on their contents only.
const FIRST_DAY: u16 = 1 << 5 | 1;

/// Writes `state` to `path` as a zip `.pth` that holds an `OrderedDict` of CPU tensors, in the order of `state`.
/// Elements keep their type and their bits. Equal state dicts give equal bytes. The file appears at once and whole:
/// a reader sees the old file or the new one, and so does a machine that loses power.
///
/// # Errors
/// [`Error::Io`] where the file cannot be written, [`Error::Unwritable`] where PyTorch lacks a tensor's type or the archive would exceed 4 GiB or 65 000 tensors.
pub fn write(path: impl AsRef<Path>, state: &StateDict) -> Result<()> {
    let path = path.as_ref();
    let unwritable = |reason: String, remedy: &'static str| Error::Unwritable { path: path.to_owned(), reason, remedy };
    let mut stored = Vec::with_capacity(state.len() + state.others().len());
    for (name, tensor) in state.entries() {
        let Some(storage) = storage_class(tensor.dtype()) else {
            let reason = format!("{name} has type {}, for which PyTorch has no storage class", tensor.dtype().as_str());
            return Err(unwritable(reason, "convert the tensor to a float type first"));
        };
        stored.push(Stored { name, dims: tensor.dims(), storage, elements: Elements::Tensor(tensor) });
    }
    for (name, tensor) in state.others() {
        let element = tensor.element();
        let storage = element.storage_class().map_or(Storage::Untyped(element.name(), element.width()), Storage::Class);
        stored.push(Stored { name, dims: tensor.dims(), storage, elements: Elements::Raw(tensor.data()) });
    }
    let pickle = pickle(&stored);
    if !fits(archive_size(&pickle, &stored), stored.len()) {
        return Err(unwritable("it does not fit the 32-bit zip format".into(), "write .safetensors instead"));
    }
    write_file(path, |out| archive(out, &pickle, &stored))
}

/// Whether an archive of so many bytes and tensors may be written.
fn fits(size: u64, tensors: usize) -> bool {
    size <= u64::from(u32::MAX) && tensors <= MOST_TENSORS
}

/// A tensor and how a pickle refers to it.
struct Stored<'a> {
    name: &'a str,
    dims: &'a [usize],
    storage: Storage,
    elements: Elements<'a>,
}

/// What a pickle says of a storage.
#[derive(Clone, Copy)]
enum Storage {
    /// The name of its class in module `torch`, which tells the element type.
    Class(&'static str),
    /// Bytes; the tensor names its element type, whose elements have so many.
    Untyped(&'static str, usize),
}

enum Elements<'a> {
    Tensor(&'a Tensor),
    Raw(&'a [u8]),
}

impl Elements<'_> {
    fn bytes(&self) -> u64 {
        match self {
            Elements::Tensor(tensor) => (tensor.elem_count() * Tensor::dtype(tensor).size_in_bytes()) as u64,
            Elements::Raw(data) => data.len() as u64,
        }
    }
}

/// Bytes that [`archive`] writes.
fn archive_size(pickle: &[u8], tensors: &[Stored<'_>]) -> u64 {
    let (mut at, mut directory) = (0, 0);
    let mut entry = |name: &str, bytes: u64| {
        let name = full(name).len() as u64;
        at += LOCAL_SIZE + name + padding(at, name) + bytes;
        directory += CENTRAL_SIZE + name;
    };
    entry(PICKLE, pickle.len() as u64);
    entry(BYTE_ORDER.0, BYTE_ORDER.1.len() as u64);
    tensors.iter().enumerate().for_each(|(key, tensor)| entry(&data(key), tensor.elements.bytes()));
    entry(VERSION.0, VERSION.1.len() as u64);
    at + directory + END_SIZE
}

fn archive(out: &mut dyn Write, pickle: &[u8], tensors: &[Stored<'_>]) -> io::Result<()> {
    let mut zip = ZipWriter { out, at: 0, directory: Vec::new(), count: 0 };
    zip.entry(PICKLE, pickle)?;
    zip.entry(BYTE_ORDER.0, BYTE_ORDER.1)?;
    for (key, tensor) in tensors.iter().enumerate() {
        let name = data(key);
        match tensor.elements {
            Elements::Tensor(tensor) => zip.entry(&name, &tensor.data())?,
            Elements::Raw(data) => zip.entry(&name, data)?,
        }
    }
    zip.entry(VERSION.0, VERSION.1)?;
    zip.finish()
}

/// The name of an entry in the archive.
fn full(name: &str) -> String {
    format!("{ROOT}/{name}")
}

/// The name of the entry of a storage.
fn data(key: usize) -> String {
    format!("data/{key}")
}

/// Bytes between a name and the data of an entry whose header begins at `at`: an extra field of id "FB", as PyTorch pads, which takes four itself.
fn padding(at: u64, name: u64) -> u64 {
    let unpadded = at + LOCAL_SIZE + name + 4;
    4 + (ALIGNMENT - unpadded % ALIGNMENT) % ALIGNMENT
}

/// How storages of elements of this type are pickled.
fn storage_class(dtype: DType) -> Option<Storage> {
    Some(Storage::Class(match dtype {
        DType::F32 => "FloatStorage",
        DType::F64 => "DoubleStorage",
        DType::F16 => "HalfStorage",
        DType::BF16 => "BFloat16Storage",
        DType::I64 => "LongStorage",
        DType::I32 => "IntStorage",
        DType::I16 => "ShortStorage",
        DType::U8 => "ByteStorage",
        DType::U32 => return Some(Storage::Untyped("uint32", 4)),
        _ => return None,
    }))
}

/// The protocol-2 pickle of an `OrderedDict` of tensors, each with a storage of its own, numbered in order.
fn pickle(tensors: &[Stored<'_>]) -> Vec<u8> {
    let mut code = vec![0x80, 2];
    global(&mut code, "collections", "OrderedDict");
    code.extend(b")R");
    for (start, batch) in tensors.chunks(BATCH).enumerate() {
        code.push(b'(');
        for (position, tensor) in batch.iter().enumerate() {
            text(&mut code, tensor.name);
            pickle_tensor(&mut code, tensor, start * BATCH + position);
        }
        code.push(b'u');
    }
    code.push(b'.');
    code
}

/// `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks)`, or `_rebuild_tensor_v3`, which
/// takes the element type as well.
fn pickle_tensor(code: &mut Vec<u8>, tensor: &Stored<'_>, key: usize) {
    let typed = matches!(tensor.storage, Storage::Class(_));
    global(code, "torch._utils", if typed { "_rebuild_tensor_v2" } else { "_rebuild_tensor_v3" });
    code.extend(b"((");
    text(code, "storage");
    let mut count = tensor.dims.iter().product();
    match tensor.storage {
        Storage::Class(class) => global(code, "torch", class),
        Storage::Untyped(_, width) => {
            global(code, "torch.storage", "UntypedStorage");
            count *= width;
        }
    }
    text(code, &key.to_string());
    text(code, "cpu");
    integer(code, count);
    code.extend(b"tQ");
    integer(code, 0);
    let size = tensor.dims;
    let mut stride = vec![1; size.len()];
    for dimension in (1..size.len()).rev() {
        stride[dimension - 1] = stride[dimension] * size[dimension].max(1);
    }
    for numbers in [size, &stride] {
        code.push(b'(');
        for &number in numbers {
            integer(code, number);
        }
        code.push(b't');
    }
    code.push(0x89);
    global(code, "collections", "OrderedDict");
    code.extend(b")R");
    if let Storage::Untyped(dtype, _) = tensor.storage {
        global(code, "torch", dtype);
    }
    code.extend(b"tR");
}

fn global(code: &mut Vec<u8>, module: &str, name: &str) {
    code.extend(format!("c{module}\n{name}\n").as_bytes());
}

fn text(code: &mut Vec<u8>, text: &str) {
    code.push(b'X');
    code.extend((text.len() as u32).to_le_bytes());
    code.extend(text.as_bytes());
}

fn integer(code: &mut Vec<u8>, n: usize) {
    if let Ok(n) = u8::try_from(n) {
        code.extend([b'K', n]);
    } else if let Ok(n) = i32::try_from(n) {
        code.push(b'J');
        code.extend(n.to_le_bytes());
    } else {
        // A ninth byte would be the sign; sizes stay far below.
        code.extend([0x8a, 8]);
        code.extend((n as u64).to_le_bytes());
    }
}

/// Writes stored entries front to back.
struct ZipWriter<'w> {
    out: &'w mut dyn Write,
    at: u64,
    directory: Vec<u8>,
    count: u16,
}

impl ZipWriter<'_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.at += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    fn entry(&mut self, name: &str, data: &[u8]) -> io::Result<()> {
        let name = full(name);
        let name = name.as_bytes();
        let (start, size) = (narrow(self.at)?, narrow(data.len() as u64)?);
        // The fields that both headers share, from the version needed to the length of the name.
        let mut shared = Vec::new();
        for number in [20_u16, UTF8, 0, 0, FIRST_DAY] {
            shared.extend(number.to_le_bytes());
        }
        for number in [crc32fast::hash(data), size, size] {
            shared.extend(number.to_le_bytes());
        }
        shared.extend((name.len() as u16).to_le_bytes());

        let padding = padding(self.at, name.len() as u64);
        let mut header = b"PK\x03\x04".to_vec();
        header.extend(&shared);
        header.extend((padding as u16).to_le_bytes());
        header.extend(name);
        header.extend(b"FB");
        header.extend((padding as u16 - 4).to_le_bytes());
        header.resize((LOCAL_SIZE + padding) as usize + name.len(), b'Z');
        self.put(&header)?;
        self.put(data)?;

        self.directory.extend(b"PK\x01\x02\x14\x00");
        self.directory.extend(&shared);
        // No extra field, no comment, first disk, no attributes.
        self.directory.extend([0; 12]);
        self.directory.extend(start.to_le_bytes());
        self.directory.extend(name);
        self.count += 1;
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        let (start, size) = (narrow(self.at)?, narrow(self.directory.len() as u64)?);
        let mut end = std::mem::take(&mut self.directory);
        end.extend(b"PK\x05\x06\0\0\0\0");
        end.extend(self.count.to_le_bytes());
        end.extend(self.count.to_le_bytes());
        end.extend(size.to_le_bytes());
        end.extend(start.to_le_bytes());
        end.extend([0; 2]);
        self.put(&end)
    }
}

/// A position or size for a 32-bit field. [`write`] has checked that all fit.
fn narrow(n: u64) -> io::Result<u32> {
    u32::try_from(n).map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, "the archive exceeds 4 GiB"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use candle_core::Device;

    #[test]
    fn the_size_of_an_archive_is_known_before_it_is_written() {
        let all: Vec<Tensor> = (0..40).map(|i| Tensor::zeros(i * i, DType::F32, &Device::Cpu).unwrap()).collect();
        let names: Vec<String> = (0..40).map(|i| "n".repeat(i * 7 % 90)).collect();
        let raw = [7; 333];
        for count in 0..40 {
            let of = |i: usize| match i % 5 {
                0 => (Storage::Untyped("complex32", 4), Elements::Raw(&raw[..i * 8])),
                _ => (Storage::Class("FloatStorage"), Elements::Tensor(&all[i])),
            };
            let one = |i: usize| {
                let (storage, elements) = of(i);
                Stored { name: &names[i], dims: all[i].dims(), storage, elements }
            };
            let stored: Vec<Stored<'_>> = (0..count).map(one).collect();
            let (pickle, mut written) = (pickle(&stored), Vec::new());
            archive(&mut written, &pickle, &stored).unwrap();
            assert_eq!(archive_size(&pickle, &stored), written.len() as u64, "{count} tensors");
        }
    }

    #[test]
    fn what_the_format_holds() {
        assert!(fits(u64::from(u32::MAX), MOST_TENSORS));
        assert!(!fits(u64::from(u32::MAX) + 1, 1) && !fits(1, MOST_TENSORS + 1));
        // With the three entries beside them, in 16 bits.
        assert!(MOST_TENSORS + 3 <= usize::from(u16::MAX));
    }

    #[test]
    fn integers_are_as_short_as_they_can_be() {
        for (n, code) in
            [(255, &[b'K', 255][..]), (256, &[b'J', 0, 1, 0, 0]), (1 << 31, &[0x8a, 8, 0, 0, 0, 0x80, 0, 0, 0, 0])]
        {
            let mut written = Vec::new();
            integer(&mut written, n);
            assert_eq!(written, code);
        }
    }
}
