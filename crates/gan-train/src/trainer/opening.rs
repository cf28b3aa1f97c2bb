//! The run folder of a launch, and the checkpoint that it goes on from.

use super::agreement::on_first;
use super::{Job, state};
use crate::checkpoint::{self, Loaded, Snapshot};
use crate::config::commented;
use crate::method::Method;
use crate::method_config::MethodConfig;
use crate::run::{RunFolder, RunInfo};
use crate::storage::Storage;
use crate::{Error, Result, resume};
use gan_kernels::device::device_name;
use std::path::Path;

/// What a run goes on from.
pub(super) struct Restored {
    pub(super) loaded: Loaded,
    /// Its configuration.
    pub(super) sealed: Box<dyn MethodConfig>,
}

/// The run folder, locked, on the first rank; and when resuming its newest checkpoint: `None` if the run ended before it saved one.
pub(super) fn open_run(
    storage: &dyn Storage,
    job: &Job,
    method: &mut dyn Method,
) -> Result<(Option<RunFolder>, Option<Restored>)> {
    let mut folder = None;
    on_first(&*job.ranks, || {
        // Locked first: another trainer would replace and delete the checkpoints that are being read.
        folder = Some(match job.resume {
            true => RunFolder::open(storage, &job.run)?,
            false => RunFolder::create(storage, &job.run, &config_text(job)?, &run_info(job))?,
        });
        Ok(())
    })?;
    if !job.resume {
        return Ok((folder, None));
    }
    let check = |dir: &Path, snapshot: &Snapshot| {
        let sealed = resume::sealed(dir, &snapshot.model, job.method)?;
        resume::check_changes(Some(dir), &*sealed, &*job.config)?;
        state::check(dir, snapshot, method)
    };
    let loaded = match checkpoint::load_latest_checked(storage, &job.run, Some(job.method.name), check) {
        Ok(loaded) => loaded,
        Err(Error::Files(checkpoint::Error::NoCheckpoint { .. })) => return Ok((folder, None)),
        Err(error) => return Err(error),
    };
    let sealed = resume::sealed(&loaded.dir, &loaded.snapshot.model, job.method)?;
    Ok((folder, Some(Restored { loaded, sealed })))
}

/// `config.toml` of the run.
pub(super) fn config_text(job: &Job) -> Result<String> {
    Ok(commented(&job.config.to_table()?, &(job.method.docs)()?))
}

pub(super) fn run_info(job: &Job) -> RunInfo {
    RunInfo {
        method: job.method.name.into(),
        version: job.version.clone(),
        revision: job.revision.clone(),
        device: device_name(&job.device_config.device),
        instruction_set: checkpoint::instruction_set(),
        seed: job.config.train().seed,
        argv: job.argv.clone(),
        launches: Vec::new(),
    }
}
