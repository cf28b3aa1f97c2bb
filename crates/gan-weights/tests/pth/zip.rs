//! Archives that lie, and containers of other kinds. Also what old PyTorch and Python 2 wrote.

use std::io::Write;

use gan_weights::{Error, pth};

use super::build::{Zip, dict, floats, int, legacy, pickle, storage, tensor, text, tuple};

const WEIGHTS: [f32; 4] = [1., 2., 3., 4.];

fn archive() -> Zip {
    let code = dict(&[("w", tensor(&storage("0", 4), 0, &[4], &[1]))]);
    Zip::pth(&code, &[("0", &floats(&WEIGHTS))])
}

fn reason(zip: &Zip) -> String {
    pth::read_bytes(&zip.bytes()).unwrap_err().to_string()
}

#[test]
fn sizes_that_lie_are_refused() {
    for (size, packed) in [(15, 16), (17, 16), (16, 15), (16, 1 << 30), (1 << 30, 16)] {
        let mut zip = archive();
        let entry = zip.entry("archive/data/0");
        (entry.size, entry.packed) = (Some(size), Some(packed));
        assert!(reason(&zip).contains("is stored in"), "{size} {packed}");
    }
    for size in [12, 15, 17, 1 << 30, u32::MAX] {
        let mut zip = archive();
        let entry = zip.entry("archive/data/0");
        (entry.size, entry.packed) = (Some(size), Some(size));
        reason(&zip);
    }
}

/// `data` as a zip archive compresses it.
fn deflated(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// Compresses an entry.
fn deflate(zip: &mut Zip, name: &str) {
    let entry = zip.entry(name);
    entry.size = Some(entry.data.len() as u32);
    entry.crc = Some(crc32fast::hash(&entry.data));
    entry.method = 8;
    entry.data = deflated(&entry.data);
}

#[test]
fn compressed_entries_are_inflated() {
    let mut zip = archive();
    for name in ["archive/data.pkl", "archive/data/0"] {
        deflate(&mut zip, name);
    }
    let state = pth::read_bytes(&zip.bytes()).unwrap().state;
    assert_eq!(state.get("w").unwrap().to_vec1::<f32>().unwrap(), WEIGHTS);
    // A size that lies, data behind the end, bytes that were never compressed, another method.
    for size in [15, 17, 1 << 20] {
        zip.entry("archive/data/0").size = Some(size);
        assert!(reason(&zip).contains("does not hold the"), "{}", reason(&zip));
    }
    zip.entry("archive/data/0").size = Some(16);
    zip.entry("archive/data/0").crc = Some(7);
    assert!(reason(&zip).contains("checksum of archive/data/0"));
    zip.entry("archive/data/0").data.push(0);
    assert!(reason(&zip).contains("does not hold the"));
    zip.entry("archive/data/0").data = floats(&WEIGHTS);
    assert!(reason(&zip).contains("does not hold the"));
    zip.entry("archive/data/0").method = 12;
    assert!(reason(&zip).contains("by method 12"));
}

#[test]
fn a_ratio_of_a_thousand_is_refused() {
    let count = 4 << 20;
    let code = dict(&[("w", tensor(&storage("0", count), 0, &[1], &[1]))]);
    let mut zip = Zip::pth(&code, &[("0", &vec![0; 4 * count as usize])]);
    deflate(&mut zip, "archive/data/0");
    assert!(zip.bytes().len() < 100_000);
    assert!(reason(&zip).contains("far more memory"), "{}", reason(&zip));
    // The directory says little, the data hold much.
    zip.entry("archive/data/0").size = Some(16);
    assert!(reason(&zip).contains("does not hold the 16 bytes"), "{}", reason(&zip));
}

#[test]
fn encrypted_entries_are_refused() {
    let mut zip = archive();
    zip.entry("archive/data/0").flags = 1;
    assert!(reason(&zip).contains("encrypted"));
}

#[test]
fn two_pickles_are_refused() {
    let mut zip = archive();
    let pickle = zip.entry("archive/data.pkl").data.clone();
    zip.add("archive/data.pkl", &pickle);
    assert!(reason(&zip).contains("archive/data.pkl twice"));
    let mut zip = archive();
    zip.add("other/data.pkl", &pickle);
    assert!(reason(&zip).contains("more than one data.pkl"));
}

#[test]
fn overlapping_entries_are_refused() {
    let mut zip = archive();
    zip.add("archive/data/0", &[0; 16]).offset = Some(0);
    reason(&zip);
    // Two names for one local header.
    let code = zip.entry("archive/data.pkl").data.clone();
    let mut zip = Zip::pth(&code, &[("0", &floats(&WEIGHTS)), ("0", &floats(&WEIGHTS))]);
    let first = 30 + "archive/data.pkl".len() + code.len();
    zip.entries[2].offset = Some(first as u32);
    assert!(reason(&zip).contains("twice"));
}

#[test]
fn nested_local_headers_are_refused() {
    // An entry whose data contain another entry's header and data.
    let inner = archive().bytes();
    let mut zip = archive();
    let start = zip.bytes().windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
    assert!(start > 0);
    zip.add("archive/data/1", &inner);
    let outer = zip.bytes();
    let nested = outer.windows(inner.len()).position(|window| window == inner).unwrap();
    let name = "archive/data.pkl";
    zip.entry(name).offset = Some(nested as u32);
    assert!(reason(&zip).contains("overlap"), "{}", reason(&zip));
}

#[test]
fn entries_behind_the_directory_are_refused() {
    for offset in [1, 5000, u32::MAX - 1] {
        let mut zip = archive();
        zip.entry("archive/data/0").offset = Some(offset);
        reason(&zip);
    }
}

#[test]
fn damaged_data_are_noticed_and_unwritten_checksums_are_not() {
    let mut zip = archive();
    zip.entry("archive/data/0").crc = Some(12345);
    assert!(reason(&zip).contains("checksum of archive/data/0"));
    zip.entry("archive/data/0").crc = Some(0);
    assert!(pth::read_bytes(&zip.bytes()).is_ok());
}

#[test]
fn bytes_before_between_and_after_are_refused() {
    let file = archive().bytes();
    assert!(pth::read_bytes(&[&b"PK"[..], &file].concat()).is_err());
    assert!(pth::read_bytes(&[&file[..], b"x"].concat()).is_err());
    let end = file.len() - 22;
    assert!(pth::read_bytes(&[&file[..end], b"x", &file[end..]].concat()).is_err());
    // A number of entries that is not the number of entries.
    let mut miscounted = file.clone();
    (miscounted[end + 8], miscounted[end + 10]) = (9, 9);
    assert!(pth::read_bytes(&miscounted).unwrap_err().to_string().contains("announces 9 entries and lists 2"));
}

#[test]
fn archives_of_other_kinds_are_named() {
    let mut zip = Zip { entries: Vec::new() };
    zip.add("readme.txt", b"hello");
    assert!(reason(&zip).contains("without data.pkl"));
    let mut zip = archive();
    zip.add("archive/constants.pkl", b"\x80\x02).");
    assert!(reason(&zip).contains("TorchScript"));
    // As torch.jit.save writes it: compressed.
    let mut zip = archive();
    zip.add("archive/code/__torch__/nets.py", b"...").method = 8;
    zip.entry("archive/data.pkl").method = 8;
    assert!(reason(&zip).contains("TorchScript") && reason(&zip).contains("torch.jit.load"), "{}", reason(&zip));
    let mut zip = Zip { entries: Vec::new() };
    zip.add("latest_net_G.pth", b"...").method = 8;
    assert!(reason(&zip).contains("holds latest_net_G.pth"), "{}", reason(&zip));
    let mut zip = archive();
    zip.entry("archive/data.pkl").data.push(b'.');
    assert!(reason(&zip).contains("1 bytes follow the pickle"));
    let mut zip = archive();
    zip.entries.pop();
    assert!(reason(&zip).contains("lacks archive/data/0"));
}

#[test]
fn other_containers_are_named() {
    let mut tar = vec![0; 512];
    tar[..4].copy_from_slice(b"sys_");
    tar[257..262].copy_from_slice(b"ustar");
    for (file, expected) in [
        (&tar[..], "tar container"),
        (b"<!DOCTYPE html>", "HTML page"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"", "empty"),
        (b"GIF89a", "no container starts with byte 0x47"),
        (b"\x80\x02}.", "bare pickle"),
    ] {
        let error = pth::read_bytes(file).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn the_oldest_tensors_and_python_2_dicts_are_read() {
    // OrderedDict([[key, tensor]]), byte strings as keys and _rebuild_tensor, as PyTorch 0.3 on Python 2 wrote them.
    let mut body = b"ccollections\nOrderedDict\n](](U\x01wctorch._utils\n_rebuild_tensor\n(".to_vec();
    body.extend(storage("0", 4));
    body.extend(int(1));
    body.extend(tuple(&[3]));
    body.extend(tuple(&[1]));
    body.extend(b"tReea\x85R");
    // The inner list closes with its tensor, the outer one with APPEND.
    let body = [&body[..body.len() - 5], b"ee\x85R"].concat();
    let file = legacy(&pickle(&body), &[("0", 4, &floats(&WEIGHTS))]);
    let state = pth::read_bytes(&file).unwrap().state;
    assert_eq!(state.get("w").unwrap().to_vec1::<f32>().unwrap(), [2., 3., 4.]);
}

#[test]
fn legacy_storage_views_are_honoured() {
    let view = |start, length| {
        let mut body = b"(".to_vec();
        body.extend(text("storage"));
        body.extend(b"ctorch\nFloatStorage\n");
        body.extend(text("root"));
        body.extend(text("cuda:0"));
        body.extend(int(4));
        body.extend(b"(");
        body.extend(text("view"));
        body.extend(int(start));
        body.extend(int(length));
        body.extend(b"ttQ");
        body
    };
    let read = |start, length, size| {
        let code = dict(&[("w", tensor(&view(start, length), 0, &[size], &[1]))]);
        pth::read_bytes(&legacy(&code, &[("root", 4, &floats(&WEIGHTS))]))
    };
    assert_eq!(read(1, 2, 2).unwrap().state.get("w").unwrap().to_vec1::<f32>().unwrap(), [2., 3.]);
    assert!(read(1, 2, 3).is_err());
    assert!(read(3, 2, 1).is_err());
    assert!(read(i64::MAX, i64::MAX, 1).is_err());
}

#[test]
fn legacy_storage_lists_have_to_match() {
    let code = dict(&[("w", tensor(&storage("0", 4), 0, &[4], &[1]))]);
    let data = floats(&WEIGHTS);
    for (storages, expected) in [
        (&[][..], "not in the file's list"),
        (&[("0", 3, &data[..])], "announced and one of 3 follows"),
        (&[("1", 4, &data[..])], "no tensor uses"),
        (&[("0", 4, &data[..]), ("0", 4, &data[..])], "names one twice"),
        (&[("0", 4, &data[..15])], "cut short"),
    ] {
        let error = pth::read_bytes(&legacy(&code, storages)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let mut longer = legacy(&code, &[("0", 4, &data)]);
    longer.extend(b"more");
    assert_eq!(pth::read_bytes(&longer).unwrap().notes, ["4 bytes after the last storage ignored"]);
}

/// Of a legacy file as much is read at first as pickles usually take; this one goes on behind it.
#[test]
fn long_pickles_are_read_to_their_end() {
    let long = text(&"x".repeat(5 << 20));
    let code = dict(&[("note", long), ("w", tensor(&storage("0", 4), 0, &[4], &[1]))]);
    let data = floats(&WEIGHTS);
    let whole = legacy(&code, &[("0", 4, &data)]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("legacy");
    for file in [&whole[..], &whole[..4 << 20], &whole[..whole.len() - 1]] {
        std::fs::write(&path, file).unwrap();
        match (pth::read(&path), pth::read_bytes(file)) {
            (Ok(loaded), Ok(other)) => {
                assert_eq!(file.len(), whole.len());
                assert_eq!(loaded.notes, other.notes);
                assert_eq!(loaded.state.get("w").unwrap().to_vec1::<f32>().unwrap(), WEIGHTS);
            }
            (Err(refused), Err(other)) => {
                let (refused, other) = (refused.to_string(), other.to_string());
                assert!(refused.contains("cut short"), "{refused}");
                assert_eq!(refused.strip_prefix(path.to_str().unwrap()), other.strip_prefix("weights in memory"));
            }
            (file, memory) => panic!("{file:?}, {memory:?}"),
        }
    }
}

#[test]
fn several_state_dicts_are_told_apart_by_name() {
    let net = |key: &str| {
        let mut body = b"}".to_vec();
        body.extend(text("w.x"));
        body.extend(tensor(&storage(key, 4), 0, &[4], &[1]));
        body.push(b's');
        body
    };
    let (ones, twos) = (floats(&[1.; 4]), floats(&[2.; 4]));
    let file = |names: [&str; 2]| {
        Zip::pth(&dict(&[(names[0], net("0")), (names[1], net("1"))]), &[("0", &ones), ("1", &twos)]).bytes()
    };
    let loaded = pth::read_bytes(&file(["netD", "netG"])).unwrap();
    assert_eq!(loaded.state.get("w.x").unwrap().to_vec1::<f32>().unwrap(), [2.; 4]);
    let error = pth::read_bytes(&file(["netG", "netG"])).unwrap_err().to_string();
    assert!(error.contains("holds \"netG\" twice"), "{error}");
    let error = pth::read_bytes(&file(["G_A", "G_B"])).unwrap_err();
    assert!(matches!(&error, Error::SeveralStateDicts { entries, .. } if entries == &["G_A", "G_B"]), "{error}");
    assert!(error.to_string().contains("G_A, G_B; name one"), "{error}");
}
