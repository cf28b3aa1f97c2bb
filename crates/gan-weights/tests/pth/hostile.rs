//! Pickles that attack their reader. Each goes through both containers.

use std::time::{Duration, Instant};

use gan_weights::{Error, pth};

use super::build::{Zip, dict, floats, int, legacy, pickle, storage, storage_of, tensor, text, tuple};

/// What a hostile file may take; most take microseconds, on a machine that does nothing else.
const PATIENCE: Duration = Duration::from_millis(100);

/// The error of `code` in both containers, over a storage "0" of four float32 elements.
fn refused(code: &[u8]) -> Error {
    let data = floats(&[1., 2., 3., 4.]);
    let files = [Zip::pth(code, &[("0", &data)]).bytes(), legacy(code, &[("0", 4, &data)])];
    let [zip, legacy] = files.map(|file| {
        // The best of a few tries: other tests run beside this one.
        let (mut error, mut least) = (None, Duration::MAX);
        for _ in 0..5 {
            let start = Instant::now();
            error = pth::read_bytes(&file).err();
            least = least.min(start.elapsed());
        }
        assert!(least < PATIENCE, "{least:?}");
        error.expect("a hostile file was read")
    });
    assert_eq!(std::mem::discriminant(&zip), std::mem::discriminant(&legacy));
    zip
}

fn assert_import(body: &[u8], expected: &str) {
    let error = refused(&pickle(body));
    assert!(matches!(&error, Error::ForbiddenImport { global, .. } if global == expected), "{error}");
    assert!(error.to_string().contains(&format!("refused: pickle wants to import {expected}")), "{error}");
}

fn assert_refused(body: &[u8], reason: &str) {
    let error = refused(&pickle(body)).to_string();
    assert!(error.contains(reason), "{error}");
}

#[test]
fn the_helpers_of_this_file_build_readable_files() {
    let code = dict(&[("w", tensor(&storage("0", 4), 0, &[2, 2], &[2, 1]))]);
    let data = floats(&[1., 2., 3., 4.]);
    for file in [Zip::pth(&code, &[("0", &data)]).bytes(), legacy(&code, &[("0", 4, &data)])] {
        let state = pth::read_bytes(&file).unwrap().state;
        assert_eq!(state.get("w").unwrap().to_vec2::<f32>().unwrap(), [[1., 2.], [3., 4.]]);
    }
}

#[test]
fn m01_os_system() {
    assert_import(b"cos\nsystem\n(X\x0b\x00\x00\x00echo pwned >tR", "os.system");
    // As Python spells it on the two families of systems.
    assert_import(b"cposix\nsystem\n(X\x02\x00\x00\x00id\x85R", "posix.system");
    assert_import(b"cnt\nsystem\n(X\x02\x00\x00\x00id\x85R", "nt.system");
}

#[test]
fn m02_eval() {
    assert_import(b"cbuiltins\neval\nX\x01\x00\x00\x001\x85R", "builtins.eval");
    assert_import(b"c__builtin__\nexec\nX\x01\x00\x00\x001\x85R", "__builtin__.exec");
}

#[test]
fn m03_subprocess() {
    assert_import(b"csubprocess\nPopen\n(](X\x02\x00\x00\x00ideetR", "subprocess.Popen");
}

#[test]
fn m04_getattr_chain() {
    assert_import(b"cbuiltins\ngetattr\n(ctorch\nFloatStorage\nX\x08\x00\x00\x00__init__tR", "builtins.getattr");
    // A dotted name walks attributes from an allowed module.
    assert_import(b"ctorch._utils\n_rebuild_tensor_v2.__globals__\n.", "torch._utils._rebuild_tensor_v2.__globals__");
    assert_import(b"ctorch.serialization\nos.system\n.", "torch.serialization.os.system");
}

#[test]
fn m05_stack_global() {
    let body = [text("os"), text("system"), b"\x93".to_vec(), text("id"), b"\x85R".to_vec()].concat();
    assert_import(&body, "os.system");
    assert_refused(&[int(1), text("system"), b"\x93".to_vec()].concat(), "whose name is not text");
}

#[test]
fn m06_inst() {
    assert_import(b"(X\x02\x00\x00\x00idios\nsystem\n", "os.system");
    assert_refused(b"(icollections\nOrderedDict\n", "INST");
}

#[test]
fn m07_obj() {
    assert_import(b"(cos\nsystem\nX\x02\x00\x00\x00ido", "os.system");
    assert_refused(b"(ccollections\nOrderedDict\no", "opcode 0x6f");
}

#[test]
fn m08_newobj() {
    assert_import(b"csocket\nsocket\n)\x81", "socket.socket");
    assert_refused(b"ccollections\nOrderedDict\n)\x81", "opcode 0x81");
    assert_refused(b"ccollections\nOrderedDict\n)}\x92", "opcode 0x92");
}

#[test]
fn m09_torch_classes_that_execute() {
    assert_import(b"ctorch.jit\nload\nX\x01\x00\x00\x00x\x85R", "torch.jit.load");
    assert_import(b"ctorch.nn.modules.conv\nConv2d\n)\x81", "torch.nn.modules.conv.Conv2d");
    assert_import(b"ctorch\nload\nX\x01\x00\x00\x00x\x85R", "torch.load");
    assert_import(b"cnumpy.core.multiarray\n_reconstruct\n.", "numpy.core.multiarray._reconstruct");
}

#[test]
fn m10_persistent_ids() {
    let path = [text("/etc/passwd"), b"Q".to_vec()].concat();
    assert_refused(&path, "a persistent id is a str");
    assert_refused(b"P../../etc/passwd\n", "opcode 0x50");
    let module = [b"(".to_vec(), text("module"), b"NNNNtQ".to_vec()].concat();
    assert_refused(&module, "does not name a storage");
    let class = [b"(".to_vec(), text("storage"), text("os"), text("0"), text("cpu"), int(4), b"tQ".to_vec()].concat();
    assert_refused(&class, "does not name a storage");
    // A key that would leave the archive's folder, if it were a path.
    let code = dict(&[("w", tensor(&storage("../../../etc/passwd", 4), 0, &[4], &[1]))]);
    refused(&code);
}

#[test]
fn m11_memo_bombs() {
    // Lists of ten references to the list before: 10^60 elements to a reader that follows them.
    let mut laughs = b"]q\x00".to_vec();
    for level in 0..60u8 {
        laughs.extend(b"](");
        for _ in 0..10 {
            laughs.extend([b'h', level]);
        }
        laughs.extend([b'e', b'q', level + 1]);
    }
    // Every level is left on the stack.
    assert_refused(&laughs, "objects left over");
    // The same of dicts, which are searched for a state dict.
    let mut dicts = b"}(".to_vec();
    for level in 0..60u8 {
        dicts.extend(text(&format!("level {level}")));
        dicts.extend(b"}");
        if level > 0 {
            dicts.extend(b"(");
            for entry in 0..10 {
                dicts.extend(text(&format!("k{entry}")));
                dicts.extend([b'h', level - 1]);
            }
            dicts.extend(b"u");
        }
        dicts.extend([b'q', level]);
    }
    dicts.extend(b"u");
    assert_refused(&dicts, "no state dict");
    // A dict that contains itself a thousand times.
    let mut wide = b"}q\x00(".to_vec();
    for entry in 0..1000 {
        wide.extend(text(&format!("k{entry}")));
        wide.extend(b"h\x00");
    }
    wide.push(b'u');
    assert_refused(&wide, "no state dict");
    assert_refused(b"r\xff\xff\xff\xff", "empty stack");
    // Nothing is taken from below a mark, the innermost of several.
    assert_refused(b"(NN(R", "empty stack");
    assert_refused(b"h\x07", "memo slot 7");
    assert_refused(b"j\xff\xff\xff\xff", "memo slot 4294967295");
}

#[test]
fn m12_nesting() {
    for opcode in [b']', b'(', b'}', b')'] {
        let body = vec![opcode; 100_000];
        refused(&pickle(&body));
    }
    // A list in a list in a list, closed properly.
    assert_refused(&[vec![b']'; 100_000], vec![b'a'; 99_999]].concat(), "nests or lists more than");
    refused(&pickle(&[b"N".to_vec(), vec![0x85; 100_000]].concat()));
    assert_refused(&[b"N".to_vec(), vec![0x85; 10_000]].concat(), "the file holds a tuple");
}

#[test]
fn m13_long_bombs() {
    assert_refused(b"\x8b\xff\xff\xff\x7f1", "opcode 0x8b");
    assert_refused(b"\x8a\xff\x01", "cut short");
    // An integer of 255 digits where a size is expected.
    let size = [b"\x8a\xff".to_vec(), vec![0x7f; 255]].concat();
    let body =
        [b"ctorch._utils\n_rebuild_tensor\n(".to_vec(), storage("0", 4), size, tuple(&[4]), tuple(&[1])].concat();
    assert_refused(&[body, b"tR".to_vec()].concat(), "does not fit 64 bits");
}

#[test]
fn m14_length_bombs() {
    for (opcode, length) in [
        (0x8e, 1_u64 << 40), // BINBYTES8
        (0x8d, 1 << 40),     // BINUNICODE8
        (0x8d, u64::MAX),
        (0x95, 1 << 40), // FRAME, whose length means nothing to this reader
    ] {
        refused(&pickle(&[&[opcode], &length.to_le_bytes()[..]].concat()));
    }
    for opcode in [b'X', b'T', b'B'] {
        assert_refused(&[&[opcode], &u32::MAX.to_le_bytes()[..]].concat(), "cut short");
    }
    assert_refused(&[&b"\x96"[..], &(1_u64 << 40).to_le_bytes()[..]].concat(), "opcode 0x96");
}

#[test]
fn m15_tensors_beyond_their_storage() {
    let attempt = |offset, size: &[i64], stride: &[i64]| {
        refused(&dict(&[("w", tensor(&storage("0", 4), offset, size, stride))])).to_string()
    };
    assert!(attempt(0, &[5], &[1]).contains("beyond its storage"));
    assert!(attempt(1, &[4], &[1]).contains("beyond its storage"));
    assert!(attempt(0, &[2, 2], &[3, 1]).contains("beyond its storage"));
    assert!(attempt(i64::MAX, &[4], &[1]).contains("beyond its storage"));
    assert!(attempt(0, &[2, 2], &[i64::MAX, i64::MAX]).contains("beyond its storage"));
    assert!(attempt(0, &[i64::MAX, i64::MAX, 4], &[0, 0, 0]).contains("beyond its storage"));
    assert!(attempt(-1, &[4], &[1]).contains("offset is -1"));
    assert!(attempt(3, &[4], &[-1]).contains("stride is -1"));
    assert!(attempt(0, &[-4], &[1]).contains("size is -4"));
    assert!(attempt(0, &[4], &[1, 1]).contains("1 sizes and 2 strides"));
    assert!(attempt(0, &[1; 17], &[1; 17]).contains("17 dimensions"));
    // An empty dimension hides no other.
    assert!(attempt(0, &[0, i64::MAX, i64::MAX], &[1, 1, 1]).contains("more than 2^40"));
    // One element, seen ten thousand million times.
    assert!(attempt(0, &[100_000, 100_000], &[0, 0]).contains("far more memory"));
    // A storage that is larger than its bytes, and one of elements wider than it has.
    for storage in [storage("0", 5), storage("0", 1 << 62), storage("0", -1), storage_of("DoubleStorage", "0", 4)] {
        refused(&dict(&[("w", tensor(&storage, 0, &[1], &[1]))]));
    }
}

#[test]
fn m16_values_that_are_no_state_dict() {
    for body in [&b"N"[..], b"K\x01", b"]", b")", b"X\x00\x00\x00\x00", b"}", b"ctorch\nFloatStorage\n"] {
        refused(&pickle(body));
    }
    refused(&pickle(b""));
    refused(&pickle(b"0"));
    refused(&pickle(b"NN"));
    refused(b"");
    refused(b"\x80\x02");
    refused(b"\x80\x09N.");
    refused(b"N.");
    // Calls and states that allowed names do not take.
    assert_refused(b"ctorch\nFloatStorage\nK\x04\x85R", "of the wrong kind");
    assert_refused(b"ccollections\nOrderedDict\nN\x85R", "of the wrong kind");
    assert_refused(b"NNR", "wants to call a None with a None");
    assert_refused(b"]}b", "sets a dict as the state of a list");
    assert_refused(b"}(NNNu", "a key without a value");
    let same_name_twice = tensor(&storage("0", 4), 0, &[4], &[1]);
    let twice = dict(&[("w", same_name_twice.clone()), ("w", same_name_twice)]);
    assert!(refused(&twice).to_string().contains("holds w twice"));
}

#[test]
fn many_views_of_one_storage_are_refused_before_they_fill_the_memory() {
    let data = floats(&vec![1.; 1 << 20]);
    let whole = tensor(&storage("0", 1 << 20), 0, &[1 << 20], &[1]);
    let items: Vec<_> = (0..100).map(|i| (format!("w{i}"), whole.clone())).collect();
    let items: Vec<_> = items.iter().map(|(name, tensor)| (name.as_str(), tensor.clone())).collect();
    let error = pth::read_bytes(&Zip::pth(&dict(&items), &[("0", &data)]).bytes()).unwrap_err().to_string();
    assert!(error.contains("far more memory"), "{error}");
    // Three are a network with shared weights.
    let three = pth::read_bytes(&Zip::pth(&dict(&items[..3]), &[("0", &data)]).bytes()).unwrap();
    assert_eq!(three.state.len(), 3);
}

#[test]
fn names_in_messages_are_short_and_printable() {
    let error = refused(&pickle(&[b"cos\x1b[2J", &[b'x'; 3000][..], b"\nsystem\n"].concat())).to_string();
    assert!(error.len() < 500 && !error.contains('\x1b'), "{error}");
}
