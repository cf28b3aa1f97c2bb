//! What is said when training ends.

use crate::exit::{Coded, DIVERGED, Done};
use crate::shell::quoted;
use gan_train::events::Finish;
use gan_train::{Error, Outcome, TrainConfig, Trained};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A launch of training: what its end is judged by.
pub(crate) struct Launch {
    /// The command that resumes the run.
    pub(crate) command: String,
    pub(crate) out: PathBuf,
    pub(crate) config: toml::Table,
    /// The step after which it began.
    pub(crate) first: Arc<AtomicU64>,
}

impl Launch {
    /// Says how `train` ended.
    pub(crate) fn report(&self, ended: gan_train::Result<Outcome>) -> anyhow::Result<Done> {
        let outcome = self.checked(ended)?;
        if outcome.finish == Finish::Interrupted {
            self.interrupted(&outcome);
            return Ok(Done::Interrupted);
        }
        if self.did_nothing(&outcome) {
            eprintln!("{}", nothing_left(&self.train(), outcome.step));
            return Ok(Done::Complete);
        }
        let gallery = self.out.join("gallery/index.html");
        eprintln!(
            "done. Look at {}, translate with `gan-cli translate --model {} …`",
            gallery.display(),
            quoted(&self.out)
        );
        Ok(Done::Complete)
    }

    /// Says how to go on after an interruption.
    pub(crate) fn interrupted(&self, outcome: &Outcome) {
        let saved = self.out.join("checkpoints").join(outcome.step.to_string());
        eprintln!("interrupted at step {}; saved {}", outcome.step, saved.display());
        eprintln!("resume with: {}", self.command);
    }

    /// The outcome, or for training that diverged a way on that exists.
    pub(crate) fn checked(&self, ended: gan_train::Result<Outcome>) -> anyhow::Result<Outcome> {
        let what = match &ended {
            Err(Error::Diverged { what, .. }) => format!("{what} is not finite"),
            Err(error @ Error::NonFinite { .. }) => {
                let text = error.to_string();
                text.split(';').next().unwrap_or_default().to_owned()
            }
            _ => return Ok(ended?),
        };
        let kept = Trained::open(&self.out).ok().map(|trained| trained.step());
        let advice = self.after_divergence(kept);
        Err(Coded(DIVERGED, format!("training diverged: {what}; {advice}")).into())
    }

    /// A checkpoint that this launch began with has just failed; only a later one may help.
    fn after_divergence(&self, kept: Option<u64>) -> String {
        let first = self.first.load(Ordering::Relaxed);
        let lr = self.train().lr / 10.0;
        // Two digits are enough.
        let lr: f64 = format!("{lr:.1e}").parse().unwrap_or(lr);
        let lr = if (1e-3..1e3).contains(&lr) { format!("{lr}") } else { format!("{lr:e}") };
        let anew = format!("start anew with a lower learning rate (--lr {lr}) and another --out");
        match kept {
            Some(step) if step > first => format!(
                "the checkpoint of step {step} is kept. Resume with a lower learning rate: {} --lr {lr}\n\
                 If that diverges as well, {anew}",
                self.command
            ),
            Some(step) => format!("nothing was saved after step {step}, from which this began: {anew}"),
            None => format!("there is no checkpoint: {anew}"),
        }
    }

    fn did_nothing(&self, outcome: &Outcome) -> bool {
        let first = self.first.load(Ordering::Relaxed);
        first == u64::MAX || first == outcome.step
    }

    fn train(&self) -> TrainConfig {
        let table = self.config.get("train").cloned();
        table.and_then(|table| table.try_into().ok()).unwrap_or_default()
    }
}

/// What to say where no step was left.
fn nothing_left(train: &TrainConfig, step: u64) -> String {
    if train.max_steps > 0 && step >= train.max_steps {
        return format!(
            "nothing left to do: all {} steps are done; raise max_steps (--set max_steps=…) to train on, 0 for all epochs",
            train.max_steps
        );
    }
    let epochs = train.schedule().last_epoch();
    format!("nothing left to do: all {epochs} epochs are done; raise n_epochs (--set n_epochs=…) to train on")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn launch(first: u64) -> Launch {
        Launch {
            command: "gan-cli train pix2pix --out r --resume".into(),
            out: "r".into(),
            config: toml::from_str("[train]\nlr = 0.5").unwrap(),
            first: Arc::new(AtomicU64::new(first)),
        }
    }

    #[test]
    fn advice_after_divergence_fits_what_is_kept() {
        let later = launch(4).after_divergence(Some(9));
        assert!(later.contains("step 9") && later.contains("gan-cli train pix2pix --out r --resume --lr 0.05"));
        for (first, kept) in [(9, Some(9)), (0, None)] {
            let text = launch(first).after_divergence(kept);
            assert!(text.contains("start anew") && !text.contains("--resume"), "{text}");
        }
    }

    #[test]
    fn nothing_left_names_what_to_raise() {
        let train = TrainConfig { n_epochs: 3, n_epochs_decay: 2, ..TrainConfig::default() };
        assert!(nothing_left(&train, 50).contains("all 5 epochs are done; raise n_epochs"));
        let train = TrainConfig { max_steps: 50, ..train };
        assert!(nothing_left(&train, 50).contains("raise max_steps"));
        assert!(nothing_left(&train, 20).contains("raise n_epochs"));
    }
}
