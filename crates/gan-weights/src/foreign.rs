//! Files that people take for weight files: told by their first bytes, with what to do about each.

use std::io::{self, Read};

use crate::source::Source;

/// The remedy where the weights exist in PyTorch as well.
const FROM_PYTORCH: &str = "take the weights from the PyTorch network: torch.save(net.state_dict(), path)";

/// The remedy for what Python's own pickle module wrote.
pub(crate) const FROM_PICKLE: &str =
    "if you trust it, load it in Python and save its state dict: torch.save(pickle.load(open(path, 'rb')), out)";

/// The remedy for what was packed once more.
const UNPACK: &str = "unpack it and give the weight file in it";

/// The remedy for what is no weight file at all.
const GIVE_WEIGHTS: &str = "give the weight file itself: .pth or .safetensors";

/// What is looked at of a file.
const HEAD: usize = 1 << 20;

/// What a file without one of the known containers is, in words, and what to try.
pub(crate) fn recognise(file: &Source<'_>) -> io::Result<(String, &'static str)> {
    let head = file.head(HEAD)?;
    let tail = file.read(file.len().saturating_sub(TABLE_END.len())..file.len())?;
    let (what, remedy) = if is_zeros(file)? {
        ("a file of nothing but zeros".to_owned(), "copy or download it again")
    } else {
        kind(&head, &tail)
    };
    let first = head.first().filter(|_| remedy == GIVE_WEIGHTS);
    let why = first.map(|first| format!(": no container starts with byte 0x{first:02x}"));
    Ok((format!("{what}, not a weight file{}", why.unwrap_or_default()), remedy))
}

fn is_zeros(file: &Source<'_>) -> io::Result<bool> {
    let mut reader = file.reader(0..file.len());
    let mut piece = vec![0; HEAD.min(file.len())];
    loop {
        match reader.read(&mut piece)? {
            0 => return Ok(true),
            count if piece[..count].iter().any(|&byte| byte != 0) => return Ok(false),
            _ => {}
        }
    }
}

/// Of a file's first and last bytes.
fn kind(file: &[u8], tail: &[u8]) -> (String, &'static str) {
    let found = MAGICS.iter().find(|(magic, ..)| file.starts_with(magic)).map(|&(_, what, remedy)| (what, remedy));
    if let Some((what, remedy)) = found.or_else(|| structured(file, tail)) {
        return (what.to_owned(), remedy);
    }
    match text(file) {
        Some(line) if line.starts_with("<?xml") => xml(file),
        Some(line) if line.starts_with('<') => ("an HTML page".to_owned(), HTML),
        Some(line) if line.starts_with(['{', '[']) => json(file),
        Some(line) => (format!("a text file that begins with \"{line}\""), GIVE_WEIGHTS),
        None => ("a file of an unknown kind".to_owned(), GIVE_WEIGHTS),
    }
}

/// Whether `text` is in what is looked at of a file.
fn within(file: &[u8], text: &[u8]) -> bool {
    file.windows(text.len()).any(|window| window == text)
}

fn json(file: &[u8]) -> (String, &'static str) {
    if !within(file, b"\"weight_map\"") {
        return ("a JSON file".to_owned(), GIVE_WEIGHTS);
    }
    let what = "the index of weights in several files".to_owned();
    if within(file, b".safetensors\"") {
        (
            what,
            "join them in Python: safetensors.torch.save_file({k: v for p in parts for k, v in safetensors.torch.load_file(p).items()}, out)",
        )
    } else {
        (what, "join them in Python: torch.save({k: v for p in parts for k, v in torch.load(p).items()}, out)")
    }
}

fn xml(file: &[u8]) -> (String, &'static str) {
    if within(file, b"<net ") {
        ("the layers of an OpenVINO model".to_owned(), FROM_PYTORCH)
    } else {
        ("an XML page".to_owned(), HTML)
    }
}

const HTML: &str = "download the file itself; the server answered with a page";

/// First bytes, what they tell, and what to try.
const MAGICS: &[(&[u8], &str, &str)] = &[
    (b"version https://git-lfs", "a Git LFS pointer", "fetch the file that it stands for: git lfs pull"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras)", FROM_PYTORCH),
    (
        b"\x93NUMPY",
        "a NumPy array (.npy)",
        "make a .safetensors file of all arrays of the network in Python: safetensors.numpy.save_file({name: array}, out)",
    ),
    (b"MATLAB 5.0", "a MATLAB file", FROM_PYTORCH),
    (b"ccollections\n", "a bare pickle of protocol 0", FROM_PICKLE),
    (b"(dp", "a bare pickle of protocol 0", FROM_PICKLE),
    (b"(lp", "a bare pickle of protocol 0", FROM_PICKLE),
    (b"GGUF", "a GGUF file", FROM_PYTORCH),
    (b"model_checkpoint_path:", "the index of TensorFlow checkpoints", FROM_PYTORCH),
    // A table, or an object, with the number 1.
    (b"\x03\0\0\0\x01\0\0\0", "a Torch7 file (.t7)", FROM_PYTORCH),
    (b"\x04\0\0\0\x01\0\0\0", "a Torch7 file (.t7)", FROM_PYTORCH),
    (b"4\n1\n3\nV 1\n", "a Torch7 file (.t7)", FROM_PYTORCH),
    (b"\x1f\x8b", "a gzip file", UNPACK),
    (b"BZh", "a bzip2 file", UNPACK),
    (b"\xfd7zXZ\0", "an xz file", UNPACK),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file", UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (b"\x89PNG\r\n\x1a\n", "a PNG image", GIVE_WEIGHTS),
    (b"\xff\xd8\xff", "a JPEG image", GIVE_WEIGHTS),
    (b"GIF8", "a GIF image", GIVE_WEIGHTS),
    (b"BM", "a BMP image", GIVE_WEIGHTS),
    (b"II*\0", "a TIFF image", GIVE_WEIGHTS),
    (b"MM\0*", "a TIFF image", GIVE_WEIGHTS),
    (b"%PDF", "a PDF document", GIVE_WEIGHTS),
    (b"\x7fELF", "a program", GIVE_WEIGHTS),
];

/// The number that a leveldb table ends with.
const TABLE_END: [u8; 8] = [0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb];

/// Kinds that more than the first bytes tell.
fn structured(file: &[u8], tail: &[u8]) -> Option<(&'static str, &'static str)> {
    let within = |text: &[u8]| file[..file.len().min(512)].windows(text.len()).any(|window| window == text);
    if file.get(257..262) == Some(b"ustar") {
        // The container of PyTorch before 2017 holds these four files, in this order.
        return Some(if file.starts_with(b"sys_") {
            (
                "a tar container, which PyTorch stopped writing in 2017",
                "if you trust it, save it again in Python: torch.save(torch.load(path, weights_only=False), out)",
            )
        } else {
            ("a tar archive", UNPACK)
        });
    }
    if *tail == TABLE_END {
        return Some(("a TensorFlow checkpoint", FROM_PYTORCH));
    }
    match file {
        [_, _, _, _, b'T', b'F', b'L', b'3', ..] => Some(("a TensorFlow Lite model", FROM_PYTORCH)),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(("a WebP image", GIVE_WEIGHTS)),
        // Protocol buffers: the schema's version 1 and a graph.
        [0x08, 0x01, 0x12, ..] => Some(("a TensorFlow model (.pb)", FROM_PYTORCH)),
        // The format's version, then the producer's name, its version, a domain or the graph.
        [0x08, 1..=32, 0x12 | 0x1a | 0x22 | 0x3a, ..] => Some(("an ONNX model", FROM_PYTORCH)),
        // A map of few entries whose first key is text.
        [0x81..=0x8f, 0xa1..=0xbf, ..] => Some(("a MessagePack file (Flax)", FROM_PYTORCH)),
        [0x0a, ..] if within(b"Placeholder") || within(b"\x12\x05Const") || within(b"MetaGraph") => {
            Some(("a TensorFlow graph (.pb)", FROM_PYTORCH))
        }
        _ => None,
    }
}

/// The first line of a text file, shortened; `None` if it holds what no text does.
fn text(file: &[u8]) -> Option<String> {
    const SEEN: usize = 512;
    const SHOWN: usize = 60;
    let start = &file[..file.len().min(SEEN)];
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        // The cut may fall into a character.
        Err(error) if file.len() > SEEN && error.valid_up_to() + 4 > SEEN => {
            std::str::from_utf8(&start[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if text.is_empty() || text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return None;
    }
    Some(text.lines().next()?.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect())
}

/// What a zip archive that `torch.save` did not write is, by the names of its entries.
pub(crate) fn recognise_archive<'a>(names: impl Iterator<Item = &'a str>) -> (String, &'static str) {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    let ends = |ending: &str| names.iter().find(|name| name.ends_with(ending));
    if ends(".npy").is_some() {
        let remedy =
            "make a .safetensors file of it in Python: safetensors.numpy.save_file(dict(numpy.load(path)), out)";
        return ("a NumPy archive (.npz)".to_owned(), remedy);
    }
    if ends("model.weights.h5").is_some() {
        return ("a Keras model".to_owned(), FROM_PYTORCH);
    }
    if ends("serialized_exported_program.json").or_else(|| ends("archive_format")).is_some() {
        let remedy = "save its weights from Python: torch.save(torch.export.load(path).state_dict, out)";
        return ("a program of torch.export".to_owned(), remedy);
    }
    if ends(".data/extern_modules").is_some() {
        let remedy = "load it in Python (torch.package.PackageImporter) and save the state dict of its network";
        return ("an archive of torch.package".to_owned(), remedy);
    }
    match [".pth", ".pt", ".safetensors", ".ckpt"].into_iter().find_map(ends) {
        Some(name) => (format!("a zip archive that holds {}", crate::shown(name)), UNPACK),
        None => ("a zip archive without data.pkl, so not written by torch.save".to_owned(), GIVE_WEIGHTS),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn kinds_are_told_by_their_bytes() {
        let tar = |name: &[u8]| {
            let mut tar = vec![0; 512];
            tar[..name.len()].copy_from_slice(name);
            tar[257..262].copy_from_slice(b"ustar");
            tar
        };
        let table = [&[1; 40][..], &[0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb]].concat();
        for (file, what, remedy) in [
            (&b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n"[..], "Git LFS pointer", "git lfs pull"),
            (b"\x08\x07\x12\x07pytorch", "ONNX", "PyTorch"),
            (b"\x08\x01\x12\xff\x03", "TensorFlow model", "PyTorch"),
            (b"\x0a\x1f\x0a\x01x\x12\x0bPlaceholder", "TensorFlow graph", "PyTorch"),
            (&table, "TensorFlow checkpoint", "PyTorch"),
            (b"\x1c\0\0\0TFL3", "TensorFlow Lite", "PyTorch"),
            (b"\x89HDF\r\n\x1a\n\0", "HDF5", "PyTorch"),
            (b"\x04\0\0\0\x01\0\0\0\x03\0\0\0V 1", "Torch7", "PyTorch"),
            (b"\x93NUMPY\x01\0", "NumPy", "safetensors.numpy"),
            (b"Rar!\x1a\x07\x01\0", "RAR", "unpack"),
            (b"7z\xbc\xaf\x27\x1c", "7z", "unpack"),
            (b"\x1f\x8b\x08", "gzip", "unpack"),
            (&tar(b"pretrained/latest_net_G.pth"), "a tar archive", "unpack"),
            (&tar(b"sys_info"), "tar container", "weights_only=False"),
            (b"\x89PNG\r\n\x1a\n", "PNG", ".pth"),
            (b"RIFF\0\0\0\0WEBPVP8 ", "WebP", ".pth"),
            (b"{\"a\": 1}", "JSON", ".pth"),
            (b"{\"weight_map\": {\"a\": \"x-00001-of-00002.safetensors\"}}", "several files", "safetensors.torch"),
            (b"{\"weight_map\": {\"a\": \"x-00001-of-00002.bin\"}}", "several files", "torch.load"),
            (b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code>", "XML page", "download"),
            (b"<?xml version=\"1.0\"?>\n<net name=\"g\">", "OpenVINO", "PyTorch"),
            (b"ccollections\nOrderedDict\n", "bare pickle", "pickle.load"),
            (b"\x81\xa6params\x81\xa4conv", "MessagePack", "PyTorch"),
            (b" \n<html>", "HTML page", "download"),
            (b"Entry not found", "\"Entry not found\"", ".pth"),
            ("Zugriff verweigert: größer".as_bytes(), "text file", ".pth"),
            (&[0; 100], "zeros", "again"),
            (b"\x07\x01\x02\xff", "unknown kind", ".pth"),
            (b"plain\x1b[2J", "unknown kind", ".pth"),
        ] {
            let found = recognise(&Source::Memory(file)).unwrap();
            assert!(found.0.contains(what) && found.1.contains(remedy), "{what}: {found:?}");
        }
    }

    #[test]
    fn archives_are_told_by_their_entries() {
        for (names, what, remedy) in [
            (&["model.1.weight.npy", "b.npy"][..], ".npz", "safetensors.numpy"),
            (&["config.json", "model.weights.h5"], "Keras", "PyTorch"),
            (&["x/archive_format", "x/models/model.json"], "torch.export", "torch.export.load"),
            (&["readme.txt", "nets/latest_net_G.pth"], "holds nets/latest_net_G.pth", "unpack"),
            (&["readme.txt"], "without data.pkl", ".pth"),
        ] {
            let found = recognise_archive(names.iter().copied());
            assert!(found.0.contains(what) && found.1.contains(remedy), "{what}: {found:?}");
        }
    }
}
