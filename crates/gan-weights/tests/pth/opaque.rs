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
            let said = match kind {
                "numpy.core.multiarray._reconstruct" => {
                    "other ignored: a NumPy array (torch.from_numpy makes a tensor of it)".to_owned()
                }
                _ => format!("other ({kind}) ignored: not a tensor"),
            };
            assert_eq!(loaded.notes, [said]);
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
fn quantized_storages_may_lie_beside() {
    let quantized =
        |storage: &[u8]| [b"ctorch._utils\n_rebuild_qtensor\n(", storage, b"K\x00K\x03\x85K\x01\x85tR"].concat();
    let storage = storage_of("QInt8Storage", "1", 3);
    let weight = || tensor(&self::storage("0", 4), 0, &[4], &[1]);
    let data = floats(&WEIGHTS);
    let both = |code: &[u8]| {
        [Zip::pth(code, &[("0", &data), ("1", b"abc")]).bytes(), legacy(code, &[("0", 4, &data), ("1", 3, b"abc")])]
    };
    for file in both(&dict(&[("w.x", weight()), ("w.y", quantized(&storage))])) {
        let loaded = pth::read_bytes(&file).unwrap();
        assert!(loaded.state.names().eq(["w.x"]));
        assert_eq!(loaded.notes, ["w.y ignored: a quantized tensor (dequantize() makes a plain one)"]);
    }
    for file in both(&dict(&[("w.x", weight()), ("w.y", tensor(&storage, 0, &[3], &[1]))])) {
        let error = pth::read_bytes(&file).unwrap_err().to_string();
        assert!(error.contains("tensors of quantized elements are not supported"), "{error}");
    }
}

#[test]
fn tensors_inside_of_objects_are_found() {
    let held = |name: &str| [text(name), net()].concat();
    for (path, object) in [
        // Attributes, items of a dict's subclass set afterwards or given to its class, elements of tuples and lists.
        ("ema.shadow", [b"cema\nEMA\n)\x81}".to_vec(), held("shadow"), b"sb".to_vec()].concat()),
        ("ema.shadow", [b"cema\nEMA\n)\x81N}".to_vec(), held("shadow"), b"s\x86b".to_vec()].concat()),
        ("ema.shadow", [b"caddict\nDict\n)\x81(".to_vec(), held("shadow"), b"u".to_vec()].concat()),
        ("ema.shadow", [b"caddict\nDict\n}".to_vec(), held("shadow"), b"s\x85R".to_vec()].concat()),
        ("ema.1", [b"K\x07".to_vec(), net(), b"\x86".to_vec()].concat()),
        ("ema.0", [b"]".to_vec(), net(), b"a".to_vec()].concat()),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ema.pth");
        for bytes in files(&dict(&[("ema", object)])) {
            std::fs::write(&file, bytes).unwrap();
            let loaded = pth::read(&file).unwrap();
            assert_eq!(loaded.state.get("w").unwrap().to_vec1::<f32>().unwrap(), WEIGHTS);
            assert!(loaded.notes[0].contains(path), "{:?}", loaded.notes);
            assert_eq!(gan_weights::entries(&file).unwrap(), [path]);
            assert_eq!(read_entry(&file, path).unwrap().state.len(), 1);
        }
    }
}

#[test]
fn two_objects_of_a_class_keep_what_is_theirs() {
    // The class is recalled from the memo.
    let object = |begin: &[u8], at: i64| {
        let weight = tensor(&storage("0", 4), at, &[1], &[1]);
        [begin, b")\x81}", &text("w"), &weight, b"sb"].concat()
    };
    let code = dict(&[("netG", object(b"cnets\nNet\nq\x01", 0)), ("netD", object(b"h\x01", 3))]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nets.pth");
    for bytes in files(&code) {
        std::fs::write(&file, bytes).unwrap();
        for (entry, expected) in [("netG", 1.), ("netD", 4.)] {
            let state = read_entry(&file, entry).unwrap().state;
            assert_eq!(state.get("w").unwrap().to_vec1::<f32>().unwrap(), [expected]);
        }
    }
}

/// A pickled `torch.nn.Module` with these parameters and modules.
fn module(parameters: &[u8], modules: &[u8]) -> Vec<u8> {
    let mut body = b"cnets\nNet\n)\x81}(".to_vec();
    for (name, content) in [("_parameters", parameters), ("_buffers", b""), ("_modules", modules)] {
        body.extend([&text(name)[..], b"}(", content, b"u"].concat());
    }
    body.extend([text("training"), b"\x88ub".to_vec()].concat());
    body
}

#[test]
fn networks_that_were_pickled_whole_are_read() {
    let weight = |at| tensor(&storage("0", 4), at, &[1], &[1]);
    let inner = module(&[text("weight"), weight(1), text("bias"), b"N".to_vec()].concat(), b"");
    let outer = module(&[text("scale"), weight(0)].concat(), &[text("conv"), inner].concat());
    for code in [pickle(&outer), dict(&[("net", outer), ("epoch", int(3))])] {
        for file in files(&code) {
            let loaded = pth::read_bytes(&file).unwrap();
            assert!(loaded.state.names().eq(["scale", "conv.weight"]));
            assert!(loaded.notes.iter().any(|note| note.contains("whole network")), "{:?}", loaded.notes);
        }
    }
    // Legacy files refer to the class with its source.
    let class =
        [b"(".to_vec(), text("module"), b"cnets\nNet\n".to_vec(), text("nets.py"), text("class Net"), b"tQ".to_vec()];
    let whole =
        [class.concat(), module(&[text("w"), weight(2)].concat(), b"")["cnets\nNet\n".len()..].to_vec()].concat();
    let state = pth::read_bytes(&files(&pickle(&whole))[1]).unwrap().state;
    assert_eq!(state.get("w").unwrap().to_vec1::<f32>().unwrap(), [3.]);
}

#[test]
fn modules_that_contain_themselves_end() {
    let weight = tensor(&storage("0", 4), 0, &[4], &[1]);
    let mut cycle = b"cnets\nNet\n)\x81q\x01}(".to_vec();
    cycle.extend([text("_parameters"), b"}".to_vec(), text("w"), weight, b"s".to_vec()].concat());
    cycle.extend(
        [text("_modules"), b"}(".to_vec(), text("a"), b"h\x01".to_vec(), text("b"), b"h\x01uub".to_vec()].concat(),
    );
    for file in files(&pickle(&cycle)) {
        let error = pth::read_bytes(&file).unwrap_err().to_string();
        assert!(error.contains("modules nest"), "{error}");
    }
}

#[test]
fn what_holds_numbers_in_another_form_is_named() {
    let array = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR".to_vec();
    let quantized = [
        b"ctorch._utils\n_rebuild_qtensor\n(".to_vec(),
        storage_of("QInt8Storage", "0", 16),
        b"K\x00K\x04\x85K\x01\x85(ctorch\nper_tensor_affine\nG?\xf0\0\0\0\0\0\0K\x00t\x89NtR".to_vec(),
    ];
    let sparse = [
        b"ctorch._utils\n_rebuild_sparse_tensor\nctorch.serialization\n_get_layout\n".to_vec(),
        text("torch.sparse_coo"),
        b"\x85R)\x86R".to_vec(),
    ];
    let weights = tensor(&storage("0", 4), 0, &[4], &[1]);
    let optimizer = [b"}(".to_vec(), text("state"), b"}".to_vec(), text("param_groups"), b"]u".to_vec()].concat();
    let one = |what: &[u8]| dict(&[("w", what.to_vec())]);
    // In so many dicts, one in the other.
    let nested = |depth: usize, what: &[u8]| {
        let outer: Vec<u8> = [b"}".to_vec(), text("d")].concat().repeat(depth);
        let inner = [b"}".to_vec(), text("w"), what.to_vec(), b"s".to_vec()].concat();
        pickle(&[outer, inner, b"s".repeat(depth)].concat())
    };
    for (code, said) in [
        (one(&array), "w is a NumPy array (torch.from_numpy"),
        (one(&quantized.concat()), "w is a quantized tensor (dequantize()"),
        (one(&sparse.concat()), "w is a sparse tensor (to_dense()"),
        (one(&[b"]".to_vec(), weights.clone(), b"a".to_vec()].concat()), "tensors without names"),
        (one(&[weights.clone(), b"\x85".to_vec()].concat()), "tensors without names"),
        (nested(3, &sparse.concat()), "w is a sparse tensor (to_dense()"),
        // Deeper than anyone saves them.
        (nested(4, &sparse.concat()), "the file holds no state dict"),
        (pickle(&optimizer), "the state of an optimizer and no weights"),
        (dict(&[("optimizer", optimizer), ("epoch", int(3))]), "the state of an optimizer and no weights"),
    ] {
        let error = pth::read_bytes(&files(&code)[0]).unwrap_err().to_string();
        assert!(error.contains(said), "{said}: {error}");
        assert!(said != "the file holds no state dict" || !error.contains("w is"), "{error}");
    }
    // Beside plain tensors, it is what the state dict lacks.
    let mixed = dict(&[("a", weights), ("b", sparse.concat())]);
    let loaded = pth::read_bytes(&files(&mixed)[0]).unwrap();
    assert_eq!(loaded.state.unread()[0].0, "b");
    assert!(loaded.notes[0].contains("b ignored: a sparse tensor"), "{:?}", loaded.notes);
}

#[test]
fn weights_of_a_network_stand_beside_anything() {
    let weight = tensor(&storage("0", 4), 0, &[4], &[1]);
    let names: Vec<String> = (0..30).map(|i| format!("n{i}")).collect();
    let mut items = vec![("net", net()), ("layer.weight", weight)];
    items.extend(names.iter().map(|name| (name.as_str(), int(1))));
    for file in files(&dict(&items)) {
        let loaded = pth::read_bytes(&file).unwrap();
        assert_eq!(loaded.state.names().collect::<Vec<_>>(), ["layer.weight"]);
        // What is no tensor is named, up to a number.
        let named = loaded.notes.iter().filter(|note| note.ends_with("ignored: not a tensor")).count();
        assert_eq!(loaded.notes.last(), Some(&format!("{} more entries ignored: not tensors", 31 - named)));
    }
}

/// A version 3 of a tensor of type `dtype` over a storage, with something behind its hooks.
fn version_3(dtype: &str, more: &[&[u8]]) -> Vec<u8> {
    let head = [b"ctorch._utils\n_rebuild_tensor_v3\n(".to_vec(), storage_of("UntypedStorage", "0", 16)].concat();
    let middle =
        [int(0), tuple(&[4]), tuple(&[1]), b"\x89}".to_vec(), format!("ctorch\n{dtype}\n").into_bytes()].concat();
    [head, middle, more.concat(), b"tR".to_vec()].concat()
}

#[test]
fn tensors_of_version_3_have_one_metadata_or_none() {
    for (more, read) in [(&[][..], true), (&[&b"}"[..]], true), (&[b"}", b"}"], false)] {
        let code = dict(&[("w", version_3("float32", more))]);
        let file = Zip::pth(&code, &[("0", &floats(&WEIGHTS))]).bytes();
        let loaded = pth::read_bytes(&file);
        assert_eq!(loaded.is_ok_and(|loaded| loaded.state.names().eq(["w"])), read, "{} behind", more.len());
    }
}

#[test]
fn what_is_popped_off_the_stack_is_gone() {
    let w = [text("w"), tensor(&storage("0", 4), 0, &[4], &[1])].concat();
    for (code, read) in [
        ([&b"}"[..], b"N0", &w, b"s"].concat(), true),
        // A mark is taken away, too.
        ([&b"}"[..], b"(0", &w, b"s"].concat(), true),
        // And all that is above it, with another.
        ([&b"}"[..], b"(NN1", &w, b"s"].concat(), true),
        // Without a pop, what is below the pair is no dict.
        ([&b"}"[..], b"N", &w, b"s"].concat(), false),
    ] {
        let file = Zip::pth(&pickle(&code), &[("0", &floats(&WEIGHTS))]).bytes();
        assert_eq!(pth::read_bytes(&file).is_ok(), read, "{code:?}");
    }
}

#[test]
fn so_many_state_dicts_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    for count in [8, 9] {
        let names: Vec<String> = (0..count).map(|i| format!("net{i}")).collect();
        let items: Vec<_> = names.iter().map(|name| (name.as_str(), net())).collect();
        let file = folder.path().join("many.pth");
        std::fs::write(&file, &files(&dict(&items))[0]).unwrap();
        let error = read_entry(&file, "other").unwrap_err().to_string();
        assert!(error.contains("\"net0\", ") && error.contains("\"net7\""), "{error}");
        assert_eq!(error.contains("\"net7\", …"), count == 9, "{error}");
    }
}
