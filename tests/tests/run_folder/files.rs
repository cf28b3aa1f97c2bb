//! The files beside the checkpoints: copies, of which none is needed and none is believed.

use super::{At, FACADES, TINY, copy, launch, log, pix2pix, resume, resume_with, settings, start, steps};
use gan_train::run::{read_config, read_info};
use gan_train::storage::Disk;
use gan_train::{Error, Outcome};
use std::fs;
use std::path::Path;

fn trained() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    start(&run, &FACADES).0.unwrap();
    (folder, run)
}

#[test]
fn an_edited_configuration_is_held_against_the_sealed_one() {
    let (_folder, run) = trained();
    let saved = read_config(&Disk, &run).unwrap();
    let forbidden = [
        ("seed = 5", "seed = 6"),
        ("beta1 = 0.5", "beta1 = 0.9"),
        ("lambda_l1 = 100.0", "lambda_l1 = 10.0"),
        ("flip = true", "flip = false"),
        ("ngf = 4", "ngf = 5"),
        ("load_size = 36", "load_size = 40"),
        ("pool_size = 0", "pool_size = 2"),
        ("gan_mode = \"vanilla\"", "gan_mode = \"lsgan\""),
        ("max_dataset_size = 2", "max_dataset_size = 3"),
        ("flip = true\n", ""),
    ];
    for (before, after) in forbidden {
        assert!(saved.contains(before), "{before}");
        fs::write(run.join("config.toml"), saved.replacen(before, after, 1)).unwrap();
        let (outcome, _) = resume(&run, &["n_epochs=3"]);
        // Leaving a key out is wishing its default, which may be what it was.
        if after.is_empty() {
            outcome.unwrap();
            continue;
        }
        let error = outcome.unwrap_err();
        let key = before.split(' ').next().unwrap();
        assert!(matches!(error, Error::RefusedChanges { .. }), "{error}");
        let error = error.to_string();
        assert!(error.contains("config.toml") && error.contains(key) && error.contains(" -> "), "{error}");
    }
    fs::write(run.join("config.toml"), saved.replace("[train]", "[train]\nunheard = 1")).unwrap();
    let error = resume(&run, &[]).0.unwrap_err().to_string();
    assert!(error.contains("config.toml:") && error.contains("unheard"), "{error}");
    // What may change is a wish.
    let wish = saved.replacen("n_epochs = 2", "n_epochs = 5", 1);
    fs::write(run.join("config.toml"), wish.replacen("beta1 = 0.5", "beta1 = 0.50", 1)).unwrap();
    assert_eq!(resume(&run, &[]).0.unwrap().step, 10);
    assert!(read_config(&Disk, &run).unwrap().contains("n_epochs = 5"));
}

#[test]
fn what_is_missing_or_damaged_is_written_anew() {
    let (folder, run) = trained();
    let config = read_config(&Disk, &run).unwrap();
    let damages: [&dyn Fn(&Path); 4] = [
        &|path| fs::remove_file(path).unwrap(),
        &|path| fs::write(path, [0xff, b'=']).unwrap(),
        &|path| fs::write(path, "[train\n").unwrap(),
        &|path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        },
    ];
    for (i, damage) in damages.into_iter().enumerate() {
        for name in ["config.toml", "run.json"] {
            let hurt = folder.path().join(format!("{i}-{name}"));
            copy(&run, &hurt);
            damage(&hurt.join(name));
            let (outcome, said) = resume(&hurt, &["n_epochs=3"]);
            assert_eq!(outcome.unwrap().step, 6, "{name} {i}");
            assert!(said.iter().any(|s| s.contains(name) && s.contains("written anew")), "{said:?}");
            let expected = config.replacen("n_epochs = 2", "n_epochs = 3", 1);
            assert_eq!(read_config(&Disk, &hurt).unwrap(), expected);
            assert_eq!(read_info(&Disk, &hurt).unwrap().method, "pix2pix");
        }
    }
    // The log.
    let whole = log(&run).len();
    let hurt = folder.path().join("log");
    copy(&run, &hurt);
    fs::remove_file(hurt.join("events.jsonl")).unwrap();
    let (outcome, said) = resume(&hurt, &["n_epochs=3"]);
    assert_eq!(outcome.unwrap().step, 6);
    assert!(said.iter().any(|s| s.contains("events.jsonl") && s.contains("begins anew")), "{said:?}");
    assert_eq!(log(&hurt).len(), whole / 2);
    // Without any of them it is a run still, and no place for another.
    for name in ["config.toml", "run.json", "events.jsonl", "lock"] {
        fs::remove_file(hurt.join(name)).unwrap();
    }
    let refused = start(&hurt, &FACADES).0.unwrap_err().to_string();
    assert!(refused.contains("already contains a run"), "{refused}");
    assert_eq!(resume(&hurt, &["n_epochs=4"]).0.unwrap().step, 8);
}

/// A launch of four steps that does something to the run folder after the second.
fn disturbed(run: &Path, action: impl FnMut() + Send + 'static) -> (gan_train::Result<Outcome>, Vec<String>) {
    let config = (pix2pix().resolve)(&settings(&[&TINY[..], &FACADES].concat()));
    launch(pix2pix(), run, config, false, Some(Box::new(At(2, action))))
}

#[test]
fn what_is_deleted_while_training_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let at = run.clone();
    let (outcome, said) = disturbed(&run, move || {
        for name in ["config.toml", "run.json", "events.jsonl"] {
            fs::remove_file(at.join(name)).unwrap();
        }
        fs::remove_dir_all(at.join("gallery")).unwrap();
    });
    assert_eq!(outcome.unwrap().step, 4);
    for name in ["config.toml", "run.json", "events.jsonl"] {
        assert!(said.iter().any(|s| s.contains(name)), "{name}: {said:?}");
        assert!(run.join(name).is_file(), "{name}");
    }
    assert_eq!(log(&run).iter().map(|r| r.step).collect::<Vec<_>>(), [2, 3, 4]);
    let gallery: serde_json::Value =
        serde_json::from_slice(&fs::read(run.join("gallery/gallery.json")).unwrap()).unwrap();
    assert_eq!(gallery["previews"].as_array().unwrap().len(), 1, "that of the last step");
    assert!(run.join("gallery/index.html").is_file());
    let (outcome, said) = resume(&run, &["n_epochs=3"]);
    assert_eq!(outcome.unwrap().step, 6);
    assert_eq!(said, ["started at 4 of 6"]);
}

#[cfg(unix)]
#[test]
fn deleting_the_lock_admits_no_second_trainer() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let at = run.clone();
    let (outcome, _) = disturbed(&run, move || {
        fs::remove_file(at.join("lock")).unwrap();
        let second = resume(&at, &["n_epochs=9"]).0;
        assert!(matches!(second, Err(Error::Busy { .. })), "{second:?}");
    });
    assert_eq!(outcome.unwrap().step, 4);
}

#[cfg(unix)]
#[test]
fn a_run_folder_that_vanishes_ends_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let (gone, replaced) = (folder.path().join("gone"), folder.path().join("replaced"));
    let at = gone.clone();
    let (outcome, _) = disturbed(&gone, move || fs::remove_dir_all(&at).unwrap());
    assert!(matches!(outcome, Err(Error::Vanished { .. })), "{outcome:?}");
    assert!(!gone.exists(), "nothing is written where it was");
    let at = replaced.clone();
    let (outcome, _) = disturbed(&replaced, move || {
        fs::rename(&at, at.with_extension("old")).unwrap();
        fs::create_dir(&at).unwrap();
    });
    assert!(matches!(outcome, Err(Error::Vanished { .. })), "{outcome:?}");
    assert_eq!(fs::read_dir(&replaced).unwrap().count(), 0);
    assert_eq!(steps(&replaced.with_extension("old")), [1]);
}

#[test]
fn another_method_is_named_before_any_key() {
    let (folder, run) = trained();
    let cyclegan = super::find("cyclegan");
    let refused = |run: &Path| resume_with(cyclegan, run, &[], None).0.unwrap_err().to_string();
    let error = refused(&run);
    assert!(error.contains("this run is pix2pix, not cyclegan") && !error.contains("lambda"), "{error}");
    // Before the first checkpoint, run.json tells.
    let early = folder.path().join("early");
    copy(&run, &early);
    fs::remove_dir_all(early.join("checkpoints")).unwrap();
    assert!(refused(&early).contains("this run is pix2pix"));
    let (outcome, said) = resume(&early, &[]);
    assert_eq!(outcome.unwrap().step, 4);
    assert!(said.iter().any(|s| s.contains("no checkpoint yet")), "{said:?}");
}
