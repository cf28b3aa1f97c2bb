//! Clocks that were set, forwards or back: dates of files and of the log decide nothing.

use super::{FACADES, copy, resume, start, steps};
use gan_train::checkpoint::load;
use gan_train::storage::Disk;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(86_400);

/// Gives a folder and all that is in it another date; the newest checkpoint gets the oldest one.
fn date(path: &Path, when: SystemTime) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            let entry = entry.unwrap();
            let step: u64 = entry.file_name().to_str().and_then(|name| name.parse().ok()).unwrap_or(0);
            date(&entry.path(), when - Duration::from_secs(60 * step));
        }
    }
    File::open(path).unwrap().set_modified(when).unwrap();
}

/// Moves all dates of the log by a day, without a change of its length, which the checkpoint knows.
fn date_log(run: &Path, later: bool) {
    let path = run.join("events.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut parts = text.split("\"time\":");
    let mut moved = parts.next().unwrap().to_owned();
    for part in parts {
        let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap();
        let seconds: u64 = part[..digits].parse().unwrap();
        let seconds = if later { seconds + DAY.as_secs() } else { seconds - DAY.as_secs() };
        moved += &format!("\"time\":{seconds}{}", &part[digits..]);
    }
    assert!(moved.len() == text.len() && moved != text);
    std::fs::write(path, moved).unwrap();
}

#[test]
fn dates_decide_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    start(&at("whole"), &[&FACADES[..], &["keep=0"]].concat()).0.unwrap();
    start(&at("cut"), &[&FACADES[..], &["keep=0", "max_steps=2"]].concat()).0.unwrap();
    let last = |run: &Path| {
        let step = *steps(run).last().unwrap();
        let snapshot = load(&Disk, &run.join("checkpoints").join(step.to_string())).unwrap().snapshot;
        let text = |t: &candle_core::Tensor| format!("{:?}", t.flatten_all().unwrap().to_vec1::<f32>().ok());
        let files = snapshot.tensors.iter().flat_map(|(_, tensors)| tensors);
        (step, files.map(|(name, tensor)| (name.clone(), text(tensor))).collect::<Vec<_>>())
    };
    for (name, later) in [("a day later", true), ("a day earlier", false)] {
        let now = SystemTime::now();
        let files = at(&format!("files {name}"));
        copy(&at("cut"), &files);
        date(&files, if later { now + DAY } else { now - DAY });
        let log = at(&format!("log {name}"));
        copy(&at("cut"), &log);
        date_log(&log, later);
        for run in [files, log] {
            let (outcome, said) = resume(&run, &["max_steps=0"]);
            assert_eq!(outcome.unwrap().step, 4, "{name}");
            assert!(said.contains(&"started at 2 of 4".to_owned()), "{name}: {said:?}");
            assert!(last(&run) == last(&at("whole")), "{name}");
        }
    }
}
