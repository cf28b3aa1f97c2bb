//! What may change when a run goes on.

use crate::config::differences;
use crate::{Error, Result};
use toml::Table;

/// Keys that may differ from the saved configuration (a run may go on on another device, with what that device can do).
/// All others shape the networks, the data or the random numbers:
/// with another value it would be another run.
const ALLOWED: [&str; 21] = [
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
    "data.cache",
    "data.workers",
    "loss.vgg19",
];

/// Refuses changes that a resumed run must not make, all at once.
pub(crate) fn check_changes(saved: &Table, wanted: &Table) -> Result<()> {
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
    Err(Error::Config { origin: "--resume".into(), message })
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
        check_changes(&saved, &table("[train]\nn_epochs=9\nseed=1\n[generator]\nngf=64")).unwrap();
        let error =
            check_changes(&saved, &table("[train]\nn_epochs=9\nseed=2\n[generator]\nngf=32")).unwrap_err().to_string();
        assert!(error.contains("generator.ngf: 64 -> 32") && error.contains("train.seed"), "{error}");
        assert!(!error.contains("n_epochs: "), "{error}");
    }
}
