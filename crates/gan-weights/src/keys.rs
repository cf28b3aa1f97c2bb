//! Key names that older or wrapped networks were saved with.

use std::collections::{HashMap, HashSet};

use candle_core::Tensor;

use crate::StateDict;

/// Removes from the keys of `state` what wrappers and old versions of PyTorch added: [`strip_compiled`],
/// [`strip_data_parallel`] and [`drop_instance_norm_statistics`], in this order. Returns notes about what was done.
pub fn normalize_keys(state: &mut StateDict) -> Vec<String> {
    let mut notes = strip_compiled(state);
    notes.extend(strip_data_parallel(state));
    notes.extend(drop_instance_norm_statistics(state));
    notes
}

/// Removes the prefix `module.`, which `torch.nn.DataParallel` and `DistributedDataParallel` put before every key.
/// Nothing changes unless all keys have it. Returns notes about what was done.
pub fn strip_data_parallel(state: &mut StateDict) -> Vec<String> {
    const PREFIX: &str = "module.";
    let mut rounds = 0;
    while !state.is_empty() && state.names().all(|name| name.starts_with(PREFIX)) {
        state.rename(|name| name[PREFIX.len()..].to_owned());
        rounds += 1;
    }
    match rounds {
        0 => Vec::new(),
        1 => vec![format!("prefix \"{PREFIX}\" of DataParallel removed from {} keys", state.len())],
        _ => vec![format!("prefix \"{PREFIX}\" of DataParallel removed {rounds} times from {} keys", state.len())],
    }
}

/// Removes the components that wrappers put into the keys of what they wrap: `_orig_mod.` of `torch.compile`,
/// `_fsdp_wrapped_module.` of FSDP, `_checkpoint_wrapped_module.` of activation checkpointing. Returns notes about what was done;
/// where two keys would become one, nothing is.
pub fn strip_compiled(state: &mut StateDict) -> Vec<String> {
    const COMPONENTS: [(&str, &str); 3] = [
        ("_orig_mod", "torch.compile"),
        ("_fsdp_wrapped_module", "FSDP"),
        ("_checkpoint_wrapped_module", "activation checkpointing"),
    ];
    let mut notes = Vec::new();
    for (component, wrapper) in COMPONENTS {
        let stripped = |name: &str| name.split('.').filter(|part| *part != component).collect::<Vec<_>>().join(".");
        let affected = state.names().filter(|name| name.split('.').any(|part| part == component)).count();
        if affected == 0 {
            continue;
        }
        let distinct: HashSet<_> = state.names().map(stripped).collect();
        notes.push(if distinct.len() < state.len() {
            format!("\"{component}.\" of {wrapper} kept: without it two keys would be the same")
        } else {
            state.rename(stripped);
            format!("\"{component}.\" of {wrapper} removed from {affected} keys")
        });
    }
    notes
}

/// Drops the running statistics of instance norms. PyTorch before 0.4 saved them for every instance norm, and so did
/// networks built with `track_running_stats=True`; networks that normalise by the statistics of the
/// image have no place for them. Returns notes about what was done.
///
/// An instance norm without scale and shift is told from a batch norm by what it lacks: `x.running_mean` stands without an
/// `x.weight`.
pub fn drop_instance_norm_statistics(state: &mut StateDict) -> Vec<String> {
    const STATISTICS: [&str; 3] = ["running_mean", "running_var", "num_batches_tracked"];
    let mut norms: HashMap<String, bool> = HashMap::new();
    for name in state.names() {
        if let Some((layer, field)) = name.rsplit_once('.') {
            let affine = norms.entry(layer.to_owned()).or_default();
            *affine |= !STATISTICS.contains(&field);
        }
    }
    let mut dropped = HashSet::new();
    let before = state.len();
    state.retain(|name: &str, _: &Tensor| match name.rsplit_once('.') {
        Some((layer, field)) if STATISTICS.contains(&field) && !norms[layer] => {
            dropped.insert(layer.to_owned());
            false
        }
        _ => true,
    });
    if dropped.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "{} running statistics of {} instance norms dropped: this network uses the statistics of the image",
        before - state.len(),
        dropped.len()
    )]
}
