//! Reading a weight file takes its tensors and the bytes of one of them; a hostile `.pth` file takes at most four times its size
//! and four megabytes of memory.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::alloc::System;
use std::fs;
use std::path::Path;
use std::sync::Mutex;

use candle_core::{DType, Device, Tensor};
use cap::Cap;
use gan_weights::checkpoint::{Disk, FileRecord, Folder, MANIFEST, Manifest, STATE};
use gan_weights::{pth, read_any, safetensors};

#[path = "pth/build.rs"]
#[allow(dead_code)]
mod build;

use build::{Zip, dict, floats, int, legacy, pickle, storage, tensor, text};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Granted whatever the size of the file.
const FLOOR: usize = 4 << 20;

/// Tests share the allocator, so they take turns.
static TURN: Mutex<()> = Mutex::new(());

/// Runs `read` where it can allocate `bound` bytes: more, and the process aborts (`--nocapture` says over which file).
fn within<T>(name: &str, bound: usize, read: impl FnOnce() -> T) -> T {
    println!("{name}: at most {bound} bytes");
    ALLOCATOR.set_limit(ALLOCATOR.allocated() + bound).unwrap();
    let result = read();
    ALLOCATOR.set_limit(usize::MAX).unwrap();
    result
}

#[test]
fn the_bound_holds() {
    let _turn = TURN.lock().unwrap();
    let filled = |body: &[u8], times: usize| pickle(&body.repeat(times));
    let mut hostile = Vec::new();
    for size in [1 << 10, 1 << 16, 1 << 20] {
        for (name, body) in [
            ("ones", &b"N"[..]),
            ("marks", b"("),
            ("lists", b"]"),
            ("tuples", b")"),
            ("nested tuples", b")\x85"),
            ("nested lists", b"]a"),
            ("dicts", b"}"),
            ("popped dicts", b"}Ns"),
            ("triples", b"NNN\x87"),
            ("memo", b"Nr\x01\x02\x03\x04"),
            ("storages", b"ctorch\nFloatStorage\n"),
            ("objects", b"cnumpy\ndtype\n"),
            ("sets", b"\x8f"),
        ] {
            hostile.push((name, filled(body, size / body.len())));
        }
        // With a low stack, so that what is on it is not what is counted.
        hostile.push(("a deep tuple", pickle(&[b")", &b"\x85".repeat(size)[..]].concat())));
        let object = b"h\x00)R0".repeat(size / 5);
        hostile.push(("objects that are let go", pickle(&[b"cnumpy\ndtype\nq\x00", &object[..]].concat())));
        // A list that swallows everything.
        let mut swallowing = b"]".to_vec();
        swallowing.extend(b"Na".repeat(size / 2));
        hostile.push(("a long list", pickle(&swallowing)));
        let mut swallowing = b"]".to_vec();
        swallowing.extend(b"}a".repeat(size / 2));
        hostile.push(("a list of dicts", pickle(&swallowing)));
        let mut memo = b"N".to_vec();
        for slot in 0..size as u32 / 5 {
            memo.extend(b"r");
            memo.extend(slot.to_le_bytes());
        }
        hostile.push(("a wide memo", pickle(&memo)));
        let mut strings = b"}(".to_vec();
        for i in 0..size as i64 / 20 {
            strings.extend(int(i));
            strings.extend(text("x"));
        }
        strings.extend(b"u");
        hostile.push(("a dict of numbers", pickle(&strings)));
        let empty = tensor(&storage("0", 0), 0, &[0], &[1]);
        let names: Vec<_> = (0..size / empty.len()).map(|i| i.to_string()).collect();
        let items: Vec<_> = names.iter().map(|name| (name.as_str(), empty.clone())).collect();
        hostile.push(("tensors of nothing", dict(&items)));
        let expanded = tensor(&storage("0", 4), 0, &[1 << 30, 1 << 10], &[0, 0]);
        hostile.push(("an expanded tensor", dict(&[("w", expanded)])));
    }
    let data = floats(&[1.; 4]);
    let mut files = Vec::new();
    for (name, code) in &hostile {
        let data = if name.ends_with("nothing") { &[][..] } else { &data[..] };
        files.push((*name, Zip::pth(code, &[("0", data)]).bytes()));
        files.push((*name, legacy(code, &[("0", data.len() / 4, data)])));
    }
    let mut entries = Zip { entries: Vec::new() };
    for i in 0..60_000 {
        entries.add(&format!("{i}"), b"");
    }
    files.push(("entries", entries.bytes()));
    let mut read = 0;
    for (name, file) in &files {
        // The file itself is in memory already.
        read += usize::from(within(name, 3 * file.len() + FLOOR, || pth::read_bytes(file).is_ok()));
    }
    // Some thousand tensors of nothing are a state dict; tens of thousands are more than their file warrants.
    assert_eq!(read, 4);
}

/// A checkpoint folder whose one network is the file `network`, of which the manifest says that it has `bytes`.
fn seal(dir: &Path, network: &Path, bytes: u64) {
    fs::create_dir(dir).unwrap();
    fs::copy(network, dir.join("g.safetensors")).unwrap();
    fs::write(dir.join(STATE), "{}").unwrap();
    let record = |name: &str| {
        let content = fs::read(dir.join(name)).unwrap();
        let blake3 = blake3::hash(&content).to_hex().to_string();
        FileRecord { name: name.to_owned(), bytes: content.len() as u64, blake3 }
    };
    let mut manifest = Manifest {
        format: 1,
        step: 1,
        method: "pix2pix".to_owned(),
        instruction_set: String::new(),
        versions: Default::default(),
        model: serde_json::Value::Null,
        files: vec![record(STATE), FileRecord { bytes, ..record("g.safetensors") }],
        seal: String::new(),
    };
    fs::write(dir.join(MANIFEST), manifest.encode().unwrap()).unwrap();
}

/// Bytes of 16 tensors.
const SIZE: usize = 64 << 20;

#[test]
fn a_file_takes_its_tensors_and_the_bytes_of_one() {
    const COUNT: usize = SIZE / 16 / 4;
    let _turn = TURN.lock().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let keys: Vec<String> = (0..16).map(|i| i.to_string()).collect();
    {
        let data: Vec<_> = (0..16_u8).map(|i| floats(&vec![i.into(); COUNT])).collect();
        let tensors: Vec<_> = keys
            .iter()
            .map(|key| (key.as_str(), tensor(&storage(key, COUNT as i64), 0, &[COUNT as i64], &[1])))
            .collect();
        let (code, keys) = (dict(&tensors), keys.iter().map(String::as_str));
        let storages: Vec<_> = keys.clone().zip(data.iter().map(Vec::as_slice)).collect();
        fs::write(at("zip"), Zip::pth(&code, &storages).bytes()).unwrap();
        let storages: Vec<_> = keys.zip(&data).map(|(key, data)| (key, COUNT, data.as_slice())).collect();
        fs::write(at("legacy"), legacy(&code, &storages)).unwrap();
        safetensors::write(at("safetensors"), &pth::read(at("zip")).unwrap().state).unwrap();
        let flat = Tensor::zeros(SIZE / 4, DType::F32, &Device::Cpu).unwrap();
        safetensors::write(at("flat"), &[("0".to_owned(), flat)].into_iter().collect()).unwrap();
        seal(&at("checkpoint"), &at("safetensors"), fs::metadata(at("safetensors")).unwrap().len());
    }
    for name in ["zip", "legacy", "safetensors", "flat", "checkpoint"] {
        let state = within(name, SIZE / 10 * 11, || match name {
            "checkpoint" => Folder::open(&Disk, &at(name)).unwrap().tensors("g").unwrap(),
            _ => read_any(at(name)).unwrap().state,
        });
        for (key, tensor) in state.iter() {
            assert_eq!(tensor.max(0).unwrap().to_scalar::<f32>().unwrap(), key.parse::<f32>().unwrap(), "{name}");
        }
    }
}

#[test]
fn what_a_manifest_promises_takes_no_memory() {
    let _turn = TURN.lock().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (network, dir) = (folder.path().join("network"), folder.path().join("1"));
    let header = r#"{"w":{"dtype":"F32","shape":[1073741824],"data_offsets":[0,4294967296]}}"#;
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
    fs::write(&network, &bytes).unwrap();
    seal(&dir, &network, bytes.len() as u64 + (1 << 32));
    let refused = within("a promise", FLOOR, || Folder::open(&Disk, &dir).unwrap().tensors("g").unwrap_err());
    assert!(refused.to_string().contains("bytes instead of"), "{refused}");
}
