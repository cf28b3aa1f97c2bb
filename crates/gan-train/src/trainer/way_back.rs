//! What is left of a run that diverged.

use crate::checkpoint;
use crate::method_spec::MethodSpec;
use crate::storage::Files;
use crate::{Error, WayBack};
use candle_core::{DType, Tensor};
use gan_weights::checkpoint::{Folder, newest};
use std::path::Path;

/// Weights beyond this do nothing sensible any more: trained ones are below 10, and Adam moves each by the learning rate.
const BEYOND_REPAIR: f64 = 1e4;

/// A value that is not finite is found only when it is written, if it came up in the last step.
pub(super) fn of_snapshot(error: Error) -> Error {
    match error {
        Error::NonFinite { file, tensor, index, value } => Error::Diverged {
            what: format!("`{tensor}` of {file} ({value} at element {index})"),
            way_back: WayBack::Unknown,
        },
        other => other,
    }
}

/// The newest checkpoint that training can go on from, found by looking at what is on the disk. `at_once`: training
/// diverged after resuming from this step with a lower learning rate, so that neither it nor a newer one will do.
pub(super) fn find(files: &dyn Files, run: &Path, method: &MethodSpec, at_once: Option<u64>) -> WayBack {
    let mut newer = Vec::new();
    let found = newest(files, run, |folder| {
        let (step, own) = (folder.manifest().step, &folder.manifest().method);
        if own == method.name && at_once.is_none_or(|from| step < from) && is_sane(&folder) {
            return Ok(step);
        }
        newer.push(step);
        Err(Error::Unsavable { reason: String::new() }) // passed over; nobody reads why
    });
    match found {
        Ok((step, _)) => WayBack::Step { step, newer },
        Err(Error::Files(checkpoint::Error::NoCheckpoint { .. })) => WayBack::Nothing,
        Err(_) => WayBack::Useless,
    }
}

/// Whether all networks can be read and hold weights that can be trained on.
fn is_sane(folder: &Folder<'_>) -> bool {
    folder.networks().all(|stem| {
        let tensors = folder.tensors(stem);
        tensors.is_ok_and(|tensors| tensors.iter().filter(|(name, _)| is_weight(name)).all(|(_, t)| is_small(t)))
    })
}

/// Statistics of norms may be large.
fn is_weight(name: &str) -> bool {
    name.ends_with(".weight") || name.ends_with(".bias")
}

fn is_small(tensor: &Tensor) -> bool {
    let largest = || tensor.to_dtype(DType::F32)?.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>();
    tensor.elem_count() == 0 || largest().is_ok_and(|x| f64::from(x) <= BEYOND_REPAIR)
}
