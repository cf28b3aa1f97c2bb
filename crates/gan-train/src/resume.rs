//! What may change when a run goes on. The configuration that is sealed in a checkpoint is the truth; `config.toml` is a copy
//! in which a user may state wishes.

use crate::checkpoint;
use crate::checkpointing::Checkpointing::Auto;
use crate::config::{ConfigSource, differences};
use crate::memory::with_choice;
use crate::method_config::MethodConfig;
use crate::method_spec::{MethodSpec, find};
use crate::storage::Disk;
use crate::{Error, Result, run};
use gan_translate::TrainedModel;
use gan_weights::checkpoint::{Folder, MANIFEST, newest};
use std::path::Path;
use toml::Table;

/// Keys that may differ from the saved configuration (a run may go on on another device, with what that device can do).
/// All others shape the networks, the data or the random numbers: with another value it would be another run.
const ALLOWED: [&str; 42] = [
    "train.lr",
    "train.lr_g",
    "train.lr_d",
    "train.n_epochs",
    "train.n_epochs_decay",
    "train.lr_policy",
    "train.lr_decay_iters",
    "train.max_steps",
    "train.accumulate",
    "train.reduce",
    "train.print_freq",
    "train.display_freq",
    "train.tensorboard",
    "train.csv",
    "train.save_latest_freq",
    "train.save_minutes",
    "train.save_epoch_freq",
    "train.keep",
    "train.ema",
    "train.on_nonfinite",
    "train.nonfinite_limit",
    "train.checkpointing",
    "train.precision",
    "train.tf32",
    "train.deterministic",
    "train.cuda_graphs",
    "validation.every",
    "validation.split",
    "validation.metrics",
    "validation.best",
    "validation.patience",
    "validation.limit",
    "data.root",
    "data.folder_a",
    "data.folder_b",
    "data.label_folder",
    "data.image_folder",
    "data.instance_folder",
    "data.batch_size",
    "data.cache",
    "data.workers",
    "data.prefetch",
];

/// The configuration with which a run of `method` may go on: the one that its newest checkpoint seals, with the changes that
/// stand in `RUN/config.toml` and those that `wanted` makes of it, if all of them are allowed. A `config.toml` that is missing
/// or damaged wishes nothing. Before the first checkpoint, `config.toml` is all there is. What was chosen for
/// `train.checkpointing = "auto"` stays.
///
/// # Errors
/// [`Error::RefusedChanges`] with all that are not allowed; [`Error::Config`]; [`Error::RunFolder`] if there is no run, or one of another method;
/// [`Error::Files`] if there are checkpoints and none can be used.
pub fn resume_config(
    run: &Path,
    method: &MethodSpec,
    wanted: impl FnOnce(&dyn MethodConfig) -> Result<Box<dyn MethodConfig>>,
) -> Result<Box<dyn MethodConfig>> {
    require_method(run, method)?;
    let file = run.join("config.toml");
    let resolve = |toml: String| (method.resolve)(&[ConfigSource::Saved { name: file.display().to_string(), toml }]);
    let text = run::read_config(&Disk, run);
    // Its weights are read as well: a configuration that they do not fit is not theirs.
    let usable = |folder: Folder<'static>| {
        let sealed = sealed(folder.dir(), &folder.manifest().model, method)?;
        TrainedModel::of_checkpoint(folder, sealed.model())?;
        Ok::<_, Error>(sealed)
    };
    let sealed = match newest(&Disk, run, usable) {
        Ok((sealed, _)) => Some(sealed),
        Err(Error::Files(checkpoint::Error::NoCheckpoint { .. })) => None,
        Err(error) => return Err(error),
    };
    let saved = match (&sealed, text) {
        (_, Ok(text)) => resolve(text)?,
        (Some(sealed), Err(_)) => (method.resolve)(&[ConfigSource::saved(&**sealed)?])?,
        (None, Err(error)) => return Err(error),
    };
    if let Some(sealed) = &sealed {
        check_changes(Some(&file), &**sealed, &*saved)?;
    }
    let wanted = wanted(&*saved)?;
    check_changes(None, sealed.as_deref().unwrap_or(&*saved), &*wanted)?;
    match sealed.map(|sealed| sealed.train().checkpointing) {
        Some(choice) if choice != Auto && wanted.train().checkpointing == Auto => with_choice(method, &*wanted, choice),
        _ => Ok(wanted),
    }
}

/// The method of a run among `methods`: the one that its newest checkpoint seals, or before there is one, what `run.json`
/// says; `None` if neither tells. Checkpoints of other methods, and those whose configuration is none of theirs, are passed
/// over.
///
/// # Errors
/// [`Error::Files`] if there are checkpoints and none has a sound manifest.
pub fn run_method<'a>(methods: &'a [MethodSpec], run: &Path) -> Result<Option<&'a MethodSpec>> {
    let sound = |folder: Folder<'_>| {
        let method = find(methods, &folder.manifest().method)?;
        sealed(folder.dir(), &folder.manifest().model, method).map(|_| method)
    };
    match newest(&Disk, run, sound) {
        Ok((method, _)) => return Ok(Some(method)),
        Err(Error::Files(checkpoint::Error::NoCheckpoint { .. })) => {}
        Err(error) => return Err(error),
    }
    let named = run::read_info(&Disk, run).ok().map(|info| info.method);
    Ok(named.and_then(|name| find(methods, &name).ok()))
}

/// Refuses to go on with a run by another method than its own.
///
/// # Errors
/// [`Error::RunFolder`]; [`Error::Files`] if there are checkpoints and none has a sound manifest.
pub fn require_method(run: &Path, method: &MethodSpec) -> Result<()> {
    // A configuration can be judged by its own method only.
    let name = |folder: Folder<'_>| {
        if folder.manifest().method == method.name {
            sealed(folder.dir(), &folder.manifest().model, method)?;
        }
        Ok(folder.manifest().method.clone())
    };
    let own = match newest(&Disk, run, name) {
        Ok((own, _)) => Some(own),
        Err(Error::Files(checkpoint::Error::NoCheckpoint { .. })) => {
            run::read_info(&Disk, run).ok().map(|info| info.method)
        }
        Err(error) => return Err(error),
    };
    match own {
        Some(own) if own != method.name => Err(Error::RunFolder {
            path: run.to_owned(),
            reason: format!("this run is {own}, not {}", method.name),
            remedy: "name its own method, or choose another folder",
        }),
        _ => Ok(()),
    }
}

/// The configuration that the checkpoint in `dir` seals as `model`, with the defaults of keys that are newer than it.
///
/// # Errors
/// [`Error::Files`] if it is none, [`Error::Config`] if it cannot be one of this method.
pub(crate) fn sealed(dir: &Path, model: &serde_json::Value, method: &MethodSpec) -> Result<Box<dyn MethodConfig>> {
    let table: Table = serde_json::from_value(model.clone())
        .map_err(|e| Error::damaged(&dir.join(MANIFEST), format!("it has no usable configuration: {e}")))?;
    (method.resolve)(&[ConfigSource::Saved { name: dir.display().to_string(), toml: table.to_string() }])
}

/// Refuses changes that a resumed run must not make, all at once. `file` is where they stand.
///
/// # Errors
/// [`Error::RefusedChanges`]
pub(crate) fn check_changes(file: Option<&Path>, saved: &dyn MethodConfig, wanted: &dyn MethodConfig) -> Result<()> {
    let changes = differences(&saved.to_table()?, &wanted.to_table()?)?;
    let allowed: Vec<&str> = ALLOWED.iter().chain(wanted.changeable_keys()).copied().collect();
    let refused = changes.iter().filter(|change| !allowed.contains(&change.key.as_str()));
    let changes: Vec<String> = refused.map(ToString::to_string).collect();
    if changes.is_empty() {
        return Ok(());
    }
    Err(Error::RefusedChanges { file: file.map(|file| file.display().to_string()), changes, allowed })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::methods::{pix2pix, pix2pixhd};

    #[test]
    fn length_may_change_and_width_may_not() {
        let saved = pix2pix::Config::default();
        let mut wanted = saved.clone();
        wanted.train.n_epochs = 9;
        check_changes(None, &saved, &wanted).unwrap();
        (wanted.train.seed, wanted.generator.ngf) = (2, 32);
        let error = check_changes(Some(Path::new("config.toml")), &saved, &wanted).unwrap_err().to_string();
        assert!(error.starts_with("config.toml: a resumed run keeps"), "{error}");
        assert!(error.contains("generator.ngf: 64 -> 32") && error.contains("train.seed"), "{error}");
        assert!(!error.contains("n_epochs: "), "{error}");
    }

    #[test]
    fn a_method_says_which_of_its_own_keys_may_change() {
        let saved = pix2pixhd::Config::default();
        let mut wanted = saved.clone();
        wanted.loss.vgg19 = "elsewhere".into();
        check_changes(None, &saved, &wanted).unwrap();
        wanted.loss.lambda_feat = 1.0;
        let error = check_changes(None, &saved, &wanted).unwrap_err().to_string();
        assert!(error.contains("loss.lambda_feat: 10") && error.ends_with("loss.vgg19"), "{error}");
    }
}
