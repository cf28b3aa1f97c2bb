//! Objects beside the weights: skipped without being built, and refused where they stand instead of the weights.

use gan_weights::{Error, pth, read_entry};

use super::build::{Zip, dict, floats, int, legacy, pickle, storage, storage_of, tensor, text, tuple};

const WEIGHTS: [f32; 4] = [1., 2., 3., 4.];

/// The pickled state dict `{"w": tensor}`, to be put into another dict.
fn net() -> Vec<u8> {
    [b"}".to_vec(), text("w"), tensor(&storage("0", 4), 0, &[4], &[1]), b"s".to_vec()].concat()
}

/// Files of both containers with this pickle, over a storage "0" of four float32 elements.
fn files(code: &[u8]) -> [Vec<u8>; 2] {
    let data = floats(&WEIGHTS);
    [Zip::pth(code, &[("0", &data)]).bytes(), legacy(code, &[("0", 4, &data)])]
}

/// `_codecs.encode(text, "latin1")`, which is how bytes are spelled.
fn bytes(content: &str) -> Vec<u8> {
    [b"c_codecs\nencode\n".to_vec(), text(content), text("latin1"), b"\x86R".to_vec()].concat()
}

/// Objects as Python pickles them, and what they are called in notes.
fn objects() -> Vec<(&'static str, Vec<u8>)> {
    let state = |name: &str| [b"}".to_vec(), text(name), b"G?\xf0\0\0\0\0\0\0s".to_vec()].concat();
    let dtype =
        [b"cnumpy\ndtype\n".to_vec(), text("f8"), b"\x89\x88\x87R(K\x03".to_vec(), text("<"), b"NNNtb".to_vec()];
    let scalar = [b"cnumpy._core.multiarray\nscalar\n".to_vec(), dtype.concat(), bytes("12345678"), b"\x86R".to_vec()];
    let array = [
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85".to_vec(),
        bytes("b"),
        b"tR(K\x01K\x02\x85".to_vec(),
        dtype.concat(),
        b"\x89".to_vec(),
        bytes("0123456789abcdef"),
        b"tb".to_vec(),
    ];
    let path = [b"cpathlib\nPosixPath\n(".to_vec(), text("/"), text("x"), b"tR".to_vec()];
    let datetime = [b"cdatetime\ndatetime\n".to_vec(), bytes("0123456789"), b"\x85R".to_vec()];
    let counts = [b"ccollections\ndefaultdict\nc__builtin__\nlist\n\x85R(".to_vec(), text("a"), b"]u".to_vec()];
    let config = [b"comegaconf.dictconfig\nDictConfig\n)\x81".to_vec(), state("_content"), b"b".to_vec()];
    let named = [text("types"), text("SimpleNamespace"), b"\x93)R".to_vec(), state("a"), b"b".to_vec()];
    vec![
        ("argparse.Namespace", [b"cargparse\nNamespace\n)\x81".to_vec(), state("lr"), b"b".to_vec()].concat()),
        ("argparse.Namespace", [b"(cargparse\nNamespace\nK\x01o".to_vec(), state("lr"), b"b".to_vec()].concat()),
        ("argparse.Namespace", [b"(iargparse\nNamespace\n".to_vec(), state("lr"), b"b".to_vec()].concat()),
        ("argparse.Namespace", b"cargparse\nNamespace\n)}\x92".to_vec()),
        ("types.SimpleNamespace", named.concat()),
        ("numpy._core.multiarray.scalar", scalar.concat()),
        ("numpy.core.multiarray._reconstruct", array.concat()),
        ("pathlib.PosixPath", path.concat()),
        ("datetime.datetime", datetime.concat()),
        ("collections.defaultdict", counts.concat()),
        ("collections.deque", b"ccollections\ndeque\n]K\x01aK\x05\x86R(K\x01e".to_vec()),
        ("omegaconf.dictconfig.DictConfig", config.concat()),
        ("__builtin__.set", b"c__builtin__\nset\n](K\x01K\x02e\x85R".to_vec()),
        ("builtins.set", b"\x8f(K\x01K\x02\x90".to_vec()),
        ("builtins.frozenset", b"(K\x01\x91".to_vec()),
        ("torch.Size", [b"ctorch\nSize\n".to_vec(), tuple(&[1, 2]), b"\x85R".to_vec()].concat()),
        ("torch.device", [b"ctorch\ndevice\n".to_vec(), text("cuda"), b"K\x00\x86R".to_vec()].concat()),
        ("torch.float32", b"ctorch\nfloat32\n".to_vec()),
        ("bytes", bytes("abc")),
    ]
}

#[test]
fn what_lies_beside_the_weights_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("training.pth");
    for (kind, object) in objects() {
        let code = dict(&[("netG", net()), ("other", object.clone()), ("epoch", int(7))]);
        for file in files(&code) {
            std::fs::write(&path, &file).unwrap();
            for loaded in [pth::read(&path), read_entry(&path, "netG")] {
                let loaded = loaded.unwrap_or_else(|error| panic!("{kind}: {error}"));
                assert_eq!(loaded.state.get("w").unwrap().to_vec1::<f32>().unwrap(), WEIGHTS, "{kind}");
                assert_eq!(loaded.notes[1], format!("not used: other ({kind}), epoch = 7"));
            }
        }
        // Among the tensors it is left out, and that is said.
        let weight = tensor(&storage("0", 4), 0, &[4], &[1]);
        for file in files(&dict(&[("w.x", weight), ("other", object)])) {
            let loaded = pth::read_bytes(&file).unwrap();
            assert!(loaded.state.names().eq(["w.x"]));
            assert_eq!(loaded.notes, [format!("other ({kind}) ignored: not a tensor")]);
        }
    }
}

#[test]
fn an_object_in_place_of_the_weights_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("training.pth");
    for (kind, object) in objects().into_iter().filter(|(kind, _)| *kind != "bytes") {
        for file in files(&pickle(&object)) {
            let error = pth::read_bytes(&file).unwrap_err();
            assert!(matches!(&error, Error::ForbiddenImport { global, .. } if global == kind), "{error}");
        }
        let file = Zip::pth(&dict(&[("netG", net()), ("opt", object)]), &[("0", &floats(&WEIGHTS))]).bytes();
        std::fs::write(&path, file).unwrap();
        let error = read_entry(&path, "opt").unwrap_err().to_string();
        assert!(error.contains(&format!("a {kind} under \"opt\"")) && error.contains("\"netG\""), "{error}");
    }
}

#[test]
fn nothing_forbidden_hides_inside_an_object() {
    for inner in [&b"cos\nsystem\n"[..], b"cbuiltins\neval\n", b"cbuiltins\ngetattr\n", b"ctorch\nload\n"] {
        for (before, after) in [
            (&b"cargparse\nNamespace\n"[..], &b"\x85R"[..]),
            (b"cargparse\nNamespace\n)\x81", b"b"),
            (b"(cargparse\nNamespace\n", b"o"),
            (b"(", b"iargparse\nNamespace\n"),
            (b"ccollections\ndefaultdict\n", b"\x85R"),
            (b"\x8f(", b"\x90"),
        ] {
            let object = [before, inner, after].concat();
            for file in files(&dict(&[("netG", net()), ("other", object)])) {
                assert!(matches!(pth::read_bytes(&file), Err(Error::ForbiddenImport { .. })));
            }
        }
    }
    // A call of what is no placeholder stays forbidden.
    for object in
        [&b"ccollections\nOrderedDict\n)\x81"[..], b"ctorch\nFloatStorage\n)R", b"(K\x01o", b"(o", b"](K\x01\x90"]
    {
        for file in files(&dict(&[("netG", net()), ("other", object.to_vec())])) {
            assert!(pth::read_bytes(&file).is_err(), "{object:?}");
        }
    }
}

#[test]
fn tensors_of_classes_of_their_own_are_tensors() {
    let plain = || tensor(&storage("0", 4), 0, &[4], &[1]);
    let rebuilt = |arguments: &[u8]| {
        [b"ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._utils\n_rebuild_tensor_v2\n", arguments].concat()
    };
    let parameter =
        [b"ctorch._utils\n_rebuild_parameter_with_state\n(".to_vec(), plain(), b"\x88}}tR".to_vec()].concat();
    // The plain tensor's own arguments.
    let mut arguments = b"ctorch.nn.parameter\nBuffer\n(".to_vec();
    arguments.extend([storage("0", 4), int(0), tuple(&[4]), tuple(&[1]), b"\x89}t}tR".to_vec()].concat());
    for file in files(&dict(&[("w.x", parameter), ("w.y", rebuilt(&arguments))])) {
        let state = pth::read_bytes(&file).unwrap().state;
        for name in ["w.x", "w.y"] {
            assert_eq!(state.get(name).unwrap().to_vec1::<f32>().unwrap(), WEIGHTS);
        }
    }
    // Calls within calls end at the first.
    let call = b"ctorch._tensor\n_rebuild_from_type_v2\n";
    let nested = [&call[..], b"(", call, b"N)}tR"].concat();
    let error = pth::read_bytes(&files(&dict(&[("w", nested)]))[0]).unwrap_err().to_string();
    assert!(error.contains("of the wrong kind"), "{error}");
}

#[test]
fn element_types_that_are_not_supported_may_lie_beside() {
    let bytes = tensor(&storage_of("CharStorage", "1", 3), 0, &[3], &[1]);
    let file = |code: &[u8]| {
        let data = floats(&WEIGHTS);
        [Zip::pth(code, &[("0", &data), ("1", b"abc")]).bytes(), legacy(code, &[("0", 4, &data), ("1", 3, b"abc")])]
    };
    for file in file(&dict(&[("netG", net()), ("mask", bytes.clone())])) {
        assert_eq!(pth::read_bytes(&file).unwrap().state.len(), 1);
    }
    let weight = tensor(&storage("0", 4), 0, &[4], &[1]);
    for file in file(&dict(&[("w.x", weight), ("w.y", bytes)])) {
        let error = pth::read_bytes(&file).unwrap_err().to_string();
        assert!(error.contains("tensors of int8 are not supported"), "{error}");
    }
}
