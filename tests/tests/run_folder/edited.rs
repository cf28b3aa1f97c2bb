//! Every key of a configuration, edited in `RUN/config.toml`: what may change does, and everything else is refused by name.

use super::{copy, start};
use gan_train::config::ConfigSource;
use gan_train::{Error, METHODS, MethodSpec, resume_config};
use std::collections::BTreeMap;
use std::path::Path;
use toml::{Table, Value};

/// What a user may rely on: these change how a run goes on, and not which run it is.
const ALLOWED: [&str; 12] = [
    "train.lr",
    "train.n_epochs",
    "train.n_epochs_decay",
    "train.max_steps",
    "train.accumulate",
    "train.print_freq",
    "train.save_latest_freq",
    "train.keep",
    "data.batch_size",
    "data.workers",
    "data.root",
    "validation.every",
];

/// A sample of what makes it another run.
const FORBIDDEN: [&str; 16] = [
    "train.seed",
    "train.beta1",
    "train.pool_size",
    "generator.arch",
    "generator.ngf",
    "generator.norm",
    "generator.dropout",
    "generator.padding",
    "discriminator.ndf",
    "loss.lambda_l1",
    "loss.gan_mode",
    "data.direction",
    "data.load_size",
    "data.crop_size",
    "data.flip",
    "data.max_dataset_size",
];

/// Other values of a key, the likely ones first.
fn others(value: &Value, words: &[&str]) -> Vec<Value> {
    match value {
        Value::Integer(n) => [n + 1, n * 2, n - 1].map(Value::Integer).into(),
        Value::Float(x) => [x * 0.5, x + 0.25, x + 1.0].map(Value::Float).into(),
        Value::Boolean(b) => vec![Value::Boolean(!b)],
        Value::String(s) if !words.is_empty() => {
            words.iter().filter(|word| *word != s).map(|word| Value::String((*word).to_owned())).collect()
        }
        Value::String(s) => vec![Value::String(format!("{s}other"))],
        _ => Vec::new(),
    }
    .into_iter()
    .filter(|other| other != value)
    .collect()
}

fn set(table: &mut Table, key: &str, value: Value) -> Option<()> {
    let (path, last) = key.rsplit_once('.').unwrap_or(("", key));
    let table =
        path.split('.').filter(|part| !part.is_empty()).try_fold(table, |t, part| t.get_mut(part)?.as_table_mut())?;
    *table.get_mut(last)? = value;
    Some(())
}

fn get<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    let (path, last) = key.rsplit_once('.').unwrap_or(("", key));
    path.split('.').filter(|part| !part.is_empty()).try_fold(table, |t, part| t.get(part)?.as_table())?.get(last)
}

#[derive(Debug, PartialEq, Clone, Copy)]
enum Verdict {
    Accepted,
    Refused,
    /// No value was tried that the configuration itself would take.
    Contradiction,
}

/// What becomes of an edit of this key.
fn verdict(method: &MethodSpec, run: &Path, saved: &str, key: &str, words: &[&str]) -> Option<Verdict> {
    let table: Table = toml::from_str(saved).unwrap();
    let value = get(&table, key)?;
    let mut verdict = Verdict::Contradiction;
    for other in others(value, words) {
        let mut edited = table.clone();
        set(&mut edited, key, other)?;
        std::fs::write(run.join("config.toml"), edited.to_string()).unwrap();
        match resume_config(run, method, |saved| (method.resolve)(&[ConfigSource::saved(saved)?])) {
            Ok(_) => return Some(Verdict::Accepted),
            Err(Error::RefusedChanges { file, changes, .. }) => {
                assert!(file.is_some_and(|file| file.ends_with("config.toml")), "{key}");
                assert!(changes.iter().any(|change| change.starts_with(&format!("{key}: "))), "{key}: {changes:?}");
                return Some(Verdict::Refused);
            }
            Err(Error::Config { origin, message }) => {
                assert!(origin.contains("config.toml") || origin == "configuration", "{key}: {origin}: {message}");
                verdict = Verdict::Contradiction;
            }
            Err(error) => panic!("{key}: {error}"),
        }
    }
    Some(verdict)
}

#[test]
fn every_edit_of_the_file_is_judged_by_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    start(&run, &super::FACADES).0.unwrap();
    let method = METHODS.iter().find(|method| method.name == "pix2pix").unwrap();
    let saved = std::fs::read_to_string(run.join("config.toml")).unwrap();
    let edited = folder.path().join("edited");
    copy(&run, &edited);
    let keys = (method.docs)().unwrap();
    let judge = |info: &gan_train::config::KeyInfo| {
        Some((info.key.clone(), verdict(method, &edited, &saved, &info.key, info.values)?))
    };
    let verdicts: BTreeMap<String, Verdict> = keys.iter().filter_map(judge).collect();
    for key in ALLOWED {
        assert_eq!(verdicts.get(key), Some(&Verdict::Accepted), "{key}");
    }
    for key in FORBIDDEN {
        assert!(matches!(verdicts.get(key), Some(Verdict::Refused | Verdict::Contradiction)), "{key}: {verdicts:?}");
    }
    let count = |wanted: Verdict| verdicts.values().filter(|verdict| **verdict == wanted).count();
    // Whatever shapes networks, losses or images is refused, also where it is newer than this list.
    for (key, verdict) in &verdicts {
        let shapes = ["generator.", "discriminator.", "loss.", "augment."].iter().any(|table| key.starts_with(table));
        assert!(!shapes || *verdict != Verdict::Accepted, "{key} was accepted");
    }
    assert!(count(Verdict::Refused) >= 25, "{verdicts:?}");
}
