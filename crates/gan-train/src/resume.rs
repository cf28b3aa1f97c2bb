//! What may change when a run goes on. The configuration that is sealed in a checkpoint is the truth; `config.toml` is a copy
//! in which a user may state wishes.

use crate::checkpoint::{self, Folder};
use crate::config::{Layer, differences};
use crate::method::MethodSpec;
use crate::storage::Disk;
use crate::{Error, Result, Trained, methods, run};
use std::path::Path;
use toml::Table;

/// Keys that may differ from the saved configuration (a run may go on on another device, with what that device can do).
/// All others shape the networks, the data or the random numbers:
/// with another value it would be another run.
const ALLOWED: [&str; 23] = [
    "train.lr",
    "train.n_epochs",
    "train.n_epochs_decay",
    "train.lr_policy",
    "train.lr_decay_iters",
    "train.max_steps",
    "train.print_freq",
    "train.display_freq",
    "train.save_latest_freq",
    "train.save_minutes",
    "train.save_epoch_freq",
    "train.keep",
    "train.checkpointing",
    "train.precision",
    "train.tf32",
    "train.deterministic",
    "train.cuda_graphs",
    "data.root",
    "data.batch_size",
    "data.cache",
    "data.workers",
    "data.prefetch",
    "loss.vgg19",
];

/// The configuration with which a run may go on: the one that its newest checkpoint seals, with the changes that stand in
/// `RUN/config.toml` and those that `wanted` makes, if all of them are allowed. A `config.toml` that is missing or damaged
/// wishes nothing. Before the first checkpoint, `config.toml` is all there is.
///
/// # Errors
/// [`Error::Config`] with all changes that are refused; [`Error::RunFolder`] if there is no run;
/// [`Error::NoUsableCheckpoint`] if there are checkpoints and none can be used.
pub fn resume_config(run: &Path, wanted: impl FnOnce(&Table) -> Result<Table>) -> Result<Table> {
    let file = run.join("config.toml").display().to_string();
    let text = run::read_config(&Disk, run);
    // Its weights are read as well: a configuration that they do not fit is not theirs.
    let trained = match Trained::open(run) {
        Ok(trained) => Some(trained),
        Err(Error::NoCheckpoint { .. }) => None,
        Err(error) => return Err(error),
    };
    let Some(trained) = trained else {
        let text = text?;
        let saved = match run_method(run)? {
            Some(method) => (method.resolve)(&[Layer::Text { name: file, toml: text }])?,
            None => {
                text.parse().map_err(|e: toml::de::Error| Error::Config { origin: file, message: e.to_string() })?
            }
        };
        let wanted = wanted(&saved)?;
        check_changes("--resume", &saved, &wanted)?;
        return Ok(wanted);
    };
    let (method, sealed) = (trained.method(), trained.sealed_config()?);
    let saved = match text {
        Ok(text) => {
            let saved = (method.resolve)(&[Layer::Text { name: file.clone(), toml: text }])?;
            check_changes(&file, &sealed, &saved)?;
            saved
        }
        Err(_) => sealed.clone(),
    };
    let wanted = wanted(&saved)?;
    check_changes("--resume", &sealed, &wanted)?;
    Ok(wanted)
}

/// The method of a run: the one that its newest checkpoint seals, or before there is one, what `run.json` says. `None` if
/// neither tells.
///
/// # Errors
/// [`Error::NoUsableCheckpoint`] if there are checkpoints and none has a sound manifest.
pub fn run_method(run: &Path) -> Result<Option<&'static MethodSpec>> {
    let sound = |folder: Folder| {
        let method = methods::find(&folder.manifest.method)?;
        sealed(&folder.dir, &folder.manifest.model, method).map(|_| method)
    };
    match checkpoint::newest(&Disk, run, sound) {
        Ok((method, _)) => return Ok(Some(method)),
        Err(Error::NoCheckpoint { .. }) => {}
        Err(error) => return Err(error),
    }
    let named = run::read_info(&Disk, run).ok().map(|info| info.method);
    Ok(named.and_then(|name| methods::find(&name).ok()))
}

/// Refuses to go on with a run by another method than its own.
///
/// # Errors
/// [`Error::RunFolder`]; otherwise as [`run_method`].
pub fn require_method(run: &Path, method: &MethodSpec) -> Result<()> {
    match run_method(run)? {
        Some(own) if own.name != method.name => Err(Error::RunFolder {
            path: run.to_owned(),
            reason: format!("this run is {}, not {}", own.name, method.name),
            remedy: "name its own method, or choose another folder",
        }),
        _ => Ok(()),
    }
}

/// The configuration that the checkpoint in `dir` seals as `model`, with the defaults of keys that are newer than it.
///
/// # Errors
/// [`Error::Damaged`] if it is none, [`Error::Config`] if it cannot be one of this method.
pub(crate) fn sealed(dir: &Path, model: &serde_json::Value, method: &MethodSpec) -> Result<Table> {
    let table: Table = serde_json::from_value(model.clone())
        .map_err(|e| Error::damaged(&dir.join("manifest.json"), format!("it has no usable configuration: {e}")))?;
    (method.resolve)(&[Layer::Text { name: dir.display().to_string(), toml: table.to_string() }])
}

/// Refuses changes that a resumed run must not make, all at once. `origin` is where they stand.
pub(crate) fn check_changes(origin: &str, saved: &Table, wanted: &Table) -> Result<()> {
    let changes = differences(saved, wanted)?;
    let refused: Vec<_> = changes.iter().filter(|d| !ALLOWED.contains(&d.key.as_str())).collect();
    if refused.is_empty() {
        return Ok(());
    }
    let lines: String = refused.iter().map(|d| format!("\n  {d}")).collect();
    let message = format!(
        "a resumed run keeps its configuration; these changes are refused:{lines}\nstart a new run for them. What may change: {}",
        ALLOWED.join(", ")
    );
    Err(Error::Config { origin: origin.into(), message })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::check_changes;

    fn table(text: &str) -> toml::Table {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn length_may_change_and_width_may_not() {
        let saved = table("[train]\nn_epochs=1\nseed=1\n[generator]\nngf=64");
        check_changes("--resume", &saved, &table("[train]\nn_epochs=9\nseed=1\n[generator]\nngf=64")).unwrap();
        let error = check_changes("config.toml", &saved, &table("[train]\nn_epochs=9\nseed=2\n[generator]\nngf=32"));
        let error = error.unwrap_err().to_string();
        assert!(error.contains("generator.ngf: 64 -> 32") && error.contains("train.seed"), "{error}");
        assert!(!error.contains("n_epochs: "), "{error}");
    }
}
