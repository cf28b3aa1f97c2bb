//! Damaged, truncated, swapped and foreign files: all are found, and the previous checkpoint is used.

use gan_rng::{Key, Purpose};
use gan_weights::checkpoint::{Manifest, checkpoints_dir, read_manifest, read_tensors};

use super::{assert_same, run, snapshot};
use crate::checkpoint::{self, Refused, Warning, load, load_latest, save};
use crate::storage::Storage;
use crate::storage::volatile::VolatileStorage;
use crate::{Error, Result};

const FILES: [&str; 5] =
    ["manifest.json", "state.json", "generator.safetensors", "optimizer.safetensors", "pool.safetensors"];

fn prepared() -> VolatileStorage {
    let storage = VolatileStorage::new();
    save(&storage, run(), &snapshot(1), 2).unwrap();
    save(&storage, run(), &snapshot(2), 2).unwrap();
    storage
}

/// Checkpoint 2 must be refused for the named file, and checkpoint 1 be used.
fn assert_found(storage: &VolatileStorage, named: &str, what: &str) {
    let loaded = load_latest(storage, run(), Some("pix2pix")).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_same(&loaded.snapshot, &snapshot(1));
    match &loaded.warnings[..] {
        [Warning::Refused(Refused { reason, used: 1 })] => assert!(reason.contains(named), "{what}: {reason}"),
        other => panic!("{what}: {other:?}"),
    }
}

#[test]
fn bit_flips() {
    let storage = prepared();
    let dir = checkpoints_dir(run()).join("2");
    let mut random = Key::new(1, Purpose::Test).stream();
    for case in 0..1500 {
        let name = FILES[case % FILES.len()];
        let good = storage.content(&dir.join(name));
        let mut bad = good.clone();
        let at = random.below(bad.len() as u64) as usize;
        let bit = random.below(8);
        bad[at] ^= 1 << bit;
        storage.put(&dir.join(name), bad);
        assert_found(&storage, "/2/", &format!("bit {bit} of byte {at} of {name}"));
        storage.put(&dir.join(name), good);
    }
    assert_eq!(load_latest(&storage, run(), None).unwrap().snapshot.step, 2);
}

#[test]
fn truncation_and_growth() {
    let storage = prepared();
    let dir = checkpoints_dir(run()).join("2");
    let mut cases = 0;
    for name in FILES {
        let path = dir.join(name);
        let good = storage.content(&path);
        for length in (0..good.len()).step_by(3) {
            storage.put(&path, good[..length].to_vec());
            assert_found(&storage, name, &format!("{name} cut to {length}"));
            cases += 1;
        }
        for extra in [b"\n".as_slice(), b"\0", b" {}"] {
            storage.put(&path, [&good, extra].concat());
            assert_found(&storage, name, &format!("{name} extended"));
        }
        storage.put(&path, good);
    }
    assert!(cases > 500, "{cases}");
}

#[test]
fn swapped_missing_and_extra_files() {
    let dir = checkpoints_dir(run());
    for name in FILES.iter().filter(|name| **name != "pool.safetensors") {
        let storage = prepared();
        storage.put(&dir.join("2").join(name), storage.content(&dir.join("1").join(name)));
        assert_found(&storage, "/2/", &format!("{name} of step 1"));

        let storage = prepared();
        storage.remove_file(&dir.join("2").join(name)).unwrap();
        assert_found(&storage, name, &format!("{name} missing"));
    }
    let storage = prepared();
    storage.put(&dir.join("2/encoder.safetensors"), vec![1, 2, 3]);
    assert_found(&storage, "encoder.safetensors", "extra file");

    // A whole folder under another step's name.
    let storage = prepared();
    storage.rename(&dir.join("2"), &dir.join("7")).unwrap();
    assert_found(&storage, "/7/manifest.json", "renamed folder");
    assert_eq!(load(&storage, &dir.join("7")).unwrap().snapshot.step, 2, "asked for by name it is fine");
}

#[test]
fn manifest_of_another_method() {
    let storage = prepared();
    let mut other = snapshot(2);
    other.method = "cyclegan".to_owned();
    let foreign = VolatileStorage::new();
    save(&foreign, run(), &other, 2).unwrap();
    let path = checkpoints_dir(run()).join("2/manifest.json");
    storage.put(&path, foreign.content(&path));
    assert_found(&storage, "cyclegan", "manifest of another method");
}

#[test]
fn newer_format_says_so() {
    let storage = prepared();
    let path = checkpoints_dir(run()).join("2/manifest.json");
    let text = String::from_utf8(storage.content(&path)).unwrap().replace("\"format\": 1", "\"format\": 3");
    storage.put(&path, text.into_bytes());
    assert_found(&storage, "newer version", "format 3");
}

/// A manifest with a right seal may still lie.
#[test]
fn hostile_manifests_and_tensor_files() {
    let dir = checkpoints_dir(run()).join("2");
    for name in ["../1/generator.safetensors", "/etc/passwd.safetensors", "..\\x.safetensors", "program.exe"] {
        let storage = prepared();
        let mut manifest = read_manifest(&storage, &dir).unwrap();
        manifest.files[0].name = name.to_owned();
        storage.put(&dir.join("manifest.json"), manifest.encode().unwrap());
        storage.remove_file(&dir.join("generator.safetensors")).unwrap();
        assert_found(&storage, "/2/", name);
    }
    // Whatever a tensor file holds, reading it ends in tensors or an error.
    let storage = prepared();
    let good = storage.content(&dir.join("generator.safetensors"));
    let mut random = Key::new(2, Purpose::Test).stream();
    let mut refused = 0;
    for _ in 0..3000 {
        let mut bad = good.clone();
        for _ in 0..=random.below(4) {
            let at = random.below(bad.len() as u64) as usize;
            bad[at] = match random.below(3) {
                0 => random.next_u32() as u8,
                1 => b"0123456789[]{},:\""[random.below(17) as usize],
                _ => bad[at] ^ 1 << random.below(8),
            };
        }
        bad.truncate(bad.len() - random.below(8) as usize * random.below(2) as usize);
        refused += u32::from(read_tensors(&dir, &bad).is_err());
    }
    assert!(refused > 1000, "{refused}");
    let mut bomb = u64::MAX.to_le_bytes().to_vec();
    bomb.extend_from_slice(&good);
    assert!(read_tensors(&dir, &bomb).is_err());
}

#[test]
fn right_seals_over_what_cannot_be() {
    let dir = checkpoints_dir(run()).join("2");
    let resealed = |change: &dyn Fn(&mut Manifest)| {
        let storage = prepared();
        let mut manifest = read_manifest(&storage, &dir).unwrap();
        change(&mut manifest);
        storage.put(&dir.join("manifest.json"), manifest.encode().unwrap());
        storage
    };
    assert_eq!(load_latest(&resealed(&|_| ()), run(), None).unwrap().snapshot.step, 2);
    let twice = resealed(&|manifest| manifest.files.push(manifest.files[0].clone()));
    assert_found(&twice, "lists generator.safetensors twice", "a file twice");
    let stateless = resealed(&|manifest| manifest.files.retain(|file| file.name != "state.json"));
    assert_found(&stateless, "/2/", "no state");
    let far = resealed(&|manifest| manifest.step = u64::MAX);
    assert_found(&far, "it claims step 18446744073709551615", "a step that nobody reaches");

    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let storage = prepared();
        let path = dir.join("generator.safetensors");
        let mut bytes = storage.content(&path);
        let at = bytes.len() - 4;
        bytes[at..].copy_from_slice(&bad.to_le_bytes());
        let mut manifest = read_manifest(&storage, &dir).unwrap();
        manifest.files[0].blake3 = blake3::hash(&bytes).to_hex().to_string();
        storage.put(&path, bytes);
        storage.put(&dir.join("manifest.json"), manifest.encode().unwrap());
        assert_found(&storage, "tensor `model.1.bias` holds", "a value that is not finite");
    }
}

#[test]
fn what_a_check_refuses_is_passed_over() {
    let storage = prepared();
    let mut asked = Vec::new();
    let loaded = crate::checkpoint::load_latest_checked(&storage, run(), None, |dir, snapshot| {
        asked.push(snapshot.step);
        if snapshot.step == 1 { Ok(()) } else { Err(Error::damaged(&dir.join("state.json"), "not today")) }
    })
    .unwrap();
    assert_eq!(asked, [2, 1]);
    assert!(
        matches!(&loaded.warnings[..], [Warning::Refused(Refused { reason, used: 1 })] if reason.contains("not today"))
    );
}

#[test]
fn nothing_usable_lists_every_reason() {
    let storage = prepared();
    for step in ["1", "2"] {
        storage.put(&checkpoints_dir(run()).join(step).join("state.json"), Vec::new());
    }
    let error: Result<_> = load_latest(&storage, run(), None);
    match error.unwrap_err() {
        Error::Files(checkpoint::Error::NoUsableCheckpoint { refused, .. }) => {
            assert_eq!(refused.len(), 2);
            assert!(refused[0].contains("/2/state.json") && refused[1].contains("/1/state.json"), "{refused:?}");
        }
        other => panic!("{other}"),
    }
    assert!(matches!(
        load_latest(&VolatileStorage::new(), run(), None),
        Err(Error::Files(checkpoint::Error::NoCheckpoint { .. }))
    ));
}
