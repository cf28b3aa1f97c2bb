//! Writes the part of a `.safetensors` file whose tensor names begin with given prefixes.
//!
//! The format: eight bytes of header length (little endian), a JSON object of name to dtype, shape and offsets, then
//! the bytes of the tensors back to back. Only the header is rewritten; tensor bytes are copied as they are.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::refusal::{Refusal, refuse, require};
use crate::sniff::MAX_SAFETENSORS_HEADER;

#[derive(Debug, Serialize, Deserialize)]
struct Tensor {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

impl Tensor {
    /// Bytes that dtype and shape ask for; `None` for a dtype of another size than whole bytes, or on overflow.
    fn size(&self) -> Option<u64> {
        let width = match self.dtype.as_str() {
            "F64" | "I64" | "U64" => 8,
            "F32" | "I32" | "U32" => 4,
            "F16" | "BF16" | "I16" | "U16" => 2,
            "I8" | "U8" | "BOOL" | "F8_E4M3" | "F8_E5M2" => 1,
            _ => return None,
        };
        self.shape.iter().try_fold(width, |size: u64, n| size.checked_mul(*n))
    }
}

/// Copies the tensors of `source` whose names begin with one of `prefixes` into the new file `target`.
///
/// # Errors
/// When `source` is no sound safetensors file, when no tensor has such a name, and on faults of the disk.
pub(crate) fn keep(source: &Path, target: &Path, prefixes: &[String]) -> Result<(), Refusal> {
    let content = Refusal::Content;
    let mut file = BufReader::new(File::open(source).map_err(Refusal::disk("read", source))?);
    let length = file.get_ref().metadata().map_err(Refusal::disk("read", source))?.len();
    let mut prefix = [0; 8];
    file.read_exact(&mut prefix).map_err(|_| content("the header is missing".into()))?;
    let header_length = u64::from_le_bytes(prefix);
    let fits = header_length <= MAX_SAFETENSORS_HEADER && header_length + 8 <= length;
    require!(fits, "the header has {header_length} bytes");
    let mut header = Vec::new();
    (&mut file).take(header_length).read_to_end(&mut header).map_err(Refusal::disk("read", source))?;
    let header: Map<String, Value> =
        serde_json::from_slice(&header).map_err(|error| content(format!("the header is no JSON object: {error}")))?;
    let data = 8 + header_length;

    let mut kept = Vec::new();
    let mut rewritten = Map::new();
    for (name, value) in header {
        if name == "__metadata__" {
            rewritten.insert(name, value);
        } else if prefixes.iter().any(|prefix| name.starts_with(prefix)) {
            let tensor: Tensor =
                serde_json::from_value(value).map_err(|error| content(format!("tensor `{name}`: {error}")))?;
            let (begin, end) = tensor.data_offsets;
            require!(begin <= end && end <= length - data, "tensor `{name}` lies outside the file");
            require!(tensor.size() == Some(end - begin), "tensor `{name}` has another size than its shape");
            kept.push((name, tensor));
        }
    }
    if kept.is_empty() {
        refuse!("no tensor's name begins with {}", prefixes.join(" or "));
    }
    kept.sort_by_key(|(_, tensor)| tensor.data_offsets);

    let mut spans = Vec::with_capacity(kept.len());
    let mut end = 0;
    for (name, mut tensor) in kept {
        let (from, to) = tensor.data_offsets;
        spans.push((data + from, to - from));
        tensor.data_offsets = (end, end + to - from);
        end += to - from;
        let tensor = serde_json::to_value(tensor).map_err(|error| content(error.to_string()))?;
        rewritten.insert(name, tensor);
    }
    let mut text = serde_json::to_vec(&rewritten).map_err(|error| content(error.to_string()))?;
    // The data begins at a multiple of eight, so that it can be mapped into memory; the format allows spaces there.
    text.resize(text.len().next_multiple_of(8), b' ');

    write(&mut file, &text, &spans, target).map_err(Refusal::disk("write", target))
}

/// Header and spans (first byte and length) of `file`, as a new file that has been flushed.
fn write(file: &mut BufReader<File>, header: &[u8], spans: &[(u64, u64)], target: &Path) -> std::io::Result<()> {
    let mut out = BufWriter::new(File::create_new(target)?);
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(header)?;
    for (from, length) in spans {
        file.seek(SeekFrom::Start(*from))?;
        let copied = std::io::copy(&mut file.by_ref().take(*length), &mut out)?;
        if copied != *length {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    out.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
    }

    fn run(bytes: &[u8], prefixes: &[&str]) -> Result<Vec<u8>, String> {
        let dir = tempfile::tempdir().unwrap();
        let (source, target) = (dir.path().join("in"), dir.path().join("out"));
        std::fs::write(&source, bytes).unwrap();
        let prefixes: Vec<String> = prefixes.iter().map(|p| (*p).to_owned()).collect();
        keep(&source, &target, &prefixes).map_err(|refusal| refusal.of("file", "u").to_string())?;
        Ok(std::fs::read(target).unwrap())
    }

    #[test]
    fn kept_tensors_move_together() {
        // The classifier lies between the two features.
        let header = r#"{"__metadata__":{"format":"pt"},
            "features.0.weight":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
            "classifier.0":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},
            "features.0.bias":{"dtype":"U8","shape":[1,3],"data_offsets":[12,15]},
            "features.1.bias":{"dtype":"U8","shape":[1],"data_offsets":[15,16]}}"#;
        let out = run(&file(header, &(0..16).collect::<Vec<u8>>()), &["features."]).unwrap();
        let n = u64::from_le_bytes(out[..8].try_into().unwrap()) as usize;
        assert_eq!(n % 8, 0);
        let map: Map<String, Value> = serde_json::from_slice(&out[8..8 + n]).unwrap();
        assert_eq!(map.len(), 4);
        assert_eq!(map["__metadata__"]["format"], "pt");
        assert_eq!(map["features.0.weight"]["data_offsets"], serde_json::json!([0, 8]));
        assert_eq!(map["features.0.bias"]["data_offsets"], serde_json::json!([8, 11]));
        assert_eq!(map["features.1.bias"]["data_offsets"], serde_json::json!([11, 12]));
        assert_eq!(out[8 + n..], [0, 1, 2, 3, 4, 5, 6, 7, 12, 13, 14, 15]);
    }

    #[test]
    fn unsound_files_are_refused() {
        let tensor = |shape: &str, offsets: &str| {
            file(&format!(r#"{{"f":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#), &[0; 8])
        };
        for (bytes, reason) in [
            (tensor("[2]", "[0,16]"), "outside"),
            (tensor("[2]", "[8,0]"), "outside"),
            (tensor("[1]", "[0,8]"), "another size"),
            (tensor("[4294967296,4294967296]", "[0,8]"), "another size"),
            (file("[]", &[]), "no JSON object"),
            (vec![1, 2], "missing"),
            (u64::MAX.to_le_bytes().to_vec(), "header has"),
            (1000_u64.to_le_bytes().to_vec(), "header has"),
        ] {
            let error = run(&bytes, &["f"]).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        assert!(run(&tensor("[2]", "[0,8]"), &["g"]).unwrap_err().contains("begins with g"));
    }
}
