//! Checkpoint folders on the disk, made by hand: read verified, or refused by name.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use gan_weights::checkpoint::{
    BEST, Choice, Disk, Error, FileRecord, Folder, MANIFEST, MODEL, Manifest, Result, STATE, best_step,
    checkpoints_dir, chosen, exists, is_checkpoint, newest,
};
use gan_weights::{StateDict, safetensors};

/// Writes a checkpoint of `step`, with a `model.json` if `model`.
fn write(run: &Path, step: u64, model: bool) -> PathBuf {
    let dir = checkpoints_dir(run).join(step.to_string());
    fs::create_dir_all(&dir).unwrap();
    for name in ["g", "optimizer"] {
        let value = Tensor::new(step as f32, &Device::Cpu).unwrap();
        let state: StateDict = [("weight".to_owned(), value)].into_iter().collect();
        safetensors::write(dir.join(format!("{name}.safetensors")), &state).unwrap();
    }
    fs::write(dir.join(STATE), format!("{{\"step\": {step}}}")).unwrap();
    if model {
        fs::write(dir.join(MODEL), "{\"format\": 1}").unwrap();
    }
    seal(&dir, step);
    dir
}

/// Writes the manifest of what lies in `dir`.
fn seal(dir: &Path, step: u64) {
    let _ = fs::remove_file(dir.join(MANIFEST));
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let record = |name: String| {
        let bytes = fs::read(dir.join(&name)).unwrap();
        FileRecord { name, bytes: bytes.len() as u64, blake3: blake3::hash(&bytes).to_hex().to_string() }
    };
    let files: Vec<_> = names.into_iter().map(record).collect();
    let mut manifest = Manifest {
        format: Manifest::format_of(&files),
        step,
        method: "pix2pix".to_owned(),
        instruction_set: "x86_64".to_owned(),
        versions: Default::default(),
        model: serde_json::Value::Null,
        files,
        seal: String::new(),
    };
    fs::write(dir.join(MANIFEST), manifest.encode().unwrap()).unwrap();
}

fn step_of(folder: Folder<'_>) -> Result<f32> {
    Ok(folder.tensors("g")?.get("weight").unwrap().to_scalar().unwrap())
}

#[test]
fn a_folder_gives_what_it_holds() {
    let run = tempfile::tempdir().unwrap();
    for (step, model) in [(1, false), (2, true)] {
        let dir = write(run.path(), step, model);
        assert!(is_checkpoint(&dir) && !is_checkpoint(run.path()));
        let folder = Folder::open(&Disk, &dir).unwrap();
        assert_eq!((folder.dir(), folder.manifest().step), (&*dir, step));
        assert_eq!(folder.networks().collect::<Vec<_>>(), ["g"]);
        assert_eq!(folder.state().unwrap()["step"], step);
        assert_eq!((folder.has_file(MODEL), folder.json(MODEL).is_ok()), (model, model));
        let error = folder.tensors("e").unwrap_err().to_string();
        assert!(error.contains("it has no e.safetensors, only g.safetensors"), "{error}");
        // Only what is asked for is read.
        fs::write(dir.join("optimizer.safetensors"), "damaged").unwrap();
        assert!(folder.tensors("optimizer").is_err());
        assert_eq!(step_of(folder).unwrap(), step as f32);
    }
}

#[test]
fn the_newest_that_is_usable_is_used() {
    let run = tempfile::tempdir().unwrap();
    assert!(!exists(&Disk, run.path()));
    assert!(matches!(newest(&Disk, run.path(), step_of), Err(Error::NoCheckpoint { .. })));
    let dirs = [9, 10, 11].map(|step| write(run.path(), step, true));
    fs::write(dirs[2].join(MODEL), "{\"format\": 2}").unwrap();
    assert!(newest(&Disk, run.path(), step_of).is_ok_and(|(step, refused)| step == 11. && refused.is_empty()));
    let (step, refused) = newest(&Disk, run.path(), |folder| folder.json(MODEL).and_then(|_| step_of(folder))).unwrap();
    assert_eq!((step, refused.len(), refused[0].used), (10., 1, 10));
    let said = refused[0].to_string();
    assert!(said.contains("step 10 is used instead") && said.contains("11/model.json is refused"), "{said}");

    let none = newest(&Disk, run.path(), |folder| -> Result<()> { Err(Error::damaged(folder.dir(), "not today")) });
    let Error::NoUsableCheckpoint { refused, .. } = none.unwrap_err() else { panic!("no list") };
    assert!(refused.len() == 3 && refused[0].contains("/11 is refused: not today"), "{refused:?}");
}

#[test]
fn what_is_not_as_it_was_sealed_is_refused() {
    let run = tempfile::tempdir().unwrap();
    let dir = write(run.path(), 3, false);
    let refused = |said: &str| {
        let error = Folder::open(&Disk, &dir).and_then(step_of).unwrap_err().to_string();
        assert!(error.contains(said), "{said}: {error}");
    };
    let network = dir.join("g.safetensors");
    let good = fs::read(&network).unwrap();
    fs::write(&network, &good[..good.len() - 1]).unwrap();
    refused(&format!("g.safetensors is refused: it has {} bytes instead of {}", good.len() - 1, good.len()));
    fs::write(&network, [&good, &b"x"[..]].concat()).unwrap();
    refused("it is larger than");
    let mut bad = good.clone();
    bad[good.len() - 1] ^= 1;
    fs::write(&network, bad).unwrap();
    refused("does not match the hash");
    fs::remove_file(&network).unwrap();
    refused("cannot open");

    fs::write(&network, &good).unwrap();
    fs::write(dir.join("notes.txt"), "mine").unwrap();
    refused("notes.txt is refused: the manifest does not list it");
    seal(&dir, 3);
    refused("it lists notes.txt, which this version does not know");
    fs::remove_file(dir.join("notes.txt")).unwrap();

    let text = fs::read_to_string(dir.join(MANIFEST)).unwrap();
    fs::write(dir.join(MANIFEST), text.replace("pix2pix", "cyclegan")).unwrap();
    refused("its seal does not match");
    fs::write(dir.join(MANIFEST), text.replace("\"format\": 1", "\"format\": 9")).unwrap();
    refused("it has format 9, this version reads up to 2; use a newer version");

    let half: StateDict =
        [("weight".to_owned(), Tensor::zeros(2, DType::F16, &Device::Cpu).unwrap())].into_iter().collect();
    safetensors::write(&network, &half).unwrap();
    seal(&dir, 3);
    refused("tensor `weight` has the element type F16");
    safetensors::write(
        &network,
        &[("weight".to_owned(), Tensor::new(f32::NAN, &Device::Cpu).unwrap())].into_iter().collect(),
    )
    .unwrap();
    seal(&dir, 3);
    refused("tensor `weight` holds NaN at element 0");
}

#[test]
fn a_checkpoint_is_chosen_by_name() {
    let run = tempfile::tempdir().unwrap();
    let dir = checkpoints_dir(run.path());
    let find = |choice: &str| chosen(&Disk, run.path(), choice.parse().unwrap());
    assert!(matches!(find("best"), Err(Error::NoCheckpoint { .. })));
    write(run.path(), 5, true);
    let refused = |choice: &str| find(choice).unwrap_err().to_string();
    assert!(refused("best").ends_with("trained without validation; there is 5"), "{}", refused("best"));
    write(run.path(), 30, true);
    write(run.path(), 200, true);
    fs::write(dir.join(BEST), "30\n").unwrap();
    assert_eq!(best_step(&Disk, run.path()).unwrap(), Some(30));
    assert_eq!(find("latest").unwrap(), run.path());
    assert_eq!(find("best").unwrap(), dir.join("30"));
    assert_eq!(find("200").unwrap(), dir.join("200"));
    assert!(refused("7").contains("no checkpoint 7; there are 5, 30 (best), 200"), "{}", refused("7"));
    // One that is being replaced is still there under its other name.
    fs::rename(dir.join("30"), dir.join(".old-30-9")).unwrap();
    assert_eq!(find("best").unwrap(), dir.join(".old-30-9"));
    fs::remove_dir_all(dir.join(".old-30-9")).unwrap();
    assert!(refused("best").contains("that of step 30 is gone; there are 5, 200"), "{}", refused("best"));
    for damaged in ["", "030", "x", "30 40", &"9".repeat(40)] {
        fs::write(dir.join(BEST), damaged).unwrap();
        assert!(matches!(find("best"), Err(Error::Damaged { .. })), "{damaged}");
        assert!(find("5").is_ok());
    }
    for wrong in ["", "newest", "05", "-1", "5.0"] {
        assert!(wrong.parse::<Choice>().unwrap_err().to_string().contains("latest, best or"), "{wrong}");
    }
    for choice in [Choice::Latest, Choice::Best, Choice::Step(7)] {
        assert_eq!(choice.to_string().parse(), Ok(choice));
    }
}
