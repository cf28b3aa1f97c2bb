//! Reading a `.pth` file, good or hostile, takes at most four times its size and four megabytes of memory.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::alloc::System;
use std::fs;
use std::sync::Mutex;

use cap::Cap;
use gan_weights::pth;

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

#[test]
fn a_large_file_takes_itself_and_its_tensors() {
    let _turn = TURN.lock().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.pth");
    {
        let data = floats(&vec![1.; 8 << 20]);
        let weight = tensor(&storage("0", 8 << 20), 0, &[8 << 20], &[1]);
        fs::write(&path, Zip::pth(&dict(&[("w", weight)]), &[("0", &data)]).bytes()).unwrap();
    }
    let size = fs::metadata(&path).unwrap().len() as usize;
    let loaded = within("large", 2 * size + FLOOR, || pth::read(&path).unwrap());
    assert_eq!(loaded.state.len(), 1);
}
